//! The holes of a log: where they lie, and their form on the disk.
//!
//! ```text
//! "hole/" lo u64  →  hi u64 | cause u8 | checksum: 0 u8, or 1 u8 and u32
//! ```
//!
//! Causes are 1 trimmed, 2 dropped, 3 damaged, 4 lost tail. Holes never overlap. Neighbours of one cause become
//! one hole, with the checksum of the later one's end.

use std::collections::BTreeMap;

use event::{Hole, HoleCause, Position};

/// The holes of a log, by their first position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holes(BTreeMap<Position, Hole>);

impl Holes {
    /// The hole that `position` lies in.
    pub(crate) fn at(&self, position: Position) -> Option<Hole> {
        let (_, hole) = self.0.range(..=position).next_back()?;
        hole.contains(position).then_some(*hole)
    }

    /// The first hole that begins behind `position`.
    pub(crate) fn after(&self, position: Position) -> Option<Hole> {
        self.0.range(position.next()..).next().map(|(_, hole)| *hole)
    }

    /// The first position that is in no hole that reaches back to the beginning.
    pub(crate) fn first_outside(&self) -> Position {
        let mut first = Position::FIRST;
        while let Some(hole) = self.at(first) {
            first = hole.hi.next();
        }
        first
    }

    /// The last position of the last hole; zero without one.
    pub(crate) fn end(&self) -> Position {
        self.0.last_key_value().map(|(_, hole)| hole.hi).unwrap_or_default()
    }

    /// How many positions of `lo..=hi` lie in holes.
    pub(crate) fn positions_within(&self, lo: Position, hi: Position) -> u64 {
        let overlap = |hole: &Hole| hole.hi.min(hi).next().since(hole.lo.max(lo));
        self.iter().map(|hole| overlap(&hole)).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Hole> + '_ {
        self.0.values().copied()
    }

    /// Adds a hole; what of it is a hole already keeps its cause. Returns what changes on the disk.
    pub(crate) fn add(&mut self, hole: Hole) -> Change {
        let mut change = Change::default();
        for part in self.free_parts(hole) {
            self.add_free(part, &mut change);
        }
        change
    }

    /// The parts of a hole that are in no hole yet.
    fn free_parts(&self, hole: Hole) -> Vec<Hole> {
        let (mut parts, mut lo) = (Vec::new(), hole.lo);
        while lo <= hole.hi {
            if let Some(there) = self.at(lo) {
                lo = there.hi.next();
                continue;
            }
            let next = self.after(lo).filter(|next| next.lo <= hole.hi);
            let hi = next.map_or(hole.hi, |next| next.lo.before());
            let checksum = hole.checksum.filter(|_| hi == hole.hi);
            parts.push(Hole { lo, hi, cause: hole.cause, checksum });
            lo = hi.next();
        }
        parts
    }

    fn add_free(&mut self, mut hole: Hole, change: &mut Change) {
        if let Some(before) = self.at(hole.lo.before()).filter(|before| before.cause == hole.cause) {
            self.remove(before.lo, change);
            hole.lo = before.lo;
        }
        if let Some(behind) = self.at(hole.hi.next()).filter(|behind| behind.cause == hole.cause) {
            self.remove(behind.lo, change);
            hole.hi = behind.hi;
            hole.checksum = behind.checksum;
        }
        self.0.insert(hole.lo, hole);
        change.removed.retain(|lo| *lo != hole.lo);
        change.written.push(hole);
    }

    fn remove(&mut self, lo: Position, change: &mut Change) {
        self.0.remove(&lo);
        change.written.retain(|hole| hole.lo != lo);
        change.removed.push(lo);
    }
}

impl FromIterator<Hole> for Holes {
    fn from_iter<T: IntoIterator<Item = Hole>>(holes: T) -> Self {
        Self(holes.into_iter().map(|hole| (hole.lo, hole)).collect())
    }
}

/// What of the holes on the disk changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) written: Vec<Hole>,
    pub(crate) removed: Vec<Position>,
}

/// A hole's value on the disk.
pub(crate) fn encode(hole: &Hole) -> Vec<u8> {
    let cause = match hole.cause {
        HoleCause::Trimmed => 1,
        HoleCause::Dropped => 2,
        HoleCause::Damaged => 3,
        HoleCause::LostTail => 4,
    };
    let mut value = hole.hi.0.to_be_bytes().to_vec();
    value.push(cause);
    value.push(u8::from(hole.checksum.is_some()));
    value.extend(hole.checksum.into_iter().flat_map(u32::to_be_bytes));
    value
}

/// The hole that begins at `lo`; `None` when the value is none of ours.
pub(crate) fn decode(lo: Position, value: &[u8]) -> Option<Hole> {
    let (hi, rest) = value.split_first_chunk()?;
    let hi = Position(u64::from_be_bytes(*hi));
    let (cause, rest) = rest.split_first()?;
    let cause = match cause {
        1 => HoleCause::Trimmed,
        2 => HoleCause::Dropped,
        3 => HoleCause::Damaged,
        4 => HoleCause::LostTail,
        _ => return None,
    };
    let checksum = match rest {
        [0] => None,
        [1, checksum @ ..] => Some(u32::from_be_bytes(checksum.try_into().ok()?)),
        _ => return None,
    };
    (lo <= hi).then_some(Hole { lo, hi, cause, checksum })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hole(lo: u64, hi: u64, cause: HoleCause) -> Hole {
        Hole { lo: Position(lo), hi: Position(hi), cause, checksum: Some(u32::try_from(hi).unwrap()) }
    }

    fn holes(list: &[(u64, u64, HoleCause)]) -> Holes {
        list.iter().map(|(lo, hi, cause)| hole(*lo, *hi, *cause)).collect()
    }

    #[test]
    fn what_lies_in_a_hole_is_found() {
        let holes =
            holes(&[(1, 3, HoleCause::Trimmed), (4, 4, HoleCause::Dropped), (8, 9, HoleCause::Damaged)]);
        let at = |position| holes.at(Position(position)).map(|hole| hole.lo.0);
        assert_eq!(
            [0, 1, 3, 4, 5, 8, 9, 10].map(at),
            [None, Some(1), Some(1), Some(4), None, Some(8), Some(8), None]
        );
        assert_eq!(holes.first_outside(), Position(5));
        assert_eq!(holes.end(), Position(9));
        assert_eq!(holes.after(Position(4)).unwrap().lo, Position(8));
        assert_eq!(holes.after(Position(8)), None);
        assert_eq!(holes.positions_within(Position(2), Position(8)), 4);
    }

    #[test]
    fn neighbours_of_one_cause_become_one() {
        let mut holes = holes(&[(1, 3, HoleCause::Trimmed), (9, 9, HoleCause::Trimmed)]);
        let change = holes.add(hole(4, 6, HoleCause::Trimmed));
        assert_eq!(change.written, [hole(1, 6, HoleCause::Trimmed)]);
        assert_eq!(change.removed, []);
        let change = holes.add(hole(7, 8, HoleCause::Trimmed));
        assert_eq!(change.written, [hole(1, 9, HoleCause::Trimmed)]);
        assert_eq!(change.removed, [Position(9)]);
        assert_eq!(holes.iter().count(), 1);
    }

    #[test]
    fn a_hole_is_read_back() {
        for cause in HoleCause::ALL {
            for checksum in [None, Some(7)] {
                let hole = Hole { checksum, ..hole(2, 5, cause) };
                assert_eq!(decode(hole.lo, &encode(&hole)), Some(hole));
            }
        }
        let good = encode(&hole(2, 5, HoleCause::Trimmed));
        for length in 0..good.len() {
            assert_eq!(decode(Position(2), &good[..length]), None, "{length} bytes");
        }
        assert_eq!(decode(Position(6), &good), None, "it would end before it begins");
    }

    proptest! {
        /// Against a plain list with a cause for each position; and the disk holds what memory holds.
        #[test]
        fn holes_are_a_list_of_causes(adds in prop::collection::vec((1_u64..40, 0_u64..12, 0_usize..4), 1..12)) {
            let (mut holes, mut list) = (Holes::default(), vec![None; 64]);
            let mut disk = BTreeMap::new();
            for (lo, more, cause) in adds {
                let cause = HoleCause::ALL[cause];
                let change = holes.add(hole(lo, lo + more, cause));
                for removed in change.removed {
                    disk.remove(&removed);
                }
                disk.extend(change.written.iter().map(|hole| (hole.lo, *hole)));
                for place in &mut list[usize::try_from(lo).unwrap()..=usize::try_from(lo + more).unwrap()] {
                    place.get_or_insert(cause);
                }
            }
            prop_assert_eq!(&disk, &holes.0);
            for (position, cause) in list.iter().enumerate() {
                prop_assert_eq!(holes.at(Position(position as u64)).map(|hole| hole.cause), *cause);
            }
        }
    }
}
