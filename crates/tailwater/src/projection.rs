//! The daemon's own projection: a projector that can be paused while the log changes its identity, and that runs
//! again by itself where what has halted it may heal (`docs/decisions/0014-halts-that-heal.md`).

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::span;
use eventlog::{DatabaseHash, EventLog};
use projector::{Halt, State, Until};
use store::DatabaseUrl;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::failure::{Failure, chain};
use crate::prices::Known;
use crate::retention::Passes;
use crate::service::{Live, LogProjector, Projecting, blocking, projector, retry_what_is_known_now};
use crate::watch::hold_back;

/// Stops the projection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Pause {
    // NOTE: dropping it lets the projection go on.
    _go_on: oneshot::Sender<()>,
}

/// What the daemon knows of its projection beside what the projector tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How many runs of the projector have begun, and forgotten what the one before knew of the database.
    pub runs: u64,
    /// After how long what has halted runs again; `None` when only a person can end that.
    pub halt_retry: Option<Duration>,
    /// How many events the database kept in its quarantine when the last run began.
    pub quarantined: u64,
}

/// Asks for a pause.
#[derive(Debug)]
pub(crate) struct PauseRequest {
    stopped: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

/// The requesting end.
pub(crate) type Pauser = mpsc::Sender<PauseRequest>;

/// Waits until the projection stands still; `None` when there is none any more.
pub(crate) async fn pause(pauser: &Pauser) -> Option<Pause> {
    let (stopped, has_stopped) = oneshot::channel();
    let (go_on_sender, go_on) = oneshot::channel();
    pauser.send(PauseRequest { stopped, go_on }).await.ok()?;
    has_stopped.await.ok()?;
    Some(Pause { _go_on: go_on_sender })
}

/// Begins to project, where a database is set.
///
/// # Errors
/// When the log cannot keep which database it is.
pub(crate) async fn start(
    config: &Config,
    log: &EventLog,
    stop: &CancellationToken,
) -> Result<(Projecting, Option<JoinHandle<()>>), Failure> {
    let fingerprint = config.database.as_ref().map(DatabaseUrl::fingerprint);
    let held_back = log.clone();
    blocking(move || held_back.hold_back(fingerprint).map_err(|error| Failure::error(chain(&error)))).await?;
    let (Some(database), Some(fingerprint)) = (&config.database, fingerprint) else {
        return Ok((Projecting::Disabled, None));
    };
    let retention = config.retention_of(database);
    let prices = Known::of(&config.data_dir).list(&log.info().host);
    let runner = Runner {
        projector: projector(log, (database.clone(), prices), config.migrate, config.backlog, retention),
        log: log.clone(),
        database: fingerprint,
        halt_retry: config.halt_retry,
        told: Mutex::new(None),
        facts: watch::Sender::default(),
    };
    let (pauser, pauses) = mpsc::channel(1);
    let live = Live {
        database: database.clone(),
        backlog: config.backlog,
        retention,
        status: runner.projector.status(),
        pauser,
        facts: runner.facts.subscribe(),
    };
    let live = Arc::new(live);
    let (stop, told, log) = (stop.clone(), Arc::clone(&live), log.clone());
    let task = tokio::spawn(async move {
        let known = async {
            retry_what_is_known_now(&told, &log).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = project(|stop| runner.run(stop), pauses, &stop) => {}
            () = known => {}
            never = drop_expired(&told, &log) => match never {},
        }
    });
    Ok((Projecting::Live(live), Some(task)))
}

/// Drops what is older than the database keeps, where it does not keep all.
async fn drop_expired(live: &Live, log: &EventLog) -> Infallible {
    match live.retention {
        Some(kept) => Passes::new(live.database.clone(), log.clone(), kept, live.status.clone()).run().await,
        None => std::future::pending().await,
    }
}

/// What comes after a run of the projector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Only a pause, or the end: it was told to stop, or has halted until a person acts.
    Nothing,
    /// Another run, after this time.
    Again(Duration),
}

/// Projects until it is told to stop, with pauses. What has halted begins again after a pause.
async fn project<W: Future<Output = After>>(
    run: impl Fn(CancellationToken) -> W,
    mut pauses: mpsc::Receiver<PauseRequest>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let until_paused = stop.child_token();
        let (mut request, mut after) = (None, After::Nothing);
        {
            let work = run(until_paused.clone());
            tokio::pin!(work);
            tokio::select! {
                outcome = &mut work => after = outcome,
                asked = pauses.recv() => request = asked,
            }
            if request.is_some() {
                until_paused.cancel();
                work.await;
            }
        }
        if request.is_none() {
            tokio::select! {
                () = stop.cancelled() => return,
                asked = pauses.recv() => request = asked,
                () = until_again(after) => continue,
            }
        }
        let Some(PauseRequest { stopped, go_on }) = request else { return };
        let _ = stopped.send(());
        let _ = go_on.await;
    }
}

/// Waits until the projector shall run again by itself.
async fn until_again(after: After) {
    match after {
        After::Nothing => std::future::pending().await,
        After::Again(pause) => tokio::time::sleep(pause).await,
    }
}

/// Runs the projector, and tells what its halts mean.
struct Runner {
    projector: LogProjector,
    log: EventLog,
    database: DatabaseHash,
    halt_retry: Duration,
    /// The halt that was told last; `None` since something has worked.
    told: Mutex<Option<String>>,
    facts: watch::Sender<Facts>,
}

impl Runner {
    /// Projects, and tells the log how far the database is: a log that is given another identity between two runs is
    /// told nothing that was true of the old one.
    async fn run(&self, stop: CancellationToken) -> After {
        let (log, status) = (&self.log, self.projector.status());
        if let Some(kept) = status.borrow().quarantined {
            self.facts.send_modify(|facts| facts.quarantined = kept);
        }
        let outcome = tokio::select! {
            // NOTE: the projector first, for it begins by forgetting where the database was.
            biased;
            outcome = self.projector.run(Until::Stopped, &stop) => outcome,
            never = self.tell_end() => match never {},
            never = hold_back(log, self.database, status.clone()) => match never {},
        };
        if let Some(flushed) = status.borrow().flushed {
            log.projected(self.database, flushed);
        }
        outcome.map_or_else(|halt| self.halted(&halt), |_| After::Nothing)
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a run has begun, then once that what had halted works again.
    async fn tell_end(&self) -> Infallible {
        self.facts.send_modify(|facts| facts.runs += 1);
        let mut status = self.projector.status();
        let works = status.wait_for(|status| status.state != State::Halted).await.is_ok();
        if works && self.told().take().is_some() {
            tracing::info!("projecting goes on");
        }
        std::future::pending().await
    }

    /// Tells a halt, unless the same was told already, and says what comes after it.
    fn halted(&self, halt: &Halt) -> After {
        let error = chain(halt);
        let after = after(halt, self.halt_retry);
        let is_new = self.told().replace(error.clone()).as_ref() != Some(&error);
        match after {
            After::Nothing => {
                self.facts.send_modify(|facts| facts.halt_retry = None);
                if is_new {
                    tracing::error!(error, "projecting has halted until a person acts; recording goes on");
                }
            }
            After::Again(pause) => {
                self.facts.send_modify(|facts| facts.halt_retry = Some(pause));
                if is_new {
                    let every = span::display(pause);
                    tracing::error!(
                        error,
                        every,
                        "projecting has halted and tries again by itself; recording goes on"
                    );
                }
            }
        }
        after
    }
}

/// What a halt leaves to do.
///
/// NOTE: what the database refuses its owner can mend there, without a word to us. What does not fit together, the
/// log and the database or two writers, no waiting mends.
const fn after(halt: &Halt, pause: Duration) -> After {
    match halt {
        Halt::Target(_) => After::Again(pause),
        Halt::Diverged(_) | Halt::Source(_) | Halt::Miscounted { .. } | Halt::TwoWriters { .. } => {
            After::Nothing
        }
    }
}
