//! Lanes beside each other: the first one, and the backlog lanes for as long as they have work.

use std::collections::BTreeSet;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::lane::Worker;
use crate::project::Until;
use crate::pulse::LOOK_INTERVAL;
use crate::shared::Shared;
use crate::source::Source;
use crate::target::{LaneName, Target};

/// What the lanes do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Follow the log, with a live lane.
    Projection,
    /// Apply a part of it again, without.
    Replay,
}

/// Runs the lanes, beginning with the first: all end when the live one does, or when one halts; without a live one,
/// when none has work any more.
pub(crate) async fn run_lanes<S: Source, T: Target>(
    shared: &Shared<S, T>,
    first: LaneName,
    until: Until,
    stop: &CancellationToken,
) -> Result<(), Halt> {
    let stop = stop.child_token();
    let mut running = BTreeSet::new();
    let mut lanes = FuturesUnordered::new();
    let work = |name| Worker::new(shared, name, until, &stop).run();
    if first != LaneName::Live {
        running.insert(first);
    }
    lanes.push(work(first));
    let mut looks = pin!(tokio::time::interval(LOOK_INTERVAL));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut halted = Ok(());
    loop {
        tokio::select! {
            biased;
            ended = lanes.next() => match ended {
                None => return halted,
                Some(Ok(LaneName::Live)) => stop.cancel(),
                Some(Ok(name)) => _ = running.remove(&name),
                Some(Err(halt)) => {
                    stop.cancel();
                    shared.halted(halt.to_string());
                    halted = halted.and(Err(halt));
                }
            },
            () = shared.backlog.notified(), if !stop.is_cancelled() => {
                for name in lanes_wanted(shared, &running) {
                    running.insert(name);
                    lanes.push(work(name));
                }
            }
            _ = looks.tick() => shared.look(),
        }
    }
}

/// The lanes to start beside those that run: the backlog has work for them.
fn lanes_wanted<S: Source, T: Target>(shared: &Shared<S, T>, running: &BTreeSet<LaneName>) -> Vec<LaneName> {
    // NOTE: a run with other settings may have left a backlog, and the live lane waits for it to be filled.
    let most = shared.settings.backlog_lanes.max(1);
    let more = shared.lanes_wanted().saturating_sub(running.len());
    (1..=most).map(LaneName::Backlog).filter(|name| !running.contains(name)).take(more).collect()
}
