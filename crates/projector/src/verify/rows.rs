//! The rows of one table, as they are kept to be compared: their positions, and a residue for each block of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use event::{Position, Time};

use super::positions::Positions;
use super::{Block, Row};

/// The rows of one table.
#[derive(Debug, Default)]
pub(super) struct Rows {
    positions: Positions,
    residues: HashMap<Block, Residue>,
}

/// What is left of a block's rows when those of events are taken out: nothing, where log and database agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Residue {
    pub(super) rows: u64,
    /// The sum of the hashes of their positions and times.
    print: u64,
}

impl Rows {
    pub(super) fn add(&mut self, row: Row) {
        if let Some(position) = position(row) {
            self.positions.insert(position);
        }
        let residue = self.residues.entry(row.block()).or_default();
        residue.rows += 1;
        residue.print = residue.print.wrapping_add(print(row));
    }

    /// Takes the row out that an event at `position` with this time should have; whether there is a row at its position.
    pub(super) fn take(&mut self, position: Position, time: Time) -> bool {
        if !self.positions.contains(position) {
            return false;
        }
        let Some(row) = row(position, time) else { return false };
        if let Some(residue) = self.residues.get_mut(&row.block()) {
            residue.rows = residue.rows.saturating_sub(1);
            residue.print = residue.print.wrapping_sub(print(row));
        }
        true
    }

    /// Whether there is a row at this position.
    pub(super) fn has(&self, position: Position) -> bool {
        self.positions.contains(position)
    }

    /// The blocks where something is left, in order.
    pub(super) fn left(&self) -> Vec<(Block, Residue)> {
        let is_left = |(_, residue): &(&Block, &Residue)| **residue != Residue::default();
        let mut left: Vec<(Block, Residue)> =
            self.residues.iter().filter(is_left).map(|(block, residue)| (*block, *residue)).collect();
        left.sort_unstable_by_key(|(block, _)| *block);
        left
    }
}

/// The row that an event has; none for a position that no column holds.
pub(super) fn row(position: Position, time: Time) -> Option<Row> {
    Some(Row { position: i64::try_from(position.0).ok()?, time })
}

/// The position that a row says, where it can be one.
pub(super) fn position(row: Row) -> Option<Position> {
    u64::try_from(row.position).ok().filter(|position| *position > 0).map(Position)
}

/// Nobody plays against us here: it must only be unlikely that two mistakes add up to nothing.
fn print(row: Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}
