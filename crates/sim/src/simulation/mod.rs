//! A simulation: one seed gives the clock, the settings, the faults and the workload; an auditor looks at every commit.
//!
//! ```text
//! work        live events each second, and imports
//! troubles    one after the other: faults, outages, crashes, a second projector, restores, drops, holes …
//! supervise   the projector, started again when it was killed or had to give way to the second one
//! watch       once a second: where the database has been well for long enough, the live lane is at the head
//! drain       then nothing goes wrong any more, and everything must arrive, in time
//! ```
//!
//! Time is tokio's, stopped, and moved when all wait: hours take seconds. Two runs of a seed write the same tape.

mod health;
mod plan;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use event::{HoleCause, Position};
use fastrand::Rng;
use projector::{Halt, Parts, Projector, Source, State, Status};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::database::{Data, MemoryTarget, Poison, Told};
use crate::events::{draw_of, sample};
use crate::log::{Access, Kept, MemoryLog};
use crate::steps::Drawn;
use crate::tape::Tape;
use crate::traces::Traces;
use crate::{MemoryProjector, assert_adds_up};
use health::Health;
use plan::{Plan, Trouble};
use projector::Until;

/// How long after a halt a person starts the projector again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// What draining may take beside the work itself: pauses after an outage, locks of dead backends.
const DRAIN_SLACK: Duration = Duration::from_secs(180);
/// The first number of samples that no draw makes.
const OWN_TIMES: u64 = 1_000;

/// What a simulation was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The number of all that was written on the tape, and how many lines that was.
    pub tape: (u64, u64),
    /// How many events the log has.
    pub events: u64,
    /// How many transactions moved a range.
    pub commits: usize,
    /// For how many seconds the live lane was held to its bound.
    pub seconds_checked: u64,
    /// The oldest that an event was before the live lane had it, among those seconds.
    pub live_lag_max: Duration,
    /// How much backlog there was at the most in those seconds.
    pub backlog_max: u64,
    /// How long it took until everything was there when nothing went wrong any more.
    pub drained: Duration,
}

/// Runs the simulation of a seed.
///
/// # Panics
/// When something is not as it must be; it says first how the seed is run again.
pub fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async { Simulation::new(seed).live().await })
}

struct Simulation {
    seed: u64,
    plan: Plan,
    log: Arc<MemoryLog>,
    target: Arc<MemoryTarget>,
    tape: Arc<Mutex<Tape>>,
    traces: Traces,
    health: Health,
    /// Kills the projector.
    kill: Notify,
    /// Ends it.
    stop: CancellationToken,
    status: Mutex<Option<watch::Receiver<Status>>>,
    chance: Mutex<Rng>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        let plan = Plan::of(&mut chance);
        let (log, target) = (MemoryLog::of_seed(seed), MemoryTarget::new());
        let tape = Arc::new(Mutex::new(Tape::default()));
        target.set_pace(plan.pace);
        let (written, id) = (Arc::clone(&tape), log.identity().log_id);
        target.tell(move |told| {
            let mut tape = written.lock().unwrap();
            match told {
                Told::Called(call, fault) => tape.write(format_args!("{call:?} {fault:?}")),
                Told::Committed(commit, data) => {
                    let ranges = data.ranges_of(id);
                    tape.write(format_args!("{commit:?} {ranges:?}"));
                    audit::check_ranges(&ranges);
                }
            }
        });
        Self {
            seed,
            health: Health::new(plan.well_for(), plan.lag_max()),
            plan,
            log,
            target,
            tape,
            traces: Traces::capture(),
            kill: Notify::new(),
            stop: CancellationToken::new(),
            status: Mutex::new(None),
            chance: Mutex::new(chance),
        }
    }

    fn write(&self, what: impl std::fmt::Display) {
        self.tape.lock().unwrap().write(what);
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.chance.lock().unwrap())
    }

    async fn live(self) -> Report {
        let _told = ToldWhenItFails(&self);
        self.write(format_args!("{:?}", self.plan));
        let story = async {
            tokio::join!(biased; self.work(), self.import(), self.make_troubles());
            let drained = self.drain().await;
            self.stop.cancel();
            drained
        };
        let running = async { tokio::join!(biased; self.supervise(), story) };
        let ((), drained) = tokio::select! {
            biased;
            () = self.watch() => unreachable!("it watches for ever"),
            ended = running => ended,
        };
        self.report(drained)
    }

    /// Events that come by and by. Most are durable only when somebody asks.
    async fn work(&self) {
        let end = Instant::now() + self.plan.lasts;
        while Instant::now() < end {
            sleep(Duration::from_secs(1)).await;
            self.append(self.plan.events_per_second);
        }
    }

    async fn import(&self) {
        for (pause, events) in &self.plan.imports {
            sleep(*pause).await;
            self.write(format_args!("import {events}"));
            self.append(*events);
        }
    }

    fn append(&self, events: u64) {
        let head = self.log.head().0;
        for number in head..head + events {
            let (drawn, is_poison) =
                self.draw(|chance| (chance.u64(..), chance.u64(..1_000) < self.plan.poison_per_mille));
            match number % 3 {
                _ if is_poison && number % 2 == 0 => self.log.append_unknown(77, 1),
                _ if is_poison => self.log.append([Drawn::Poison(1).event().unwrap()]),
                0 => self.log.append([draw_of(drawn).event()]),
                _ => self.log.append([sample(OWN_TIMES + number)]),
            }
        }
        if self.draw(|chance| chance.u8(..4) == 0) {
            self.log.sync();
        }
    }

    async fn make_troubles(&self) {
        let mut backup = Data::default();
        for (pause, trouble) in &self.plan.troubles {
            sleep(*pause).await;
            self.write(format_args!("{trouble:?}"));
            self.health.begins();
            self.make(*trouble, &mut backup).await;
            self.health.ends();
            self.write("over");
        }
    }

    async fn make(&self, trouble: Trouble, backup: &mut Data) {
        match trouble {
            Trouble::Faults { per_mille, lasts } => {
                let seed = self.draw(|chance| chance.u64(..));
                self.target.faults().seed(seed, per_mille);
                sleep(lasts).await;
                self.target.faults().clear();
            }
            Trouble::ServerAway(lasts) => {
                self.target.go_away();
                sleep(lasts).await;
                self.target.come_back();
            }
            Trouble::SourceAway(lasts) => {
                self.log.set_access(Access::Away);
                sleep(lasts).await;
                self.log.set_access(Access::Open);
            }
            Trouble::Crash(pause) => {
                self.kill.notify_one();
                sleep(pause).await;
                audit::check(&self.log, &self.target.data());
            }
            Trouble::Second(lasts) => {
                let (second, stop) = (self.projector(), CancellationToken::new());
                if let Ok(outcome) = timeout(lasts, second.run(Until::Stopped, &stop)).await {
                    self.write(format_args!("the second one: {outcome:?}"));
                    assert!(matches!(outcome, Err(Halt::TwoWriters { .. })), "{outcome:?}");
                }
            }
            Trouble::Hole { is_trim, positions } => self.make_hole(is_trim, positions),
            Trouble::BackUp => *backup = self.target.data(),
            Trouble::Restore => self.target.replace(backup.clone()),
            Trouble::Drop => self.target.replace(Data::default()),
            Trouble::Wipe => self.target.wipe_progress().await,
            Trouble::TakePoison => {
                self.target.set_poison(Poison::Taken);
                self.target.wipe_progress().await;
            }
        }
    }

    fn make_hole(&self, is_trim: bool, positions: u64) {
        let durable = self.log.ends().durable;
        if durable < Position::FIRST {
            return;
        }
        let lo = if is_trim { 1 } else { self.draw(|chance| chance.u64(1..=durable.0)) };
        let hi = Position(lo).plus(positions - 1).min(durable);
        let cause = if is_trim { HoleCause::Trimmed } else { HoleCause::Damaged };
        self.log.make_hole(Position(lo), hi, cause, Kept::Checksum);
    }

    fn projector(&self) -> MemoryProjector {
        let began = Instant::now();
        let seed = self.draw(|chance| chance.u64(..));
        let now = move || SystemTime::UNIX_EPOCH + began.elapsed();
        let parts = Parts { seed, now: Arc::new(now), ..Parts::default() };
        Projector::with_parts(Arc::clone(&self.log), Arc::clone(&self.target), self.plan.settings, parts)
    }

    /// Runs the projector until it is told to stop, and starts it again when it was killed, or had to give way.
    async fn supervise(&self) {
        loop {
            let projector = self.projector();
            *self.status.lock().unwrap() = Some(projector.status());
            let outcome = tokio::select! {
                biased;
                () = self.kill.notified() => None,
                outcome = projector.run(Until::Stopped, &self.stop) => Some(outcome),
            };
            let totals = projector.status().borrow().totals;
            self.write(format_args!("ended: {outcome:?} {totals:?}"));
            assert_adds_up(&totals);
            match outcome {
                Some(Ok(_)) => return,
                None | Some(Err(Halt::TwoWriters { .. })) => {}
                Some(Err(halt)) => panic!("{halt}"),
            }
            self.health.begins();
            sleep(RESTART_PAUSE).await;
            self.health.ends();
        }
    }

    /// Holds the live lane to its bound, once a second, whenever all is well.
    async fn watch(&self) {
        let id = self.log.identity().log_id;
        loop {
            sleep(Duration::from_secs(1)).await;
            let live = self.target.look(|data| data.live(id).map(|(_, range)| range.cursor.next));
            let backlog = self.status().backlog_events;
            // NOTE: without backlog lanes the live lane does it all, in order.
            if self.plan.settings.backlog_lanes > 0 {
                self.health.check(self.log.head().next(), live, backlog);
            }
        }
    }

    /// Waits until everything is there, for as long as it may take.
    async fn drain(&self) -> Duration {
        self.log.sync();
        let began = Instant::now();
        let left = self.log.head().0;
        let rate = self.plan.settings.backlog_rate.map_or(u64::MAX, |rate| rate.get().into());
        let work = self.plan.pace.event * 2 * u32::try_from(left).unwrap();
        let most = work + Duration::from_secs(2 * left / rate) + DRAIN_SLACK;
        let all_there = async {
            while !(self.target.look(|data| self.is_all_there(data)) && self.is_told()) {
                sleep(Duration::from_millis(500)).await;
            }
        };
        if timeout(most, all_there).await.is_err() {
            let ranges = self.target.data().ranges_of(self.log.identity().log_id);
            panic!("not all is there after {most:?}: {ranges:?} {:?} {:?}", self.log.ends(), self.status());
        }
        began.elapsed()
    }

    /// Whether everything has passed, in one range.
    fn is_all_there(&self, data: &Data) -> bool {
        data.ranges_of(self.log.identity().log_id).len() == 1 && audit::is_all_passed(&self.log, data)
    }

    /// Whether the projector says so.
    fn is_told(&self) -> bool {
        let (status, end) = (self.status(), Some(self.log.head().next()));
        let is_well = status.state == State::Live && status.error.is_none() && status.outage_since.is_none();
        is_well && (status.next, status.live, status.backlog_events) == (end, end, 0)
    }

    fn status(&self) -> Status {
        let status = self.status.lock().unwrap();
        status.as_ref().map(|status| status.borrow().clone()).unwrap_or_default()
    }

    fn report(&self, drained: Duration) -> Report {
        let data = self.target.data();
        audit::check_all_applied(&self.log, &data);
        for line in self.traces.all() {
            self.write(format_args!("{line:?}"));
        }
        let (seconds_checked, live_lag_max, backlog_max) = self.health.seen();
        Report {
            seed: self.seed,
            tape: self.tape.lock().unwrap().sum(),
            events: self.log.head().0,
            commits: self.target.commits().len(),
            seconds_checked,
            live_lag_max,
            backlog_max,
            drained,
        }
    }
}

/// Says, when a simulation fails, how it is run again and what came last.
struct ToldWhenItFails<'a>(&'a Simulation);

impl Drop for ToldWhenItFails<'_> {
    #[expect(clippy::print_stderr, reason = "who runs the test reads it")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Simulation { seed, tape, plan, .. } = self.0;
        if let Ok(tape) = tape.lock() {
            tape.last().for_each(|line| eprintln!("{line}"));
        }
        eprintln!("{plan:#?}");
        eprintln!("seed {seed} failed; run it again by: TAILWATER_SIM_SEED={seed} just sim");
    }
}
