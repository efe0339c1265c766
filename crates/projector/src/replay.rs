//! A replay: applies a part of the log again, into any database, with a progress of its own.
//!
//! Its target keeps that progress apart from the projection's, in ranges that all have an end; so there is no live lane,
//! and the lanes are those that fill a backlog, with the same rules for outages, rivals and halts. It is through when a
//! claim finds nothing that is left.

use std::num::NonZeroU32;
use std::sync::Arc;

use event::Position;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::lane::unless_stopped;
use crate::lanes::{Work, run_lanes};
use crate::parts::Parts;
use crate::project::{ToldByStatus, Until};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::source::{Source, SourceError};
use crate::status::{Status, Totals};
use crate::target::{LaneName, Target};

/// Smaller pieces than this cost more in claims than they bring.
const PIECE_EVENTS_MIN: u64 = 2_000;
/// How many pieces each lane has, or more: the last lane to end has less than one more than the others.
const PIECES_OF_A_LANE: u64 = 8;

/// What is replayed, and by what a database knows it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// What was asked for, in words that are always the same for the same: an unfinished replay of them goes on.
    pub request: String,
    /// The first position; that of the unfinished one counts, where there is one.
    pub lo: Position,
    /// The position behind the last, in the same way.
    pub hi: Position,
    /// What becomes of an unfinished one.
    pub begin: ReplayBegin,
}

/// What becomes of an unfinished replay of the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayBegin {
    /// It goes on.
    #[default]
    Resume,
    /// It is forgotten.
    Anew,
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The counts of this run.
    pub totals: Totals,
    /// Whether that is all.
    pub end: ReplayEnd,
}

/// How a replay ended that did not halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayEnd {
    /// Everything that was asked for is applied.
    Finished,
    /// It was told to stop, or the log was closed: the same request goes on from there.
    Stopped,
}

/// Replays one source into one target.
#[derive(Debug)]
pub struct Replay<S, T> {
    shared: Shared<S, T>,
}

impl<S: Source, T: Target> Replay<S, T> {
    /// A replay of this source into this target, which keeps the progress of a replay. Its lanes are the backlog lanes
    /// of the settings.
    #[must_use]
    pub fn new(source: Arc<S>, target: Arc<T>, settings: Settings, parts: Parts) -> Self {
        Self { shared: Shared::new(source, target, settings, parts, Work::Replay) }
    }

    /// Follows what it tells about itself. What is left is in `backlog_events`; nothing is ever live.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status().subscribe()
    }

    /// Replays until it is through or told to stop; a transaction under way is finished first.
    ///
    /// # Errors
    /// [`Halt`] when a person must look.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Replayed, Halt> {
        let _panic = ToldByStatus(self.shared.status());
        self.shared.begin(Until::Stopped);
        let mut end = ReplayEnd::Stopped;
        if self.all_durable(stop).await? {
            run_lanes(&self.shared, LaneName::Backlog(1), Until::Stopped, stop).await?;
            if !stop.is_cancelled() && self.shared.is_drained() {
                end = ReplayEnd::Finished;
            }
        }
        Ok(Replayed { totals: self.shared.status().borrow().totals, end })
    }

    /// Waits until all that is there is durable, as a claim's digest must be before it is compared with the log; false
    /// when it is to stop.
    async fn all_durable(&self, stop: &CancellationToken) -> Result<bool, Halt> {
        let source = &self.shared.source;
        loop {
            let head = source.ends().next.before();
            match unless_stopped(stop, source.wait_for(head)).await {
                Some(Ok(())) => return Ok(true),
                None | Some(Err(SourceError::Closed)) => return Ok(false),
                Some(Err(SourceError::Away)) => {
                    tokio::time::sleep(self.shared.settings.retry_pause_min).await;
                }
                Some(Err(error @ SourceError::Unreadable { .. })) => return Err(Halt::Source(error)),
            }
        }
    }
}

impl Settings {
    /// The settings of a replay of so many positions.
    #[must_use]
    pub fn of_replay(positions: u64, lanes: u32, rate: Option<NonZeroU32>) -> Self {
        let usual = Self::default();
        let piece = positions.div_ceil(u64::from(lanes.max(1)) * PIECES_OF_A_LANE);
        let piece_events = piece.clamp(PIECE_EVENTS_MIN, usual.piece_events);
        Self { backlog_lanes: lanes, backlog_rate: rate, piece_events, ..usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_pieces_to_the_end() {
        let piece = |positions, lanes| Settings::of_replay(positions, lanes, None).piece_events;
        assert_eq!(piece(100, 4), PIECE_EVENTS_MIN);
        assert_eq!(piece(160_000, 4), 5_000);
        assert_eq!(piece(u64::MAX, 1), Settings::default().piece_events);
    }
}
