//! Getting at the log: through the daemon that holds it, or by opening it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event::HostName;
use eventlog::{Bounds, EventLog, OpenError, Parts, Settings, Trims};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use usage::ledger::Counters;

use crate::config::Config;
use crate::control::Task;
use crate::control::client::Client;
use crate::control::output::{Output, Told};
use crate::control::server::Handler;
use crate::failure::{Failure, chain};
use crate::gate::LedgerGate;
use crate::output;
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

/// What signals mean while this process holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signals {
    /// They stop the work: this process is a command.
    StopWork,
    /// Nothing is changed about them: this process is somebody else's program.
    LeftAlone,
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

/// A log that was opened, and what its gate counts.
pub(crate) struct Opened {
    /// The log.
    pub log: EventLog,
    /// What became of token usage since.
    pub usage: Counters,
}

/// Opens the log of the data directory. Only the daemon's trims itself.
///
/// # Errors
/// When another process has it, or it cannot be opened.
pub(crate) async fn open_log(config: &Config, trims: Trims) -> Result<Opened, OpenFailure> {
    let host = this_host().map_err(OpenFailure::Other)?;
    let settings = Settings {
        sync: config.sync,
        backpressure: config.log.backpressure,
        bounds: Bounds { trims, ..config.log.bounds },
        ..Settings::default()
    };
    let data_dir = config.data_dir.clone();
    let usage = Counters::default();
    let gate = LedgerGate::new(usage.clone());
    let parts = Parts { gate: Some(Box::new(gate)) };
    let opened = blocking(move || Ok(EventLog::open_with(&data_dir, &host, settings, parts)));
    match opened.await.map_err(OpenFailure::Other)? {
        Ok(log) => Ok(Opened { log, usage }),
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

/// Refuses a data directory without a log.
///
/// # Errors
/// When there is none.
pub(crate) fn refuse_missing(config: &Config) -> Result<(), Failure> {
    if EventLog::exists(&config.data_dir) {
        return Ok(());
    }
    Err(Failure::unhealthy(format!(
        "there is no log in {} yet: `tailwater run` or `tailwater record` makes one",
        config.data_dir.display()
    )))
}

/// Has one task done by whoever holds the log; `tell` hears what it tells before its answer.
///
/// # Errors
/// The task's failure; or that the log is held and nobody answers.
pub(crate) async fn ask(
    config: &Config,
    task: Task,
    body: Vec<u8>,
    missing: Missing,
    tell: impl FnMut(Told) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let mut holder = Holder::find(config, missing).await?;
    let answer = holder.ask(task, body, tell).await;
    let closed = holder.close().await;
    // NOTE: a log that failed says so twice; the task's own failure tells more.
    answer.and_then(|answer| closed.map(|()| answer))
}

/// Prints what a task tells, but for its progress.
///
/// # Errors
/// When standard output cannot be written, or nobody reads it.
pub(crate) fn print(told: Told) -> Result<(), Failure> {
    match told {
        Told::Progress(_) => Ok(()),
        Told::Lines(lines) => output::lines(&lines),
        Told::Notice(line) => {
            output::notice(&line);
            Ok(())
        }
    }
}

/// Whoever holds the log: the running daemon, or this command itself.
pub(crate) struct Holder(Kind);

enum Kind {
    /// The daemon of this data directory, with the connection that found it.
    Daemon { data_dir: PathBuf, found: Option<Client> },
    /// This command.
    Alone {
        log: EventLog,
        service: Box<Service>,
        stop: CancellationToken,
        _signals: Option<AbortOnDropHandle<()>>,
    },
}

impl Holder {
    /// Finds the daemon, or opens the log; waits a little for a log that is held while nobody answers.
    ///
    /// # Errors
    /// When the log is held and nobody answers, cannot be opened, or is not there.
    pub(crate) async fn find(config: &Config, missing: Missing) -> Result<Self, Failure> {
        Self::find_with(config, missing, Signals::StopWork).await
    }

    /// The same for who says what signals mean.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(crate) async fn find_with(
        config: &Config,
        missing: Missing,
        signals: Signals,
    ) -> Result<Self, Failure> {
        let patience = Instant::now() + HELD_PATIENCE;
        loop {
            if let Some(daemon) = Self::find_daemon(config).await? {
                return Ok(daemon);
            }
            if missing == Missing::Refuse {
                refuse_missing(config)?;
            }
            match open_log(config, Trims::WhenAsked).await {
                Ok(opened) => return Ok(Self::alone(opened, config, signals)),
                Err(OpenFailure::Held(_)) if Instant::now() < patience => {
                    tokio::time::sleep(HELD_PAUSE).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Finds the daemon; `None` when none answers.
    ///
    /// # Errors
    /// When its socket is there and may not be used.
    pub(crate) async fn find_daemon(config: &Config) -> Result<Option<Self>, Failure> {
        let client = Client::connect(&config.data_dir).await?;
        let data_dir = config.data_dir.clone();
        Ok(client.map(|client| Self(Kind::Daemon { data_dir, found: Some(client) })))
    }

    fn alone(opened: Opened, config: &Config, signals: Signals) -> Self {
        let log = opened.log.clone();
        // NOTE: opening it has mended what a crash had left, and nobody else would tell.
        for note in &log.recovery().notes {
            match signals {
                Signals::StopWork => output::notice(note),
                Signals::LeftAlone => tracing::warn!("{note}"),
            }
        }
        let service = Box::new(Service::of_command(opened, config));
        let stop = CancellationToken::new();
        let heeded = (signals == Signals::StopWork)
            .then(|| AbortOnDropHandle::new(crate::signals::cancel_on_signal(stop.clone())));
        Self(Kind::Alone { log, service, stop, _signals: heeded })
    }

    /// Whether it is the daemon: then others can append while a task of ours runs.
    #[must_use]
    pub(crate) const fn is_daemon(&self) -> bool {
        matches!(self.0, Kind::Daemon { .. })
    }

    /// Has a task done. `tell` hears in order what it tells before its answer; when it fails, the task stops.
    ///
    /// # Errors
    /// The task's failure, or that of `tell`; that the daemon has gone, or that a signal has come before.
    pub(crate) async fn ask(
        &mut self,
        task: Task,
        body: Vec<u8>,
        tell: impl FnMut(Told) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        match &mut self.0 {
            Kind::Daemon { data_dir, found } => {
                let client = match found.take() {
                    Some(client) => client,
                    None => Client::connect(data_dir).await?.ok_or_else(daemon_has_gone)?,
                };
                let patience = answer_patience(&task);
                if patience == Duration::MAX {
                    greet(data_dir).await?;
                }
                let answer = tokio::time::timeout(patience, client.ask(task, &body, tell)).await;
                answer.unwrap_or_else(|_| Err(unanswered(patience)))
            }
            Kind::Alone { service, stop, .. } => do_here(service, task, body, stop, tell).await,
        }
    }

    /// Lets go of the log; everything in it is on the disk then.
    ///
    /// # Errors
    /// When the log had failed.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self.0 {
            Kind::Daemon { .. } => Ok(()),
            Kind::Alone { log, .. } => {
                blocking(move || log.close().map_err(|error| Failure::error(chain(&error)))).await
            }
        }
    }
}

/// Does a task in this process and passes on what it tells.
async fn do_here(
    service: &Service,
    task: Task,
    body: Vec<u8>,
    stop: &CancellationToken,
    mut tell: impl FnMut(Told) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    if stop.is_cancelled() {
        return Err(Failure::error("stopped by a signal"));
    }
    let (output, mut listener) = Output::new();
    let work = service.handle(task, body, &output, stop);
    tokio::pin!(work);
    let answer = loop {
        tokio::select! {
            answer = &mut work => break answer,
            told = listener.next() => if let Err(failure) = tell(told) {
                listener.close();
                stop.cancel();
                // NOTE: what the work says about being stopped is no news.
                let _ = work.await;
                return Err(failure);
            }
        }
    };
    while let Some(told) = listener.next_of_rest() {
        tell(told)?;
    }
    answer
}

/// Makes sure that the daemon answers, before it is given what may take any time.
async fn greet(data_dir: &Path) -> Result<(), Failure> {
    let client = Client::connect(data_dir).await?.ok_or_else(daemon_has_gone)?;
    let patience = answer_patience(&Task::Version);
    let answer = tokio::time::timeout(patience, client.ask(Task::Version, &[], |_| Ok(()))).await;
    answer.unwrap_or_else(|_| Err(unanswered(patience))).map(drop)
}

fn daemon_has_gone() -> Failure {
    Failure::error("the daemon has ended meanwhile: start it again, or run this again without it")
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
        Task::Version | Task::Status | Task::Metrics | Task::Stats | Task::LogStat => Duration::from_secs(10),
        Task::Query { .. } => crate::log_reader::DEADLINE.saturating_add(Duration::from_secs(5)),
        Task::Record { .. }
        | Task::Project { .. }
        | Task::Replay(_)
        | Task::Quarantine { .. }
        | Task::LogTail { .. }
        | Task::LogExport { .. }
        | Task::Import { .. }
        | Task::VerifyDatabase { .. }
        | Task::LogVerify
        | Task::LogRepair
        | Task::LogTrim { .. }
        | Task::LogAdopt => Duration::MAX,
    }
}

fn unanswered(patience: Duration) -> Failure {
    let seconds = patience.as_secs();
    Failure::unhealthy(format!(
        "the daemon is there and did not answer within {seconds} s: is it stopped or stuck?"
    ))
}
