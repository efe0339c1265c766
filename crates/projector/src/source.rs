//! Where events come from: what the projector asks of a log.

use std::future::Future;

use event::{Found, HostName, LogId, Position, Stretch};
use thiserror::Error;

/// Which log this is, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The log's id.
    pub log_id: LogId,
    /// The host that an event without a host belongs to.
    pub host: HostName,
}

/// How much one read gives at the most; always one entry if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most entries.
    pub events_max: usize,
    /// The most bytes of payload, counted before the last entry.
    pub bytes_max: usize,
}

/// The ends of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The first position that the log still has, or will have: behind the hole that it begins with, if any.
    pub first: Position,
    /// The position that the next event gets.
    pub next: Position,
    /// The last durable position; zero when there is none.
    pub durable: Position,
}

/// A log, as the projector sees it.
///
/// IMPORTANT: a source gives durable positions only. A position that a power cut can take back would be in
/// the database for ever under a digest that the log no longer has.
pub trait Source: Send + Sync + 'static {
    /// Which log this is.
    fn identity(&self) -> LogIdentity;

    /// Where the log begins and ends now.
    fn ends(&self) -> Ends;

    /// What is at `position`, durably: a record, a hole, or nothing yet.
    ///
    /// # Errors
    /// [`SourceError::Away`] while nobody can say; otherwise when the log cannot be read.
    fn find(&self, position: Position) -> Result<Found, SourceError>;

    /// Durable entries from `from` on, dense and in order, up to the next hole at the most; none when there
    /// are none yet. Where `from` lies in a hole, that hole.
    ///
    /// # Errors
    /// When the log cannot be read, or a record in it is damaged and no hole yet.
    fn read(
        &self,
        from: Position,
        limits: ReadLimits,
    ) -> impl Future<Output = Result<Stretch, SourceError>> + Send;

    /// The same, and what `work` makes of it, on a thread where that holds nobody up. There `spent`, which an earlier
    /// read gave, is let go first: to free so many events takes time that a lane has not.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_and<T: Send + 'static>(
        &self,
        from: Position,
        limits: ReadLimits,
        spent: Stretch,
        work: impl FnOnce(Stretch) -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, SourceError>> + Send {
        drop(spent);
        async move { self.read(from, limits).await.map(work) }
    }

    /// Waits until `position` is durable, as a hole always is. Asks for a sync when it is there but not durable.
    ///
    /// # Errors
    /// When the log is closed or broken.
    fn wait_for(&self, position: Position) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// A log that cannot be read on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The log was closed: the process is ending.
    #[error("the log is closed")]
    Closed,
    /// The log has failed and is about to open itself again: what it has cannot be asked for meanwhile.
    #[error("the log cannot be read until it has opened itself again")]
    Away,
    /// A record is damaged or unreadable, and no repair has made a hole of it.
    #[error(
        "position {position} of the log cannot be read: {reason}; `tailwater log verify` tells how much, \
         `tailwater log repair` mends it"
    )]
    Unreadable {
        /// Where.
        position: Position,
        /// What was found there.
        reason: String,
    },
}
