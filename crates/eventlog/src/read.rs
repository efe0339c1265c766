//! Reading: durable records in order, checked and decoded.

use std::sync::atomic::Ordering;

use event::Position;
use event::wire::{self, Entry};

use crate::error::{EngineError, ReadError};
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
    /// Durable entries from `from` on (zero is before the first), dense and in order; empty when there are
    /// none yet. What is good in front of a bad record is given first: the next read begins at the bad one.
    ///
    /// # Errors
    /// When the first record is missing or damaged, or fjall cannot read it. Nothing is ever skipped.
    pub fn read(&self, from: Position, limits: ReadLimits) -> Result<Vec<Entry>, ReadError> {
        let durable = self.ends().durable;
        let from = from.max(Position::FIRST);
        let available = usize::try_from(durable.next().since(from)).unwrap_or(usize::MAX);
        let limits = ReadLimits { events_max: limits.events_max.min(available), ..limits };
        if limits.events_max == 0 {
            return Ok(Vec::new());
        }
        // NOTE: bytes_max may end a read of a long log far earlier than events_max.
        let mut entries = Vec::with_capacity(limits.events_max.min(ENTRIES_RESERVED_MAX));
        match self.read_into(&mut entries, from, durable, limits) {
            Err(error) if entries.is_empty() => Err(error),
            _ => Ok(entries),
        }
    }

    fn read_into(
        &self,
        entries: &mut Vec<Entry>,
        from: Position,
        durable: Position,
        limits: ReadLimits,
    ) -> Result<(), ReadError> {
        let (mut position, mut bytes) = (from, 0);
        for guard in self.events().range(position_key(from)..=position_key(durable)) {
            let (key, record) = guard.into_inner().map_err(|error| engine_error(position, error))?;
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
        Err(ReadError::Missing { from: position, to: durable })
    }

    fn entry(&self, position: Position, record: &[u8]) -> Result<Entry, ReadError> {
        let damaged = |reason: wire::RecordError| ReadError::Damaged { position, reason: reason.to_string() };
        let record = wire::open(&self.info().birth_id, position, record).map_err(damaged)?;
        let event = wire::decode(record.payload).map_err(damaged)?;
        Ok(Entry { position, checksum: record.checksum, bytes: record.payload.len(), event })
    }

    /// The checksum of the record at `position`; `None` when it is not there or not durable.
    ///
    /// # Errors
    /// When it is damaged or fjall cannot read it.
    pub fn checksum(&self, position: Position) -> Result<Option<u32>, ReadError> {
        if position > self.ends().durable {
            return Ok(None);
        }
        let record =
            self.events().get(position_key(position)).map_err(|error| engine_error(position, error))?;
        let Some(record) = record else { return Ok(None) };
        match wire::open(&self.info().birth_id, position, &record) {
            Ok(record) => Ok(Some(record.checksum)),
            Err(error) => Err(ReadError::Damaged { position, reason: error.to_string() }),
        }
    }

    /// Waits until `position` is durable; asks for a sync when it is there and is not.
    ///
    /// # Errors
    /// [`ReadError::Closed`] when the log fails or ends before.
    pub async fn wait_durable(&self, position: Position) -> Result<(), ReadError> {
        let mut ends = self.shared().ends.subscribe();
        loop {
            let now = *ends.borrow_and_update();
            if now.durable >= position {
                return Ok(());
            }
            if self.failure().is_some() || self.shared().ended.load(Ordering::Acquire) {
                return Err(ReadError::Closed);
            }
            if now.next > position {
                self.request_sync();
            }
            ends.changed().await.map_err(|_| ReadError::Closed)?;
        }
    }

    /// Waits until the log has failed; for ever, if it never does.
    pub async fn failed(&self) {
        let mut ends = self.shared().ends.subscribe();
        while self.failure().is_none() {
            if ends.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

const fn engine_error(position: Position, error: fjall::Error) -> ReadError {
    ReadError::Engine { position, source: EngineError(error) }
}
