//! Appends: from events to the bytes that the writer thread commits.

use event::limits::{self, EVENT_BYTES_MAX};
use event::wire::{self, RECORD_HEADER_BYTES};
use event::{Accepted, Event, Position, Sink, SinkError, SinkErrorKind};
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::open::EventLog;
use crate::writer::Command;

/// A value that an appender keeps in the log under a key of its own, such as an offset of what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaEntry {
    /// Its key; appenders prefix theirs with a name.
    pub key: Vec<u8>,
    /// Its value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// Events and the meta that belongs to them: all of it is kept, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<Event>,
    /// What changes with them.
    pub meta: Vec<MetaEntry>,
}

impl From<Vec<Event>> for Batch {
    fn from(events: Vec<Event>) -> Self {
        Self { events, meta: Vec::new() }
    }
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    /// The position of the first event; where the next one will lie, if there was none.
    pub first: Position,
    /// How many events.
    pub events: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl AppendOutcome {
    /// The position of the last event; the one before `first`, if there was none.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.first.plus(self.events).before()
    }
}

/// Records without their headers' contents: the writer fills those in when it knows the positions.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) records: Vec<u8>,
    /// Where each record ends in `records`.
    pub(crate) ends: Vec<usize>,
    pub(crate) meta: Vec<MetaEntry>,
    /// How many events its gaps tell as lost.
    pub(crate) lost_events: u64,
}

impl Encoded {
    /// Checks and encodes on the appender's own thread.
    fn new(batch: Batch) -> Result<Self, AppendError> {
        let mut encoded = Self { meta: batch.meta, ..Self::default() };
        encoded.ends.reserve(batch.events.len());
        for (index, event) in batch.events.iter().enumerate() {
            limits::check(event).map_err(|invalid| AppendError::Invalid { index, invalid })?;
            encoded.push(index, event)?;
            if let Event::Gap(gap) = event {
                encoded.lost_events = encoded.lost_events.saturating_add(gap.events);
            }
        }
        Ok(encoded)
    }

    fn push(&mut self, index: usize, event: &Event) -> Result<(), AppendError> {
        self.records.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        let start = self.records.len();
        wire::encode(event, &mut self.records)
            .map_err(|error| AppendError::Encode { index, reason: error.to_string() })?;
        let bytes = self.records.len() - start;
        if bytes > EVENT_BYTES_MAX {
            return Err(AppendError::TooLarge { index, bytes, most: EVENT_BYTES_MAX });
        }
        self.ends.push(self.records.len());
        Ok(())
    }
}

impl EventLog {
    /// Appends a batch and waits for the promise of the sync mode. Waits too while the queue is full.
    ///
    /// IMPORTANT: it blocks; async callers use [`Self::append_async`].
    ///
    /// # Errors
    /// When an event is invalid or the log has failed or is closed: nothing of the batch is kept.
    pub fn append(&self, batch: impl Into<Batch>) -> Result<AppendOutcome, AppendError> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Append(Encoded::new(batch.into())?, Some(reply));
        self.queue().send(command).map_err(|_| self.closed())?;
        outcome.blocking_recv().unwrap_or_else(|_| Err(self.closed()))
    }

    /// Appends a batch and waits for the promise of the sync mode, without blocking a thread for the ack.
    ///
    /// # Errors
    /// As [`Self::append`], and [`AppendError::Full`] while the queue is full.
    pub async fn append_async(&self, batch: impl Into<Batch>) -> Result<AppendOutcome, AppendError> {
        let (reply, outcome) = oneshot::channel();
        self.try_queue(Command::Append(Encoded::new(batch.into())?, Some(reply)))?;
        outcome.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Hands a batch over and does not wait for anything.
    ///
    /// # Errors
    /// When an event is invalid, the queue is full, or the log has failed or is closed.
    pub fn offer(&self, batch: impl Into<Batch>) -> Result<(), AppendError> {
        self.try_queue(Command::Append(Encoded::new(batch.into())?, None))
    }

    fn try_queue(&self, command: Command) -> Result<(), AppendError> {
        if let Some(failed) = self.failure() {
            return Err(failed);
        }
        self.queue().try_send(command).map_err(|error| {
            if error.is_full() { AppendError::Full { queued: self.queue().len() } } else { self.closed() }
        })
    }
}

impl Sink for EventLog {
    fn append(&self, events: Vec<Event>) -> Result<Accepted, SinkError> {
        let outcome = EventLog::append(self, events).map_err(sink_error)?;
        Ok(Accepted { first: outcome.first, last: outcome.last(), events: outcome.events })
    }

    fn offer(&self, events: Vec<Event>) -> Result<(), SinkError> {
        EventLog::offer(self, events).map_err(sink_error)
    }
}

fn sink_error(error: AppendError) -> SinkError {
    let kind = match &error {
        AppendError::Invalid { .. } | AppendError::TooLarge { .. } | AppendError::Encode { .. } => {
            SinkErrorKind::Invalid
        }
        AppendError::Full { .. } => SinkErrorKind::Full,
        AppendError::Failed(_) | AppendError::Closed => SinkErrorKind::Closed,
    };
    SinkError::new(kind, error.to_string()).caused_by(error)
}
