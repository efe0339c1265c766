//! Which replays run: the same one must not run twice at once, for each would overtake the other until one halts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use projector::Status;
use serde::{Deserialize, Serialize};
use store::DatabaseUrl;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// The replays that run in this process, by a number of their own.
#[derive(Debug, Default)]
pub(crate) struct Replays(Arc<Mutex<BTreeMap<u64, Running>>>);

#[derive(Clone, Debug)]
struct Running {
    database: DatabaseUrl,
    request: String,
    /// Whether it is told to stop.
    stop: CancellationToken,
    /// Whether it has ended.
    ended: CancellationToken,
    /// How far it is, once it sends.
    status: Arc<OnceLock<watch::Receiver<Status>>>,
}

/// A replay that runs, as `status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobObject {
    /// What it is: `replay`.
    pub job: String,
    /// Into which database.
    pub database: String,
    /// What was chosen, as flags.
    pub selection: String,
    /// How many events it has sent.
    pub sent_events: u64,
    /// How many positions it has before it.
    pub left_positions: u64,
    /// Why it waits, if it does.
    pub error: Option<String>,
}

impl Running {
    fn job(&self) -> JobObject {
        let status = self.status.get().map(|status| status.borrow().clone()).unwrap_or_default();
        JobObject {
            job: "replay".to_owned(),
            database: self.database.to_string(),
            selection: self.request.clone(),
            sent_events: status.totals.sent,
            left_positions: status.backlog_events,
            error: status.error,
        }
    }
}

/// A replay that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    all: Arc<Mutex<BTreeMap<u64, Running>>>,
    number: u64,
    status: Arc<OnceLock<watch::Receiver<Status>>>,
}

impl Guard {
    /// It sends now, and this tells how far it is.
    pub(super) fn follow(&self, status: watch::Receiver<Status>) {
        self.status.get_or_init(|| status);
    }
}

fn lock(all: &Mutex<BTreeMap<u64, Running>>) -> MutexGuard<'_, BTreeMap<u64, Running>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replays {
    /// Those that run, the oldest first.
    pub(crate) fn jobs(&self) -> Vec<JobObject> {
        lock(&self.0).values().map(Running::job).collect()
    }

    /// Notes that a replay runs; waits for one of the same that is about to end.
    ///
    /// # Errors
    /// When the same one runs already.
    pub(super) async fn begin(
        &self,
        database: &DatabaseUrl,
        request: &str,
        stop: &CancellationToken,
    ) -> Result<Guard, Failure> {
        // NOTE: noted first and compared then, with those that were there before: of two that begin at once one goes on.
        let guard = self.note(database, request, stop);
        for other in self.others(guard.number, request) {
            if !is_same(&other.database, database).await {
                continue;
            }
            if !other.stop.is_cancelled() && !other.ended.is_cancelled() {
                return Err(Failure::error(format!(
                    "the same replay into {database} runs already; stop that command first, or wait for it"
                )));
            }
            tokio::select! {
                () = other.ended.cancelled() => {}
                () = stop.cancelled() => return Err(Failure::error("stopped before anything was sent")),
            }
        }
        Ok(guard)
    }

    fn note(&self, database: &DatabaseUrl, request: &str, stop: &CancellationToken) -> Guard {
        let mut all = lock(&self.0);
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        let (database, request) = (database.clone(), request.to_owned());
        let (stop, ended, status) = (stop.clone(), CancellationToken::new(), Arc::default());
        let guard = Guard { all: Arc::clone(&self.0), number, status: Arc::clone(&status) };
        all.insert(number, Running { database, request, stop, ended, status });
        guard
    }

    /// Those of the same request that were noted before.
    fn others(&self, number: u64, request: &str) -> Vec<Running> {
        let all = lock(&self.0);
        let before = all.range(..number).map(|(_, running)| running);
        before.filter(|running| running.request == request).cloned().collect()
    }
}

/// Whether both lead to one database, however they are spelled.
async fn is_same(one: &DatabaseUrl, other: &DatabaseUrl) -> bool {
    if one.same_database(other) {
        return true;
    }
    let (one, other) = tokio::join!(store::identify(one), store::identify(other));
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(running) = lock(&self.all).remove(&self.number) {
            running.ended.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_replay_runs_once_at_a_time() {
        let (replays, stop) = (Replays::default(), CancellationToken::new());
        let database: DatabaseUrl = "postgres://me@127.0.0.1:9/one".parse().unwrap();
        let other: DatabaseUrl = "postgres://me@127.0.0.1:9/other".parse().unwrap();
        let first_stop = CancellationToken::new();
        let first = replays.begin(&database, "all", &first_stop).await.unwrap();
        let refused = replays.begin(&database, "all", &stop).await.unwrap_err();
        assert!(refused.message.contains("runs already"), "{refused}");
        let beside = [
            replays.begin(&database, "--kind gap", &stop).await.unwrap(),
            replays.begin(&other, "all", &stop).await.unwrap(),
        ];
        let jobs: Vec<String> = replays.jobs().into_iter().map(|job| job.selection).collect();
        assert_eq!(jobs, ["all", "--kind gap", "all"], "the oldest first");
        drop(beside);
        // One that is about to end is waited for.
        first_stop.cancel();
        let (second, ()) = tokio::join!(replays.begin(&database, "all", &stop), async { drop(first) });
        drop(second.unwrap());
        assert!(lock(&replays.0).is_empty());
    }
}
