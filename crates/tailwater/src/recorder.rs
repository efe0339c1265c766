//! The library's client: events from a program of yours into the log, through the daemon or without one.

use std::path::PathBuf;
use std::sync::Arc;

use event::json::to_line;
use event::limits::{self, REQUEST_BYTES_MAX};
use event::{AgentSample, AgentState, ChannelSample, Event, SystemSample, TokenUsage};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::access::{Holder, Missing, Signals};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;

/// Records events into the log of a data directory.
///
/// While `tailwater run` holds the log, events go through its socket. While nobody does, each call opens the log,
/// appends, and lets go of it again, so that a daemon can start at any time; whoever records much without a daemon
/// gathers events and records them together. It installs no signal handlers. A clone is the same recorder.
///
/// ```
/// use tailwater::{AgentState, Recorder, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// # let data_dir = home.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let recorder = Recorder::connect(data_dir)?;
/// let said = AgentState {
///     time: std::time::SystemTime::now().into(),
///     agent_name: "zen".into(),
///     state: State::Working,
///     ..AgentState::default()
/// };
/// let recorded = recorder.record_state(said).await?;
/// assert_eq!((recorded.accepted, recorded.first_position), (1, Some(1)));
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recorder {
    config: Arc<Config>,
    /// Held while this process itself holds the log: a second opening would find it held.
    alone: Arc<Mutex<()>>,
}

/// What was recorded: the log has promised to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Recorded {
    /// How many events.
    pub accepted: u64,
    /// Where the first one lies; `None` when there was none.
    pub first_position: Option<u64>,
    /// Where the last one lies.
    pub last_position: Option<u64>,
}

/// Why events were not acknowledged.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RecordError {
    kind: RecordErrorKind,
    message: String,
}

/// What the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// An event breaks a limit, or there are too many for one request: nothing was recorded; mend it.
    Invalid,
    /// The configuration means nothing, or the log cannot be had: the message says what to do.
    Refused,
    /// The daemon went before it answered: record the same events again. Should it have kept them after all, the
    /// database keeps each once.
    Lost,
}

impl RecordError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> RecordErrorKind {
        self.kind
    }

    fn invalid(message: String) -> Self {
        Self { kind: RecordErrorKind::Invalid, message }
    }
}

impl From<Failure> for RecordError {
    fn from(failure: Failure) -> Self {
        let kind = if failure.is_lost { RecordErrorKind::Lost } else { RecordErrorKind::Refused };
        Self { kind, message: failure.message }
    }
}

impl Recorder {
    /// A recorder for the log of this data directory. Every other setting is what the commands would use: from
    /// `TAILWATER_*` and `tailwater.toml`.
    ///
    /// # Errors
    /// When a setting means nothing.
    pub fn connect(data_dir: impl Into<PathBuf>) -> Result<Self, RecordError> {
        Ok(Self::with_config(Config::of_data_dir(data_dir.into())?))
    }

    /// A recorder with settings of the caller's.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        Self { config: Arc::new(config), alone: Arc::default() }
    }

    /// Records one sample of an agent.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_agent(&self, sample: AgentSample) -> Result<Recorded, RecordError> {
        self.record(vec![Event::AgentSample(sample)]).await
    }

    /// Records one sample of a system.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_system(&self, sample: SystemSample) -> Result<Recorded, RecordError> {
        self.record(vec![Event::SystemSample(sample)]).await
    }

    /// Records one sample of a channel.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_channel(&self, sample: ChannelSample) -> Result<Recorded, RecordError> {
        self.record(vec![Event::ChannelSample(sample)]).await
    }

    /// Records the tokens of one model call.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_token(&self, usage: TokenUsage) -> Result<Recorded, RecordError> {
        self.record(vec![Event::TokenUsage(usage)]).await
    }

    /// Records what an agent says it is doing.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_state(&self, said: AgentState) -> Result<Recorded, RecordError> {
        self.record(vec![Event::AgentState(said)]).await
    }

    /// Records events, all of them or none, and waits for the promise of the log's `sync` mode.
    ///
    /// # Errors
    /// When an event is invalid, the log does not take them, or the daemon goes before it answers.
    pub async fn record(&self, events: Vec<Event>) -> Result<Recorded, RecordError> {
        let body = ndjson(&events)?;
        let daemon = Holder::find_daemon(&self.config).await?;
        if let Some(daemon) = daemon {
            return ask(daemon, body).await;
        }
        let _alone = self.alone.lock().await;
        ask(Holder::find_with(&self.config, Missing::Create, Signals::LeftAlone).await?, body).await
    }
}

async fn ask(mut holder: Holder, body: Vec<u8>) -> Result<Recorded, RecordError> {
    let task = Task::Record { skip_invalid: false, bytes: body.len() as u64 };
    let answer = holder.ask(task, body, |_| Ok(())).await;
    let closed = holder.close().await;
    let answer = answer.and_then(|answer| closed.map(|()| answer))?;
    Ok(crate::access::understood(answer)?)
}

fn ndjson(events: &[Event]) -> Result<Vec<u8>, RecordError> {
    let mut body = Vec::new();
    for (index, event) in events.iter().enumerate() {
        limits::check(event).map_err(|invalid| {
            RecordError::invalid(format!("event {index}: {invalid}; nothing was recorded"))
        })?;
        body.extend_from_slice(to_line(event).as_bytes());
        body.push(b'\n');
    }
    if body.len() > REQUEST_BYTES_MAX {
        return Err(RecordError::invalid(format!(
            "{} events have more than {REQUEST_BYTES_MAX} bytes together: record them in several parts; nothing was \
             recorded",
            events.len()
        )));
    }
    Ok(body)
}
