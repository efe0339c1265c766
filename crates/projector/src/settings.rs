//! What is tuned of a projector.

use std::time::Duration;

use crate::source::ReadLimits;

/// What is tuned of a projector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much one transaction applies at the most. Two batches are in memory at a time.
    pub batch: ReadLimits,
    /// How long a projector that is at the head gathers before it looks again.
    pub live_pause: Duration,
    /// How long there may be nothing to apply before an empty batch confirms that the range is still ours.
    pub confirm_interval: Duration,
    /// The first pause after a failed attempt to reach the database; it doubles, with jitter.
    pub retry_pause_min: Duration,
    /// The longest such pause, jitter aside.
    pub retry_pause_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: ReadLimits { events_max: 20_000, bytes_max: 4 * 1024 * 1024 },
            live_pause: Duration::from_millis(50),
            confirm_interval: Duration::from_secs(10),
            retry_pause_min: Duration::from_millis(100),
            retry_pause_max: Duration::from_secs(10),
        }
    }
}
