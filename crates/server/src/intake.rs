//! Where events go: the trait between the server and whoever keeps them.

use std::future::Future;
use std::time::Duration;

use event::Event;
use serde::Serialize;

/// Keeps what the server takes.
pub trait Intake: Send + Sync + 'static {
    /// Keeps all of `events`, or none, and waits for the promise of the log's `sync` mode.
    fn append(
        &self,
        events: Vec<Event>,
        teller: Teller,
    ) -> impl Future<Output = Result<Accepted, IntakeError>> + Send;
}

/// Who told of token usage: what is made of it before it is kept depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Whoever posts events, and knows.
    Caller,
    /// A coding tool's telemetry.
    Telemetry,
}

/// What was kept, as `POST /api/events` answers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// How many events were taken.
    pub accepted: u64,
    /// Where the first one lies; null when none has a place.
    pub first_position: Option<u64>,
    /// Where the last one lies.
    pub last_position: Option<u64>,
    /// How many of them are token usage that the log knew as much of; only when there are some.
    #[serde(skip_serializing_if = "is_zero")]
    pub known: u64,
    /// How many were skipped; only with `skip_invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// Whether there are none: such a field is left out.
#[must_use]
pub fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// An event is wrong: mend it.
    #[error("event {index}: {problem}")]
    Invalid {
        /// Which one, from 0.
        index: usize,
        /// Which field of it, where that can be said.
        field: Option<&'static str>,
        /// What is wrong.
        problem: String,
    },
    /// The log takes nothing now: try later.
    #[error("{reason}")]
    Unavailable {
        /// Why, and what is so of the events.
        reason: String,
        /// How long to wait.
        retry_after: Duration,
    },
}
