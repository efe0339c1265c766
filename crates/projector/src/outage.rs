//! An outage: told once at its start and once at its end, however many lanes it stops; and the pauses between one
//! lane's attempts, which grow.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use crate::settings::Settings;
use crate::target::{ErrorKind, LaneName, TargetError};

/// Tracks which lanes the database keeps from working.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    since: SystemTime,
    attempts: u64,
    stopped: BTreeSet<LaneName>,
    stall: Stall,
}

/// Whether nothing is committed though there is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stall {
    No,
    Yes,
}

impl Outage {
    /// An attempt of a lane failed.
    pub(crate) fn failed(&mut self, lane: LaneName, error: &TargetError, now: SystemTime) {
        let current = self.current.get_or_insert_with(|| {
            match error.kind() {
                ErrorKind::Busy => tracing::warn!(
                    %error,
                    "the database is busy with others; recording goes on, projecting resumes by itself",
                ),
                _ => tracing::warn!(
                    %error,
                    "the database is away; recording goes on, projecting resumes by itself",
                ),
            }
            Current::new(now)
        });
        current.attempts += 1;
        current.stopped.insert(lane);
        tracing::debug!(%lane, %error, attempts = current.attempts, "the database is still away");
    }

    /// Nothing was committed for so long, though there is work and no attempt has failed.
    pub(crate) fn stalled(&mut self, time: Duration, now: SystemTime) {
        let current = self.current.get_or_insert_with(|| {
            tracing::warn!(
                seconds = time.as_secs(),
                "the database does not answer, or is very slow; recording goes on, projecting resumes by itself",
            );
            Current::new(now)
        });
        current.stall = Stall::Yes;
    }

    /// Whether nothing is committed though there is work.
    pub(crate) fn is_stall(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.stall == Stall::Yes)
    }

    /// A lane works; the outage ends with the last one that was stopped. `backlog` positions are not applied.
    pub(crate) fn works(&mut self, lane: LaneName, backlog: u64) {
        if let Some(current) = &mut self.current {
            current.stopped.remove(&lane);
            self.end_if_over(backlog);
        }
    }

    /// What has work commits again.
    pub(crate) fn moves(&mut self, backlog: u64) {
        if let Some(current) = self.current.as_mut().filter(|current| current.stall == Stall::Yes) {
            current.stall = Stall::No;
            self.end_if_over(backlog);
        }
    }

    fn end_if_over(&mut self, backlog: u64) {
        let is_over = |current: &Current| current.stopped.is_empty() && current.stall == Stall::No;
        let Some(current) = self.current.take_if(|current| is_over(current)) else { return };
        tracing::info!(
            seconds = current.began.elapsed().as_secs(),
            attempts = current.attempts,
            backlog_events = backlog,
            "the database is back",
        );
    }

    /// A lane has ended, and is not waited for.
    pub(crate) fn left(&mut self, lane: LaneName) {
        if let Some(current) = &mut self.current {
            current.stopped.remove(&lane);
        }
    }

    /// The lanes of the last run are gone; the first one that works again ends the outage.
    pub(crate) fn resumed(&mut self) {
        if let Some(current) = &mut self.current {
            current.stopped.clear();
            current.stall = Stall::No;
        }
    }

    /// Since when the database is away.
    pub(crate) fn since(&self) -> Option<SystemTime> {
        self.current.as_ref().map(|outage| outage.since)
    }

    /// Whether this lane is stopped.
    pub(crate) fn has_stopped(&self, lane: LaneName) -> bool {
        self.current.as_ref().is_some_and(|outage| outage.stopped.contains(&lane))
    }
}

impl Current {
    fn new(since: SystemTime) -> Self {
        Self { began: Instant::now(), since, attempts: 0, stopped: BTreeSet::new(), stall: Stall::No }
    }
}

/// The pauses of one lane.
#[derive(Debug)]
pub(crate) struct Pauses {
    builder: ExponentialBuilder,
    current: Option<ExponentialBackoff>,
    /// Attempts that failed in a row.
    pub(crate) failures: u32,
}

impl Pauses {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        let builder = ExponentialBuilder::default()
            .with_min_delay(settings.retry_pause_min)
            .with_max_delay(settings.retry_pause_max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed);
        Self { builder, current: None, failures: 0 }
    }

    /// How long to pause before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures += 1;
        let builder = self.builder;
        self.current.get_or_insert_with(|| builder.build()).next().unwrap_or_default()
    }

    /// An attempt has worked.
    pub(crate) fn reset(&mut self) {
        self.current = None;
        self.failures = 0;
    }
}
/// What is told of a stall.
pub(crate) fn stuck(stalled: Duration) -> String {
    let seconds = stalled.as_secs();
    format!(
        "nothing was committed for {seconds} s, though there is work: the database is very slow, or hangs"
    )
}
