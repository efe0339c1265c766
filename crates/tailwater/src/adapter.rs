//! The log as the projector's source.

use event::{Found, Position, Stretch};
use eventlog::{EventLog, ReadError};
use projector::{Ends, LogIdentity, ReadLimits, Source, SourceError};

/// The log, read on threads that may block.
#[derive(Clone)]
pub struct LogSource(EventLog);

impl LogSource {
    /// The source of this log.
    #[must_use]
    pub fn new(log: EventLog) -> Self {
        Self(log)
    }
}

impl Source for LogSource {
    fn identity(&self) -> LogIdentity {
        let info = self.0.info();
        LogIdentity { log_id: info.log_id, host: info.host }
    }

    fn ends(&self) -> Ends {
        let ends = self.0.ends();
        Ends { first: ends.first, next: ends.next, durable: ends.durable }
    }

    fn find(&self, position: Position) -> Result<Found, SourceError> {
        self.0.find(position).map_err(|error| source_error(position, &error))
    }

    async fn read(&self, from: Position, limits: ReadLimits) -> Result<Stretch, SourceError> {
        self.read_and(from, limits, Stretch::NOTHING, std::convert::identity).await
    }

    async fn read_and<T: Send + 'static>(
        &self,
        from: Position,
        limits: ReadLimits,
        mut spent: Stretch,
        mut work: impl FnOnce(Stretch) -> T + Send + 'static,
    ) -> Result<T, SourceError> {
        let limits = eventlog::ReadLimits { events_max: limits.events_max, bytes_max: limits.bytes_max };
        loop {
            let log = self.0.clone();
            let spent = std::mem::replace(&mut spent, Stretch::NOTHING);
            let reading = move || match log.read_again(from, limits, spent) {
                Ok(stretch) => Ok(work(stretch)),
                Err(error) => Err((error, work)),
            };
            match tokio::task::spawn_blocking(reading).await {
                Ok(Ok(done)) => return Ok(done),
                // NOTE: a log that has failed works again by itself, and is then as durable as it said.
                Ok(Err((ReadError::Failed, again))) => {
                    work = again;
                    self.0.wait_well().await.map_err(|_| SourceError::Closed)?;
                }
                Ok(Err((error, _))) => return Err(source_error(from, &error)),
                Err(error) if error.is_panic() => {
                    let reason = "reading it panicked, which is a bug".to_owned();
                    return Err(SourceError::Unreadable { position: from, reason });
                }
                Err(_) => return Err(SourceError::Closed),
            }
        }
    }

    async fn wait_for(&self, position: Position) -> Result<(), SourceError> {
        self.0.wait_durable(position).await.map_err(|error| source_error(position, &error))
    }
}

fn source_error(asked: Position, error: &ReadError) -> SourceError {
    let position = match error {
        ReadError::Closed => return SourceError::Closed,
        ReadError::Failed => return SourceError::Away,
        ReadError::Engine { position, .. } | ReadError::Damaged { position, .. } => *position,
        ReadError::Missing { from, .. } => *from,
        ReadError::Meta { .. } => asked,
    };
    debug_assert!(position >= asked, "a read fails at what it was asked for, or later");
    SourceError::Unreadable { position, reason: error.to_string() }
}
