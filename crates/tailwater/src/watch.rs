//! What the daemon watches beside its work: the log's health, and how far the database is.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use event::Position;
use eventlog::{DatabaseHash, EventLog, Health};
use projector::Status;
use sampler::StatusHandle;
use tokio::sync::watch;
use tokio::time::timeout;

/// How often the log is told how far the database is. It holds trimming back, and nothing else.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);

/// How often the log is asked for notes of its own.
const NOTES_INTERVAL: Duration = Duration::from_secs(10);

/// Tells what opening the log has found, then what it notes, and each time that it stops taking events and takes them
/// again. Ends with the log.
pub(crate) async fn tell_health(log: EventLog) {
    for note in &log.recovery().notes {
        tracing::warn!("{note}");
    }
    let mut health = log.health();
    let mut failed_since = None;
    // NOTE: a wait that is over without a change is there for the notes.
    while !matches!(timeout(NOTES_INTERVAL, health.changed()).await, Ok(Err(_))) {
        let now = health.borrow_and_update().clone();
        for note in log.take_notes() {
            tracing::warn!("{note}");
        }
        match (&now, failed_since) {
            (Health::Failed { since, error }, None) => {
                failed_since = Some(*since);
                tracing::warn!(%error, "the log takes no events; it goes on by itself when it can");
            }
            (Health::Well, Some(since)) => {
                failed_since = None;
                let seconds = SystemTime::now().duration_since(since).unwrap_or_default().as_secs();
                tracing::info!(seconds, next = %log.ends().next, "the log takes events again");
            }
            _ => {}
        }
    }
}

/// How often it is looked whether a sampler hangs.
const HANGS_INTERVAL: Duration = Duration::from_secs(5);

/// Tells each time that a pass of a sampler hangs, and that it has ended: the sampler cannot tell it by itself.
pub(crate) async fn tell_hangs(samplers: Vec<StatusHandle>) {
    let mut told = vec![false; samplers.len()];
    loop {
        for (sampler, told) in samplers.iter().zip(&mut told) {
            let status = sampler.get();
            let hangs = status.hangs;
            match (hangs, *told) {
                (true, false) => {
                    let error = status.error.unwrap_or_default();
                    tracing::warn!(sampler = status.name, error, "a sampler hangs; the others go on");
                }
                (false, true) => tracing::info!(sampler = status.name, "the sampler's pass has ended"),
                _ => continue,
            }
            *told = hangs;
        }
        tokio::time::sleep(HANGS_INTERVAL).await;
    }
}

/// Tells the log how far the database is, for as long as it is polled.
pub(crate) async fn hold_back(
    log: &EventLog,
    database: DatabaseHash,
    mut status: watch::Receiver<Status>,
) -> Infallible {
    let mut told: Option<Position> = None;
    loop {
        // NOTE: what a crash of the database may take back, the log must still have.
        let flushed = status.borrow_and_update().flushed;
        if let Some(flushed) = flushed.filter(|flushed| told != Some(*flushed)) {
            log.projected(database, flushed);
            told = Some(flushed);
        }
        tokio::time::sleep(TOLD_INTERVAL).await;
        if status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
