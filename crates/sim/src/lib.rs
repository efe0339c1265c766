//! A log, a database with faults and the traces, all in memory, and projectors that run between them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "only tests use it, and a test that cannot go on panics"
)]

pub mod arena;
pub mod audit;
pub mod database;
pub mod events;
pub mod faults;
pub mod history;
mod lane;
mod locks;
pub mod log;
pub mod replay;
pub mod rows;
pub mod simulation;
pub mod steps;
mod take;
pub mod tape;
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

    /// Checks that what the database holds can be so: see [`audit::check`].
    #[track_caller]
    pub fn audit(&self) {
        audit::check(&self.log, &self.target.data());
    }

    /// Checks that everything is applied that is not gone.
    #[track_caller]
    pub fn assert_all_applied(&self) {
        audit::check_all_applied(&self.log, &self.target.data());
    }

    /// How many positions the database has passed with their events, and how many without.
    pub fn passed(&self) -> (u64, u64) {
        audit::passed(self.log.identity().log_id, &self.target.data())
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
