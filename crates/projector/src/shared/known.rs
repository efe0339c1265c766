//! What the lanes know of the database together.

use std::collections::BTreeSet;
use std::time::Duration;

use event::Position;
use tokio::time::Instant;

use crate::outage::Outage;
use crate::project::Until;
use crate::pulse::Pulse;
use crate::ranges::Ranges;
use crate::step::Flushed;
use crate::target::{LaneName, RangeState};

/// What is known, changed by one lane at a time.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) until: Until,
    pub(super) ranges: Ranges,
    /// Claims so far.
    claims: u64,
    /// The lowest position that is not applied for good.
    pub(super) flushed: Option<Position>,
    pub(super) busy: BTreeSet<Position>,
    pub(super) outage: Outage,
    pub(super) pulse: Pulse,
    pub(super) chance: fastrand::Rng,
    pub(super) reach: Reach,
    /// Why this run halts, as soon as one lane does: the others may have a transaction to end.
    pub(super) halt: Option<String>,
    /// When it was last told that the database refuses events.
    pub(super) refusals_told: Option<Instant>,
}

/// How often it is told that the database refuses events, at the most.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(600);

/// Whether the database was reached in this run, and took what there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    NotYet,
    Reached,
}

impl Known {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            until: Until::Stopped,
            ranges: Ranges::default(),
            claims: 0,
            flushed: None,
            busy: BTreeSet::new(),
            outage: Outage::default(),
            pulse: Pulse::new(),
            chance: fastrand::Rng::with_seed(seed),
            reach: Reach::NotYet,
            halt: None,
            refusals_told: None,
        }
    }

    /// Whether the live lane is as far as it should be.
    pub(super) fn is_through(&self) -> bool {
        self.ranges.live().is_some_and(|live| self.until.is_reached(live))
    }

    /// What is applied for good once a batch that is sent now, and moves `lo` to `next`, is flushed.
    ///
    /// NOTE: of other lanes' batches only those that are committed already.
    pub(super) fn flushed_with(&self, lo: Position, next: Position) -> Flushed {
        Flushed { claims: self.claims, next: self.ranges.lowest_with(lo, next) }
    }

    /// That batch was flushed.
    ///
    /// NOTE: what a claim has found since is newer: the database may have gone back.
    pub(super) fn flushed_to(&mut self, flushed: Flushed) {
        if flushed.claims == self.claims {
            self.flushed = self.flushed.max(flushed.next);
        }
    }

    /// A claim has found these on the database's disk.
    pub(super) fn found(&mut self, ranges: &[RangeState]) {
        self.claims += 1;
        self.flushed = Ranges::told(ranges).lowest();
    }

    /// Ranges that lanes work, but for this one.
    pub(super) fn busy_but(&self, own: Option<Position>) -> Vec<Position> {
        self.busy.iter().copied().filter(|lo| Some(*lo) != own).collect()
    }

    /// Whether a projection stands still: its live lane does, or nothing was committed of a backlog for so long. A disk
    /// that is nearly full takes what little the live lane has and none of the rest.
    pub(super) fn is_stopped(&self, now: Instant, stall_after: Duration) -> bool {
        let is_long = self.pulse.stalled(now) >= stall_after;
        self.outage.is_stall()
            || self.outage.has_stopped(LaneName::Live)
            || (self.outage.since().is_some() && is_long)
    }

    /// Warns that the database has refused events, unless it was told of others a short while ago.
    pub(super) fn tell_refusals(&mut self, events: u64, now: Instant) {
        let is_due = self.refusals_told.is_none_or(|told| now.duration_since(told) >= REFUSALS_INTERVAL);
        if events > 0 && is_due {
            self.refusals_told = Some(now);
            tracing::warn!(
                events,
                "the database refuses events for their content; they are in its quarantine, and \
                 `tailwater quarantine list` tells why",
            );
        }
    }

    /// How many positions of a log that ends before `head` are not applied.
    pub(super) fn open(&self, head: Position) -> u64 {
        self.ranges.spans().iter().map(|span| span.open(head)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::target::{Cursor, ErrorKind, TargetError};

    #[test]
    fn a_backlog_that_stands_still_is_no_catching_up() {
        let (mut known, start) = (Known::new(1), Instant::now());
        let stall_after = Duration::from_secs(30);
        let is_stopped =
            |known: &Known, seconds| known.is_stopped(start + Duration::from_secs(seconds), stall_after);
        known.pulse.has_work(start, true, true);
        let full = TargetError::new(ErrorKind::Retry, "no space left on device");
        known.outage.failed(LaneName::Backlog(1), &full, SystemTime::now());
        assert!(!is_stopped(&known, 29), "it may be back at once");
        known.pulse.committed(LaneName::Live, start + Duration::from_secs(29));
        assert!(is_stopped(&known, 30), "the live lane is well, and the backlog is not");
        known.pulse.committed(LaneName::Backlog(1), start + Duration::from_secs(31));
        assert!(!is_stopped(&known, 32));
    }

    #[test]
    fn what_a_claim_finds_is_not_raised_by_an_older_batch() {
        let mut known = Known::new(1);
        let at = |next| {
            let cursor = Cursor { next: Position(next), digest: None };
            [RangeState { lo: Position(1), cursor, hi: None, writer: None, applied_at: None }]
        };
        let find = |known: &mut Known, next| {
            known.found(&at(next));
            known.ranges.learn(&at(next), Position(1), &[]);
            known.flushed
        };
        assert_eq!(find(&mut known, 10), Some(Position(10)));
        let sent = known.flushed_with(Position(1), Position(20));
        known.flushed_to(sent);
        assert_eq!(known.flushed, Some(Position(20)));
        let late = known.flushed_with(Position(1), Position(30));
        assert_eq!(find(&mut known, 5), Some(Position(5)), "the database went back");
        known.flushed_to(late);
        assert_eq!(known.flushed, Some(Position(5)));
    }
}
