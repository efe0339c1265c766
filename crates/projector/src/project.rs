//! The projector: one live lane, and backlog lanes for as long as there is something that it has left to them.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use event::Position;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::lane::Worker;
use crate::parts::Parts;
use crate::pulse::LOOK_INTERVAL;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::source::Source;
use crate::status::{State, Status, Totals};
use crate::target::{LaneName, Target};

/// When a projector is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is told to stop.
    Stopped,
    /// When everything up to this position is applied, or it is told to stop.
    Applied(Position),
}

impl Until {
    /// Whether a lane at `next` is through.
    pub(crate) fn is_reached(self, next: Position) -> bool {
        match self {
            Self::Stopped => false,
            Self::Applied(last) => next > last,
        }
    }
}

/// Projects one source into one target.
#[derive(Debug)]
pub struct Projector<S, T> {
    shared: Shared<S, T>,
}

impl<S: Source, T: Target> Projector<S, T> {
    /// A projector of this source into this target.
    #[must_use]
    pub fn new(source: Arc<S>, target: Arc<T>, settings: Settings) -> Self {
        Self::with_parts(source, target, settings, Parts::default())
    }

    /// The same, with these parts.
    #[must_use]
    pub fn with_parts(source: Arc<S>, target: Arc<T>, settings: Settings, parts: Parts) -> Self {
        Self { shared: Shared::new(source, target, settings, parts) }
    }

    /// Follows what it tells about itself.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status().subscribe()
    }

    /// Projects until it is through or told to stop; a transaction under way is finished first.
    ///
    /// # Errors
    /// [`Halt`] when a person must look.
    pub async fn run(&self, until: Until, stop: &CancellationToken) -> Result<Totals, Halt> {
        let _panic = ToldByStatus(self.shared.status());
        self.shared.begin(until);
        let outcome = self.run_lanes(until, stop).await;
        outcome.map(|()| self.shared.status().borrow().totals)
    }

    /// Runs the lanes: all end when the live one does, or when one halts.
    async fn run_lanes(&self, until: Until, stop: &CancellationToken) -> Result<(), Halt> {
        let stop = stop.child_token();
        let mut running = BTreeSet::new();
        let mut lanes = FuturesUnordered::new();
        let work = |name| Worker::new(&self.shared, name, until, &stop).run();
        lanes.push(work(LaneName::Live));
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
                        self.shared.halted(halt.to_string());
                        halted = halted.and(Err(halt));
                    }
                },
                () = self.shared.backlog.notified(), if !stop.is_cancelled() => {
                    for name in self.lanes_wanted(&running) {
                        running.insert(name);
                        lanes.push(work(name));
                    }
                }
                _ = looks.tick() => self.shared.look(),
            }
        }
    }

    /// The lanes to start beside those that run: the backlog has work for them.
    fn lanes_wanted(&self, running: &BTreeSet<LaneName>) -> Vec<LaneName> {
        // NOTE: a run with other settings may have left a backlog, and the live lane waits for it to be filled.
        let most = self.shared.settings.backlog_lanes.max(1);
        let more = self.shared.lanes_wanted().saturating_sub(running.len());
        (1..=most).map(LaneName::Backlog).filter(|name| !running.contains(name)).take(more).collect()
    }
}

/// A projector that panics is no longer live, and says so.
struct ToldByStatus<'a>(&'a watch::Sender<Status>);

impl Drop for ToldByStatus<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_modify(|status| {
                status.state = State::Halted;
                status.error = Some("the projector panicked, which is a bug; restart tailwater".to_owned());
            });
        }
    }
}
