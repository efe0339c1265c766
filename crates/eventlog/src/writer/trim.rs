//! Trimming: whole segments go, the oldest first, and a hole tells of them.
//!
//! The hole, the index without them and, for what no database had, a `gap` event are one commit, which is
//! synced before the first file goes. So a kill in the middle leaves either the events, or a hole and files that
//! the next opening removes.

use std::time::SystemTime;

use event::{Hole, HoleCause, Position, Time};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{Open, Order, Shared, State, Writer};
use crate::append::Encoded;
use crate::blocks::{Block, Span};
use crate::commit::Extra;
use crate::error::{AppendError, EngineError};
use crate::holes::Holes;
use crate::layout;
use crate::losses;
use crate::open::EventLog;
use crate::retain::Floor;

/// What to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// What the bounds of the settings ask for.
    Bounds {
        /// Only tell what would go.
        dry_run: bool,
    },
    /// Every whole segment before this position, as far as a database has it.
    Before {
        /// The first position that stays.
        position: Position,
        /// Only tell what would go.
        dry_run: bool,
    },
}

impl TrimTo {
    const fn dry_run(self) -> bool {
        match self {
            Self::Bounds { dry_run } | Self::Before { dry_run, .. } => dry_run,
        }
    }
}

/// What was trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimOutcome {
    /// Events that went.
    pub events: u64,
    /// Of them, events that no database had.
    pub dropped: u64,
    /// Segments that went.
    pub segments: usize,
    /// The first position that is there now.
    pub first: Position,
    /// What held more back: everything from this position on is not in the database of the last `run` yet.
    pub held_back_at: Option<Position>,
}

/// Why nothing was trimmed.
#[derive(Clone, Debug, Error)]
pub enum TrimError {
    /// The log is closed or has failed.
    #[error(transparent)]
    Log(#[from] AppendError),
}

impl EventLog {
    /// Trims. It blocks until the events are gone from the disk.
    ///
    /// # Errors
    /// When the log is closed or has failed.
    pub fn trim(&self, to: TrimTo) -> Result<TrimOutcome, TrimError> {
        let (reply, outcome) = oneshot::channel();
        self.order(Order::Trim(to, reply))?;
        outcome.blocking_recv().unwrap_or_else(|_| Err(self.closed().into()))
    }
}

impl Writer {
    pub(super) fn trim(&mut self, to: TrimTo) -> Result<TrimOutcome, TrimError> {
        let (settings, shared) = (&self.settings, &self.shared);
        let trimmed = match &mut self.state {
            State::Open(open) => open.trim(to, settings, shared).and_then(|outcome| {
                // NOTE: who was refused for want of room may go on at once.
                if shared.room().is_some() {
                    open.keep_bounds(settings, shared)?;
                }
                Ok(outcome)
            }),
            State::Failed(failed) => return Err(failed.refusal().into()),
        };
        trimmed.map_err(|error| {
            let error = self.fail_now(error);
            TrimError::Log(AppendError::Failed(error))
        })
    }
}

impl Open {
    fn trim(
        &mut self,
        to: TrimTo,
        settings: &crate::Settings,
        shared: &Shared,
    ) -> Result<TrimOutcome, EngineError> {
        let floor = shared.floor();
        let (steps, would_go) = match to {
            TrimTo::Bounds { .. } => self.within_bounds(settings, floor),
            TrimTo::Before { position, dry_run } => (self.before(position, floor, dry_run)?, position),
        };
        let mut outcome = TrimOutcome::default();
        for (last, cause) in steps {
            outcome = if to.dry_run() {
                self.would_trim(last, cause, outcome)
            } else {
                let step = self.trim_segments(last, cause, shared)?;
                TrimOutcome {
                    events: outcome.events + step.events,
                    dropped: outcome.dropped + step.dropped,
                    segments: outcome.segments + step.segments,
                    ..outcome
                }
            };
        }
        outcome.first = shared.ends.borrow().first;
        if let Floor::Unprojected(at) = floor {
            outcome.held_back_at = (at < would_go.min(self.committer.next)).then_some(at);
        }
        Ok(outcome)
    }

    /// What the bounds ask for, and before which position all of it would lie if no database held it back.
    fn within_bounds(
        &self,
        settings: &crate::Settings,
        floor: Floor,
    ) -> (Vec<(Position, HoleCause)>, Position) {
        let bytes = crate::stat::disk_bytes(&self.committer.engine.path).unwrap_or_default();
        let now = Time::from(SystemTime::now());
        let steps: Vec<_> = self.plan(bytes, &settings.bounds, floor, now).steps().collect();
        let free = self.plan(bytes, &settings.bounds, Floor::None, now).steps().last();
        let (last, free) = (steps.last().map(|(last, _)| *last), free.map(|(last, _)| last));
        let would_go = free.filter(|free| last.is_none_or(|last| last < *free)).map(Position::next);
        (steps, would_go.unwrap_or(Position::FIRST))
    }

    /// The last position of the segments that lie before `position`, and are in the database.
    fn before(
        &mut self,
        position: Position,
        floor: Floor,
        dry_run: bool,
    ) -> Result<Vec<(Position, HoleCause)>, EngineError> {
        let end = match floor {
            Floor::None => position,
            Floor::Unprojected(unprojected) => position.min(unprojected),
        };
        let end = end.min(self.committer.next);
        if end == self.committer.next && !dry_run {
            self.committer.begin_segment()?;
        }
        let firsts = self.committer.engine.segments().into_iter().map(|segment| segment.first);
        let mut ends: Vec<Position> = firsts.skip(1).collect();
        // NOTE: a dry run does not begin the segment that would let the active one go.
        ends.extend((end == self.committer.next && dry_run).then_some(end));
        let last = ends.into_iter().filter(|first| *first <= end).max();
        let first = self.committer.engine.holes().first_outside();
        let last = last.map(Position::before).filter(|last| *last >= first);
        Ok(last.map(|last| (last, HoleCause::Trimmed)).into_iter().collect())
    }

    fn would_trim(&self, last: Position, cause: HoleCause, so_far: TrimOutcome) -> TrimOutcome {
        let holes = self.committer.engine.holes();
        let events = events_up_to(&holes, last);
        let segments = self.committer.engine.segments();
        TrimOutcome {
            events,
            dropped: if cause == HoleCause::Dropped { events - so_far.events } else { 0 },
            segments: segments.iter().filter(|segment| segment.first <= last).count(),
            ..so_far
        }
    }

    /// Drops every segment up to `last`, which is the last position of one.
    pub(super) fn trim_segments(
        &mut self,
        last: Position,
        cause: HoleCause,
        shared: &Shared,
    ) -> Result<TrimOutcome, EngineError> {
        let mut holes = self.committer.engine.holes();
        let lo = holes.first_outside();
        if lo > last {
            return Ok(TrimOutcome::default());
        }
        let events = events_up_to(&holes, last);
        let blocks = self.blocks_up_to(last)?;
        let hole = Hole { lo, hi: last, cause, checksum: self.checksum_at(last)? };
        let extra = Extra {
            holes: holes.add(hole),
            blocks_removed: blocks.iter().map(|block| block.first).collect(),
            ..Extra::default()
        };
        let mut gap = match cause {
            HoleCause::Dropped => Some(gap(&blocks, events)?),
            _ => None,
        };
        // NOTE: another hole may follow.
        let first = holes.first_outside();
        self.committer.commit(gap.iter_mut(), extra)?;
        let next = self.committer.next;
        shared.ends.send_modify(|ends| ends.next = next);
        // IMPORTANT: the hole is durable before a reader sees it: who goes over it does not come back for its events.
        self.sync(shared)?;
        self.committer.engine.set_holes(holes);
        shared.ends.send_modify(|ends| ends.first = first);
        shared.lost_events.store(self.committer.lost_events, std::sync::atomic::Ordering::Relaxed);
        let segments = self.committer.engine.drop_segments(Position::FIRST, last)?;
        // NOTE: fjall's journals keep the files of a dropped keyspace until they go themselves.
        self.committer.flush_all()?;
        let dropped = if cause == HoleCause::Dropped { events } else { 0 };
        if dropped > 0 {
            shared.add_notes(vec![format!(
                "{dropped} events up to position {last} that no database has were dropped: the log is at log.max_bytes, and \
                 log.when_full is drop_oldest"
            )]);
        }
        Ok(TrimOutcome { events, dropped, segments, first, held_back_at: None })
    }

    fn blocks_up_to(&self, last: Position) -> Result<Vec<Block>, EngineError> {
        let mut blocks = Vec::new();
        for guard in self.committer.engine.blocks.range(..=layout::position_key(last)) {
            let (key, value) = guard.into_inner()?;
            let first = layout::key_position(&key).unwrap_or_default();
            blocks.push(Block::decode(first, &value).unwrap_or_else(|| Block::new(first)));
        }
        Ok(blocks)
    }

    /// The checksum of the record at `position`, where it can be read.
    fn checksum_at(&self, position: Position) -> Result<Option<u32>, EngineError> {
        let engine = &self.committer.engine;
        if let Some(hole) = engine.hole_at(position) {
            return Ok(hole.checksum.filter(|_| hole.hi == position));
        }
        let record = engine.record(position)?;
        Ok(record.and_then(|record| {
            self.committer.checker.open(position, &record).ok().map(|record| record.checksum)
        }))
    }
}

/// How many events lie up to `last`.
fn events_up_to(holes: &Holes, last: Position) -> u64 {
    last.next().since(Position::FIRST) - holes.positions_within(Position::FIRST, last)
}

/// Tells of events that were dropped before a database had them.
fn gap(blocks: &[Block], events: u64) -> Result<Encoded, EngineError> {
    let now = Time::from(SystemTime::now());
    let spans = blocks.iter().filter_map(Block::whole_span);
    let span = spans.reduce(Span::join).unwrap_or(Span { least: now.micros(), greatest: now.micros() });
    let (from, to) = (Time::from_micros(span.least), Time::from_micros(span.greatest));
    let gap = losses::gap(now, from, to, events, HoleCause::Dropped.as_str());
    Encoded::new(vec![gap].into()).map_err(|error| EngineError::told(error.to_string()))
}
