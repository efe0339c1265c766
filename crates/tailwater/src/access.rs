//! Getting at the log: through the daemon that holds it, or by opening it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::HostName;
use eventlog::{EventLog, OpenError, Settings};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::control::client::Client;
use crate::control::server::Handler;
use crate::control::{Progress, Task};
use crate::failure::{Failure, chain};
use crate::service::{Service, blocking};

/// How long to wait for a log that is held while no daemon answers: it may be starting or ending.
pub(crate) const HELD_PATIENCE: Duration = Duration::from_secs(5);
/// How long between two looks at it.
pub(crate) const HELD_PAUSE: Duration = Duration::from_millis(50);

/// Whether a command makes a log where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It makes one.
    Create,
    /// It says that there is none.
    Refuse,
}

/// This machine's name.
///
/// # Errors
/// When it has none that a host can have.
pub(crate) fn this_host() -> Result<HostName, Failure> {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    HostName::new(name)
        .map_err(|error| Failure::error(format!("this machine's host name is unusable: {error}")))
}

/// Opens the log of the data directory.
///
/// # Errors
/// When another process has it, or it cannot be opened.
pub(crate) async fn open_log(config: &Config) -> Result<EventLog, OpenFailure> {
    let host = this_host().map_err(OpenFailure::Other)?;
    let settings = Settings { sync: config.sync, ..Settings::default() };
    let data_dir = config.data_dir.clone();
    let opened = blocking(move || Ok(EventLog::open(&data_dir, &host, settings)));
    match opened.await.map_err(OpenFailure::Other)? {
        Ok(log) => Ok(log),
        Err(error @ OpenError::Held { .. }) => Err(OpenFailure::Held(Failure::error(chain(&error)))),
        Err(error) => Err(OpenFailure::Other(Failure::error(chain(&error)))),
    }
}

/// Why the log did not open.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    /// Another process has it: it may let go soon.
    Held(Failure),
    /// It will not open.
    Other(Failure),
}

impl From<OpenFailure> for Failure {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Held(failure) | OpenFailure::Other(failure) => failure,
        }
    }
}

/// Has a task done by whoever holds the log: the daemon, or this command itself.
///
/// # Errors
/// The task's failure; or that the log is held and nobody answers.
pub(crate) async fn ask(
    config: &Config,
    task: Task,
    body: Vec<u8>,
    missing: Missing,
    progress: impl Fn(Progress),
) -> Result<Value, Failure> {
    let patience = Instant::now() + HELD_PATIENCE;
    loop {
        if let Some(client) = Client::connect(&config.data_dir).await? {
            let patience = answer_patience(&task);
            let answer = tokio::time::timeout(patience, client.ask(task, &body, progress)).await;
            return answer.unwrap_or_else(|_| Err(unanswered(patience)));
        }
        if missing == Missing::Refuse && !config.data_dir.join("log").exists() {
            return Err(Failure::unhealthy(format!(
                "there is no log in {} yet: `tailwater run` or `tailwater record` makes one",
                config.data_dir.display()
            )));
        }
        match open_log(config).await {
            Ok(log) => return do_alone(log, config, task, body, progress).await,
            Err(OpenFailure::Held(_)) if Instant::now() < patience => tokio::time::sleep(HELD_PAUSE).await,
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Reads an answer back into its type.
///
/// # Errors
/// When the daemon that gave it is of another version.
pub(crate) fn understood<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| Failure::error(format!("the daemon's answer makes no sense: {error}")))
}

/// How long a daemon may take: what only looks must not hang with a daemon that does.
const fn answer_patience(task: &Task) -> Duration {
    match task {
        Task::Status | Task::LogStat => Duration::from_secs(10),
        Task::Record { .. } | Task::Project { .. } => Duration::MAX,
    }
}

fn unanswered(patience: Duration) -> Failure {
    let seconds = patience.as_secs();
    Failure::unhealthy(format!(
        "the daemon is there and did not answer within {seconds} s: is it stopped or stuck?"
    ))
}

async fn do_alone(
    log: EventLog,
    config: &Config,
    task: Task,
    body: Vec<u8>,
    progress: impl Fn(Progress),
) -> Result<Value, Failure> {
    let service = Arc::new(Service::of_command(log.clone(), config));
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(crate::signals::cancel_on_signal(stop.clone()));
    let (sender, mut told) = watch::channel(Progress::default());
    let work = service.handle(task, body, &sender, &stop);
    tokio::pin!(work);
    let answer = loop {
        tokio::select! {
            answer = &mut work => break answer,
            Ok(()) = told.changed() => progress(told.borrow_and_update().clone()),
        }
    };
    let closed = blocking(move || log.close().map_err(|error| Failure::error(chain(&error)))).await;
    // NOTE: a log that failed says so twice; the task's own failure tells more.
    answer.and_then(|answer| closed.map(|()| answer))
}
