//! Sets of positions, and how their events are read out of a log.

use std::fmt;
use std::ops::RangeInclusive;

use event::{Entry, Hole, Position, Stretch};
use roaring::RoaringTreemap;

use crate::source::{ReadLimits, Source, SourceError};

/// A set of positions; a bit for each where they are dense.
#[derive(Clone, Default, PartialEq)]
pub struct Positions(RoaringTreemap);

impl Positions {
    /// Adds one.
    pub fn insert(&mut self, position: Position) {
        self.0.insert(position.0);
    }

    /// Adds a run of them, both ends included.
    pub fn insert_run(&mut self, run: RangeInclusive<Position>) {
        self.0.insert_range(run.start().0..=run.end().0);
    }

    /// Whether it has this one.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        self.0.contains(position.0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Position> {
        self.0.iter().map(Position)
    }

    /// Those from the first one on that lie within so many positions: the first and the last of them.
    fn window(&self, positions: usize) -> Option<RangeInclusive<Position>> {
        let first = self.0.min()?;
        let end = first.saturating_add(positions as u64);
        let last = self.0.iter().take_while(|position| *position < end).last()?;
        Some(Position(first)..=Position(last))
    }

    /// Takes out all up to this one.
    fn remove_up_to(&mut self, last: Position) {
        self.0.remove_range(0..=last.0);
    }
}

impl fmt::Debug for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Positions").field("len", &self.len()).field("first", &self.0.min()).finish()
    }
}

impl FromIterator<Position> for Positions {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        Self(positions.into_iter().map(|position| position.0).collect())
    }
}

/// Reads the events of a set of positions, in order. Those that lie in holes by now are passed over.
#[derive(Debug)]
pub struct Picker<'a, S> {
    source: &'a S,
    rest: Positions,
    limits: ReadLimits,
    holes: Vec<Hole>,
}

impl<'a, S: Source> Picker<'a, S> {
    /// The events at these positions of a log; so many at a time at the most, read from so many positions in a row.
    #[must_use]
    pub const fn new(source: &'a S, positions: Positions, limits: ReadLimits) -> Self {
        Self { source, rest: positions, limits, holes: Vec::new() }
    }

    /// The holes that it came to.
    pub(super) fn into_holes(self) -> Vec<Hole> {
        self.holes
    }

    /// The next ones; none behind the last.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Entry>, SourceError> {
        while let Some(window) = self.rest.window(self.limits.events_max) {
            let (first, last) = window.into_inner();
            let events_max = usize::try_from(last.next().since(first)).unwrap_or(usize::MAX);
            let limits = ReadLimits { events_max, ..self.limits };
            match self.source.read(first, limits).await? {
                Stretch::Hole(hole) => {
                    self.rest.remove_up_to(hole.hi);
                    self.holes.push(hole);
                }
                Stretch::Events(mut entries) => {
                    let read = entries.last().ok_or_else(|| nothing_at(first))?.position;
                    entries.retain(|entry| self.rest.contains(entry.position));
                    self.rest.remove_up_to(read);
                    return Ok(entries);
                }
            }
        }
        Ok(Vec::new())
    }
}

/// A log that no longer has what it had, without a hole to say so.
pub(super) fn nothing_at(position: Position) -> SourceError {
    SourceError::Unreadable { position, reason: "the log has nothing there any more".to_owned() }
}
