//! The daemon's passes over its database: each hour what has expired there is dropped.
//!
//! A pass begins when the projection has reached the database, and never while that has halted: then something does
//! not fit together, and dropping could make it worse. It goes on piece by piece, waits while the live lane is behind,
//! and works half of the time at the most.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use event::{Time, span};
use eventlog::EventLog;
use projector::{ErrorKind, State, Status, TargetError};
use sampler::Clock;
use store::{DatabaseUrl, Dropped, Retention};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::clock::{Doubt, Look, minus};
use super::machine;
use crate::failure::chain;
use crate::output;

/// How often what has expired is dropped.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// How soon another pass follows one that was in somebody's way, or was cut off: who is in the way of the first is gone
/// most often, who still is at the third may be a backup.
const AGAIN: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// How many passes running may be in somebody's way before that is told: ten minutes of them.
const PATIENCE: u32 = 5;
/// How much later than it expires an event is dropped. IMPORTANT: what is being sent while it expires must find its
/// chunk, whatever its lane waits for.
const SLACK: Duration = Duration::from_secs(3_600);

/// How old what the live lane has not applied may be before a pass waits for it, as the backlog lanes do.
const LAG_MAX: Duration = Duration::from_secs(1);
/// For how long it waits before it goes on all the same.
const YIELD_MAX: Duration = Duration::from_secs(5);
const YIELD_PAUSE: Duration = Duration::from_millis(100);
/// The longest rest between two pieces.
const REST_MAX: Duration = Duration::from_secs(1);

/// Drops what has expired in the daemon's own database.
pub(crate) struct Passes {
    database: DatabaseUrl,
    log: EventLog,
    kept: Duration,
    status: watch::Receiver<Status>,
    clock: Arc<dyn Clock>,
    /// What the clocks said at the last pass.
    last: Option<Look>,
    teller: Teller,
}

/// Why a pass was not finished.
#[derive(Debug)]
enum Setback {
    /// The projection has lost the database, or has halted.
    Unreached,
    Doubt(Doubt),
    Target(TargetError),
}

impl From<TargetError> for Setback {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

/// What a pass has dropped: for each table, chunks and rows.
#[derive(Debug, Default)]
struct Sum(BTreeMap<&'static str, (u64, u64)>);

impl Sum {
    fn add(&mut self, dropped: Dropped) {
        if (dropped.chunks, dropped.rows) != (0, 0) {
            let (chunks, rows) = self.0.entry(dropped.table).or_default();
            *chunks += dropped.chunks;
            *rows += dropped.rows;
        }
    }

    /// All of it in one line; `None` for nothing.
    fn in_words(&self) -> Option<String> {
        let table = |(table, (chunks, rows)): (&&str, &(u64, u64))| {
            let parts = [(*chunks, "chunk"), (*rows, "row")];
            let parts = parts.into_iter().filter(|(number, _)| *number > 0);
            let parts: Vec<String> = parts.map(|(number, what)| output::counted(number, what)).collect();
            format!("{table} {}", parts.join(" and "))
        };
        let words: Vec<String> = self.0.iter().map(table).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Passes {
    /// The passes of a database that keeps events for so long, beside the projection that tells this status.
    #[must_use]
    pub(crate) fn new(
        database: DatabaseUrl,
        log: EventLog,
        kept: Duration,
        status: watch::Receiver<Status>,
    ) -> Self {
        let (clock, teller) = (machine(), Teller::default());
        Self { database, log, kept, status, clock, last: None, teller }
    }

    /// Makes one pass after the other, for as long as it is polled.
    pub(crate) async fn run(mut self) -> Infallible {
        // NOTE: so that daemons that are started together do not work together for ever.
        let mut chance = fastrand::Rng::new();
        loop {
            if self.status.wait_for(is_reached).await.is_err() {
                return std::future::pending().await;
            }
            let mut dropped = Sum::default();
            let ended = self.pass(&mut dropped).await;
            if let Some(what) = dropped.in_words() {
                let kept = span::display(self.kept);
                tracing::info!(database = %self.database, what, kept, "what had expired was dropped");
            }
            let pause = self.teller.tell(ended.err());
            sleep(pause.mul_f64(0.9 + 0.2 * chance.f64())).await;
        }
    }

    /// Drops what has expired by now.
    async fn pass(&mut self, dropped: &mut Sum) -> Result<(), Setback> {
        let mut retention = Retention::open(&self.database, &self.log.info().log_id).await?;
        let before = self.before(retention.server_time().await?)?;
        retention.begin(before).await?;
        let mut busy = None;
        loop {
            if !is_reached(&self.status.borrow()) {
                return Err(Setback::Unreached);
            }
            let began = Instant::now();
            match retention.drop_next().await {
                Ok(None) => break,
                Ok(Some(piece)) => dropped.add(piece),
                Err(error) if error.kind() == ErrorKind::Busy => busy = Some(error),
                Err(error) => return Err(error.into()),
            }
            self.give_way(began.elapsed()).await;
        }
        busy.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The time before which events are dropped, if the clocks can be trusted.
    fn before(&mut self, theirs: Time) -> Result<Time, Setback> {
        let now = Look::new(&*self.clock, theirs);
        let last = self.last.replace(now);
        let agreed = now.agreed(last.as_ref()).map_err(Setback::Doubt)?;
        Ok(minus(agreed, self.kept.saturating_add(SLACK)))
    }

    /// Waits for the live lane if that is behind, and in any case as long as the last piece took.
    async fn give_way(&self, took: Duration) {
        let until = Instant::now() + YIELD_MAX;
        while self.status.borrow().live_lag > LAG_MAX && Instant::now() < until {
            sleep(YIELD_PAUSE).await;
        }
        sleep(took.min(REST_MAX)).await;
    }
}

/// Whether the projection has reached the database and is well.
fn is_reached(status: &Status) -> bool {
    match status.state {
        State::Live | State::CatchingUp => true,
        State::Waiting | State::Halted => false,
    }
}

/// What was told, so that it is not told each hour.
#[derive(Debug, Default)]
struct Teller {
    /// What was told last; `None` since a pass was finished.
    told: Option<String>,
    /// Passes running that were in somebody's way.
    failed: u32,
}

impl Teller {
    /// Tells how a pass ended, if that is news, and says when the next one is due.
    fn tell(&mut self, setback: Option<Setback>) -> Duration {
        let Some(setback) = setback else {
            if self.told.take().is_some() {
                tracing::info!("what has expired can be dropped again");
            }
            self.failed = 0;
            return INTERVAL;
        };
        match setback {
            // NOTE: the projection tells that itself.
            Setback::Unreached => AGAIN[0],
            Setback::Doubt(doubt) => {
                let key = match doubt {
                    Doubt::Apart { .. } => "apart",
                    Doubt::Leapt { .. } => "leapt",
                };
                self.warn(key.to_owned(), &doubt.to_string());
                INTERVAL
            }
            Setback::Target(error) => self.tell_error(&error),
        }
    }

    fn tell_error(&mut self, error: &TargetError) -> Duration {
        let text = chain(error);
        match error.kind() {
            ErrorKind::Busy | ErrorKind::Retry => {
                let [first, second, later] = AGAIN;
                let pause = match self.failed {
                    0 => first,
                    1 => second,
                    _ => later,
                };
                self.failed += 1;
                if self.failed >= PATIENCE {
                    self.warn("away".to_owned(), &text);
                }
                pause
            }
            ErrorKind::Data | ErrorKind::Fatal => {
                self.warn(text.clone(), &text);
                INTERVAL
            }
        }
    }

    /// Warns once of what has this key.
    fn warn(&mut self, key: String, text: &str) {
        if self.told.as_ref() != Some(&key) {
            tracing::warn!(error = text, "what has expired is not dropped; projecting goes on");
            self.told = Some(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use sampler::{ManualClock, SystemClock};
    use store::testing::TestDatabase;
    use tempfile::TempDir;
    use tokio_postgres::Client;

    use super::*;

    /// A database with a row that is a day too old and one that is not, and passes over it.
    struct World {
        database: TestDatabase,
        client: Client,
        passes: Passes,
        clock: Arc<ManualClock>,
        status: watch::Sender<Status>,
        home: TempDir,
    }

    impl World {
        async fn new() -> Option<Self> {
            let database = TestDatabase::create().await?;
            store::migrate(database.url(), store::Extension::Leave).await.unwrap();
            let client = database.client().await;
            let insert = "INSERT INTO gaps SELECT now() - age, now(), now(), 1, age::text, '', '', 1, 1
                FROM unnest(ARRAY[interval '91 days', '89 days']) AS age";
            client.batch_execute(insert).await.unwrap();
            let home = tempfile::tempdir().unwrap();
            let host = event::HostName::new("here").unwrap();
            let log =
                EventLog::open(&home.path().join("data"), &host, eventlog::Settings::default()).unwrap();
            let (status, told) = watch::channel(Status { state: State::Live, ..Status::default() });
            let kept = Duration::from_secs(90 * 86_400);
            let clock = Arc::new(ManualClock::new(SystemClock.now()));
            let passes = Passes::new(database.url().clone(), log, kept, told);
            let passes = Passes { clock: Arc::<ManualClock>::clone(&clock), ..passes };
            Some(Self { database, client, passes, clock, status, home })
        }

        /// Makes a pass; tells how it ended, what it dropped, and how many rows are left.
        async fn pass(&mut self) -> (Result<(), Setback>, Option<String>, i64) {
            let mut dropped = Sum::default();
            let ended = self.passes.pass(&mut dropped).await;
            let left = self.client.query_one("SELECT count(*) FROM gaps", &[]).await.unwrap();
            (ended, dropped.in_words(), left.get(0))
        }

        async fn end(self) {
            let log = self.passes.log;
            tokio::task::spawn_blocking(move || log.close()).await.unwrap().unwrap();
            self.database.drop().await;
            drop(self.home);
        }
    }

    #[tokio::test]
    async fn a_pass_drops_what_is_old_and_a_clock_that_is_wrong_drops_nothing() {
        let Some(mut world) = World::new().await else { return };
        let right = world.clock.now();
        for days in [-4_000, 4_000] {
            world.clock.step_to(right.plus_micros(days * 86_400_000_000));
            let (ended, dropped, left) = world.pass().await;
            assert!(matches!(ended, Err(Setback::Doubt(Doubt::Apart { .. }))), "{ended:?}");
            assert_eq!((dropped, left), (None, 2));
        }
        world.clock.step_to(SystemClock.now());
        let (ended, dropped, left) = world.pass().await;
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!((dropped.as_deref(), left), (Some("gaps 1 row"), 1));
        let (_, dropped, left) = world.pass().await;
        assert_eq!((dropped, left), (None, 1));
        world.end().await;
    }

    #[tokio::test]
    async fn a_pass_ends_with_the_projection() {
        let Some(mut world) = World::new().await else { return };
        for state in [State::Halted, State::Waiting] {
            world.status.send_modify(|status| status.state = state);
            let (ended, dropped, left) = world.pass().await;
            assert!(matches!(ended, Err(Setback::Unreached)), "{ended:?}");
            assert_eq!((dropped, left), (None, 2));
        }
        world.end().await;
    }

    fn dropped(table: &'static str, chunks: u64, rows: u64) -> Dropped {
        Dropped { table, chunks, rows }
    }

    #[test]
    fn what_was_dropped_is_one_line() {
        let mut sum = Sum::default();
        sum.add(dropped("gaps", 0, 0));
        assert_eq!(sum.in_words(), None);
        for it in [
            dropped("gaps", 0, 1),
            dropped("agent_metrics", 1, 0),
            dropped("agent_metrics", 2, 0),
            dropped("gaps", 0, 1_999),
        ] {
            sum.add(it);
        }
        assert_eq!(sum.in_words().unwrap(), "agent_metrics 3 chunks, gaps 2,000 rows");
    }

    #[test]
    fn only_a_projection_that_is_well_is_passed_behind() {
        let states = [State::Live, State::CatchingUp, State::Waiting, State::Halted];
        let reached = states.map(|state| is_reached(&Status { state, ..Status::default() }));
        assert_eq!(reached, [true, true, false, false]);
    }

    #[test]
    fn a_setback_is_told_once_and_its_end_ends_that() {
        let mut teller = Teller::default();
        let mut tell = |setback: Option<Setback>| {
            let pause = teller.tell(setback);
            (pause, teller.told.clone())
        };
        let error = |kind| Some(Setback::Target(TargetError::new(kind, "no")));
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(tell(Some(Setback::Unreached)), (AGAIN[0], None));
        for pause in [AGAIN[0], AGAIN[1], AGAIN[2], AGAIN[2]] {
            assert_eq!(tell(error(ErrorKind::Busy)), (pause, None));
        }
        assert_eq!(tell(error(ErrorKind::Retry)), (AGAIN[2], told("away")));
        assert_eq!(tell(error(ErrorKind::Fatal)), (INTERVAL, told("no")));
        let at = |micros| Time::from_micros(micros);
        let apart = Doubt::Apart { ours: at(1), theirs: at(2) };
        assert_eq!(tell(Some(Setback::Doubt(apart))), (INTERVAL, told("apart")));
        let leapt = Doubt::Leapt { from: at(1), to: at(2) };
        assert_eq!(tell(Some(Setback::Doubt(leapt))), (INTERVAL, told("leapt")));
        assert_eq!(tell(None), (INTERVAL, None));
        assert_eq!(tell(error(ErrorKind::Busy)), (AGAIN[0], None));
    }
}
