//! Holes: runs of positions that have no events any more, each with its cause.

use std::fmt;

use crate::{Entry, Position};

/// Why the events of a hole are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoleCause {
    /// Retention: they were old, or the log was at its bound and a database had them.
    Trimmed,
    /// The log was at its bound, and no database had them.
    Dropped,
    /// Their bytes were damaged, and a repair could not read them.
    Damaged,
    /// They were durable, and the log came back without them.
    LostTail,
}

impl HoleCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Trimmed, Self::Dropped, Self::Damaged, Self::LostTail];

    /// The word in answers and in `gap` events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Dropped => "dropped",
            Self::Damaged => "damaged",
            Self::LostTail => "lost_tail",
        }
    }
}

impl fmt::Display for HoleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run of positions, both ends included, that has no events any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The first position of it.
    pub lo: Position,
    /// The last position of it.
    pub hi: Position,
    /// Why.
    pub cause: HoleCause,
    /// The checksum of the record that was at `hi`, where it is known: who has applied that record can still
    /// tell that this is the log it came from.
    pub checksum: Option<u32>,
}

impl Hole {
    /// How many positions it has.
    #[must_use]
    pub const fn positions(&self) -> u64 {
        self.hi.next().since(self.lo)
    }

    /// Whether `position` lies in it.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        (self.lo..=self.hi).contains(&position)
    }
}

/// What a read of a log finds from a position on: events, or a hole that begins there or before. Never silence.
#[derive(Clone, Debug, PartialEq)]
pub enum Stretch {
    /// Dense entries, in order; none when there are none yet.
    Events(Vec<Entry>),
    /// The position that was asked for lies in this hole: go on behind it.
    Hole(Hole),
}

impl Stretch {
    /// Nothing yet.
    pub const NOTHING: Self = Self::Events(Vec::new());

    /// Whether there was nothing yet.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Events(entries) if entries.is_empty())
    }
}

/// What a log has at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record with this checksum.
    Record(u32),
    /// The position lies in this hole.
    Hole(Hole),
    /// Neither: the log does not reach so far, or not durably.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_has_both_of_its_ends() {
        let hole = Hole { lo: Position(3), hi: Position(5), cause: HoleCause::Trimmed, checksum: None };
        assert_eq!(hole.positions(), 3);
        let inside: Vec<u64> = (1..8).filter(|position| hole.contains(Position(*position))).collect();
        assert_eq!(inside, [3, 4, 5]);
    }

    #[test]
    fn causes_have_different_words() {
        let words = HoleCause::ALL.map(HoleCause::as_str);
        assert_eq!(words, ["trimmed", "dropped", "damaged", "lost_tail"]);
    }
}
