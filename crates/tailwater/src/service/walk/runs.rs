//! Where a walk must look: the runs of positions that can hold what was chosen.

use event::Position;
use eventlog::EventLog;

use crate::failure::{Failure, chain};
use crate::selection::Selection;

/// Runs of positions, first and last, in order and apart from each other.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    found: Vec<(Position, Position)>,
    /// From here on every position is looked at.
    rest: Position,
}

impl Runs {
    /// Every position there is.
    #[cfg(test)]
    pub(super) const WHOLE: Self = Self { found: Vec::new(), rest: Position::FIRST };

    /// Where events of the selection can lie: up to `head` as the log's index says, behind it anywhere. It blocks.
    pub(super) fn of(log: &EventLog, selection: &Selection, head: Position) -> Result<Self, Failure> {
        if selection.is_whole() {
            return Ok(Self { found: Vec::new(), rest: Position::FIRST });
        }
        let found = log.runs_between(selection.times(), selection.kinds());
        let mut found = found.map_err(|error| Failure::error(chain(&error)))?;
        // NOTE: it also knows of what was appended since.
        found.retain(|(lo, _)| *lo <= head);
        Ok(Self { found, rest: head.next() })
    }

    /// The run that `at` lies in, or the next one: from where, up to where.
    pub(super) fn at(&self, at: Position) -> (Position, Position) {
        let index = self.found.partition_point(|(_, hi)| *hi < at);
        self.found.get(index).copied().unwrap_or((self.rest, Position(u64::MAX)))
    }

    /// The last run that begins before `end`.
    pub(super) fn last_before(&self, end: Position) -> Option<(Position, Position)> {
        if self.rest < end {
            return Some((self.rest, Position(u64::MAX)));
        }
        let index = self.found.partition_point(|(lo, _)| *lo < end);
        self.found.get(index.checked_sub(1)?).copied()
    }

    /// These runs, and nothing behind them.
    #[cfg(test)]
    pub(super) fn new(found: &[(u64, u64)]) -> Self {
        let found = found.iter().map(|(lo, hi)| (Position(*lo), Position(*hi))).collect();
        Self { found, rest: Position(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_lies_in_a_run_or_before_one() {
        let runs = Runs { rest: Position(101), ..Runs::new(&[(5, 9), (20, 20)]) };
        let at = |position| runs.at(Position(position)).0.0;
        assert_eq!([1, 5, 9, 10, 20, 21, 101, 500].map(at), [5, 5, 5, 20, 20, 101, 101, 101]);
        let before = |end| runs.last_before(Position(end)).map(|(lo, _)| lo.0);
        assert_eq!(
            [5, 6, 20, 21, 101, 102].map(before),
            [None, Some(5), Some(5), Some(20), Some(20), Some(101)]
        );
        assert_eq!(Runs::WHOLE.at(Position(1)).0, Position(1));
    }
}
