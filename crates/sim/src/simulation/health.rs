//! Whether all is well, since when, and what must hold then: the live lane is at the head, whatever the backlog.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use event::Position;
use tokio::time::Instant;

/// Who knows whether all is well.
#[derive(Debug)]
pub(super) struct Health {
    /// How old an event may become, when all is well, before the live lane has it.
    lag_max: Duration,
    /// For how long it must have been well before.
    well_for: Duration,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    troubles: u32,
    since: Instant,
    /// Heads that the live lane has not reached, and when each was first seen.
    ahead: VecDeque<(Position, Instant)>,
    seconds_checked: u64,
    lag_max: Duration,
    backlog_max: u64,
}

impl Health {
    pub(super) fn new(well_for: Duration, lag_max: Duration) -> Self {
        let known = Known {
            troubles: 0,
            since: Instant::now(),
            ahead: VecDeque::new(),
            seconds_checked: 0,
            lag_max: Duration::ZERO,
            backlog_max: 0,
        };
        Self { lag_max, well_for, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Something goes wrong.
    pub(super) fn begins(&self) {
        self.known().troubles += 1;
    }

    /// It is over.
    pub(super) fn ends(&self) {
        let mut known = self.known();
        known.troubles -= 1;
        known.since = Instant::now();
    }

    /// The log ends before `head`, the live lane is at `live`, and the others have `backlog` before them.
    pub(super) fn check(&self, head: Position, live: Option<Position>, backlog: u64) {
        let (now, mut known) = (Instant::now(), self.known());
        known.ahead.push_back((head, now));
        while known.ahead.front().is_some_and(|(head, _)| live.is_some_and(|live| live >= *head)) {
            known.ahead.pop_front();
        }
        if known.troubles > 0 || now.duration_since(known.since) < self.well_for {
            return;
        }
        let lag = known.ahead.front().map_or(Duration::ZERO, |(_, since)| now.duration_since(*since));
        assert!(
            lag <= self.lag_max,
            "the live lane is at {live:?} of {head}, {lag:?} behind, backlog {backlog}"
        );
        known.seconds_checked += 1;
        known.lag_max = known.lag_max.max(lag);
        known.backlog_max = known.backlog_max.max(backlog);
    }

    /// For how many seconds it was checked, the greatest lag then, and the greatest backlog.
    pub(super) fn seen(&self) -> (u64, Duration, u64) {
        let known = self.known();
        (known.seconds_checked, known.lag_max, known.backlog_max)
    }
}
