//! The log as the keeper of what transcripts tell.

use std::sync::{Mutex, PoisonError};

use event::{SinkError, SinkErrorKind};
use eventlog::{AppendError, Batch, EventLog, Health, MetaEntry, Order, ReadError, Teller};
use sampler::transcripts::{Age, Portion, States, TranscriptLog};
use tokio::sync::watch;

use crate::failure::chain;

/// The log, and what was last known of its health.
pub(crate) struct LogOfTranscripts {
    log: EventLog,
    health: Mutex<watch::Receiver<Health>>,
}

impl LogOfTranscripts {
    /// The keeper that this log is.
    pub(crate) fn new(log: EventLog) -> Self {
        let health = Mutex::new(log.health());
        Self { log, health }
    }
}

impl TranscriptLog for LogOfTranscripts {
    fn append(&self, portion: Portion) -> Result<(), SinkError> {
        let Portion { events, changes, age } = portion;
        let meta = changes.into_iter().map(|(key, value)| MetaEntry { key, value }).collect();
        let order = match age {
            Age::Live => Order::Live,
            Age::Old => Order::Import,
        };
        let batch = Batch { events, meta, order, teller: Teller::Transcript };
        self.log.append(batch).map(|_| ()).map_err(|error| refused(&error))
    }

    fn was_opened_anew(&self) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        // NOTE: an error means that the writer is gone, and with it everything that could change.
        let has_changed = health.has_changed().unwrap_or(false);
        health.mark_unchanged();
        has_changed
    }

    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SinkError> {
        self.log.state(key).map_err(|error| unreadable(&error))
    }

    fn states(&self, prefix: &[u8]) -> Result<States, SinkError> {
        self.log.states(prefix).map_err(|error| unreadable(&error))
    }
}

fn refused(error: &AppendError) -> SinkError {
    let kind = match error {
        AppendError::Full { .. } | AppendError::NoRoom(_) => SinkErrorKind::Full,
        AppendError::Failed(_) => SinkErrorKind::Failed,
        AppendError::Closed => SinkErrorKind::Closed,
        AppendError::Invalid { .. } | AppendError::TooLarge { .. } | AppendError::Encode { .. } => {
            SinkErrorKind::Invalid
        }
    };
    SinkError::new(kind, chain(error))
}

fn unreadable(error: &ReadError) -> SinkError {
    let kind = match error {
        ReadError::Closed => SinkErrorKind::Closed,
        _ => SinkErrorKind::Failed,
    };
    SinkError::new(kind, chain(error))
}

#[cfg(test)]
mod tests {
    use event::{HostName, Time};

    use super::*;

    #[test]
    fn a_portion_is_kept_with_its_state_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostName::new("here").unwrap();
        let log = EventLog::open(dir.path(), &host, eventlog::Settings::default()).unwrap();
        let keeper = LogOfTranscripts::new(log.clone());
        let usage = event::TokenUsage {
            time: Time::from_micros(1_780_000_000_000_000),
            agent_name: "a".into(),
            model: "m".into(),
            ..event::TokenUsage::default()
        };
        let events = vec![event::Event::TokenUsage(usage)];
        let changes = vec![(b"transcript/x".to_vec(), Some(b"1".to_vec()))];
        keeper.append(Portion { events, changes, age: Age::Old }).unwrap();
        assert_eq!(keeper.state(b"transcript/x").unwrap().as_deref(), Some(&b"1"[..]));
        let gone = vec![(b"transcript/x".to_vec(), None)];
        keeper.append(Portion { changes: gone, ..Portion::default() }).unwrap();
        assert!(keeper.states(b"transcript/").unwrap().is_empty() && !keeper.was_opened_anew());
        assert_eq!(log.ends().next.0, 2);
        log.close().unwrap();
        assert_eq!(keeper.append(Portion::default()).unwrap_err().kind(), SinkErrorKind::Closed);
    }
}
