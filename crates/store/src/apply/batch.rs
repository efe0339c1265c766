//! What a batch has for each table, and the pieces that its events are sent in.

use std::ops::RangeInclusive;

use event::wire::Decoded;
use event::{Event, Kind, Position, Time};
use projector::Entry;

use crate::merge::Span;
use crate::rows::Provenance;

/// What a batch has of each kind: counted in one pass, for the server waits meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    kinds: [OfKind; Kind::ALL.len()],
    /// Events of kinds that this version does not know.
    pub(crate) unknown: usize,
}

/// What a batch has of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfKind {
    /// How many events.
    pub(crate) count: usize,
    /// The least and the greatest time; nothing where there is no event.
    pub(crate) times: Option<(Time, Time)>,
}

impl Counts {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let mut counts = Self::default();
        for entry in entries {
            match &entry.event {
                Decoded::Event(event) => counts.add(event),
                Decoded::Unknown { .. } => counts.unknown += 1,
            }
        }
        counts
    }

    fn add(&mut self, event: &Event) {
        let Some(of) = self.kinds.get_mut(index(event.kind())) else { return };
        let time = event.time();
        of.count += 1;
        of.times = Some(of.times.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> OfKind {
        self.kinds.get(index(kind)).copied().unwrap_or_default()
    }
}

/// Wire numbers are dense from 1.
fn index(kind: Kind) -> usize {
    usize::from(kind.number()) - 1
}

/// The entries of one kind.
pub(crate) fn of_kind(entries: &[Entry], kind: Kind) -> impl Iterator<Item = (Position, &Event)> {
    entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Decoded::Event(event) => Some((entry.position, event)),
            Decoded::Unknown { .. } => None,
        })
        .filter(move |(_, event)| event.kind() == kind)
}

/// Events of one table that are sent together: a run of those that a batch has for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    entries: &'a [Entry],
    kind: Kind,
    pub(super) provenance: Provenance<'a>,
    /// How many of the entries are of this kind.
    pub(super) count: usize,
}

impl<'a> Piece<'a> {
    /// All events of a kind; `count` is how many there are.
    pub(super) const fn new(
        entries: &'a [Entry],
        kind: Kind,
        provenance: Provenance<'a>,
        count: usize,
    ) -> Self {
        Self { entries, kind, provenance, count }
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
        [Self { entries: before, count, ..self }, Self { entries: after, count: self.count - count, ..self }]
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

    fn piece(entries: &[Entry]) -> Piece<'_> {
        let provenance = Provenance { log_no: 1, host: "h" };
        Piece::new(entries, Kind::AgentSample, provenance, entries.len().div_ceil(2))
    }

    #[test]
    fn a_refused_piece_comes_back_in_parts() {
        let entries = entries(9);
        let check = |row: Option<usize>, parts: &[&[u64]]| {
            let mut pieces = Pieces::new(piece(&entries));
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
        let mut pieces = Pieces::new(piece(&entries));
        let one = pieces.next().unwrap();
        assert_eq!(pieces.refused(one, Some(1)), Some(Position(1)));
        assert!(pieces.next().is_none());
    }
}
