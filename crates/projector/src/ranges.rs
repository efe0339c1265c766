//! How far the ranges of the log are, as this projector knows it.
//!
//! The database has the truth; here is what its last claim told, and what was committed since.

use std::collections::{BTreeMap, BTreeSet};

use event::Position;

use crate::target::RangeState;

/// A run of positions: `[lo, next)` is applied or gone, `[next, hi)` is to come; the live one has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first position.
    pub lo: Position,
    /// The next one to apply.
    pub next: Position,
    /// The position behind its last.
    pub hi: Option<Position>,
}

impl Span {
    /// How many positions are to come, in a log that ends before `head`.
    #[must_use]
    pub fn open(&self, head: Position) -> u64 {
        self.hi.unwrap_or(head).since(self.next)
    }
}

/// The ranges of one log, disjoint and in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(BTreeMap<Position, Span>);

impl Ranges {
    /// Takes over what a claim told. Of a range that another lane works it may be older than what is known.
    pub(crate) fn learn(&mut self, told: &[RangeState], busy: &[Position]) {
        let known = std::mem::take(&mut self.0);
        for RangeState { lo, cursor, hi, .. } in told {
            let own = known.get(lo).filter(|_| busy.contains(lo)).map(|span| span.next);
            let next = own.map_or(cursor.next, |own| own.max(cursor.next));
            self.0.insert(*lo, Span { lo: *lo, next, hi: *hi });
        }
    }

    /// The range `lo` is now here.
    pub(crate) fn moved(&mut self, lo: Position, next: Position) {
        if let Some(span) = self.0.get_mut(&lo) {
            span.next = next;
        }
    }

    /// The first position that is not applied; `None` when nothing is known.
    pub(crate) fn lowest(&self) -> Option<Position> {
        let unfinished = self.0.values().find(|span| span.hi.is_none_or(|hi| span.next < hi));
        unfinished.map(|span| span.next)
    }

    /// The next position of the live lane.
    pub(crate) fn live(&self) -> Option<Position> {
        self.0.values().find(|span| span.hi.is_none()).map(|span| span.next)
    }

    /// How many positions the backlog lanes have before them.
    pub(crate) fn backlog(&self) -> u64 {
        self.0.values().filter(|span| span.hi.is_some()).map(|span| span.open(span.next)).sum()
    }

    /// How many pieces of this many positions the backlog has that is not `busy`.
    pub(crate) fn pieces(&self, positions: u64, busy: &BTreeSet<Position>) -> u64 {
        let free = self.0.values().filter(|span| span.hi.is_some() && !busy.contains(&span.lo));
        free.map(|span| span.open(span.next).div_ceil(positions.max(1))).sum()
    }

    /// How many ranges there are that only a claim of the live one merges.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Cursor;

    fn told(ranges: &[(u64, u64, u64)]) -> Vec<RangeState> {
        let state = |&(lo, next, hi): &(u64, u64, u64)| RangeState {
            lo: Position(lo),
            cursor: Cursor { next: Position(next), digest: None },
            hi: (hi > 0).then_some(Position(hi)),
            writer: None,
            applied_at: None,
        };
        ranges.iter().map(state).collect()
    }

    #[test]
    fn the_lowest_is_that_of_the_first_unfinished_range() {
        let check = |ranges: &[(u64, u64, u64)], lowest: Option<u64>, live: Option<u64>, backlog: u64| {
            let mut known = Ranges::default();
            known.learn(&told(ranges), &[]);
            let numbers = (known.lowest().map(|it| it.0), known.live().map(|it| it.0), known.backlog());
            assert_eq!(numbers, (lowest, live, backlog), "{ranges:?}");
        };
        check(&[], None, None, 0);
        check(&[(1, 7, 0)], Some(7), Some(7), 0);
        check(&[(1, 7, 10), (10, 12, 0)], Some(7), Some(12), 3);
        check(&[(1, 10, 10), (10, 12, 20), (20, 20, 30), (30, 33, 0)], Some(12), Some(33), 18);
        check(&[(1, 10, 10), (10, 33, 0)], Some(33), Some(33), 0);
    }

    #[test]
    fn what_another_lane_has_committed_meanwhile_stays_known() {
        let mut known = Ranges::default();
        known.learn(&told(&[(1, 2, 10), (10, 10, 0)]), &[]);
        known.moved(Position(1), Position(8));
        known.learn(&told(&[(1, 5, 10), (10, 11, 0)]), &[Position(1)]);
        assert_eq!(known.lowest(), Some(Position(8)));
        known.learn(&told(&[(1, 5, 10), (10, 11, 0)]), &[]);
        assert_eq!(known.lowest(), Some(Position(5)), "the database went back");
        known.moved(Position(3), Position(9));
        assert_eq!(known.spans().len(), 2);
    }
}
