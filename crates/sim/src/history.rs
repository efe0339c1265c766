//! Any history against a plain map: appending, power cuts, holes of every cause, projecting through faults, crashes
//! at any await, two projectors at once, backups, lost progress and lost databases.
//!
//! After each step every position that the database has passed is applied or unavailable, exactly once, and the tables
//! hold exactly what the log says of the applied ones; at the end, after a clean run, that is all, in one range.

use std::future::Future;
use std::sync::Arc;

use event::Position;
use projector::{Halt, Projector, Source, Totals, Until};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::arena::Arena;
use crate::audit;
use crate::database::Data;
use crate::events::{draw_of, sample};
use crate::faults::{Call, Fault};
use crate::log::MemoryLog;
use crate::steps::{Begin, DrawnHole, Happening, Step, Tuning};
use crate::{assert_adds_up, killed_after};

/// The first number of samples that no draw makes.
const OWN_TIMES: u64 = 1_000;

/// A log, and a database that it is projected into.
#[derive(Debug)]
pub struct History<A> {
    log: Arc<MemoryLog>,
    arena: A,
}

/// What a database can be expected to tell of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// Exactly what has happened.
    Exact,
    /// At the most that: another writer hides what became of an unknown COMMIT.
    AtMost,
    /// Anything that adds up: the database is another one by now.
    Anything,
}

/// What has happened to a database: events sent, positions unavailable, rows.
type Happened = [u64; 3];

impl<A: Arena> History<A> {
    /// An empty log, beside this empty database.
    pub fn new(arena: A) -> Self {
        Self { log: MemoryLog::new(), arena }
    }

    /// Lives through these steps, and ends with a clean run.
    ///
    /// # Panics
    /// When something is not as it must be.
    pub async fn live(&mut self, steps: Vec<Step>) {
        for step in steps {
            self.step(step).await;
            self.arena.settled().await;
            audit::check(&self.log, &self.arena.data().await);
        }
        self.project(Tuning::PLAIN, &[]).await;
        let data = self.arena.data().await;
        audit::check_all_applied(&self.log, &data);
        audit::check_merged(&self.log, &data);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { events, is_synced } => {
                for drawn in events {
                    match drawn.event() {
                        Ok(event) => self.log.append([event]),
                        Err((kind, version)) => self.log.append_unknown(kind, version),
                    }
                }
                if is_synced {
                    self.log.sync();
                }
            }
            Step::Import { events, number } => self.import(events, number),
            Step::CutPower => self.log.cut_power(),
            Step::LoseTail(count) => {
                let count = count.min(self.log.ends().durable.0);
                if count > 0 {
                    self.log.lose_tail(count);
                }
            }
            Step::Hole(hole) => self.make_hole(&hole).await,
            Step::Project(tuning, faults) => self.project(tuning, &faults).await,
            Step::Meanwhile(tuning, after, happening) => {
                let happens = async {
                    sleep(after).await;
                    self.happen(&happening).await;
                };
                let counts = match happening {
                    Happening::Hole(_) | Happening::Import(_) => Counts::Exact,
                    Happening::Restore | Happening::WipeProgress | Happening::Drop => Counts::Anything,
                };
                self.project_while(tuning, counts, happens).await;
            }
            Step::Crash(tuning, polls, faults) => self.crash(tuning, polls, &faults).await,
            Step::Beside(one, two) => self.project_beside(one, two).await,
            Step::CrashBeside(one, two, polls) => self.crash_beside(one, two, polls).await,
            Step::BackUp => self.arena.back_up().await,
            Step::Restore => self.arena.restore().await,
            Step::WipeProgress => self.arena.wipe_progress().await,
            Step::Drop => self.arena.drop_database().await,
            Step::TakePoison => self.take_poison().await,
        }
    }

    async fn happen(&self, happening: &Happening) {
        match happening {
            Happening::Hole(hole) => self.make_hole(hole).await,
            Happening::Import(events) => self.import(*events, 0),
            Happening::Restore => self.arena.restore().await,
            Happening::WipeProgress => self.arena.wipe_progress().await,
            Happening::Drop => self.arena.drop_database().await,
        }
    }

    /// Every third event has a key that others have.
    fn import(&self, events: u64, number: u64) {
        let head = self.log.head().0;
        let event = |index: u64| match index % 3 {
            0 => draw_of(number.wrapping_add(index)).event(),
            _ => sample(OWN_TIMES + head + index),
        };
        self.log.append((0..events).map(event));
        self.log.sync();
    }

    async fn make_hole(&self, hole: &DrawnHole) {
        let durable = self.log.ends().durable;
        if durable < Position::FIRST {
            return;
        }
        let lo = match hole.begin {
            Begin::First => 1,
            Begin::Anywhere(number) => 1 + number % durable.0,
            Begin::Near(range, offset) => self.next(range).await.0.saturating_add_signed(offset),
        };
        let lo = Position(lo.clamp(1, durable.0));
        let hi = lo.plus(hole.positions - 1).min(durable);
        self.log.make_hole(lo, hi, hole.cause, hole.kept);
    }

    /// Where one of the database's ranges is, or where the first one begins.
    async fn next(&self, range: usize) -> Position {
        let ranges = self.arena.data().await.ranges_of(self.log.identity().log_id);
        let chosen = ranges.get(range % ranges.len().max(1));
        chosen.map_or_else(|| self.log.ends().first, |(_, range)| range.cursor.next)
    }

    /// NOTE: a replay is what brings in what was refused.
    async fn take_poison(&self) {
        self.arena.take_poison().await;
        self.arena.wipe_progress().await;
        self.project(Tuning::PLAIN, &[]).await;
        let kept = self.arena.data().await.quarantine.remove(&self.log.identity().log_id).unwrap_or_default();
        let is_left = |position: &Position| kept.contains(position) && !self.log.is_gone(*position);
        assert_eq!(audit::poison(&self.log).into_iter().find(is_left), None, "it stays in quarantine");
    }

    fn until(&self) -> Until {
        Until::Applied(self.log.head())
    }

    fn projector(&self, tuning: Tuning) -> Projector<MemoryLog, A::Target> {
        let settings = self.arena.settings(tuning.settings());
        Projector::new(Arc::clone(&self.log), Arc::clone(self.arena.target()), settings)
    }

    fn happened(&self, data: &Data) -> Happened {
        let (sent, unavailable) = audit::passed(self.log.identity().log_id, data);
        [sent, unavailable, data.rows.len() as u64]
    }

    async fn project(&self, tuning: Tuning, faults: &[(Call, Fault)]) {
        let overtaken = faults.iter().filter(|(_, fault)| *fault == Fault::Overtaken).count();
        let before = self.happened(&self.arena.data().await);
        let (projector, stop) = (self.projector(tuning), CancellationToken::new());
        let outcome = tokio::select! {
            biased;
            () = self.arena.disturb(faults) => panic!("the faults ended it"),
            outcome = projector.run(self.until(), &stop) => outcome,
        };
        self.arena.calm();
        self.arena.settled().await;
        let is_two_writers = matches!(outcome, Err(Halt::TwoWriters { .. }));
        assert!(outcome.is_ok() || is_two_writers && overtaken >= 2, "{outcome:?}");
        let counts = if overtaken == 0 { Counts::Exact } else { Counts::AtMost };
        let totals = projector.status().borrow().totals;
        self.check(before, &[totals], counts, is_two_writers).await;
    }

    async fn project_while(&self, tuning: Tuning, counts: Counts, happens: impl Future<Output = ()>) {
        let before = self.happened(&self.arena.data().await);
        let (projector, stop) = (self.projector(tuning), CancellationToken::new());
        let (outcome, ()) = tokio::join!(projector.run(self.until(), &stop), happens);
        assert!(outcome.is_ok(), "{outcome:?}");
        self.arena.settled().await;
        let totals = projector.status().borrow().totals;
        // NOTE: what happened may have happened behind the run's end.
        self.check(before, &[totals], counts, true).await;
    }

    async fn crash(&self, tuning: Tuning, polls: usize, faults: &[(Call, Fault)]) {
        let (projector, stop) = (self.projector(tuning), CancellationToken::new());
        tokio::select! {
            biased;
            () = self.arena.disturb(faults) => panic!("the faults ended it"),
            () = killed_after(polls, projector.run(self.until(), &stop)) => {}
        }
        self.arena.calm();
    }

    async fn project_beside(&self, one: Tuning, two: Tuning) {
        let before = self.happened(&self.arena.data().await);
        let (one, two) = (self.projector(one), self.projector(two));
        let (stop, until) = (CancellationToken::new(), self.until());
        let (first, second) = tokio::join!(one.run(until, &stop), two.run(until, &stop));
        for outcome in [&first, &second] {
            assert!(matches!(outcome, Ok(_) | Err(Halt::TwoWriters { .. })), "{outcome:?}");
        }
        self.arena.settled().await;
        let both = [one.status().borrow().totals, two.status().borrow().totals];
        self.check(before, &both, Counts::Exact, first.is_err() && second.is_err()).await;
    }

    async fn crash_beside(&self, one: Tuning, two: Tuning, polls: usize) {
        let (one, two) = (self.projector(one), self.projector(two));
        let (stop, until) = (CancellationToken::new(), self.until());
        let (outcome, ()) = tokio::join!(one.run(until, &stop), killed_after(polls, two.run(until, &stop)));
        assert!(matches!(outcome, Ok(_) | Err(Halt::TwoWriters { .. })), "{outcome:?}");
        self.arena.settled().await;
        assert_adds_up(&one.status().borrow().totals);
    }

    /// Checks what projectors told of a run since `before`, and that everything is there unless it may be unfinished.
    async fn check(&self, before: Happened, told: &[Totals], counts: Counts, may_be_unfinished: bool) {
        told.iter().for_each(|totals| _ = assert_adds_up(totals));
        let data = self.arena.data().await;
        let sum = |count: fn(&Totals) -> u64| told.iter().map(count).sum::<u64>();
        let told = [sum(|it| it.sent), sum(|it| it.unavailable), sum(|it| it.inserted)];
        let now = self.happened(&data);
        let happened: Happened = std::array::from_fn(|index| now[index].wrapping_sub(before[index]));
        match counts {
            Counts::Exact => assert_eq!(told, happened),
            Counts::AtMost => {
                assert!(
                    told.iter().zip(happened).all(|(told, happened)| *told <= happened),
                    "{told:?} {happened:?}"
                );
            }
            Counts::Anything => {}
        }
        assert!(
            may_be_unfinished || audit::is_all_passed(&self.log, &data),
            "it ended well, and not all is there"
        );
    }
}
