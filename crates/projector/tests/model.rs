//! Any history against a plain map: appending, power cuts, holes of every cause, projecting through faults,
//! crashes at any await, two projectors at once, backups, lost progress and lost databases.
//!
//! After each step every position that this database has passed is applied or unavailable, exactly once, and
//! the tables hold exactly what the log says of the applied ones; at the end, after a clean run, that is all.
#![cfg(test)]

use std::time::Duration;

use event::{HoleCause, Kind, Position};
use projector::{ErrorKind, Halt, Source, Totals, Until};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use sim::database::Data;
use sim::events::{Draw, DrawnHost};
use sim::faults::{Call, Fault};
use sim::log::Kept;
use sim::{World, assert_adds_up, killed_after};

/// Longer than any history takes on the paused clock.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3_600);

#[derive(Clone, Debug)]
enum Step {
    /// Events come.
    Append { events: Vec<Draw>, is_synced: bool },
    /// What is not durable is lost.
    CutPower,
    /// So many of the durable ones are lost, too.
    LoseTail(u64),
    /// Events become a hole.
    Hole(DrawnHole),
    /// A projector runs to the head, and meanwhile, after so long, events become a hole.
    HoleMeanwhile(Duration, DrawnHole),
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

/// A hole somewhere among what is durable.
#[derive(Clone, Debug)]
struct DrawnHole {
    begin: Begin,
    positions: u64,
    cause: HoleCause,
    kept: Kept,
}

/// Where a hole begins.
#[derive(Clone, Debug)]
enum Begin {
    /// At the first position: a trim.
    First,
    /// Anywhere: the remainder by the number of positions.
    Anywhere(u64),
    /// So far in front of the range's next position, or behind it.
    Near(i64),
}

fn holes() -> impl Strategy<Value = DrawnHole> {
    let begin = prop_oneof![
        2 => Just(Begin::First),
        3 => any::<u64>().prop_map(Begin::Anywhere),
        3 => (-15..15_i64).prop_map(Begin::Near),
    ];
    let kept = select(vec![Kept::Checksum, Kept::Nothing]);
    (begin, 1..40_u64, select(HoleCause::ALL.to_vec()), kept)
        .prop_map(|(begin, positions, cause, kept)| DrawnHole { begin, positions, cause, kept })
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
        2 => (1..30_u64).prop_map(Step::LoseTail),
        3 => holes().prop_map(Step::Hole),
        3 => ((0..40_u64).prop_map(Duration::from_millis), holes())
            .prop_map(|(after, hole)| Step::HoleMeanwhile(after, hole)),
        4 => faults().prop_map(Step::Project),
        6 => (1..80_usize, faults()).prop_map(|(polls, faults)| Step::Crash { polls, faults }),
        3 => Just(Step::Beside),
        2 => Just(Step::BackUp),
        2 => Just(Step::Restore),
        2 => Just(Step::WipeProgress),
        1 => Just(Step::Drop),
    ]
}

/// A world, and the backup of its database.
struct History {
    world: World,
    backup: Data,
}

impl History {
    fn new() -> Self {
        Self { world: World::new(), backup: Data::default() }
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
            Step::LoseTail(count) => {
                let count = count.min(log.ends().durable.0);
                if count > 0 {
                    log.lose_tail(count);
                }
            }
            Step::Hole(hole) => self.make_hole(&hole),
            Step::HoleMeanwhile(after, hole) => {
                let make = async {
                    sleep(after).await;
                    self.make_hole(&hole);
                };
                tokio::join!(self.project(&[]), make);
            }
            Step::Project(faults) => self.project(&faults).await,
            Step::Crash { polls, faults } => self.crash(polls, &faults).await,
            Step::Beside => self.project_beside().await,
            Step::BackUp => self.backup = target.data(),
            Step::Restore => target.replace(self.backup.clone()),
            Step::WipeProgress => target.wipe_progress().await,
            Step::Drop => target.replace(Data::default()),
        }
        self.world.target.settled().await;
        self.world.audit();
    }

    fn make_hole(&self, hole: &DrawnHole) {
        let durable = self.world.log.ends().durable;
        if durable < Position::FIRST {
            return;
        }
        let lo = match hole.begin {
            Begin::First => 1,
            Begin::Anywhere(number) => 1 + number % durable.0,
            Begin::Near(offset) => self.next().0.saturating_add_signed(offset).clamp(1, durable.0),
        };
        let hi = Position(lo).plus(hole.positions - 1).min(durable);
        self.world.log.make_hole(Position(lo), hi, hole.cause, hole.kept);
    }

    /// Where the database's progress is, or begins.
    fn next(&self) -> Position {
        let range = self.world.target.range(self.world.log.identity().log_id);
        range.map_or_else(|| self.world.log.ends().first, |range| range.cursor.next)
    }

    fn until(&self) -> Until {
        Until::Applied(self.world.log.head())
    }

    fn script(&self, faults: &[(Call, Fault)]) {
        for (call, fault) in faults {
            self.world.target.faults().script(*call, *fault);
        }
    }

    /// What has happened to the database: events sent, positions unavailable, rows.
    fn counts(&self) -> [u64; 3] {
        let (sent, unavailable) = self.world.passed();
        [sent, unavailable, self.world.target.rows().len() as u64]
    }

    /// What has happened to it since.
    fn counts_since(&self, before: [u64; 3]) -> [u64; 3] {
        let now = self.counts();
        std::array::from_fn(|index| now[index] - before[index])
    }

    fn is_all_passed(&self) -> bool {
        self.next() == self.world.log.head().next()
    }

    async fn project(&self, faults: &[(Call, Fault)]) {
        self.script(faults);
        let before = self.counts();
        let projector = self.world.projector();
        let outcome = projector.run(self.until(), &CancellationToken::new()).await;
        self.world.target.faults().clear();
        self.world.target.settled().await;
        let totals = projector.status().borrow().totals;
        assert_adds_up(&totals);
        let (told, happened) = (told(&totals), self.counts_since(before));
        let overtaken = faults.iter().filter(|(_, fault)| *fault == Fault::Overtaken).count();
        match outcome {
            Ok(_) => assert!(self.is_all_passed(), "it ended well and not everything is there"),
            Err(Halt::TwoWriters { .. }) => assert!(overtaken >= 2, "nobody was there"),
            Err(halt) => panic!("{halt}"),
        }
        if overtaken == 0 {
            assert_eq!(told, happened);
        }
        // Another writer hides what became of an unknown COMMIT: its count may miss, and never be too much.
        assert!(told.iter().zip(happened).all(|(told, happened)| *told <= happened), "{told:?} {happened:?}");
    }

    async fn crash(&self, polls: usize, faults: &[(Call, Fault)]) {
        self.script(faults);
        let (projector, stop) = (self.world.projector(), CancellationToken::new());
        killed_after(polls, projector.run(self.until(), &stop)).await;
        self.world.target.faults().clear();
    }

    async fn project_beside(&self) {
        let before = self.counts();
        let (one, two) = (self.world.projector(), self.world.projector());
        let (stop, until) = (CancellationToken::new(), self.until());
        let (first, second) = tokio::join!(one.run(until, &stop), two.run(until, &stop));
        for outcome in [&first, &second] {
            assert!(matches!(outcome, Ok(_) | Err(Halt::TwoWriters { .. })), "{outcome:?}");
        }
        let both = [one.status().borrow().totals, two.status().borrow().totals];
        assert!(
            self.is_all_passed() || first.is_err() && second.is_err(),
            "one ended well and not everything is there"
        );
        both.iter().for_each(|totals| _ = assert_adds_up(totals));
        let [first, second] = both.each_ref().map(told);
        let told: [u64; 3] = std::array::from_fn(|index| first[index] + second[index]);
        assert_eq!(told, self.counts_since(before));
    }
}

/// What a projector tells of the counts of [`History::counts`].
fn told(totals: &Totals) -> [u64; 3] {
    [totals.sent, totals.unavailable, totals.inserted]
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
