//! The pieces that a batch's events are sent in, table by table.

use std::ops::RangeInclusive;

use event::wire::Decoded;
use event::{Event, Kind, Position};
use projector::{Contents, Entry};

use crate::merge::Span;
use crate::rows::Provenance;

/// The entries of one kind.
pub(crate) fn of_kind(entries: &[Entry], kind: Kind) -> impl Iterator<Item = (Position, &Event)> {
    entries.iter().filter_map(known).filter(move |(_, event)| event.kind() == kind)
}

/// An event of a known kind.
fn known(entry: &Entry) -> Option<(Position, &Event)> {
    match &entry.event {
        Decoded::Event(event) => Some((entry.position, event)),
        Decoded::Unknown { .. } => None,
    }
}

fn to_usize(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Events of one table that are sent together: a run of those that a batch has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    entries: &'a [Entry],
    kind: Kind,
    /// The order in which the entries of this kind are best sent, for a piece that has all of them.
    order: Option<&'a [u32]>,
    pub(super) provenance: Provenance<'a>,
    /// How many of the entries are of this kind.
    pub(super) count: usize,
}

impl<'a> Piece<'a> {
    /// All events of a kind that `entries` have, which are `contents`; nothing where there is none.
    pub(super) fn new(
        entries: &'a [Entry],
        contents: &'a Contents,
        kind: Kind,
        provenance: Provenance<'a>,
    ) -> Option<Self> {
        let order = contents.by_series(kind);
        let piece = Self { entries, kind, order: Some(order), provenance, count: order.len() };
        (piece.count > 0).then_some(piece)
    }

    /// The events in the order in which they are best sent.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Position, &'a Event)> + use<'a> {
        let (entries, sorted) = (self.entries, self.order.unwrap_or_default());
        let sorted = sorted.iter().filter_map(|place| known(entries.get(to_usize(*place))?));
        // NOTE: one of the two is empty.
        let others = if self.order.is_some() { &[] } else { entries };
        sorted.chain(of_kind(others, self.kind))
    }

    /// Which event is the `row`th of [`Self::rows`], among those of [`Self::events`]; both are counted from 1.
    pub(super) fn place_of(&self, row: usize) -> Option<usize> {
        let Some(order) = self.order else { return Some(row) };
        let place = to_usize(*order.get(row.checked_sub(1)?)?);
        Some(of_kind(self.entries.get(..=place)?, self.kind).count())
    }

    pub(super) fn events(&self) -> impl Iterator<Item = (Position, &'a Event)> + use<'a> {
        of_kind(self.entries, self.kind)
    }

    /// The position, when there is but one event.
    pub(super) fn only_position(&self) -> Option<Position> {
        if self.count == 1 { self.events().next().map(|(position, _)| position) } else { None }
    }

    /// The first `count` events, and the others.
    pub(super) fn split_at(self, count: usize) -> [Self; 2] {
        let count = count.min(self.count);
        let is_ours =
            |entry: &Entry| matches!(&entry.event, Decoded::Event(event) if event.kind() == self.kind);
        let nth = self.entries.iter().enumerate().filter(|(_, entry)| is_ours(entry)).nth(count);
        let at = nth.map_or(self.entries.len(), |(at, _)| at);
        let (before, after) = self.entries.split_at_checked(at).unwrap_or((self.entries, &[]));
        [
            Self { entries: before, count, order: None, ..self },
            Self { entries: after, count: self.count - count, order: None, ..self },
        ]
    }

    /// Smaller pieces, in order, none of them empty: the event that COPY counts as `row`, from 1, with what stands
    /// before and behind it; halves, when nobody is named.
    fn parts(self, row: Option<usize>) -> impl DoubleEndedIterator<Item = Self> {
        let named = row.filter(|row| (1..=self.count).contains(row));
        let [before, rest] = self.split_at(named.map_or(self.count / 2, |row| row - 1));
        let [it, behind] = rest.split_at(if named.is_some() { 1 } else { rest.count });
        [before, it, behind].into_iter().filter(|part| part.count > 0)
    }

    /// What of the temporary table these events are; `whole` tells that there are no others in it.
    pub(super) fn span(&self, whole: Whole) -> Span {
        let times = || self.events().map(|(_, event)| event.time());
        let times = times().min().unwrap_or_default()..=times().max().unwrap_or_default();
        Span { times, positions: if whole == Whole::Yes { None } else { self.positions() } }
    }

    fn positions(&self) -> Option<RangeInclusive<Position>> {
        Some(self.entries.first()?.position..=self.entries.last()?.position)
    }
}

/// Whether a piece is all that a batch has for its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Pieces that are to be sent, in order. A piece that is refused comes back in smaller ones, until the one event
/// is found that is at fault.
pub(super) struct Pieces<'a>(Vec<Piece<'a>>);

impl<'a> Pieces<'a> {
    pub(super) fn new(piece: Piece<'a>) -> Self {
        Self(vec![piece])
    }

    pub(super) fn next(&mut self) -> Option<Piece<'a>> {
        self.0.pop()
    }

    /// Takes a refused piece back; `row` is the event that the refusal names, counted from 1. A piece of one event
    /// is not taken back: it is that event's fault, whose position is returned.
    ///
    /// NOTE: the named event is sent alone all the same, since a name can be wrong, and the event that is kept out
    /// must be the one that the database refuses.
    pub(super) fn refused(&mut self, piece: Piece<'a>, row: Option<usize>) -> Option<Position> {
        if piece.count > 1 {
            self.0.extend(piece.parts(row).rev());
        }
        piece.only_position()
    }
}

#[cfg(test)]
mod tests {
    use event::{AgentSample, SystemSample};

    use super::*;

    /// Entries of two kinds in turn; the agent samples have the odd positions.
    fn entries(count: u64) -> Vec<Entry> {
        let event = |position: u64| {
            if position % 2 == 1 {
                Event::AgentSample(AgentSample::default())
            } else {
                Event::SystemSample(SystemSample::default())
            }
        };
        let entry = |position| Entry {
            position: Position(position),
            checksum: 0,
            bytes: 0,
            event: Decoded::Event(event(position)),
        };
        (1..=count).map(entry).collect()
    }

    fn positions(piece: Piece<'_>) -> Vec<u64> {
        let positions: Vec<u64> = piece.events().map(|(position, _)| position.0).collect();
        assert_eq!(positions.len(), piece.count);
        positions
    }

    fn piece<'a>(entries: &'a [Entry], contents: &'a Contents) -> Piece<'a> {
        let provenance = Provenance { log_no: 1, host: "h" };
        Piece::new(entries, contents, Kind::AgentSample, provenance).unwrap()
    }

    /// A COPY that is sent by series names a row of its own order.
    #[test]
    fn the_named_row_is_found_in_the_order_of_positions() {
        let mut entries = entries(9);
        for (entry, name) in entries.iter_mut().step_by(2).zip(["c", "a", "b", "a", "c"]) {
            let sample = AgentSample { agent_name: name.into(), ..AgentSample::default() };
            entry.event = Decoded::Event(Event::AgentSample(sample));
        }
        let contents = Contents::of(&entries);
        let whole = piece(&entries, &contents);
        let sent: Vec<u64> = whole.rows().map(|(position, _)| position.0).collect();
        assert_eq!(sent, [3, 7, 5, 1, 9]);
        let places: Vec<_> = (0..=6).map(|row| whole.place_of(row)).collect();
        assert_eq!(places, [None, Some(2), Some(4), Some(3), Some(1), Some(5), None]);
        let [part, _] = whole.split_at(2);
        assert_eq!(part.rows().map(|(position, _)| position.0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(part.place_of(2), Some(2));
    }

    #[test]
    fn a_refused_piece_comes_back_in_parts() {
        let entries = entries(9);
        let contents = Contents::of(&entries);
        let check = |row: Option<usize>, parts: &[&[u64]]| {
            let mut pieces = Pieces::new(piece(&entries, &contents));
            let whole = pieces.next().unwrap();
            assert_eq!(pieces.refused(whole, row), None);
            let found: Vec<Vec<u64>> = std::iter::from_fn(|| pieces.next()).map(positions).collect();
            assert_eq!(found, parts, "{row:?}");
        };
        check(None, &[&[1, 3], &[5, 7, 9]]);
        check(Some(3), &[&[1, 3], &[5], &[7, 9]]);
        check(Some(1), &[&[1], &[3, 5, 7, 9]]);
        check(Some(5), &[&[1, 3, 5, 7], &[9]]);
        check(Some(6), &[&[1, 3], &[5, 7, 9]]);
        check(Some(0), &[&[1, 3], &[5, 7, 9]]);
    }

    #[test]
    fn one_event_is_at_fault_itself() {
        let entries = entries(2);
        let contents = Contents::of(&entries);
        let mut pieces = Pieces::new(piece(&entries, &contents));
        let one = pieces.next().unwrap();
        assert_eq!(pieces.refused(one, Some(1)), Some(Position(1)));
        assert!(pieces.next().is_none());
    }
}
