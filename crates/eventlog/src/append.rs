//! Appends: from events to the bytes that the writer thread commits.

use std::time::Duration;

use crossbeam_channel::SendTimeoutError;
use event::limits::{self, EVENT_BYTES_MAX};
use event::wire::{self, RECORD_HEADER_BYTES};
use event::{Accepted, Event, Position, Sink, SinkError, SinkErrorKind, Time, TokenUsage};
use tokio::sync::oneshot;

use crate::blocks::Stamp;
use crate::error::AppendError;
use crate::open::EventLog;
use crate::settings::Backpressure;
use crate::writer::{Command, Reply};

/// A value that an appender keeps in the log under a key of its own, such as an offset of what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaEntry {
    /// Its key; appenders prefix theirs with a name.
    pub key: Vec<u8>,
    /// Its value; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// How the times of a batch relate to the clock: what the index by time does with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// They are of now, as a sampler's are.
    #[default]
    Live,
    /// They are of any time, as those of an imported file: they get blocks of their own.
    Import,
}

/// Events and the meta that belongs to them: all of it is kept, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<Event>,
    /// What changes with them.
    pub meta: Vec<MetaEntry>,
    /// How their times relate to the clock.
    pub order: Order,
    /// Who told of its token usage.
    pub teller: Teller,
}

/// Who told of token usage: what is made of it before it is kept depends on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teller {
    /// Somebody who knows: a program, a person, a log that is imported.
    #[default]
    Anybody,
    /// The transcript of a coding tool.
    Transcript,
    /// A coding tool's telemetry, which tells of the same calls as its transcript, and knows no message ids.
    Telemetry,
}

impl From<Vec<Event>> for Batch {
    fn from(events: Vec<Event>) -> Self {
        Self { events, ..Self::default() }
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
    /// Of the usage that was offered, what the log knew already: it is not kept again.
    pub usage_known: u64,
    /// Of the usage that was offered, what waits for what may explain it, and is kept later or never.
    pub usage_waiting: u64,
}

impl AppendOutcome {
    /// The position of the last event; the one before `first`, if there was none.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.first.plus(self.events).before()
    }
}

/// Where a record ends, and what the index by time keeps of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordEnd {
    pub(crate) end: usize,
    pub(crate) stamp: Stamp,
}

/// Records without their headers' contents: the writer fills those in when it knows the positions.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) records: Vec<u8>,
    /// Where each record ends in `records`.
    pub(crate) ends: Vec<RecordEnd>,
    pub(crate) meta: Vec<MetaEntry>,
    /// How many events its gaps tell as lost.
    pub(crate) lost_events: u64,
    pub(crate) order: Order,
    pub(crate) teller: Teller,
    /// Its token usage by place among its events: a gate may put something else there.
    pub(crate) usage: Vec<(usize, TokenUsage)>,
    pub(crate) usage_known: u64,
    pub(crate) usage_waiting: u64,
    /// Whether its events lie on the gate's shelf until this is committed: a failure does not lose them.
    pub(crate) is_on_shelf: bool,
}

impl Encoded {
    /// Checks and encodes on the appender's own thread.
    pub(crate) fn new(batch: Batch) -> Result<Self, AppendError> {
        let Batch { events, meta, order, teller } = batch;
        let mut encoded = Self { meta, order, teller, ..Self::default() };
        encoded.ends.reserve(events.len());
        for (index, event) in events.into_iter().enumerate() {
            limits::check(&event).map_err(|invalid| AppendError::Invalid { index, invalid })?;
            encoded.push(index, &event)?;
            match event {
                Event::Gap(gap) => encoded.lost_events = encoded.lost_events.saturating_add(gap.events),
                Event::TokenUsage(usage) => encoded.usage.push((index, usage)),
                _ => {}
            }
        }
        Ok(encoded)
    }

    pub(crate) fn push(&mut self, index: usize, event: &Event) -> Result<(), AppendError> {
        self.records.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        let start = self.records.len();
        wire::encode(event, &mut self.records)
            .map_err(|error| AppendError::Encode { index, reason: error.to_string() })?;
        let bytes = self.records.len() - start;
        if bytes > EVENT_BYTES_MAX {
            return Err(AppendError::TooLarge { index, bytes, most: EVENT_BYTES_MAX });
        }
        let stamp = Stamp::of(event);
        self.ends.push(RecordEnd { end: self.records.len(), stamp });
        Ok(())
    }

    /// The least and the greatest time of its events.
    pub(crate) fn times(&self) -> Option<(Time, Time)> {
        let times = || self.ends.iter().map(|end| end.stamp.time);
        Some((Time::from_micros(times().min()?), Time::from_micros(times().max()?)))
    }
}

impl EventLog {
    /// Appends a batch and waits for the promise of the sync mode. While the queue is full it waits as well, or is
    /// refused, as [`crate::Settings::backpressure`] says.
    ///
    /// IMPORTANT: it blocks; async callers use [`Self::append_async`].
    ///
    /// # Errors
    /// When an event is invalid, there is no room for it, or the log has failed or is closed: nothing of the batch
    /// is kept.
    pub fn append(&self, batch: impl Into<Batch>) -> Result<AppendOutcome, AppendError> {
        let (reply, outcome) = oneshot::channel();
        let encoded = Encoded::new(batch.into())?;
        match self.backpressure() {
            Backpressure::Refuse => self.try_queue(encoded, Some(reply))?,
            Backpressure::Wait(longest) => self.queue_within(longest, encoded, reply)?,
        }
        outcome.blocking_recv().unwrap_or_else(|_| Err(self.closed()))
    }

    /// Appends a batch and waits for the promise of the sync mode, without blocking a thread for the ack.
    ///
    /// # Errors
    /// As [`Self::append`], and [`AppendError::Full`] while the queue is full.
    pub async fn append_async(&self, batch: impl Into<Batch>) -> Result<AppendOutcome, AppendError> {
        let (reply, outcome) = oneshot::channel();
        self.try_queue(Encoded::new(batch.into())?, Some(reply))?;
        outcome.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Hands a batch over and does not wait for anything. What the log then cannot keep, because it fails before it
    /// comes to it, is told by a `gap` event when it works again.
    ///
    /// # Errors
    /// When an event is invalid, the queue is full, there is no room, or the log has failed or is closed.
    pub fn offer(&self, batch: impl Into<Batch>) -> Result<(), AppendError> {
        let encoded = Encoded::new(batch.into())?;
        if let Some(no_room) = self.shared().no_room() {
            self.shared().count_refused(encoded.ends.len());
            return Err(no_room);
        }
        self.try_queue(encoded, None)
    }

    fn check_open(&self) -> Result<(), AppendError> {
        self.failure().map_or(Ok(()), Err)
    }

    fn try_queue(&self, encoded: Encoded, reply: Option<Reply>) -> Result<(), AppendError> {
        let (events, is_awaited) = (encoded.ends.len(), reply.is_some());
        let queued = self.check_open().and_then(|()| {
            self.queue().try_send(Command::Append(encoded, reply)).map_err(|error| {
                if error.is_full() { AppendError::Full { queued: self.queue().len() } } else { self.closed() }
            })
        });
        // NOTE: who waits for an answer hears that there is none; an offer must hear it here.
        let has_ended = queued.is_ok() && self.has_ended();
        let queued = if has_ended && !is_awaited { Err(self.closed()) } else { queued };
        queued.inspect_err(|_| self.shared().count_refused(events))
    }

    fn queue_within(&self, longest: Duration, encoded: Encoded, reply: Reply) -> Result<(), AppendError> {
        let events = encoded.ends.len();
        let queued = self.check_open().and_then(|()| {
            let command = Command::Append(encoded, Some(reply));
            self.queue().send_timeout(command, longest).map_err(|error| match error {
                SendTimeoutError::Timeout(_) => AppendError::Full { queued: self.queue().len() },
                SendTimeoutError::Disconnected(_) => self.closed(),
            })
        });
        self.has_ended();
        queued.inspect_err(|_| self.shared().count_refused(events))
    }
}

impl Sink for EventLog {
    fn append(&self, events: Vec<Event>) -> Result<Accepted, SinkError> {
        let outcome = EventLog::append(self, events).map_err(|error| sink_error(&error))?;
        Ok(Accepted { first: outcome.first, last: outcome.last(), events: outcome.events })
    }

    fn offer(&self, events: Vec<Event>) -> Result<(), SinkError> {
        EventLog::offer(self, events).map_err(|error| sink_error(&error))
    }
}

fn sink_error(error: &AppendError) -> SinkError {
    let kind = match error {
        AppendError::Invalid { .. } | AppendError::TooLarge { .. } | AppendError::Encode { .. } => {
            SinkErrorKind::Invalid
        }
        AppendError::Full { .. } | AppendError::NoRoom(_) => SinkErrorKind::Full,
        AppendError::Failed(_) => SinkErrorKind::Failed,
        AppendError::Closed => SinkErrorKind::Closed,
    };
    SinkError::new(kind, crate::error::chain(&error))
}
