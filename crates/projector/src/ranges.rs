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
    /// Whether the two have a position in common.
    fn meets(&self, other: &Self) -> bool {
        self.hi.is_none_or(|hi| other.lo < hi) && other.hi.is_none_or(|hi| self.lo < hi)
    }

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
    /// As a claim told them.
    pub(crate) fn told(ranges: &[RangeState]) -> Self {
        let span = |range: &RangeState| Span { lo: range.lo, next: range.cursor.next, hi: range.hi };
        Self(ranges.iter().map(|range| (range.lo, span(range))).collect())
    }

    /// Takes over what the claim of `own` told. Of the ranges that other lanes hold it may be older than what is known:
    /// claims that go on beside each other are answered in any order.
    pub(crate) fn learn(&mut self, told: &[RangeState], own: Position, held: &[Position]) {
        let known = std::mem::replace(self, Self::told(told)).0;
        let own = self.0.get(&own).copied();
        for span in held.iter().filter_map(|lo| known.get(lo)) {
            // NOTE: nobody can claim what another lane holds: then it is what is known that is old.
            if own.is_none_or(|own| !own.meets(span)) {
                self.put(*span);
            }
        }
    }

    /// Puts a span in the place of whatever is told of its positions.
    fn put(&mut self, span: Span) {
        let mut next = span.next;
        let met: Vec<Span> = self.0.values().filter(|told| told.meets(&span)).copied().collect();
        for told in met {
            self.0.remove(&told.lo);
            if (told.lo, told.hi) == (span.lo, span.hi) {
                next = next.max(told.next);
            }
            if told.lo < span.lo {
                let below = Span { next: told.next.min(span.lo), hi: Some(span.lo), ..told };
                self.0.insert(told.lo, below);
            }
            if let Some(hi) = span.hi.filter(|hi| told.hi.is_none_or(|end| *hi < end)) {
                self.0.insert(hi, Span { lo: hi, next: told.next.max(hi), ..told });
            }
        }
        self.0.insert(span.lo, Span { next, ..span });
    }

    /// The range `lo` is now here.
    pub(crate) fn moved(&mut self, lo: Position, next: Position) {
        if let Some(span) = self.0.get_mut(&lo) {
            span.next = next;
        }
    }

    /// Forgets those that are unfinished and not among these.
    pub(crate) fn keep(&mut self, these: &BTreeSet<Position>) {
        self.0.retain(|lo, span| these.contains(lo) || span.hi == Some(span.next));
    }

    /// The first position that is not applied; `None` when nothing is known.
    pub(crate) fn lowest(&self) -> Option<Position> {
        let unfinished = self.0.values().find(|span| span.hi.is_none_or(|hi| span.next < hi));
        unfinished.map(|span| span.next)
    }

    /// The same, as if the range `lo` were at `next` already.
    pub(crate) fn lowest_with(&self, lo: Position, next: Position) -> Option<Position> {
        let mut ranges = Self(self.0.clone());
        ranges.moved(lo, next);
        ranges.lowest()
    }

    /// The next position of the live lane.
    pub(crate) fn live(&self) -> Option<Position> {
        self.live_span().map(|span| span.next)
    }

    /// The live lane's range.
    pub(crate) fn live_span(&self) -> Option<Span> {
        self.0.values().find(|span| span.hi.is_none()).copied()
    }

    /// How many positions the backlog lanes have before them.
    pub(crate) fn backlog(&self) -> u64 {
        self.0.values().filter(|span| span.hi.is_some()).map(|span| span.open(span.next)).sum()
    }

    /// How many pieces the backlog has that is not `busy`, at the least: how large the first one of so many open
    /// positions is, is given.
    pub(crate) fn pieces(&self, piece: impl Fn(u64) -> u64, busy: &BTreeSet<Position>) -> u64 {
        let open = self.free(busy).map(|span| span.open(span.next));
        open.map(|open| open.div_ceil(piece(open).max(1))).sum()
    }

    /// The next position of the first range of the backlog that is not `busy` and not finished.
    pub(crate) fn next_open(&self, busy: &BTreeSet<Position>) -> Option<Position> {
        self.free(busy).find(|span| span.open(span.next) > 0).map(|span| span.next)
    }

    fn free(&self, busy: &BTreeSet<Position>) -> impl Iterator<Item = &Span> {
        self.0.values().filter(|span| span.hi.is_some() && !busy.contains(&span.lo))
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
            known.learn(&told(ranges), Position(0), &[]);
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
        let live = Position(10);
        known.learn(&told(&[(1, 2, 10), (10, 10, 0)]), live, &[]);
        known.moved(Position(1), Position(8));
        known.learn(&told(&[(1, 5, 10), (10, 11, 0)]), live, &[Position(1)]);
        assert_eq!(known.lowest(), Some(Position(8)));
        known.learn(&told(&[(1, 5, 10), (10, 11, 0)]), live, &[]);
        assert_eq!(known.lowest(), Some(Position(5)), "the database went back");
        known.moved(Position(3), Position(9));
        assert_eq!(known.spans().len(), 2);
    }

    /// `known`, then the claim of `own` tells something older of what others hold.
    fn check(
        known: &[(u64, u64, u64)],
        older: (&[(u64, u64, u64)], u64),
        held: &[u64],
        now: &[(u64, u64, u64)],
    ) {
        let (mut ranges, (older, own)) = (Ranges::default(), older);
        ranges.learn(&told(known), Position(0), &[]);
        let held: Vec<Position> = held.iter().copied().map(Position).collect();
        ranges.learn(&told(older), Position(own), &held);
        let numbers = |span: Span| (span.lo.0, span.next.0, span.hi.map_or(0, |hi| hi.0));
        assert_eq!(ranges.spans().into_iter().map(numbers).collect::<Vec<_>>(), now, "{known:?} {older:?}");
    }

    #[test]
    fn what_another_lane_holds_keeps_its_shape() {
        // The live lane has cut its range at 30, and has merged it with the one below.
        let cut: &[_] = &[(1, 5, 10), (10, 12, 30), (30, 31, 0)];
        check(cut, (&[(1, 5, 10), (10, 11, 0)], 1), &[30], &[(1, 5, 10), (10, 11, 30), (30, 31, 0)]);
        let merged: &[_] = &[(1, 5, 10), (10, 33, 0)];
        check(merged, (&[(1, 5, 10), (10, 30, 30), (30, 31, 0)], 1), &[10], merged);
        // Another lane has cut a piece, and has merged it with the one below.
        let piece: &[_] = &[(1, 15, 20), (20, 20, 30), (30, 31, 0)];
        check(
            piece,
            (&[(1, 10, 10), (10, 10, 30), (30, 32, 0)], 30),
            &[1],
            &[(1, 15, 20), (20, 20, 30), (30, 32, 0)],
        );
    }

    #[test]
    fn the_next_open_range_is_one_that_nobody_works_and_has_an_end() {
        let mut known = Ranges::default();
        known.learn(&told(&[(1, 5, 10), (10, 20, 20), (20, 22, 30), (30, 31, 0)]), Position(0), &[]);
        let check = |busy: &[u64], next: Option<u64>| {
            let busy = busy.iter().copied().map(Position).collect();
            assert_eq!(known.next_open(&busy), next.map(Position), "{busy:?}");
        };
        check(&[], Some(5));
        check(&[1], Some(22));
        check(&[1, 20], None);
    }

    /// A claim of which nobody heard had cut it.
    #[test]
    fn what_a_claim_has_taken_is_held_by_nobody_else() {
        let told: &[_] = &[(1, 1, 10), (10, 10, 20), (20, 20, 0)];
        check(&[(1, 1, 0)], (told, 10), &[1], told);
    }
}
