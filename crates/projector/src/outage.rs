//! An outage: told once at its start and once at its end, with growing pauses between the attempts.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use event::Position;
use tokio::time::Instant;

use crate::settings::Settings;
use crate::target::TargetError;

/// Tracks whether the database is away.
#[derive(Debug)]
pub(crate) struct Outage {
    pauses: ExponentialBuilder,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    since: SystemTime,
    attempts: u64,
    pauses: ExponentialBackoff,
}

impl Outage {
    pub(crate) fn new(settings: &Settings) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(settings.retry_pause_min)
            .with_max_delay(settings.retry_pause_max)
            .without_max_times()
            .with_jitter();
        Self { pauses, current: None }
    }

    /// Another attempt failed: how long to pause before the next.
    pub(crate) fn failed(&mut self, error: &TargetError) -> Duration {
        let pauses = self.pauses;
        let current = self.current.get_or_insert_with(|| {
            tracing::warn!(%error, "the database is away; recording goes on, projecting resumes by itself");
            let (began, since) = (Instant::now(), SystemTime::now());
            Current { began, since, attempts: 0, pauses: pauses.build() }
        });
        current.attempts += 1;
        tracing::debug!(%error, attempts = current.attempts, "the database is still away");
        current.pauses.next().unwrap_or_default()
    }

    /// The database answers again.
    pub(crate) fn ended(&mut self, backlog_from: Position, backlog_to: Position) {
        let Some(outage) = self.current.take() else { return };
        tracing::info!(
            seconds = outage.began.elapsed().as_secs(),
            attempts = outage.attempts,
            backlog_events = backlog_to.since(backlog_from),
            "the database is back",
        );
    }

    /// Since when the database is away.
    pub(crate) fn since(&self) -> Option<SystemTime> {
        self.current.as_ref().map(|outage| outage.since)
    }
}
