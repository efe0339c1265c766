//! Reading: durable records in order, checked and decoded, and the holes between them.

use std::sync::atomic::Ordering;

use event::wire::{self, Entry};
use event::{Found, Hole, Position, Stretch};

use crate::engine::Engine;
use crate::error::ReadError;
use crate::layout::{key_position, position_key};
use crate::open::EventLog;

/// Most entries that a read reserves memory for before it has them: about a megabyte.
const ENTRIES_RESERVED_MAX: usize = 4_096;

/// How much one read gives at the most; always one entry if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most entries.
    pub events_max: usize,
    /// The most bytes of payload, counted before the last entry.
    pub bytes_max: usize,
}

impl EventLog {
    /// What is durable from `from` on (zero is before the first): dense entries in order, none when there are none
    /// yet; or the hole that `from` lies in. What is good in front of a bad record or a hole is given first: the
    /// next read begins there.
    ///
    /// # Errors
    /// When the first record is missing or damaged, or fjall cannot read it: nothing is ever skipped.
    /// [`ReadError::Failed`] while the log has failed: it may work again.
    pub fn read(&self, from: Position, limits: ReadLimits) -> Result<Stretch, ReadError> {
        self.read_again(from, limits, Stretch::NOTHING)
    }

    /// The same, into the memory of what an earlier read gave: a reader of much that lets go of as much each time
    /// gives pages back to the system, only to get them anew.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_again(
        &self,
        from: Position,
        limits: ReadLimits,
        spent: Stretch,
    ) -> Result<Stretch, ReadError> {
        let mut entries = match spent {
            Stretch::Events(entries) => entries,
            Stretch::Hole(_) => Vec::new(),
        };
        entries.clear();
        let engine = self.engine()?;
        // NOTE: after the engine, so that these are the ends of what it reads.
        let durable = self.ends().durable;
        let from = from.max(Position::FIRST);
        if let Some(hole) = engine.hole_at(from) {
            return Ok(Stretch::Hole(hole));
        }
        let next_hole = engine.holes_after(from);
        let last = next_hole.map_or(durable, |hole| durable.min(hole.lo.before()));
        let available = usize::try_from(last.next().since(from)).unwrap_or(usize::MAX);
        let limits = ReadLimits { events_max: limits.events_max.min(available), ..limits };
        if limits.events_max == 0 {
            return Ok(Stretch::NOTHING);
        }
        // NOTE: bytes_max may end a read of a long log far earlier than events_max.
        entries.reserve(limits.events_max.min(ENTRIES_RESERVED_MAX));
        match self.read_into(&engine, &mut entries, from, last, limits) {
            // NOTE: trimmed between the look at the holes and the read.
            Err(_) if entries.is_empty() && engine.hole_at(from).is_some() => self.read(from, limits),
            Err(error) if entries.is_empty() => Err(error),
            _ => Ok(Stretch::Events(entries)),
        }
    }

    fn read_into(
        &self,
        engine: &Engine,
        entries: &mut Vec<Entry>,
        from: Position,
        last: Position,
        limits: ReadLimits,
    ) -> Result<(), ReadError> {
        let (mut position, mut bytes) = (from, 0);
        while position <= last {
            let Some((segment, next)) = engine.segment_of(position) else { break };
            let end = next.map_or(last, |next| last.min(next.before()));
            for guard in segment.events.range(position_key(position)..=position_key(end)) {
                let (key, record) = guard.into_inner().map_err(|error| ReadError::engine(position, error))?;
                let found = key_position(&key).unwrap_or_default();
                if found != position {
                    return Err(ReadError::Missing { from: position, to: found.before() });
                }
                let entry = self.entry(position, &record)?;
                bytes += entry.bytes;
                entries.push(entry);
                position = position.next();
                if entries.len() >= limits.events_max || bytes >= limits.bytes_max {
                    return Ok(());
                }
            }
            if position <= end {
                return Err(ReadError::Missing { from: position, to: end });
            }
        }
        if position > last { Ok(()) } else { Err(ReadError::Missing { from: position, to: last }) }
    }

    pub(crate) fn entry(&self, position: Position, record: &[u8]) -> Result<Entry, ReadError> {
        let damaged = |reason: wire::RecordError| ReadError::Damaged { position, reason: reason.to_string() };
        let record = self.checker().open(position, record).map_err(damaged)?;
        let event = wire::decode(record.payload).map_err(damaged)?;
        Ok(Entry { position, checksum: record.checksum, bytes: record.payload.len(), event })
    }

    /// What lies at `position`, as far as it is durable.
    ///
    /// # Errors
    /// When it is damaged or missing, or fjall cannot read it.
    pub fn find(&self, position: Position) -> Result<Found, ReadError> {
        let engine = self.engine()?;
        if let Some(hole) = engine.hole_at(position) {
            return Ok(Found::Hole(hole));
        }
        if position > self.ends().durable || position < Position::FIRST {
            return Ok(Found::Nothing);
        }
        let record = match (engine.record(position), engine.hole_at(position)) {
            (Ok(Some(record)), _) => record,
            // NOTE: trimmed between the look at the holes and the read.
            (_, Some(hole)) => return Ok(Found::Hole(hole)),
            (Ok(None), None) => return Err(ReadError::Missing { from: position, to: position }),
            (Err(error), None) => return Err(ReadError::engine(position, error)),
        };
        match self.checker().open(position, &record) {
            Ok(record) => Ok(Found::Record(record.checksum)),
            Err(error) => Err(ReadError::Damaged { position, reason: error.to_string() }),
        }
    }

    /// The holes of the log, in order.
    ///
    /// # Errors
    /// [`ReadError::Failed`] while the log has failed.
    pub fn holes(&self) -> Result<Vec<Hole>, ReadError> {
        Ok(self.engine()?.holes().iter().collect())
    }

    /// Waits until `position` is durable; asks for a sync when it is there and is not. While the log has failed,
    /// it waits for it to work again.
    ///
    /// # Errors
    /// [`ReadError::Closed`] when the log ends before.
    pub async fn wait_durable(&self, position: Position) -> Result<(), ReadError> {
        let mut ends = self.shared().ends.subscribe();
        loop {
            let now = *ends.borrow_and_update();
            if now.durable >= position {
                return Ok(());
            }
            if self.shared().ended.load(Ordering::Acquire) {
                return Err(ReadError::Closed);
            }
            if now.next > position {
                self.request_sync();
            }
            ends.changed().await.map_err(|_| ReadError::Closed)?;
        }
    }

    /// Waits while the log has failed.
    ///
    /// # Errors
    /// [`ReadError::Closed`] when the log ends before it works again.
    pub async fn wait_well(&self) -> Result<(), ReadError> {
        let mut ends = self.shared().ends.subscribe();
        loop {
            ends.mark_unchanged();
            if self.shared().ended.load(Ordering::Acquire) {
                return Err(ReadError::Closed);
            }
            if self.shared().engine().is_some() {
                return Ok(());
            }
            ends.changed().await.map_err(|_| ReadError::Closed)?;
        }
    }
}
