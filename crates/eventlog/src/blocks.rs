//! The index by time: which times lie in which run of positions.
//!
//! A block is at most 4,096 neighbouring positions of one segment. For each kind it keeps the least and the
//! greatest time of its events, and it changes in the batch of the events themselves, so it is never behind
//! them. An import closes the block before it and behind it: its old times would make the blocks around it
//! useless for a reader of one hour.
//!
//! ```text
//! first position u64  →  positions u32 | (kind u8 | least i64 | greatest i64) for each kind in it
//! ```
//!
//! Times are microseconds since the epoch. A block without an index entry, or with one that does not decode, is
//! read as if it held every time: slower, and never wrong. Kinds of a newer version keep their times in it, so that
//! a reader by time comes by and tells of them; kind 0 is one whose time nobody here can read.

use event::{Event, Kind, Position};

/// Most positions of a block. An hour of a busy host is some blocks, ten million events are 2,442 entries.
pub(crate) const BLOCK_POSITIONS_MAX: u32 = 4_096;

/// Bytes of a kind's entry.
const SPAN_BYTES: usize = 1 + 8 + 8;

/// Kind and time of an event, as the index sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The kind's number; 0 when it cannot be read.
    pub(crate) kind: u8,
    /// Microseconds since the epoch.
    pub(crate) time: i64,
}

impl Stamp {
    /// Of an event that cannot be read, or that a newer version wrote.
    pub(crate) const UNKNOWN: Self = Self { kind: 0, time: 0 };

    pub(crate) fn of(event: &Event) -> Self {
        Self { kind: event.kind().number(), time: event.time().micros() }
    }
}

/// Least and greatest time, both ends included, microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) least: i64,
    pub(crate) greatest: i64,
}

impl Span {
    const ALL: Self = Self { least: i64::MIN, greatest: i64::MAX };

    /// The times of both, and those between.
    pub(crate) fn join(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), greatest: self.greatest.max(other.greatest) }
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.least <= other.greatest && other.least <= self.greatest
    }
}

/// A block: where it begins, how many positions it has, and the times of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: Position,
    pub(crate) positions: u32,
    /// By the kind's number, less one.
    spans: [Option<Span>; Kind::ALL.len()],
    /// The times of the kinds that this version does not know, by the kind's number.
    others: Vec<(u8, Span)>,
}

impl Block {
    pub(crate) const fn new(first: Position) -> Self {
        Self { first, positions: 0, spans: [None; Kind::ALL.len()], others: Vec::new() }
    }

    /// Adds the event at the next position of the block.
    pub(crate) fn add(&mut self, stamp: Stamp) {
        self.positions += 1;
        let Some(span) = self.spans.get_mut(usize::from(stamp.kind).wrapping_sub(1)) else {
            // NOTE: kind and time of an event that cannot be read may be any.
            if self.others.is_empty() {
                self.others.push((0, Span::ALL));
            }
            return;
        };
        let time = stamp.time;
        let span = span.get_or_insert(Span { least: time, greatest: time });
        span.least = span.least.min(time);
        span.greatest = span.greatest.max(time);
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.positions >= BLOCK_POSITIONS_MAX
    }

    /// The last position of it; the one before the first when it is empty.
    pub(crate) fn last(&self) -> Position {
        self.first.plus(u64::from(self.positions)).before()
    }

    /// The times of one kind.
    pub(crate) fn span(&self, kind: Kind) -> Option<Span> {
        self.spans.get(usize::from(kind.number()) - 1).copied().flatten()
    }

    /// The times of all kinds.
    pub(crate) fn whole_span(&self) -> Option<Span> {
        self.spans.iter().flatten().copied().reduce(Span::join)
    }

    /// Whether it may hold an event of these times and one of these kinds, or of a kind that nobody here knows.
    pub(crate) fn may_hold(&self, times: Span, kinds: &[Kind]) -> bool {
        let asked = kinds.iter().filter_map(|kind| self.span(*kind));
        asked.chain(self.others.iter().map(|(_, span)| *span)).any(|span| span.overlaps(times))
    }

    /// Whether a reader by time would look here for this event. Of a kind that nobody knows, nobody asks.
    pub(crate) fn holds(&self, stamp: Stamp) -> bool {
        let span = Span { least: stamp.time, greatest: stamp.time };
        Kind::from_number(stamp.kind).is_none_or(|kind| self.may_hold(span, &[kind]))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(4 + 2 * SPAN_BYTES);
        value.extend(self.positions.to_be_bytes());
        let known = (1_u8..).zip(&self.spans).filter_map(|(kind, span)| Some((kind, (*span)?)));
        for (kind, span) in known.chain(self.others.iter().copied()) {
            value.push(kind);
            value.extend(span.least.to_be_bytes());
            value.extend(span.greatest.to_be_bytes());
        }
        value
    }

    /// The block that begins at `first`; `None` when the value is none of ours.
    pub(crate) fn decode(first: Position, value: &[u8]) -> Option<Self> {
        let (positions, rest) = value.split_first_chunk()?;
        let mut block = Self { positions: u32::from_be_bytes(*positions), ..Self::new(first) };
        let (entries, []) = rest.as_chunks::<SPAN_BYTES>() else { return None };
        for [kind, times @ ..] in entries {
            let (least, greatest) = times.split_first_chunk()?;
            let greatest = greatest.first_chunk()?;
            let span = Span { least: i64::from_be_bytes(*least), greatest: i64::from_be_bytes(*greatest) };
            match block.spans.get_mut(usize::from(*kind).wrapping_sub(1)) {
                Some(place) => *place = Some(span),
                None => block.others.push((*kind, span)),
            }
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(kind: Kind, time: i64) -> Stamp {
        Stamp { kind: kind.number(), time }
    }

    #[test]
    fn a_block_holds_the_times_of_each_kind() {
        let mut block = Block::new(Position(10));
        assert_eq!((block.last(), block.whole_span()), (Position(9), None));
        for (kind, time) in [(Kind::AgentSample, 5), (Kind::Gap, 900), (Kind::AgentSample, 3)] {
            block.add(stamp(kind, time));
        }
        assert_eq!(block.last(), Position(12));
        assert_eq!(block.span(Kind::AgentSample), Some(Span { least: 3, greatest: 5 }));
        assert_eq!(block.whole_span(), Some(Span { least: 3, greatest: 900 }));
        let holds = |least, greatest, kinds: &[Kind]| block.may_hold(Span { least, greatest }, kinds);
        assert!(holds(5, 7, &Kind::ALL) && holds(0, 3, &[Kind::AgentSample]));
        assert!(!holds(6, 899, &Kind::ALL), "between the kinds' times");
        assert!(!holds(900, 900, &[Kind::AgentSample]) && !holds(3, 5, &[Kind::TokenUsage]));
        assert_eq!(Block::decode(Position(10), &block.encode()), Some(block));
    }

    #[test]
    fn what_is_no_block_is_not_read_as_one() {
        let mut block = Block::new(Position(1));
        block.add(stamp(Kind::AgentState, 7));
        let value = block.encode();
        for length in (0..4).chain(5..value.len()) {
            assert_eq!(Block::decode(Position(1), &value[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn kinds_of_a_newer_version_are_come_by() {
        let mut block = Block::new(Position(1));
        block.add(stamp(Kind::AgentState, 7));
        let known = block.encode();
        let newer = [&known, &[99][..], &known[5..]].concat();
        let decoded = Block::decode(Position(1), &newer).unwrap();
        let holds = |block: &Block, time| block.may_hold(Span { least: time, greatest: time }, &[Kind::Gap]);
        assert!(holds(&decoded, 7) && !holds(&decoded, 8) && !holds(&block, 7));
        assert_eq!(decoded.encode(), newer, "what is written again keeps them");
        block.add(Stamp { kind: 0, time: 0 });
        block.add(Stamp { kind: 0, time: 0 });
        assert!(holds(&block, 8) && block.positions == 3);
        assert_eq!(Block::decode(Position(1), &block.encode()), Some(block));
    }
}
