//! Any history against a plain map: appending, power cuts, projecting through faults, crashes at any await,
//! two projectors at once, backups, lost progress and lost databases.
//!
//! After each step the tables hold exactly what the log says up to the furthest position that this database
//! has reached, and at the end, after a clean run, all of it.
#![cfg(test)]

mod support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use event::{Kind, Position};
use projector::{ErrorKind, Halt, Source, Until};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use support::database::Data;
use support::events::{Draw, DrawnHost};
use support::faults::{Call, Fault};
use support::rows::expected;
use support::{World, assert_adds_up};

/// Longer than any history takes on the paused clock.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3_600);

#[derive(Clone, Debug)]
enum Step {
    /// Events come.
    Append { events: Vec<Draw>, is_synced: bool },
    /// What is not durable is lost.
    CutPower,
    /// A projector runs to the head, through these faults.
    Project(Vec<(Call, Fault)>),
    /// A projector runs and is killed when it has been polled so often.
    Crash { polls: usize, faults: Vec<(Call, Fault)> },
    /// Two projectors run to the head at once.
    Beside,
    /// The database is backed up, over the last backup.
    BackUp,
    /// The backup takes the database's place.
    Restore,
    /// The progress goes, the rows stay.
    WipeProgress,
    /// The database is dropped and created empty.
    Drop,
}

fn draws() -> impl Strategy<Value = Draw> {
    let kinds = select(Kind::ALL.to_vec());
    let hosts = select(vec![DrawnHost::Absent, DrawnHost::Own, DrawnHost::Other]);
    (kinds, hosts, 0..2_u8, 0..3_u8, 0..3_u8, (0..3_u8, 0..3_u8), any::<bool>()).prop_map(
        |(kind, host, name, time, message, counts, is_final)| Draw {
            kind,
            host,
            name,
            time,
            message,
            counts,
            is_final,
        },
    )
}

fn faults() -> impl Strategy<Value = Vec<(Call, Fault)>> {
    let after = (0..40_u64).prop_map(Duration::from_secs);
    let fault = prop_oneof![
        2 => Just(Fault::Lost),
        4 => (any::<bool>(), after.clone()).prop_map(|(effect, after)| Fault::LostInCommit { effect, after }),
        1 => Just(Fault::Overtaken),
        1 => Just(Fault::Refused(ErrorKind::Retry)),
        1 => after.prop_map(Fault::Slow),
    ];
    let call = prop_oneof![1 => Just(Call::Connect), 2 => Just(Call::Claim), 4 => Just(Call::Apply)];
    vec((call, fault), 0..6)
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (vec(draws(), 1..40), any::<bool>())
            .prop_map(|(events, is_synced)| Step::Append { events, is_synced }),
        2 => Just(Step::CutPower),
        4 => faults().prop_map(Step::Project),
        6 => (1..80_usize, faults()).prop_map(|(polls, faults)| Step::Crash { polls, faults }),
        3 => Just(Step::Beside),
        2 => Just(Step::BackUp),
        2 => Just(Step::Restore),
        2 => Just(Step::WipeProgress),
        1 => Just(Step::Drop),
    ]
}

/// A world, and how far its database and the backup of it have ever been.
struct History {
    world: World,
    reached: Position,
    backup: (Data, Position),
}

impl History {
    fn new() -> Self {
        Self { world: World::new(), reached: Position(0), backup: Default::default() }
    }

    async fn step(&mut self, step: Step) {
        let (log, target) = (&self.world.log, &self.world.target);
        match step {
            Step::Append { events, is_synced } => {
                log.append(events.into_iter().map(Draw::event));
                if is_synced {
                    log.sync();
                }
            }
            Step::CutPower => log.cut_power(),
            Step::Project(faults) => self.project(&faults).await,
            Step::Crash { polls, faults } => self.crash(polls, &faults).await,
            Step::Beside => self.project_beside().await,
            Step::BackUp => self.backup = (target.data(), self.reached),
            Step::Restore => {
                target.replace(self.backup.0.clone());
                self.reached = self.backup.1;
            }
            Step::WipeProgress => target.wipe_progress().await,
            Step::Drop => {
                target.replace(Data::default());
                self.reached = Position(0);
            }
        }
        self.check().await;
    }

    /// The tables are the log's, up to where the database has been.
    async fn check(&mut self) {
        self.world.target.settled().await;
        self.reached = self.reached.max(self.next().before());
        let entries = self.world.log.entries();
        let reached = usize::try_from(self.reached.0).unwrap();
        assert!(reached <= entries.len(), "the database has positions that the log lost");
        assert_eq!(self.world.target.rows(), expected(&self.world.log.identity(), &entries[..reached]));
    }

    /// Where the database's progress is.
    fn next(&self) -> Position {
        let range = self.world.target.range(self.world.log.identity().log_id);
        range.map_or(Position::FIRST, |range| range.cursor.next)
    }

    fn until(&self) -> Until {
        Until::Applied(self.world.log.head())
    }

    fn script(&self, faults: &[(Call, Fault)]) {
        for (call, fault) in faults {
            self.world.target.faults().script(*call, *fault);
        }
    }

    /// What there is to read, and how many rows there are.
    fn counts(&self) -> (u64, u64) {
        (self.world.log.head().next().since(self.next()), self.world.target.rows().len() as u64)
    }

    async fn project(&self, faults: &[(Call, Fault)]) {
        self.script(faults);
        let (to_read, rows) = self.counts();
        let projector = self.world.projector();
        let outcome = projector.run(self.until(), &CancellationToken::new()).await;
        self.world.target.faults().clear();
        self.world.target.settled().await;
        let totals = projector.status().borrow().totals;
        assert_adds_up(&totals);
        let (left, rows_after) = self.counts();
        let overtaken = faults.iter().filter(|(_, fault)| *fault == Fault::Overtaken).count();
        match outcome {
            Ok(_) => assert_eq!(left, 0),
            Err(Halt::TwoWriters { .. }) => assert!(overtaken >= 2, "nobody was there"),
            Err(halt) => panic!("{halt}"),
        }
        if overtaken == 0 {
            assert_eq!((totals.read, totals.inserted), (to_read, rows_after - rows));
        }
        // Another writer hides what became of an unknown COMMIT: its count may miss, and never be too much.
        assert!(totals.read <= to_read - left && totals.inserted <= rows_after - rows, "{totals:?}");
    }

    async fn crash(&self, polls: usize, faults: &[(Call, Fault)]) {
        self.script(faults);
        let (projector, stop) = (self.world.projector(), CancellationToken::new());
        killed_after(polls, projector.run(self.until(), &stop)).await;
        self.world.target.faults().clear();
    }

    async fn project_beside(&self) {
        let (to_read, rows) = self.counts();
        let (one, two) = (self.world.projector(), self.world.projector());
        let (stop, until) = (CancellationToken::new(), self.until());
        let (first, second) = tokio::join!(one.run(until, &stop), two.run(until, &stop));
        for outcome in [&first, &second] {
            assert!(matches!(outcome, Ok(_) | Err(Halt::TwoWriters { .. })), "{outcome:?}");
        }
        let totals = [one.status().borrow().totals, two.status().borrow().totals];
        let (left, rows_after) = self.counts();
        assert!(left == 0 || first.is_err() && second.is_err(), "one ended well and not everything is there");
        assert_eq!(totals.iter().map(assert_adds_up).sum::<u64>(), to_read - left);
        assert_eq!(totals.iter().map(|totals| totals.inserted).sum::<u64>(), rows_after - rows);
    }
}

/// Runs `work` and drops it at the await at which it has been polled so often.
async fn killed_after(polls: usize, work: impl Future) {
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

fn check(steps: Vec<Step>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let live = async {
        let mut history = History::new();
        for step in steps {
            history.step(step).await;
        }
        history.project(&[]).await;
        history.check().await;
        history.world.assert_all_applied();
    };
    runtime.block_on(async { timeout(PATIENCE, live).await.expect("the history never ends") });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_tables_are_the_logs_whatever_happened(steps in vec(steps(), 1..30)) {
        check(steps);
    }
}
