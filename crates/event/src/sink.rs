//! Where events go: the trait between those who make events and the log that keeps them.

use crate::{Event, Position};

/// Keeps events. The log implements it; tests implement it with a list.
pub trait Sink: Send + Sync {
    /// Keeps all of `events`, or none, and waits for the promise of the sink's `sync` mode.
    ///
    /// # Errors
    /// When an event is invalid, there is no room, or the sink is broken: nothing was kept.
    fn append(&self, events: Vec<Event>) -> Result<Accepted, SinkError>;

    /// Hands events over without waiting: for samplers, which must never block their host.
    ///
    /// # Errors
    /// [`SinkErrorKind::Full`] when the sink cannot take them now: they are lost unless offered again.
    fn offer(&self, events: Vec<Event>) -> Result<(), SinkError>;
}

/// Where the events of one append lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The first position, if there was an event at all.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// How many events.
    pub events: u64,
}

/// Why a sink did not take events.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    kind: SinkErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the caller of a sink can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkErrorKind {
    /// The events are wrong: mend them.
    Invalid,
    /// No room now: try later, or count them as lost.
    Full,
    /// The sink has failed and takes nothing now; it may work again.
    Failed,
    /// The sink is closed: nothing will be taken any more.
    Closed,
}

impl SinkError {
    /// An error of this kind, told in one line.
    #[must_use]
    pub fn new(kind: SinkErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> SinkErrorKind {
        self.kind
    }
}
