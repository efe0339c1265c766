//! What the server bounds, and where the bounds lie.

use std::num::NonZeroU32;
use std::time::Duration;

use event::limits::REQUEST_BYTES_MAX;

/// What the server bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many events a second each client may send for long; `None` is any number.
    pub rate: Option<NonZeroU32>,
    /// The most bytes of a body, as sent and as unpacked.
    pub request_bytes_max: usize,
    /// The most bytes of all bodies that are in memory at one time.
    pub memory_bytes_max: usize,
    /// The most connections; another one waits.
    pub connections_max: usize,
    /// The most streams of live events, each of which keeps its connection.
    pub live_max: usize,
    /// How long the head of a request may take, and how long a connection may be idle.
    pub head_deadline: Duration,
    /// How long a body may take.
    pub body_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: NonZeroU32::new(20_000),
            request_bytes_max: REQUEST_BYTES_MAX,
            // NOTE: one of the largest requests, and a good many of the usual ones beside it.
            memory_bytes_max: REQUEST_BYTES_MAX / 2 * 3,
            connections_max: 256,
            live_max: 64,
            head_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(30),
        }
    }
}
