//! What is tuned of a projector.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::source::ReadLimits;
use crate::target::LaneName;

/// What is tuned of a projector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much one transaction applies at the most. A lane has two batches in memory at a time; backlog lanes share
    /// it, so that many need no more memory than one.
    pub batch: ReadLimits,
    /// How long a projector that is at the head gathers before it looks again.
    pub live_pause: Duration,
    /// How long there may be nothing to apply before an empty batch confirms that the range is still ours.
    pub confirm_interval: Duration,
    /// After how long the database must have on its disk what it has committed. Until then a batch is
    /// [`crate::Commit::Buffered`]; one that comes later, or an empty one, waits for the disk.
    pub flush_interval: Duration,
    /// How many lanes fill what was missed, beside the live lane. Without any the live lane does it all, in order;
    /// what an earlier run with lanes has left, one lane fills all the same.
    pub backlog_lanes: u32,
    /// How far the live lane may be behind the head before the rest is left to the backlog lanes, in positions.
    pub live_events_max: u64,
    /// How much of the backlog a lane takes at a time at the most, in positions; less towards its end, so that the
    /// lanes come there together.
    pub piece_events: u64,
    /// How many events a second the backlog lanes send together at the most.
    pub backlog_rate: Option<NonZeroU32>,
    /// How old what the live lane has not applied may be before the backlog lanes wait for it.
    pub live_lag_max: Duration,
    /// How long nothing may be committed, though there is work, before the projector says that it is stuck.
    pub stall_after: Duration,
    /// The first pause after a failed attempt to reach the database; it doubles, with jitter.
    pub retry_pause_min: Duration,
    /// The longest such pause, jitter aside.
    pub retry_pause_max: Duration,
}

/// What is less than this needs little memory, and more transactions.
const SHARE_EVENTS_MIN: usize = 5_000;

impl Settings {
    /// How much a lane of this name reads at a time.
    pub(crate) fn batch_of(&self, lane: LaneName) -> ReadLimits {
        let lanes = match lane {
            LaneName::Live => 1,
            LaneName::Backlog(_) => usize::try_from(self.backlog_lanes.max(1)).unwrap_or(1),
        };
        let ReadLimits { events_max, bytes_max } = self.batch;
        let least = events_max.min(SHARE_EVENTS_MIN);
        ReadLimits { events_max: (events_max / lanes).max(least), bytes_max }
    }

    /// How much of a range a lane takes of which so many positions are open: its share, in whole batches.
    pub(crate) fn piece(&self, open: u64) -> u64 {
        let share = open / u64::from(self.backlog_lanes.max(1));
        let batch = (self.batch.events_max as u64).max(1);
        share.next_multiple_of(batch).max(batch).min(self.piece_events)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: ReadLimits { events_max: 20_000, bytes_max: 4 * 1024 * 1024 },
            live_pause: Duration::from_millis(50),
            confirm_interval: Duration::from_secs(10),
            flush_interval: Duration::from_secs(1),
            backlog_lanes: 2,
            // A third of a second's work for a database that is near.
            live_events_max: 50_000,
            // Small, so that lanes fill the oldest first; large beside the claim that each piece costs.
            piece_events: 200_000,
            backlog_rate: None,
            live_lag_max: Duration::from_secs(1),
            stall_after: Duration::from_secs(30),
            retry_pause_min: Duration::from_millis(100),
            retry_pause_max: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backlog_lanes_share_a_batch() {
        let settings = Settings { backlog_lanes: 4, ..Settings::default() };
        assert_eq!(settings.batch_of(LaneName::Live), settings.batch);
        let check = |events_max, lanes, share| {
            let batch = ReadLimits { events_max, ..settings.batch };
            let settings = Settings { backlog_lanes: lanes, batch, ..settings };
            assert_eq!(settings.batch_of(LaneName::Backlog(1)).events_max, share, "{events_max} by {lanes}");
        };
        check(20_000, 0, 20_000);
        check(20_000, 2, 10_000);
        check(20_000, 9, 5_000);
        check(10, 2, 10);
    }

    #[test]
    fn pieces_become_smaller_towards_the_end_of_a_backlog() {
        let settings = Settings { backlog_lanes: 2, ..Settings::default() };
        let check = |open: u64, piece: u64| assert_eq!(settings.piece(open), piece, "{open}");
        check(10_000_000, 200_000);
        check(400_001, 200_000);
        check(300_000, 160_000);
        check(140_000, 80_000);
        check(40_000, 20_000);
        check(39_000, 20_000);
        check(1, 20_000);
    }
}
