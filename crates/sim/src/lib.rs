//! A log, a database with faults and the traces, all in memory, and projectors that run between them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "only tests use it, and a test that cannot go on panics"
)]

pub mod database;
pub mod events;
pub mod faults;
mod lane;
mod locks;
pub mod log;
pub mod rows;
mod take;
pub mod traces;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use event::{Event, Position};
use projector::{Halt, Projector, ReadLimits, Settings, Source, Status, Totals, Until};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::database::MemoryTarget;
use crate::faults::Fault;
use crate::log::MemoryLog;
use crate::rows::{Rows, expected};
use crate::traces::Traces;

/// The projector between the two.
pub type MemoryProjector = Projector<MemoryLog, MemoryTarget>;

/// Longer than anything here takes on the paused clock; a test that waits so long hangs.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Small batches, so that a small log has many.
pub fn settings() -> Settings {
    Settings { batch: ReadLimits { events_max: 10, bytes_max: 64 * 1024 }, ..Settings::default() }
}

/// A log, a database, and what is traced.
#[derive(Debug)]
pub struct World {
    /// The log.
    pub log: Arc<MemoryLog>,
    /// The database.
    pub target: Arc<MemoryTarget>,
    /// What was traced.
    pub traces: Traces,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty log and an empty database.
    pub fn new() -> Self {
        Self { log: MemoryLog::new(), target: MemoryTarget::new(), traces: Traces::capture() }
    }

    /// A log with these events, durable, and an empty database.
    pub fn with(events: impl IntoIterator<Item = Event>) -> Self {
        let world = Self::new();
        world.log.append(events);
        world.log.sync();
        world
    }

    /// A new projector between the two.
    pub fn projector(&self) -> MemoryProjector {
        Projector::new(Arc::clone(&self.log), Arc::clone(&self.target), settings())
    }

    /// Projects everything that the log has.
    pub async fn project(&self) -> Result<Totals, Halt> {
        self.projector().run(Until::Applied(self.log.head()), &CancellationToken::new()).await
    }

    /// Starts a projector that runs until it is told to stop.
    pub fn start(&self) -> Running {
        Running::start(self.projector(), Until::Stopped)
    }

    /// What the tables hold when everything was applied.
    pub fn expected(&self) -> Rows {
        expected(&self.log.identity(), &self.log.entries())
    }

    /// Checks that the database has passed every position exactly once, with its event or because that was
    /// gone, and that the tables hold what was ever applied.
    #[track_caller]
    pub fn audit(&self) {
        let (log, data) = (self.log.identity(), self.target.data());
        let applied = data.applied.get(&log.log_id).cloned().unwrap_or_default();
        assert!(applied.last() <= Some(&self.log.head()), "the database has positions that the log lost");
        let mut entries = self.log.entries();
        let refused = data.quarantine.get(&log.log_id).cloned().unwrap_or_default();
        entries.retain(|entry| applied.contains(&entry.position) && !refused.contains(&entry.position));
        assert_eq!(data.rows, expected(&log, &entries));
        let ranges = data.ranges_of(log.log_id);
        if let Some((lowest, _)) = ranges.first() {
            self.assert_all_gone(Position::FIRST, *lowest);
        }
        assert_eq!(ranges.iter().filter(|(_, range)| range.hi.is_none()).count(), ranges.len().min(1));
        for ((lo, range), (above, _)) in ranges.iter().zip(ranges.iter().skip(1)) {
            assert_eq!(range.hi, Some(*above), "ranges leave nothing out, and nothing twice: {lo}");
            assert!(range.cursor.next <= *above);
        }
        let mut commits = data.passed.get(&log.log_id).cloned().unwrap_or_default();
        commits.sort_by_key(|commit| commit.from);
        let mut runs: Vec<(Position, Position)> = Vec::new();
        for commit in &commits {
            if commit.is_hole {
                self.assert_all_gone(commit.from, commit.to);
            }
            match runs.last_mut() {
                Some((_, end)) if *end == commit.from => *end = commit.to,
                last => {
                    assert!(last.is_none_or(|(_, end)| *end < commit.from), "passed twice: {commit:?}");
                    runs.push((commit.from, commit.to));
                }
            }
        }
        let mut told: Vec<(Position, Position)> = Vec::new();
        for (lo, range) in ranges.iter().filter(|(lo, range)| range.cursor.next > *lo) {
            match told.last_mut() {
                Some((_, end)) if end == lo => *end = range.cursor.next,
                _ => told.push((*lo, range.cursor.next)),
            }
        }
        assert_eq!(runs, told, "the progress is what was committed");
    }

    #[track_caller]
    fn assert_all_gone(&self, from: Position, to: Position) {
        let there = (from.0..to.0).find(|position| !self.log.is_gone(Position(*position)));
        assert_eq!(there, None, "passed over, and it is there");
    }

    /// Checks that everything is applied that is not gone.
    #[track_caller]
    pub fn assert_all_applied(&self) {
        self.audit();
        let log = self.log.identity().log_id;
        let applied = self.target.data().applied.remove(&log).unwrap_or_default();
        let is_settled = |position| applied.contains(&position) || self.log.is_gone(position);
        let missing = (1..=self.log.head().0).map(Position).find(|position| !is_settled(*position));
        assert_eq!(missing, None, "neither applied nor gone");
        let ranges = self.target.data().ranges_of(log);
        let behind: Vec<_> =
            ranges.iter().map(|(_, range)| range.hi.unwrap_or(self.log.head().next())).collect();
        let next: Vec<_> = ranges.iter().map(|(_, range)| range.cursor.next).collect();
        assert_eq!(next, behind, "every range is finished");
    }

    /// How many positions the database has passed with their events, and how many without.
    pub fn passed(&self) -> (u64, u64) {
        let (log, passed) = (self.log.identity().log_id, self.target.data().passed);
        let commits = passed.get(&log).into_iter().flatten();
        commits.fold((0, 0), |(applied, gone), commit| {
            let positions = commit.to.since(commit.from);
            if commit.is_hole { (applied, gone + positions) } else { (applied + positions, gone) }
        })
    }
}

/// Runs `work` and drops it at the await at which it has been polled so often.
pub async fn killed_after(polls: usize, work: impl Future) {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        work.as_mut().poll(context).map(|_| ())
    })
    .await;
}

/// Checks that counts add up, and gives how many events were sent.
#[track_caller]
pub fn assert_adds_up(totals: &Totals) -> u64 {
    assert_eq!(totals.read, totals.sent + totals.expired + totals.unavailable, "{totals:?}");
    assert_eq!(totals.sent, totals.inserted + totals.present + totals.quarantined, "{totals:?}");
    totals.sent
}

/// A projector that runs.
#[derive(Debug)]
pub struct Running {
    /// Tells it to stop.
    pub stop: CancellationToken,
    status: watch::Receiver<Status>,
    task: JoinHandle<Result<Totals, Halt>>,
}

impl Running {
    /// Starts a projector.
    pub fn start(projector: MemoryProjector, until: Until) -> Self {
        let (stop, status) = (CancellationToken::new(), projector.status());
        let told = stop.clone();
        let task = tokio::spawn(async move { projector.run(until, &told).await });
        Self { stop, status, task }
    }

    /// What it tells now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until it tells this.
    pub async fn until(&mut self, mut is_told: impl FnMut(&Status) -> bool) -> Status {
        let adds_up_and_is_told = |status: &Status| {
            assert_adds_up(&status.totals);
            is_told(status)
        };
        let told = timeout(PATIENCE, self.status.wait_for(adds_up_and_is_told)).await;
        told.expect("the status never came").unwrap().clone()
    }

    /// Waits until everything before `next` is applied.
    pub async fn until_next(&mut self, next: Position) -> Status {
        self.until(|status| status.next == Some(next)).await
    }

    /// Waits until it ends by itself.
    pub async fn ended(self) -> Result<Totals, Halt> {
        timeout(PATIENCE, self.task).await.expect("it never ended").unwrap()
    }

    /// Tells it to stop, and gives how long it took on the paused clock.
    pub async fn stopped(self) -> (Duration, Totals) {
        let told = Instant::now();
        self.stop.cancel();
        let totals = self.ended().await.expect("it was told to stop");
        (told.elapsed(), totals)
    }
}

/// A connection that is lost during COMMIT, which takes effect or not.
pub fn lost_in_commit(effect: bool, after_seconds: u64) -> Fault {
    Fault::LostInCommit { effect, after: Duration::from_secs(after_seconds) }
}

/// The counts, and that they add up.
#[track_caller]
pub fn assert_counts(totals: &Totals, inserted: u64, present: u64) {
    assert_eq!(assert_adds_up(totals), inserted + present);
    assert_eq!((totals.inserted, totals.present), (inserted, present));
}
