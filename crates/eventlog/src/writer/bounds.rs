//! Keeping the log within its bounds: looks now and then how large it is, and trims.

use std::time::{Duration, Instant, SystemTime};

use event::{Position, Time};

use super::{NoRoom, Open, Shared, Turn};
use crate::commit::Extra;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::retain::{self, Floor, Plan, Sealed};
use crate::settings::{Bounds, Settings, Trims};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How often to look while there is no room: the database may have caught up.
const LOOK_INTERVAL_FULL: Duration = Duration::from_secs(1);
/// So many bytes of records are a reason to look earlier; less for a small bound.
const LOOK_BYTES: u64 = 16 * 1024 * 1024;
/// With an age to keep, a segment is begun at least so many times within it.
const SEGMENTS_IN_KEEP: u32 = 16;

/// When to look at the size again.
#[derive(Debug)]
pub(super) struct Watch {
    looked: Option<Instant>,
    bytes: u64,
    is_full: bool,
}

impl Watch {
    pub(super) const fn new() -> Self {
        Self { looked: None, bytes: 0, is_full: false }
    }

    /// Counts bytes of records.
    pub(super) const fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let interval = if self.is_full { LOOK_INTERVAL_FULL } else { LOOK_INTERVAL };
        Some(self.looked.map_or_else(Instant::now, |looked| looked + interval))
    }

    pub(super) fn is_due(&self, settings: &Settings) -> bool {
        let enough = LOOK_BYTES.min(settings.bounds.max_bytes / 16);
        self.bytes >= enough || self.due().is_some_and(|due| due <= Instant::now())
    }

    fn has_looked(&mut self) {
        self.looked = Some(Instant::now());
        self.bytes = 0;
    }
}

impl Open {
    /// Looks how large the log is, trims what may go, and tells whether there is room.
    pub(super) fn keep_bounds(&mut self, settings: &Settings, shared: &Shared) -> Result<(), EngineError> {
        self.watch.has_looked();
        let bounds = &settings.bounds;
        let now = Time::from(SystemTime::now());
        if self.is_segment_old(bounds, now) {
            self.committer.begin_segment()?;
        }
        let Ok(bytes) = crate::stat::disk_bytes(&self.committer.engine.path) else { return Ok(()) };
        let plan = self.plan(bytes, bounds, shared.floor(), now);
        let is_held_back = plan.is_full;
        let mut is_full = is_held_back;
        if bounds.trims == Trims::Itself {
            for (last, cause) in plan.steps() {
                self.trim_segments(last, cause, shared)?;
            }
        } else {
            // NOTE: who may not trim has no room either when there is something to trim.
            is_full |= bytes > bounds.max_bytes;
        }
        self.watch.is_full = is_full;
        let no_room = NoRoom { bytes, max_bytes: bounds.max_bytes, is_held_back };
        shared.set_room(is_full.then_some(no_room));
        Ok(())
    }

    /// Keeps how far the database is, when no commit of events has taken it along.
    pub(super) fn keep_projected(&mut self, shared: &Shared) -> Result<(), EngineError> {
        let projected = shared.take_held_back_change();
        if projected.is_some() {
            self.committer.commit(std::iter::empty(), Extra { projected, ..Extra::default() })?;
        }
        Ok(())
    }

    /// What the bounds ask for now.
    pub(super) fn plan(&self, bytes: u64, bounds: &Bounds, floor: Floor, now: Time) -> Plan {
        retain::plan(&sealed(&self.committer.engine), bytes, bounds, floor, now)
    }

    fn is_segment_old(&self, bounds: &Bounds, now: Time) -> bool {
        let (Some(keep), Some(begun)) = (bounds.keep, self.committer.segment_begun()) else { return false };
        let age = u64::try_from(now.micros().saturating_sub(begun.micros())).unwrap_or_default();
        Duration::from_micros(age) > keep / SEGMENTS_IN_KEEP
    }
}

/// The sealed segments, the oldest first.
fn sealed(engine: &Engine) -> Vec<Sealed> {
    let segments = engine.segments();
    let pairs = segments.iter().zip(segments.iter().skip(1));
    pairs
        .map(|(segment, next)| Sealed {
            last: Position(next.first.0).before(),
            bytes: segment.events.disk_space(),
            sealed: next.begun,
        })
        .collect()
}

/// At its bound the log refuses whoever can be told. What was only offered has been taken already.
pub(super) fn refuse_without_room(turn: &mut Turn, shared: &Shared) {
    let Some(no_room) = shared.no_room() else { return };
    let mut kept = Vec::new();
    for (encoded, reply) in turn.appends.drain(..) {
        match reply {
            Some(reply) if !encoded.ends.is_empty() => {
                shared.count_refused(encoded.ends.len());
                let _ = reply.send(Err(no_room.clone()));
            }
            reply => kept.push((encoded, reply)),
        }
    }
    turn.appends = kept;
}
