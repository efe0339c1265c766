//! What the daemon watches beside its work: the log's health, and how far the database is.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use event::Position;
use eventlog::{DatabaseHash, EventLog, Health};
use projector::Status;
use tokio::sync::watch;

/// How often the log is told how far the database is. It holds trimming back, and nothing else.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);

/// Tells what opening the log has found, then each time that it stops taking events and takes them again. Ends
/// with the log.
pub(crate) async fn tell_health(log: EventLog) {
    for note in &log.recovery().notes {
        tracing::warn!("{note}");
    }
    let mut health = log.health();
    let mut failed_since = None;
    while health.changed().await.is_ok() {
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
