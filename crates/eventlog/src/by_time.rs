//! Reading by time: the index says which runs of positions may hold events of a range.

use event::{Kind, Position, Time};

use crate::blocks::{Block, Span};
use crate::error::ReadError;
use crate::layout::{key_position, position_key};
use crate::open::EventLog;

/// A range of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest.
    pub from: Time,
    /// The latest.
    pub to: Time,
}

impl TimeRange {
    /// Every time there is.
    pub const ALL: Self = Self { from: Time::from_micros(i64::MIN), to: Time::from_micros(i64::MAX) };

    const fn span(self) -> Span {
        Span { least: self.from.micros(), greatest: self.to.micros() }
    }
}

impl EventLog {
    /// The runs of positions, first and last, that may hold events of these kinds and times, in order. What lies
    /// outside of them holds none; what lies inside must still be looked at, 4,096 positions at a time at the most.
    ///
    /// # Errors
    /// When fjall cannot read the index.
    pub fn runs_between(
        &self,
        times: TimeRange,
        kinds: &[Kind],
    ) -> Result<Vec<(Position, Position)>, ReadError> {
        let engine = self.engine()?;
        let ends = self.ends();
        let mut runs = Runs::default();
        let mut expected = ends.first;
        for guard in engine.blocks.range(..=position_key(ends.durable)) {
            let (key, value) = guard.into_inner().map_err(|error| ReadError::engine(expected, error))?;
            let Some(first) = key_position(&key) else { continue };
            // NOTE: what no entry tells of may hold anything.
            runs.add(expected, first.before());
            let Some(block) = Block::decode(first, &value) else {
                expected = expected.max(first);
                continue;
            };
            if block.may_hold(times.span(), kinds) {
                runs.add(first.max(expected), block.last());
            }
            expected = expected.max(block.last().next());
        }
        runs.add(expected, ends.durable);
        let there = runs.list.into_iter().map(|(lo, hi)| (lo.max(ends.first), hi.min(ends.durable)));
        Ok(there.filter(|(lo, hi)| lo <= hi).collect())
    }
}

impl EventLog {
    /// The earliest time of an event that is there, by the index; `None` when there is none.
    ///
    /// # Errors
    /// When fjall cannot read the index.
    pub fn earliest(&self) -> Result<Option<Time>, ReadError> {
        let engine = self.engine()?;
        let mut least = None;
        for guard in engine.blocks.iter() {
            let (key, value) = guard.into_inner().map_err(ReadError::of_meta)?;
            let block = key_position(&key).and_then(|first| Block::decode(first, &value));
            let span = block.and_then(|block| block.whole_span());
            least = [least, span.map(|span| span.least)].into_iter().flatten().min();
        }
        Ok(least.map(Time::from_micros))
    }
}

/// Runs of positions, neighbours joined.
#[derive(Debug, Default)]
struct Runs {
    list: Vec<(Position, Position)>,
}

impl Runs {
    fn add(&mut self, lo: Position, hi: Position) {
        if lo > hi {
            return;
        }
        match self.list.last_mut() {
            Some((_, end)) if end.next() >= lo => *end = hi.max(*end),
            _ => self.list.push((lo, hi)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_runs_are_joined() {
        let mut runs = Runs::default();
        for (lo, hi) in [(1, 4), (5, 6), (6, 5), (9, 9), (9, 12)] {
            runs.add(Position(lo), Position(hi));
        }
        assert_eq!(runs.list, [(Position(1), Position(6)), (Position(9), Position(12))]);
    }
}
