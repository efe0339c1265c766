//! The events of a log, one after the other, held against what a database has of it.

use std::collections::HashMap;

use event::wire::Decoded;
use event::{Entry, Hole, Kind, Position, Time};

use super::found::{Findings, KindNumber, Verification};
use super::positions::Positions;
use super::rows::{Rows, position, row};
use super::{BLOCK_BITS, Block, Row};
use crate::ranges::Span;

/// What a database has of a log, and what was found so far.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    tables: [Rows; Kind::ALL.len()],
    quarantined: Positions,
    ranges: Vec<Span>,
    /// The time before which events have expired.
    kept_from: Option<Time>,
    /// Those that the walk has met, in order.
    holes: Vec<Hole>,
    findings: Findings,
}

/// Blocks of one table in which something is left, and their rows that no event has taken yet.
#[derive(Debug)]
pub(super) struct Left {
    kind: Kind,
    rows: HashMap<Row, u64>,
}

impl Comparison {
    pub(super) fn new(ranges: Vec<Span>, quarantined: Vec<Position>, kept_from: Option<Time>) -> Self {
        let quarantined = quarantined.into_iter().collect();
        Self { ranges, quarantined, kept_from, ..Self::default() }
    }

    /// Takes note of a row.
    pub(super) fn row(&mut self, kind: Kind, row: Row) {
        self.findings.hours.at(kind, Some(row.time)).database += 1;
        if let Some(table) = self.tables.get_mut(index(kind)) {
            table.add(row);
        }
    }

    /// The walk meets an event, each once; it comes back when its key must be looked up.
    pub(super) fn event(&mut self, entry: Entry) -> Option<Entry> {
        self.findings.told.events += 1;
        let Decoded::Event(event) = &entry.event else {
            return self.without_row(entry);
        };
        let (kind, time) = (event.kind(), event.time());
        self.findings.hours.at(kind, Some(time)).log += 1;
        let table = self.tables.get_mut(index(kind));
        let has_row = table.is_some_and(|table| table.take(entry.position, time));
        if self.has_expired(time) {
            self.findings.told.expired += 1;
            return None;
        }
        if has_row {
            self.findings.told.rows += 1;
            return None;
        }
        self.without_row(entry)
    }

    /// The walk meets a hole.
    pub(super) fn hole(&mut self, hole: Hole) {
        self.holes.push(hole);
    }

    /// Keys were looked up: which of these events have no row there.
    pub(super) fn looked_up(&mut self, entries: &[Entry], unexplained: &[Position]) {
        let unexplained: Positions = unexplained.iter().copied().collect();
        for entry in entries {
            if unexplained.contains(entry.position) {
                self.miss(entry);
            } else {
                self.findings.told.present += 1;
            }
        }
    }

    /// After the walk: the blocks of each table that must be read again. What lies in a hole whole is counted here.
    pub(super) fn suspects(&mut self) -> Vec<(Kind, Vec<Block>)> {
        let mut suspects = Vec::new();
        for (kind, table) in Kind::ALL.into_iter().zip(&self.tables) {
            let mut blocks = Vec::new();
            for (block, residue) in table.left() {
                if is_in_one(&self.holes, block) {
                    self.findings.told.unavailable += residue.rows;
                } else {
                    blocks.push(block);
                }
            }
            suspects.push((kind, blocks));
        }
        suspects
    }

    /// An event of blocks that are read again takes its row, each once; it comes back when the walk was wrong about it
    /// and its key must be looked up after all.
    pub(super) fn event_again(&mut self, left: &mut Left, entry: Entry) -> Option<Entry> {
        let Decoded::Event(event) = &entry.event else { return None };
        let time = event.time();
        let row = row(entry.position, time)?;
        if event.kind() != left.kind {
            return None;
        }
        if let Some(count) = left.rows.get_mut(&row).filter(|count| **count > 0) {
            *count -= 1;
            return None;
        }
        // The row at its position has another time: it is another's.
        let is_misled = self.tables.get(index(left.kind)).is_some_and(|table| table.has(entry.position));
        if !is_misled || self.has_expired(time) {
            return None;
        }
        self.findings.told.rows = self.findings.told.rows.saturating_sub(1);
        self.without_row(entry)
    }

    /// The rows that are left have no event. `holes` are those that were met this time: the log may have been trimmed
    /// since the walk.
    pub(super) fn no_more(&mut self, left: Left, holes: &[Hole]) {
        let mut rows: Vec<(Row, u64)> = left.rows.into_iter().filter(|(_, count)| *count > 0).collect();
        rows.sort_unstable();
        for (row, count) in rows {
            let is_gone = |position| hole_at(&self.holes, position).or(hole_at(holes, position)).is_some();
            if position(row).is_some_and(is_gone) {
                self.findings.told.unavailable += count;
            } else {
                (0..count).for_each(|_| self.findings.extra(left.kind, row));
            }
        }
    }

    pub(super) fn finish(mut self, head: Position) -> Verification {
        self.findings.told.head = head;
        self.findings.finish()
    }

    /// What becomes of an event that should have a row and has none at its position.
    fn without_row(&mut self, entry: Entry) -> Option<Entry> {
        if self.quarantined.contains(entry.position) {
            self.findings.told.quarantined += 1;
        } else if self.is_to_come(entry.position) {
            self.findings.told.pending += 1;
        } else if matches!(entry.event, Decoded::Unknown { .. }) {
            self.miss(&entry);
        } else {
            return Some(entry);
        }
        None
    }

    fn miss(&mut self, entry: &Entry) {
        let (kind, time) = match &entry.event {
            Decoded::Event(event) => (event.kind().into(), Some(event.time())),
            Decoded::Unknown { kind, .. } => {
                self.findings.hours.at(KindNumber(*kind), None).log += 1;
                (KindNumber(*kind), None)
            }
        };
        self.findings.miss(kind, entry.position, time);
    }

    /// Whether a range will apply it.
    fn is_to_come(&self, position: Position) -> bool {
        self.ranges.iter().any(|range| range.next <= position && range.hi.is_none_or(|hi| position < hi))
    }

    fn has_expired(&self, time: Time) -> bool {
        self.kept_from.is_some_and(|begin| time < begin)
    }
}

impl Left {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, rows: HashMap::new() }
    }

    pub(super) fn row(&mut self, row: Row) {
        *self.rows.entry(row).or_default() += 1;
    }
}

/// The positions of a block that a log can have.
pub(super) fn positions_of(block: Block) -> Option<(Position, Position)> {
    let first = u64::try_from(block.0).ok()? << BLOCK_BITS;
    let last = first.saturating_add((1 << BLOCK_BITS) - 1);
    Some((Position(first).max(Position::FIRST), Position(last)))
}

fn is_in_one(holes: &[Hole], block: Block) -> bool {
    // NOTE: block 0 begins at position 0, where no event can be: rows that say so are extra.
    let whole = positions_of(block).filter(|_| block.0 > 0);
    whole.is_some_and(|(first, last)| hole_at(holes, first).is_some_and(|hole| hole.contains(last)))
}

/// The hole that this position lies in.
fn hole_at(holes: &[Hole], position: Position) -> Option<&Hole> {
    let after = holes.partition_point(|hole| hole.lo <= position);
    holes.get(after.checked_sub(1)?).filter(|hole| hole.contains(position))
}

/// Wire numbers are dense from 1.
const fn index(kind: Kind) -> usize {
    kind.number() as usize - 1
}
