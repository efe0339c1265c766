//! The new log of a repair: the records that can be read, in their places, and holes for the rest.

use std::sync::Arc;

use event::wire::{self, Checker, Decoded};
use event::{BirthId, Event, Hole, HoleCause, Position, Time};
use fjall::PersistMode;

use super::small::Small;
use super::{Files, RepairError, RepairOutcome, Told, file, size, write};
use crate::append::Encoded;
use crate::blocks::{Block, Stamp};
use crate::commit::{Committer, Extra, now};
use crate::engine::Engine;
use crate::forensic::{journal, table};
use crate::holes::{self, Holes};
use crate::layout;
use crate::losses;
use crate::mark::LastDurable;

/// Positions of a segment in a repaired log: about as large as one that was written at the largest bound.
const SEGMENT_POSITIONS: u64 = 2_000_000;
/// Records of one batch while they are copied.
const BATCH_RECORDS: usize = 8_192;

/// The new log, while it is made.
pub(super) struct Salvage<'a> {
    engine: Arc<Engine>,
    birth: BirthId,
    checker: Checker,
    small: Small,
    holes: Holes,
    told: &'a Told,
    damaged_bytes: u64,
    waiting: Vec<(Position, Vec<u8>)>,
    failure: Option<fjall::Error>,
}

impl<'a> Salvage<'a> {
    pub(super) fn new(engine: Engine, birth: BirthId, small: Small, told: &'a Told) -> Self {
        let holes = small.holes();
        let (engine, waiting) = (Arc::new(engine), Vec::new());
        let checker = Checker::new(&birth);
        Self { engine, birth, checker, small, holes, told, damaged_bytes: 0, waiting, failure: None }
    }

    /// Copies, finds what is missing up to `marked`, and tells it. Gives the end of the new log as well.
    pub(super) fn run(
        mut self,
        files: &Files,
        marked: LastDurable,
    ) -> Result<(RepairOutcome, LastDurable), RepairError> {
        let error = write(&self.engine.path);
        self.copy(files)?;
        let mut survey = Survey::default();
        self.survey(&mut survey).map_err(&error)?;
        let last = self.end(&survey, marked);
        survey.missing_up_to(last.position, &self.holes);
        let new = self.add_holes(&survey, marked);
        self.write_small(&survey).map_err(&error)?;
        let last = self.tell(&new, &survey, last)?;
        self.engine.database.persist(PersistMode::SyncAll).map_err(&error)?;
        let outcome = RepairOutcome {
            events: survey.events,
            holes: new,
            damaged_bytes: self.damaged_bytes,
            ..RepairOutcome::default()
        };
        Ok((outcome, last))
    }

    fn copy(&mut self, files: &Files) -> Result<(), RepairError> {
        let total = files.bytes();
        let mut done = 0;
        for (_, path) in &files.tables {
            let scanned = table::scan(path, |item| self.take(item.key, item.value));
            // NOTE: what cannot be read at all is damaged as a whole.
            self.damaged_bytes += scanned.map_or(size(path), |scan| bytes(&scan.damaged));
            done += size(path);
            self.copied(done, total)?;
        }
        for path in &files.journals {
            let skipped = journal::salvage(path, 0, |_, item| self.take(item.key, &item.value));
            self.damaged_bytes += bytes(&skipped.map_err(file("read", path))?);
            done += size(path);
            self.copied(done, total)?;
        }
        self.flush().map_err(write(&self.engine.path))
    }

    fn copied(&mut self, done: u64, total: u64) -> Result<(), RepairError> {
        match self.failure.take() {
            Some(error) => Err(write(&self.engine.path)(error)),
            None => self.told.goes_on(done, total),
        }
    }

    /// Takes a record, if it is one of this log, right, and not in a hole: what was trimmed stays so.
    fn take(&mut self, key: &[u8], record: &[u8]) {
        let Some(position) = layout::key_position(key) else { return };
        let is_ours = position >= Position::FIRST && self.checker.open(position, record).is_ok();
        if !is_ours || self.failure.is_some() || self.holes.at(position).is_some() {
            return;
        }
        self.waiting.push((position, record.to_vec()));
        if self.waiting.len() >= BATCH_RECORDS {
            self.failure = self.flush().err();
        }
    }

    fn flush(&mut self) -> Result<(), fjall::Error> {
        let mut batch = self.engine.database.batch();
        for (position, record) in self.waiting.drain(..) {
            let first = Position(position.before().0 / SEGMENT_POSITIONS * SEGMENT_POSITIONS).next();
            let segment = match self.engine.segment_of(position) {
                Some((segment, _)) if segment.first == first => segment,
                _ => self.engine.begin_segment(first, now())?,
            };
            self.engine.wait_for_memtables(&segment)?;
            batch.insert(&segment.events, layout::position_key(position), record);
        }
        batch.commit()
    }

    /// Walks the new log in order: what is there, what is missing, and the index by time.
    fn survey(&self, survey: &mut Survey) -> Result<(), fjall::Error> {
        for segment in self.engine.segments() {
            survey.close_block(&self.engine)?;
            for guard in segment.events.iter() {
                let (key, record) = guard.into_inner()?;
                let position = layout::key_position(&key).unwrap_or_default();
                let Ok(record) = self.checker.open(position, &record) else { continue };
                let event = wire::decode(record.payload).ok();
                survey.last = LastDurable { position, checksum: record.checksum };
                survey.add(position, event, &self.holes, &self.engine)?;
            }
        }
        survey.close_block(&self.engine)
    }

    /// Where the new log ends: at its last record, its last hole, or where the mark says that it was durable.
    fn end(&self, survey: &Survey, marked: LastDurable) -> LastDurable {
        let hole = self.holes.at(self.holes.end());
        let hole =
            hole.map(|hole| LastDurable { position: hole.hi, checksum: hole.checksum.unwrap_or_default() });
        [Some(survey.last), hole, Some(marked)]
            .into_iter()
            .flatten()
            .max_by_key(|end| end.position)
            .unwrap_or_default()
    }

    fn add_holes(&mut self, survey: &Survey, marked: LastDurable) -> Vec<Hole> {
        let mut new = Vec::new();
        for missing in &survey.missing {
            let checksum = (missing.hi == marked.position).then_some(marked.checksum);
            let hole = Hole { lo: missing.lo, hi: missing.hi, cause: HoleCause::Damaged, checksum };
            self.holes.add(hole);
            new.push(hole);
        }
        new
    }

    fn write_small(&self, survey: &Survey) -> Result<(), fjall::Error> {
        let mut batch = self.engine.database.batch();
        for hole in self.holes.iter() {
            let key = layout::key_of(layout::PREFIX_HOLE, hole.lo);
            batch.insert(&self.engine.meta, key, holes::encode(&hole));
        }
        for (key, value) in self.small.state() {
            batch.insert(&self.engine.state, key, value);
        }
        if let Some(projected) = self.small.meta(layout::KEY_PROJECTED) {
            batch.insert(&self.engine.meta, layout::KEY_PROJECTED, projected);
        }
        // NOTE: the log's own number also knows of gaps that were trimmed since.
        let known = self.small.meta(layout::KEY_LOST_EVENTS).and_then(|value| value.try_into().ok());
        let lost = known.map_or(0, u64::from_be_bytes).max(survey.lost_events);
        batch.insert(&self.engine.meta, layout::KEY_LOST_EVENTS, lost.to_be_bytes());
        batch.commit()
    }

    /// Appends a `gap` event for each new hole.
    fn tell(&self, new: &[Hole], survey: &Survey, last: LastDurable) -> Result<LastDurable, RepairError> {
        let engine = Arc::clone(&self.engine);
        engine.set_holes(self.holes.clone());
        let mut committer = Committer::new(engine, self.birth, last.position.next(), last, u64::MAX)?;
        let gaps = (0..).zip(new.iter().zip(&survey.missing)).map(|(number, (hole, missing))| {
            // NOTE: the key of a gap is its time: one microsecond apart, or the database would keep one of them.
            let time = now().plus_micros(number);
            let (from, to) = (missing.from.unwrap_or_else(now), missing.to.unwrap_or_else(now));
            losses::gap(time, from, to, hole.positions(), hole.cause.as_str())
        });
        let gaps: Vec<Event> = gaps.collect();
        if gaps.is_empty() {
            return Ok(last);
        }
        let mut gaps = Encoded::new(gaps.into())
            .map_err(|error| write(&self.engine.path)(fjall::Error::Io(std::io::Error::other(error))))?;
        committer.commit(std::iter::once(&mut gaps), Extra::default()).map_err(write(&self.engine.path))?;
        Ok(committer.last)
    }
}

fn bytes(ranges: &[std::ops::Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// A run of positions that no file gives.
struct Missing {
    lo: Position,
    hi: Position,
    /// The times of the events before it and behind it.
    from: Option<Time>,
    to: Option<Time>,
}

/// What is in the new log, in order.
#[derive(Default)]
struct Survey {
    events: u64,
    last: LastDurable,
    last_time: Option<Time>,
    /// Events that its gaps tell as lost.
    lost_events: u64,
    missing: Vec<Missing>,
    /// The first position that nothing is known of yet.
    known: Position,
    block: Option<Block>,
}

impl Survey {
    fn add(
        &mut self,
        position: Position,
        event: Option<Decoded>,
        holes: &Holes,
        engine: &Engine,
    ) -> Result<(), fjall::Error> {
        let event = match event {
            Some(Decoded::Event(event)) => Some(event),
            _ => None,
        };
        let time = event.as_ref().map(Event::time);
        self.missing_before(position, time, holes);
        self.events += 1;
        self.last_time = time.or(self.last_time);
        if let Some(Event::Gap(gap)) = &event {
            self.lost_events = self.lost_events.saturating_add(gap.events);
        }
        if self.block.as_ref().is_none_or(|block| block.is_full() || block.last().next() != position) {
            self.close_block(engine)?;
        }
        let stamp = event.as_ref().map_or(Stamp::UNKNOWN, Stamp::of);
        self.block.get_or_insert_with(|| Block::new(position)).add(stamp);
        Ok(())
    }

    fn close_block(&mut self, engine: &Engine) -> Result<(), fjall::Error> {
        let Some(block) = self.block.take() else { return Ok(()) };
        engine.blocks.insert(layout::position_key(block.first), block.encode())
    }

    fn missing_up_to(&mut self, last: Position, holes: &Holes) {
        self.missing_before(last.next(), None, holes);
    }

    /// Notes what lies between the end so far and `position` and is in no hole.
    fn missing_before(&mut self, position: Position, to: Option<Time>, holes: &Holes) {
        let mut lo = self.known.max(Position::FIRST);
        while lo < position {
            if let Some(hole) = holes.at(lo) {
                lo = hole.hi.next();
                continue;
            }
            let hole = holes.after(lo).map_or(position, |hole| hole.lo.min(position));
            self.missing.push(Missing { lo, hi: hole.before(), from: self.last_time, to });
            lo = hole;
        }
        self.known = position.next();
    }
}
