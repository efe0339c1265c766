//! One step of a range: a batch of events, or the way over a hole.

use std::time::SystemTime;

use event::wire::Decoded;
use event::{Entry, Hole, Position, Stretch, Time};

use crate::contents::{Contents, Portion};
use crate::halt::Halt;
use crate::sieve::Sieve;
use crate::source::SourceError;
use crate::target::{ApplyOutcome, Batch, Commit, Cursor, Digest, WriterId};

/// What is applied next, and where the range is before and after.
#[derive(Debug)]
pub(crate) struct Step {
    from: Cursor,
    to: Cursor,
    stretch: Stretch,
    contents: Box<Contents>,
    /// The time of the last event of a known kind, sent or not.
    time: Option<Time>,
    /// Events that the database would not keep.
    expired: u64,
}

/// A hole that a step goes over, from where the range was.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    from: Cursor,
    hole: Hole,
}

/// A step whose transaction was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// How many events were sent.
    pub(crate) sent: u64,
    /// How many were not, because the database would not keep them.
    pub(crate) expired: u64,
    /// The last event's time.
    pub(crate) time: Option<Time>,
    /// Where the range was.
    pub(crate) from: Cursor,
    /// Where it is if it took effect.
    pub(crate) to: Cursor,
    /// What became of the events, if it took effect.
    pub(crate) outcome: ApplyOutcome,
    /// What is applied for good because of it; nothing where its COMMIT did not wait for the disk, or nobody knows it.
    pub(crate) flushed: Option<Flushed>,
    skipped: Option<Skipped>,
}

/// What is on the database's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// How many claims there had been when that was worked out.
    pub(crate) claims: u64,
    /// The lowest position that is not.
    pub(crate) next: Option<Position>,
}

impl Step {
    /// The step that a source's answer to a read from `from.next` makes, in a range that ends before `hi`.
    ///
    /// # Errors
    /// [`Halt::Source`] when the answer is to something else than was asked: following it would lose events without
    /// a word.
    pub(crate) fn new(from: Cursor, portion: Portion, hi: Option<Position>) -> Result<Self, Halt> {
        let Portion { stretch, mut contents } = portion;
        let is_answer = match &stretch {
            Stretch::Events(entries) => are_dense(entries, from.next),
            Stretch::Hole(hole) => hole.contains(from.next),
        };
        if !is_answer {
            let reason = "the log answered with other positions".to_owned();
            return Err(Halt::Source(SourceError::Unreadable { position: from.next, reason }));
        }
        let read = events_of(&stretch);
        let stretch = match hi {
            Some(hi) => before(stretch, hi),
            None => stretch,
        };
        if let Stretch::Events(entries) = &stretch
            && entries.len() as u64 != read
        {
            *contents = Contents::of(entries);
        }
        let to = cursor_after(&stretch, from);
        let time = match &stretch {
            Stretch::Events(entries) => entries.iter().rev().find_map(time_of),
            Stretch::Hole(_) => None,
        };
        Ok(Self { from, to, stretch, contents, time, expired: 0 })
    }

    /// Takes out what is not sent. The cursor is behind it all the same.
    pub(crate) fn sift(mut self, sieve: &Sieve, now: SystemTime) -> Self {
        let read = self.events();
        if let Stretch::Events(entries) = &mut self.stretch {
            self.expired = sieve.sift(entries, now);
            if entries.len() as u64 != read {
                *self.contents = Contents::of(entries);
            }
        }
        self
    }

    /// Where the range is afterwards.
    pub(crate) const fn to(&self) -> Cursor {
        self.to
    }

    /// What is left of it when it was applied.
    pub(crate) fn into_stretch(self) -> Stretch {
        self.stretch
    }

    /// Whether it only confirms where the range is.
    pub(crate) fn confirms(&self) -> bool {
        self.to.next == self.from.next
    }

    /// What one transaction applies.
    pub(crate) fn batch(&self, writer: WriterId, lo: Position, commit: Commit) -> Batch<'_> {
        let entries = match &self.stretch {
            Stretch::Events(entries) => entries.as_slice(),
            Stretch::Hole(_) => &[],
        };
        Batch { writer, lo, from: self.from, to: self.to, entries, contents: &self.contents, commit }
    }

    /// What it did, if its transaction took effect.
    pub(crate) fn taken(&self, outcome: ApplyOutcome) -> Taken {
        let skipped = match self.stretch {
            Stretch::Events(_) => None,
            Stretch::Hole(hole) => Some(Skipped { from: self.from, hole }),
        };
        let Self { from, to, time, expired, .. } = *self;
        Taken { sent: self.events(), expired, time, from, to, outcome, flushed: None, skipped }
    }

    /// How many events it sends.
    pub(crate) fn events(&self) -> u64 {
        events_of(&self.stretch)
    }
}

fn events_of(stretch: &Stretch) -> u64 {
    match stretch {
        Stretch::Events(entries) => entries.len() as u64,
        Stretch::Hole(_) => 0,
    }
}

/// The time of an event of a known kind.
pub(crate) fn time_of(entry: &Entry) -> Option<Time> {
    match &entry.event {
        Decoded::Event(event) => Some(event.time()),
        Decoded::Unknown { .. } => None,
    }
}

impl Taken {
    /// How many positions had no events any more.
    ///
    /// NOTE: counted from where the range was: what lies before it in the hole was applied when it was there.
    pub(crate) fn unavailable(&self) -> u64 {
        self.skipped.map_or(0, |Skipped { from, hole }| hole.hi.next().since(from.next))
    }

    /// The position behind the hole, if it went over one.
    pub(crate) fn behind_hole(&self) -> Option<Position> {
        self.skipped.map(|Skipped { hole, .. }| hole.hi.next())
    }

    /// Warns of the hole, if it went over one: once for each, when it is known to be behind the range. The events
    /// were recorded between these two times, as far as they are known. `not_compared` is the last applied position where
    /// the hole has that one too, so that nobody can say whether database and log belong together.
    pub(crate) fn warn_of_hole(&self, after: Option<Time>, before: Option<Time>) {
        let Some(Skipped { from, hole }) = self.skipped else { return };
        let not_compared = from.digest.map(|digest| digest.at).filter(|at| hole.contains(*at));
        let told = |time: Option<Time>| time.map_or_else(|| "unknown".to_owned(), |time| time.to_string());
        tracing::warn!(
            from = %from.next,
            to = %hole.hi,
            events = self.unavailable(),
            cause = %hole.cause,
            after = told(after),
            before = told(before),
            not_compared = not_compared.map(|at| at.0),
            "the log has a hole: these events are gone, and did not reach the database; going on behind it",
        );
    }
}

/// Whether these are the entries from `next` on. NOTE: entries are in order, so that their ends tell it.
fn are_dense(entries: &[Entry], next: Position) -> bool {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return true };
    first.position == next && last.position.next().since(next) == entries.len() as u64
}

/// What of a stretch lies in front of `hi`, which lies behind its first position.
fn before(stretch: Stretch, hi: Position) -> Stretch {
    match stretch {
        Stretch::Events(mut entries) => {
            let inside = entries.partition_point(|entry| entry.position < hi);
            entries.truncate(inside);
            Stretch::Events(entries)
        }
        Stretch::Hole(hole) if hole.hi >= hi => {
            Stretch::Hole(Hole { hi: hi.before(), checksum: None, ..hole })
        }
        hole @ Stretch::Hole(_) => hole,
    }
}

/// Where the cursor is behind a stretch. The digest is the last applied record's, whatever holes follow it.
fn cursor_after(stretch: &Stretch, from: Cursor) -> Cursor {
    match stretch {
        Stretch::Hole(hole) => Cursor { next: hole.hi.next(), digest: from.digest },
        Stretch::Events(entries) => entries.last().map_or(from, |last| Cursor {
            next: last.position.next(),
            digest: Some(Digest { checksum: last.checksum, at: last.position }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, HoleCause, SystemSample};

    use super::*;

    fn events(positions: &[u64]) -> Stretch {
        let entry = |position: &u64| Entry {
            position: Position(*position),
            checksum: 7,
            bytes: 1,
            event: Decoded::Event(Event::SystemSample(SystemSample::default())),
        };
        Stretch::Events(positions.iter().map(entry).collect())
    }

    fn hole(lo: u64, hi: u64) -> Stretch {
        Stretch::Hole(Hole {
            lo: Position(lo),
            hi: Position(hi),
            cause: HoleCause::Damaged,
            checksum: Some(8),
        })
    }

    /// The answer to a read from position 5, after a record with checksum 6: where the cursor is behind it, and
    /// how many positions had no events; `None` when it is no answer.
    fn check(stretch: Stretch, expected: Option<(u64, (u32, u64), u64)>) {
        let told = format!("{stretch:?}");
        let from = Cursor { next: Position(5), digest: Some(Digest { checksum: 6, at: Position(4) }) };
        let step = Step::new(from, Portion::of(stretch), Some(Position(8))).map(|step| {
            let Cursor { next, digest } = step.to();
            let digest = digest.unwrap();
            let unavailable = step.taken(ApplyOutcome::default()).unavailable();
            (next.0, (digest.checksum, digest.at.0), unavailable)
        });
        assert_eq!(step.ok(), expected, "{told}");
    }

    #[test]
    fn a_step_leads_from_the_cursor_on() {
        check(Stretch::NOTHING, Some((5, (6, 4), 0)));
        check(events(&[5]), Some((6, (7, 5), 0)));
        check(events(&[5, 6, 7]), Some((8, (7, 7), 0)));
        check(hole(5, 5), Some((6, (6, 4), 1)));
        check(hole(2, 6), Some((7, (6, 4), 2)));
    }

    /// The range ends before position 8.
    #[test]
    fn a_step_ends_with_the_range() {
        check(events(&[5, 6, 7, 8, 9]), Some((8, (7, 7), 0)));
        check(hole(5, 7), Some((8, (6, 4), 3)));
        check(hole(5, 9), Some((8, (6, 4), 3)));
        check(hole(2, 9), Some((8, (6, 4), 3)));
    }

    #[test]
    fn an_answer_to_something_else_is_refused() {
        check(events(&[4, 5]), None);
        check(events(&[6]), None);
        check(events(&[5, 7]), None);
        check(hole(2, 4), None);
        check(hole(6, 9), None);
    }
}
