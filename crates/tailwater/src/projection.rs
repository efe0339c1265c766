//! The daemon's own projection: a projector that can be paused while the log changes its identity.

use std::sync::Arc;

use eventlog::{DatabaseHash, EventLog};
use projector::Until;
use store::DatabaseUrl;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::failure::{Failure, chain};
use crate::service::{Live, LogProjector, Projecting, blocking, projector};
use crate::watch;

/// Stops the projection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Pause {
    // NOTE: dropping it lets the projection go on.
    _go_on: oneshot::Sender<()>,
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
    let projector = projector(log, database.clone(), config.migrate);
    let (pauser, pauses) = mpsc::channel(1);
    let live = Live { database: database.clone(), status: projector.status(), pauser };
    let (log, stop) = (log.clone(), stop.clone());
    let task = tokio::spawn(async move {
        let run = |stop| run(&projector, &log, fingerprint, stop);
        project(run, pauses, &stop).await;
    });
    Ok((Projecting::Live(Arc::new(live)), Some(task)))
}

/// Projects until it is told to stop, with pauses. What has halted begins again after a pause.
async fn project<W: Future<Output = ()>>(
    run: impl Fn(CancellationToken) -> W,
    mut pauses: mpsc::Receiver<PauseRequest>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let until_paused = stop.child_token();
        let request = {
            let work = run(until_paused.clone());
            tokio::pin!(work);
            let request = tokio::select! {
                () = &mut work => None,
                request = pauses.recv() => request,
            };
            if request.is_some() {
                until_paused.cancel();
                work.await;
            }
            request
        };
        // NOTE: here it was told to stop, or has halted: only a pause, or the end, is to come.
        let request = match request {
            Some(request) => Some(request),
            None => tokio::select! {
                () = stop.cancelled() => None,
                request = pauses.recv() => request,
            },
        };
        let Some(PauseRequest { stopped, go_on }) = request else { return };
        let _ = stopped.send(());
        let _ = go_on.await;
    }
}

/// Projects, and tells the log how far the database is: a log that is given another identity between two runs is
/// told nothing that was true of the old one.
async fn run(projector: &LogProjector, log: &EventLog, database: DatabaseHash, stop: CancellationToken) {
    let outcome = tokio::select! {
        // NOTE: the projector first, for it begins by forgetting where the database was.
        biased;
        outcome = projector.run(Until::Stopped, &stop) => outcome,
        never = watch::hold_back(log, database, projector.status()) => match never {},
    };
    if let Some(next) = projector.status().borrow().next {
        log.projected(database, next);
    }
    if let Err(halt) = outcome {
        let error = chain(&halt);
        tracing::error!(error, "projecting has halted until tailwater is restarted; recording goes on");
    }
}
