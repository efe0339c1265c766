//! Verification: every record of the log is read, checked and decoded, and with the holes they are dense.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::wire::{self, Checker, Decoded};
use event::{Hole, Position};

use crate::blocks::{Block, Stamp};
use crate::engine::Engine;
use crate::error::{EngineError, ReadError};
use crate::layout::{key_position, position_key};
use crate::open::EventLog;

/// How often the progress is told, in records.
const PROGRESS_RECORDS: u64 = 65_536;

/// Positions whose events cannot be read, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first of them.
    pub lo: Position,
    /// The last of them.
    pub hi: Position,
    /// Bytes that were read there and are not right; 0 where nothing could be read at all.
    pub bytes: u64,
    /// What is wrong with the first of them.
    pub reason: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The last position that was looked at.
    pub last: Position,
    /// Events that are right.
    pub events: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Of them, events that a newer version wrote.
    pub unknown: u64,
    /// Runs of positions that have no events any more.
    pub holes: Vec<Hole>,
    /// What cannot be read.
    pub damage: Vec<Damage>,
    /// Blocks whose index entry is missing or hides an event; they are read as if they held every time, or not
    /// found by time.
    pub wrong_blocks: u64,
    /// Why what is kept beside the events cannot be read, if it cannot.
    pub meta_error: Option<String>,
}

impl Verification {
    /// Whether every position is an event or a hole, the index finds them, and the rest can be read.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.wrong_blocks == 0 && self.meta_error.is_none()
    }
}

impl EventLog {
    /// Checks everything that is durable now. `progress` is told how many positions of how many are done, and may
    /// break it off. It blocks.
    ///
    /// # Errors
    /// While the log has failed, or when it is closed. Damage is no error: it is what the answer tells.
    pub fn verify(
        &self,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Verification, ReadError> {
        verify(|| self.engine(), self.checker(), self.ends().durable, &mut progress)
    }
}

/// Checks everything up to `last`. The database is asked for at each step and let go between two of them: who keeps
/// it keeps a failed log from opening again.
pub(crate) fn verify(
    engine: impl Fn() -> Result<Arc<Engine>, ReadError>,
    checker: Checker,
    last: Position,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Verification, ReadError> {
    let mut walk = Walk {
        checker,
        engine: engine()?,
        last,
        found: Verification { last, ..Verification::default() },
        index: Index { block: None, wrong: Vec::new() },
    };
    let mut position = Position::FIRST;
    let mut told = 0;
    while position <= last {
        position = walk.step(position);
        walk.engine = engine()?;
        let done = position.since(Position::FIRST).min(last.0);
        if done >= told + PROGRESS_RECORDS || position > last {
            told = done;
            if progress(done, last.0).is_break() {
                return Err(ReadError::Closed);
            }
        }
    }
    walk.found.holes = walk.engine.holes().iter().collect();
    // NOTE: the index entries of what was trimmed meanwhile went before it did.
    let is_there = |position: &&Position| walk.engine.hole_at(**position).is_none();
    walk.found.wrong_blocks = walk.index.wrong.iter().filter(is_there).count() as u64;
    walk.found.meta_error = meta_error(&walk.engine);
    Ok(walk.found)
}

/// What fjall says when all of the small keyspaces is read.
fn meta_error(engine: &Engine) -> Option<String> {
    let small = [&engine.meta, &engine.state, &engine.blocks];
    let mut read = small.into_iter().flat_map(fjall::Keyspace::iter).map(fjall::Guard::into_inner);
    read.find_map(Result::err).map(|error| EngineError::from(error).to_string())
}

struct Walk {
    checker: Checker,
    engine: Arc<Engine>,
    last: Position,
    found: Verification,
    index: Index,
}

impl Walk {
    /// Checks a hole, or records up to the end of a segment or the first that is bad. Gives where to go on.
    fn step(&mut self, from: Position) -> Position {
        if let Some(hole) = self.engine.hole_at(from) {
            return hole.hi.next();
        }
        let hole = self.engine.holes_after(from);
        let mut end = hole.map_or(self.last, |hole| self.last.min(hole.lo.before()));
        let Some((segment, next)) = self.engine.segment_of(from) else {
            // NOTE: a trim may have made a hole of it meanwhile, here and below.
            if let Some(hole) = self.engine.hole_at(from) {
                return hole.hi.next();
            }
            self.damaged(from, end, 0, "no segment has them".to_owned());
            return end.next();
        };
        end = next.map_or(end, |next| end.min(next.before()));
        let mut position = from;
        for (count, guard) in segment.events.range(position_key(from)..=position_key(end)).enumerate() {
            let (key, record) = match guard.into_inner() {
                Ok(pair) => pair,
                Err(error) => return self.unreadable(position, end, &segment.events, error),
            };
            let found = key_position(&key).unwrap_or_default();
            if found > position {
                self.damaged(position, found.before(), 0, "they are missing".to_owned());
                position = found;
            }
            self.check(position, &record);
            position = position.next();
            if count as u64 >= PROGRESS_RECORDS {
                return position;
            }
        }
        if position <= end {
            if self.engine.hole_at(position).is_none() {
                self.damaged(position, end, 0, "they are missing".to_owned());
            }
            position = end.next();
        }
        position
    }

    fn check(&mut self, position: Position, record: &[u8]) {
        let opened = self.checker.open(position, record).and_then(|record| wire::decode(record.payload));
        match opened {
            Ok(decoded) => {
                self.found.events += 1;
                self.found.bytes += record.len() as u64;
                match decoded {
                    Decoded::Event(event) => self.index.check(&self.engine, position, Stamp::of(&event)),
                    Decoded::Unknown { .. } => self.found.unknown += 1,
                }
            }
            Err(error) => self.damaged(position, position, record.len() as u64, error.to_string()),
        }
    }

    /// fjall cannot read on at `position`: finds where it can.
    fn unreadable(
        &mut self,
        position: Position,
        end: Position,
        events: &fjall::Keyspace,
        error: fjall::Error,
    ) -> Position {
        let readable = |position: Position| matches!(events.get(position_key(position)), Ok(Some(_)));
        let next = next_readable(position, end, readable);
        let hi = next.map_or(end, Position::before);
        self.damaged(position, hi, 0, EngineError::from(error).to_string());
        hi.next()
    }

    fn damaged(&mut self, lo: Position, hi: Position, bytes: u64, reason: String) {
        // NOTE: a trim may have made a hole of it meanwhile, and it makes one of whole segments.
        if self.engine.hole_at(lo).is_some() {
            return;
        }
        match self.found.damage.last_mut() {
            Some(before) if before.hi.next() == lo => {
                before.hi = hi;
                before.bytes += bytes;
            }
            _ => self.found.damage.push(Damage { lo, hi, bytes, reason }),
        }
    }
}

/// The first readable position behind `bad`. A damaged block hides neighbours, so it steps further and further
/// away until it sees light, and then looks for the edge.
fn next_readable(bad: Position, end: Position, readable: impl Fn(Position) -> bool) -> Option<Position> {
    let (mut dark, mut step) = (bad, 1);
    let mut light = loop {
        let next = dark.plus(step);
        if next > end {
            if readable(end) && end > dark {
                break end;
            }
            return None;
        }
        if readable(next) {
            break next;
        }
        dark = next;
        step *= 2;
    };
    while dark.next() < light {
        let middle = Position(dark.0 + light.since(dark) / 2);
        if readable(middle) {
            light = middle;
        } else {
            dark = middle;
        }
    }
    Some(light)
}

/// The index by time, beside the walk.
struct Index {
    block: Option<(Block, bool)>,
    /// The first event of each block that its entry hides.
    wrong: Vec<Position>,
}

impl Index {
    /// Whether the block of this event would find it.
    fn check(&mut self, engine: &Engine, position: Position, stamp: Stamp) {
        let is_inside = |block: &Block| (block.first..=block.last().max(block.first)).contains(&position);
        if !self.block.as_ref().is_some_and(|(block, _)| is_inside(block)) {
            self.block = Some((Self::find(engine, position), true));
        }
        let Some((block, is_right)) = &mut self.block else { return };
        if *is_right && !block.holds(stamp) && !engine.is_being_trimmed(position) {
            *is_right = false;
            self.wrong.push(position);
        }
    }

    /// The entry that covers `position`; where there is none, one that holds nothing, up to the next entry.
    fn find(engine: &Engine, position: Position) -> Block {
        let entry = engine.blocks.range(..=position_key(position)).next_back();
        let block = entry.and_then(|guard| {
            let (key, value) = guard.into_inner().ok()?;
            Block::decode(key_position(&key)?, &value)
        });
        block.filter(|block| block.last() >= position).unwrap_or_else(|| {
            let next = engine.blocks.range(position_key(position.next())..).next();
            let next = next.and_then(|guard| key_position(&guard.key().ok()?));
            let positions = next.and_then(|next| u32::try_from(next.since(position)).ok());
            let mut nothing = Block::new(position);
            nothing.positions = positions.unwrap_or(u32::MAX);
            nothing
        })
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, HostName, SystemSample, Time};

    use super::*;
    use crate::{Settings, TrimTo};

    #[test]
    fn what_a_trim_takes_out_of_the_index_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), &HostName::new("here").unwrap(), Settings::default()).unwrap();
        let time = Time::from_micros(1_767_323_045_678_901);
        let sample = SystemSample { time, system_name: "a".into(), ..SystemSample::default() };
        log.append(vec![Event::SystemSample(sample)]).unwrap();
        log.trim(TrimTo::Before { position: Position(2), dry_run: false }).unwrap();
        let engine = log.engine().unwrap();
        // As between the commit of a trim and its word to the readers.
        *engine.holes.write().unwrap() = std::iter::empty().collect();
        let mut index = Index { block: None, wrong: Vec::new() };
        let stamp = Stamp { kind: event::Kind::SystemSample.number(), time: time.micros() };
        index.check(&engine, Position(1), stamp);
        assert_eq!(index.wrong, [], "the trim has it");
        index.check(&engine, Position(2), stamp);
        assert_eq!(index.wrong, [Position(2)], "nothing has it");
    }

    #[test]
    fn the_edge_of_damage_is_found() {
        for (bad, light, end) in [(5, 6, 6), (5, 6, 100), (5, 47, 100), (5, 100, 100), (1, 70_000, 100_000)] {
            let readable = |position: Position| position.0 < bad || position.0 >= light;
            assert_eq!(next_readable(Position(bad), Position(end), readable), Some(Position(light)));
        }
        assert_eq!(next_readable(Position(5), Position(100), |_| false), None);
        assert_eq!(next_readable(Position(5), Position(5), |_| false), None);
    }
}
