//! One commit: positions, records, the index by time and the meta of many appends, as one fjall batch.

use std::sync::Arc;
use std::time::SystemTime;

use event::wire::{Checker, RECORD_HEADER_BYTES};
use event::{BirthId, LogId, Position, Time};
use fjall::{OwnedWriteBatch, PersistMode};

use crate::append::{AppendOutcome, Encoded, Order};
use crate::blocks::Block;
use crate::engine::{Engine, Segment};
use crate::holes::{self, Change};
use crate::layout::{self, KEY_LOG_ID, KEY_LOST_EVENTS, KEY_PROJECTED, KEY_REOPENED, position_key};
use crate::mark::LastDurable;

/// The end of an open log, where the next event goes.
pub(crate) struct Committer {
    pub(crate) engine: Arc<Engine>,
    pub(crate) checker: Checker,
    /// The position that the next event gets.
    pub(crate) next: Position,
    /// The last record that was committed, or the end of the last hole.
    pub(crate) last: LastDurable,
    /// Events that the gaps of the log tell as lost.
    pub(crate) lost_events: u64,
    segment: Segment,
    /// Bytes of the records in the active segment since it was opened.
    segment_bytes: u64,
    segment_bytes_max: u64,
    block: Block,
    /// Journals that there were at the last look.
    journals: usize,
}

/// What of the log itself changes with a commit.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Holes that come and go.
    pub(crate) holes: Change,
    /// Index entries that go with their events, by first position.
    pub(crate) blocks_removed: Vec<Position>,
    /// How far the database is: a value, or that there is none any more.
    pub(crate) projected: Option<Option<Vec<u8>>>,
    /// Which log it is from now on.
    pub(crate) log_id: Option<LogId>,
    /// When the log was opened again after a failure: something to write that proves that it can be.
    pub(crate) reopened: Option<Time>,
}

impl Committer {
    /// The end of `engine`, which is at `next`; `last` is the record or the hole's end before it.
    pub(crate) fn new(
        engine: Arc<Engine>,
        birth: BirthId,
        next: Position,
        last: LastDurable,
        segment_bytes_max: u64,
    ) -> Result<Self, crate::OpenError> {
        let error = crate::engine::engine_error(&engine.path);
        let lost_events = crate::engine::read_number(&engine.meta, KEY_LOST_EVENTS, &engine.path)?;
        let segment = match engine.segment_of(next).map(|(segment, _)| segment) {
            Some(segment) if segment.begun.is_some() => segment,
            // NOTE: a power cut can take the time of a segment and leave its keyspace. Without a time it would never
            // be old enough to be sealed or trimmed, nor would those behind it.
            found => {
                let first = found.map_or(next, |segment| segment.first);
                engine.begin_segment(first, now()).map_err(&error)?
            }
        };
        let segment_bytes = segment.events.disk_space();
        // NOTE: never the last block, though it may have room: it may be one of an import, with old times.
        let block = Block::new(next);
        let journals = engine.database.journal_count();
        Ok(Self {
            engine,
            checker: Checker::new(&birth),
            next,
            last,
            lost_events,
            segment,
            segment_bytes,
            segment_bytes_max,
            block,
            journals,
        })
    }

    /// Gives positions and commits. On an error nobody knows what of it is on the disk.
    pub(crate) fn commit<'a>(
        &mut self,
        appends: impl Iterator<Item = &'a mut Encoded>,
        extra: Extra,
    ) -> Result<Vec<AppendOutcome>, fjall::Error> {
        self.engine.wait_for_memtables(&self.segment)?;
        if self.segment_bytes >= self.segment_bytes_max {
            self.begin_segment()?;
        }
        let mut batch = self.engine.database.batch();
        let mut outcomes = Vec::new();
        let lost_before = self.lost_events;
        for encoded in appends {
            let first = self.next;
            self.add(&mut batch, encoded)?;
            self.lost_events = self.lost_events.saturating_add(encoded.lost_events);
            outcomes.push(AppendOutcome {
                first,
                events: self.next.since(first),
                bytes: encoded.records.len() as u64,
                usage_known: encoded.usage_known,
                usage_waiting: encoded.usage_waiting,
            });
        }
        if self.lost_events != lost_before {
            batch.insert(&self.engine.meta, KEY_LOST_EVENTS, self.lost_events.to_be_bytes());
        }
        self.put_block(&mut batch);
        self.add_extra(&mut batch, extra);
        batch.commit()?;
        self.flush_small();
        Ok(outcomes)
    }

    /// Fsyncs what was committed; returns the last of it.
    pub(crate) fn sync(&self) -> Result<LastDurable, fjall::Error> {
        self.engine.database.persist(PersistMode::SyncData)?;
        Ok(self.last)
    }

    /// Begins a segment at the next position, if the active one has anything. The old one goes to its tables, so
    /// that no journal is kept for it.
    pub(crate) fn begin_segment(&mut self) -> Result<(), fjall::Error> {
        if self.segment.first == self.next {
            return Ok(());
        }
        let segment = self.engine.begin_segment(self.next, now())?;
        let old = std::mem::replace(&mut self.segment, segment);
        self.segment_bytes = 0;
        self.close_block();
        old.events.rotate_memtable()?;
        Ok(())
    }

    /// When the active segment was begun, if that is known and it has events.
    pub(crate) fn segment_begun(&self) -> Option<Time> {
        self.segment.begun.filter(|_| self.segment.first < self.next)
    }

    /// Has every keyspace write its memory to tables, so that journals can go.
    pub(crate) fn flush_all(&self) -> Result<(), fjall::Error> {
        let engine = &self.engine;
        for keyspace in [&engine.meta, &engine.state, &engine.blocks, &self.segment.events] {
            keyspace.rotate_memtable()?;
        }
        Ok(())
    }

    /// Adds an append's records, sealed with their positions, and its meta.
    fn add(&mut self, batch: &mut OwnedWriteBatch, encoded: &mut Encoded) -> Result<(), fjall::Error> {
        if encoded.order == Order::Import {
            self.put_block(batch);
            self.close_block();
        }
        let mut start = 0;
        for record_end in &encoded.ends {
            let record = encoded.records.get_mut(start..record_end.end).unwrap_or_default();
            debug_assert!(record.len() > RECORD_HEADER_BYTES, "an encoded event has a payload");
            let checksum = self
                .checker
                .seal(self.next, record)
                .map_err(|error| fjall::Error::Io(std::io::Error::other(error)))?;
            batch.insert(&self.segment.events, position_key(self.next), &*record);
            self.last = LastDurable { position: self.next, checksum };
            self.block.add(record_end.stamp);
            self.next = self.next.next();
            start = record_end.end;
            if self.block.is_full() {
                self.put_block(batch);
                self.close_block();
            }
        }
        self.segment_bytes += encoded.records.len() as u64;
        if encoded.order == Order::Import {
            self.put_block(batch);
            self.close_block();
        }
        for entry in encoded.meta.drain(..) {
            match entry.value {
                Some(value) => batch.insert(&self.engine.state, entry.key, value),
                None => batch.remove(&self.engine.state, entry.key),
            }
        }
        Ok(())
    }

    fn add_extra(&self, batch: &mut OwnedWriteBatch, extra: Extra) {
        let meta = &self.engine.meta;
        for lo in extra.holes.removed {
            batch.remove(meta, layout::key_of(layout::PREFIX_HOLE, lo));
        }
        for hole in extra.holes.written {
            batch.insert(meta, layout::key_of(layout::PREFIX_HOLE, hole.lo), holes::encode(&hole));
        }
        if let Some(log_id) = extra.log_id {
            batch.insert(meta, KEY_LOG_ID, *log_id.as_bytes());
        }
        if let Some(at) = extra.reopened {
            batch.insert(meta, KEY_REOPENED, at.micros().to_be_bytes());
        }
        match extra.projected {
            Some(Some(value)) => batch.insert(meta, KEY_PROJECTED, value),
            Some(None) => batch.remove(meta, KEY_PROJECTED),
            None => {}
        }
        for first in extra.blocks_removed {
            batch.remove(&self.engine.blocks, position_key(first));
        }
    }

    fn put_block(&self, batch: &mut OwnedWriteBatch) {
        if self.block.positions > 0 {
            batch.insert(&self.engine.blocks, position_key(self.block.first), self.block.encode());
        }
    }

    fn close_block(&mut self) {
        self.block = Block::new(self.next);
    }

    /// Whenever fjall has begun a new journal, the small keyspaces go to their tables: an old journal stays for as
    /// long as anything in it is only there, and a recovery reads them all.
    fn flush_small(&mut self) {
        let journals = self.engine.database.journal_count();
        if journals > self.journals {
            for keyspace in [&self.engine.meta, &self.engine.state, &self.engine.blocks] {
                // NOTE: what fails here fails again, and is told, at the next commit.
                let _ = keyspace.rotate_memtable();
            }
        }
        self.journals = journals;
    }
}

pub(crate) fn now() -> Time {
    Time::from(SystemTime::now())
}
