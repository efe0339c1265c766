//! Replays in memory: whatever goes wrong on the way, and however often it is killed, a replay gives the tables that the
//! projection gives, sends what was asked for, and leaves the projection's progress alone.
#![cfg(test)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use event::{Entry, HoleCause, Position};
use projector::{
    ErrorKind, Halt, Parts, Replay, ReplayBegin, ReplayEnd, ReplayRequest, Replayed, Settings, Sieve, Source,
    State, Status,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use sim::database::{Data, MemoryTarget, Pace};
use sim::events::{draw_of, sample, samples};
use sim::faults::{Call, Fault};
use sim::log::{Kept, MemoryLog};
use sim::replay::{MemoryReplayTarget, ReplayData};
use sim::steps::faults;
use sim::{World, assert_adds_up, audit, killed_after, settings};

type MemoryReplay = Replay<MemoryLog, MemoryReplayTarget>;

/// Longer than any of them takes on the paused clock.
const PATIENCE: Duration = Duration::from_secs(3_600);

fn request(log: &MemoryLog) -> ReplayRequest {
    let (lo, hi) = (Position::FIRST, log.ends().durable.next());
    ReplayRequest { request: "all".to_owned(), lo, hi, begin: ReplayBegin::Resume }
}

/// Small pieces, and so many lanes.
fn of_lanes(lanes: u32) -> Settings {
    Settings { backlog_lanes: lanes, piece_events: 20, ..settings() }
}

fn replay(world: &World, asked: ReplayRequest, settings: Settings, parts: Parts) -> MemoryReplay {
    let number = world.target.look(|data| data.replays.keys().last().map_or(1, |last| last + 1));
    let target = MemoryReplayTarget::new(Arc::clone(&world.target), asked, number);
    Replay::new(Arc::clone(&world.log), target, settings, parts)
}

async fn run(replay: &MemoryReplay) -> Result<Replayed, Halt> {
    timeout(PATIENCE, replay.run(&CancellationToken::new())).await.expect("it never ends")
}

/// The only replay that the database has.
fn the_replay(data: &Data) -> ReplayData {
    assert_eq!(data.replays.len(), 1, "{:?}", data.replays);
    data.replays.values().next().unwrap().clone()
}

/// The world's log beside an empty database, where nothing was projected.
fn beside(world: &World) -> World {
    let (log, target) = (Arc::clone(&world.log), MemoryTarget::new());
    World { log, target, traces: sim::traces::Traces::capture() }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_database_gets_the_tables_of_the_projection() {
    let world = World::with((0..300).map(|number| draw_of(number).event()));
    world.log.append(samples(1_000, 200));
    world.log.sync();
    world.project().await.unwrap();
    for lanes in [1, 4] {
        let fresh = beside(&world);
        let replayed =
            run(&replay(&fresh, request(&world.log), of_lanes(lanes), Parts::default())).await.unwrap();
        assert_eq!((replayed.end, assert_adds_up(&replayed.totals)), (ReplayEnd::Finished, 500));
        assert_eq!(fresh.target.rows(), world.target.rows(), "{lanes} lanes");
        let data = fresh.target.data();
        assert!(data.ranges.is_empty(), "a replay makes no range");
        let done = the_replay(&data);
        audit::check_replay(&world.log, &done, |_| true);
        assert!(done.is_finished);
    }
}

/// Over what is there nothing is new, the projection's progress stays, and no range of it is made or moved.
#[tokio::test(start_paused = true)]
async fn a_replay_over_the_projection_changes_nothing() {
    let world = World::with(samples(0, 100));
    world.project().await.unwrap();
    world.log.append(samples(100, 50));
    world.log.sync();
    let before = world.target.data();
    let asked = ReplayRequest { hi: Position(101), ..request(&world.log) };
    let replayed = run(&replay(&world, asked, of_lanes(2), Parts::default())).await.unwrap();
    assert_eq!((replayed.totals.sent, replayed.totals.present), (100, 100));
    let after = world.target.data();
    assert_eq!((after.rows, after.ranges), (before.rows, before.ranges));
    world.project().await.unwrap();
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_chosen_is_passed_over_and_counted_nowhere() {
    let world = World::with(samples(0, 200));
    let select = |entry: &Entry| entry.position.0.is_multiple_of(5);
    let sieve = Sieve { select: Some(Arc::new(select)), ..Sieve::default() };
    let asked = ReplayRequest { lo: Position(11), hi: Position(151), ..request(&world.log) };
    let parts = Parts { sieve, ..Parts::default() };
    let replayed = run(&replay(&world, asked, of_lanes(3), parts)).await.unwrap();
    assert_eq!((replayed.end, replayed.totals.read, replayed.totals.inserted), (ReplayEnd::Finished, 28, 28));
    audit::check_replay(&world.log, &the_replay(&world.target.data()), |position| {
        position.0.is_multiple_of(5)
    });
}

/// What a hole has is counted, and told once.
#[tokio::test(start_paused = true)]
async fn holes_are_counted_as_unavailable() {
    let world = World::with(samples(0, 100));
    world.log.make_hole(Position(1), Position(30), HoleCause::Trimmed, Kept::Checksum);
    world.log.make_hole(Position(51), Position(55), HoleCause::Damaged, Kept::Nothing);
    let replayed = run(&replay(&world, request(&world.log), of_lanes(4), Parts::default())).await.unwrap();
    let totals = replayed.totals;
    assert_eq!((totals.read, totals.sent, totals.unavailable), (100, 65, 35));
    assert_eq!(world.traces.loud().len(), 2, "{:?}", world.traces.loud());
}

/// The second one takes the first one's ends: the log has grown since.
#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_goes_on_and_a_new_one_forgets_it() {
    let world = World::with(samples(0, 200));
    killed_after(60, run(&replay(&world, request(&world.log), of_lanes(2), Parts::default()))).await;
    world.target.settled().await;
    let begun = the_replay(&world.target.data());
    assert!(!begun.is_finished && !begun.sent.is_empty() && begun.sent.len() < 200, "{begun:?}");
    world.log.append(samples(200, 50));
    world.log.sync();
    let replayed = run(&replay(&world, request(&world.log), of_lanes(2), Parts::default())).await.unwrap();
    assert_eq!(replayed.totals.sent, 200 - begun.sent.len() as u64);
    let done = the_replay(&world.target.data());
    assert_eq!((done.is_finished, done.ends.1), (true, Position(201)));

    killed_after(60, run(&replay(&world, request(&world.log), of_lanes(2), Parts::default()))).await;
    world.target.settled().await;
    assert_eq!(the_replay(&world.target.data()).ends.1, Position(251), "what had finished is gone");
    let anew = ReplayRequest { begin: ReplayBegin::Anew, ..request(&world.log) };
    let replayed = run(&replay(&world, anew, of_lanes(2), Parts::default())).await.unwrap();
    assert_eq!(replayed.totals.sent, 250);
    assert!(the_replay(&world.target.data()).is_finished);
}

/// Only what was asked for in the same words goes on.
#[tokio::test(start_paused = true)]
async fn another_request_is_another_replay() {
    let world = World::with(samples(0, 100));
    killed_after(30, run(&replay(&world, request(&world.log), of_lanes(1), Parts::default()))).await;
    world.target.settled().await;
    let other = ReplayRequest { request: "some".to_owned(), ..request(&world.log) };
    let replayed = run(&replay(&world, other, of_lanes(1), Parts::default())).await.unwrap();
    assert_eq!(replayed.totals.sent, 100);
    assert_eq!(world.target.look(|data| data.replays.len()), 2, "the unfinished one can go on");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_went_another_way_halts_until_it_is_begun_anew() {
    let world = World::with(samples(0, 100));
    killed_after(40, run(&replay(&world, request(&world.log), of_lanes(1), Parts::default()))).await;
    world.target.settled().await;
    world.log.rewind(Position(3));
    world.log.append(samples(500, 97));
    world.log.sync();
    let halted = run(&replay(&world, request(&world.log), of_lanes(1), Parts::default())).await;
    assert!(matches!(halted, Err(Halt::Diverged(_))), "{halted:?}");
    let anew = ReplayRequest { begin: ReplayBegin::Anew, ..request(&world.log) };
    let replayed = run(&replay(&world, anew, of_lanes(1), Parts::default())).await.unwrap();
    assert_eq!(replayed.end, ReplayEnd::Finished);
}

/// It begins again by itself, with all its lanes.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_dropped_in_the_middle_is_filled_from_the_beginning() {
    let world = World::with(samples(0, 300));
    world.target.set_pace(Pace { event: Duration::from_millis(1), lock: None });
    let replay = replay(&world, request(&world.log), of_lanes(3), Parts::default());
    let dropped = async {
        sleep(Duration::from_millis(200)).await;
        assert!(!world.target.rows().is_empty());
        world.target.replace(Data::default());
    };
    let (replayed, ()) = tokio::join!(run(&replay), dropped);
    assert_eq!(replayed.unwrap().end, ReplayEnd::Finished);
    assert_eq!(world.target.rows(), world.expected());
    audit::check_replay(&world.log, &the_replay(&world.target.data()), |_| true);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_and_waited_for() {
    let world = World::with(samples(0, 100));
    world.target.go_away();
    let replay = replay(&world, request(&world.log), of_lanes(2), Parts::default());
    let mut status = replay.status();
    let comes_back = async {
        let waits = |status: &Status| status.error.is_some();
        let told = status.wait_for(waits).await.unwrap().clone();
        assert_eq!(told.state, State::Waiting);
        sleep(Duration::from_secs(600)).await;
        world.target.come_back();
    };
    let (replayed, ()) = tokio::join!(run(&replay), comes_back);
    assert_eq!(replayed.unwrap().totals.inserted, 100);
    let after = replay.status().borrow().clone();
    assert_eq!((after.state, after.error, after.backlog_events), (State::Live, None, 0));
    assert_eq!(world.traces.loud().len(), 1, "{:?}", world.traces.loud());
}

/// Told to stop, it ends what it does and says that there is more.
#[tokio::test(start_paused = true)]
async fn told_to_stop_it_ends_in_order() {
    let world = World::with(samples(0, 500));
    let replay = replay(&world, request(&world.log), of_lanes(2), Parts::default());
    let stop = CancellationToken::new();
    let mut status = replay.status();
    let stops = async {
        status.wait_for(|status| status.totals.sent >= 50).await.unwrap();
        stop.cancel();
    };
    let (replayed, ()) = tokio::join!(replay.run(&stop), stops);
    let replayed = replayed.unwrap();
    assert_eq!(replayed.end, ReplayEnd::Stopped);
    let left = replay.status().borrow().backlog_events;
    assert_eq!(replayed.totals.sent + left, 500, "everything committed is counted");
    let sent = the_replay(&world.target.data()).sent.len() as u64;
    assert_eq!(replayed.totals.sent, sent);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_database_halts() {
    let world = World::with(samples(0, 100));
    world.target.faults().script(Call::Apply, Fault::Refused(ErrorKind::Fatal));
    let replay = replay(&world, request(&world.log), of_lanes(2), Parts::default());
    assert!(matches!(run(&replay).await, Err(Halt::Target(_))));
    assert_eq!(replay.status().borrow().state, State::Halted);
}

/// At 100 events a second for 1,000 of them: a tenth of a second's worth at once, and the rest of ten seconds.
#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let world = World::with(samples(0, 1_000));
    let settings = Settings { backlog_rate: NonZeroU32::new(100), ..of_lanes(4) };
    let began = Instant::now();
    run(&replay(&world, request(&world.log), settings, Parts::default())).await.unwrap();
    let took = began.elapsed();
    assert!((9_900..10_400).contains(&took.as_millis()), "{took:?}");
}

/// While the live lane of the projection lags, one batch goes now and then; else as fast as can be.
#[tokio::test(start_paused = true)]
async fn a_projection_that_lags_comes_first() {
    let took = async |live_lag, state| {
        let world = World::with(samples(0, 100));
        let (_told, first) = watch::channel(Status { state, live_lag, ..Status::default() });
        let parts = Parts { first: Some(first), ..Parts::default() };
        let began = Instant::now();
        run(&replay(&world, request(&world.log), of_lanes(1), parts)).await.unwrap();
        assert_eq!(world.target.rows(), world.expected());
        began.elapsed()
    };
    let second = Duration::from_secs(1);
    assert!(took(second * 2, State::Live).await > second * 40, "ten batches of five seconds");
    assert!(took(second / 2, State::CatchingUp).await < second);
    assert!(took(second * 2, State::Halted).await < second, "nobody waits for one that has halted");
}

/// One life of a replay: lanes, after how many polls it is killed, what goes wrong, whether the database is dropped first.
type Life = (u32, Option<usize>, Vec<(Call, Fault)>, bool);

async fn survives(events: u64, holes: &[(u64, u64)], step: u64, lives: Vec<Life>) {
    let world = World::with((0..events).map(|number| match number % 3 {
        0 => sample(1_000 + number),
        _ => draw_of(number).event(),
    }));
    world.log.append_unknown(77, 1);
    world.log.sync();
    for (lo, positions) in holes {
        let lo = Position(1 + lo % events);
        let hi = lo.plus(positions - 1).min(world.log.ends().durable);
        world.log.make_hole(lo, hi, HoleCause::Damaged, Kept::Checksum);
    }
    world
        .projector()
        .run(projector::Until::Applied(Position(events / 2)), &CancellationToken::new())
        .await
        .unwrap();
    let is_wanted = move |position: Position| position.0 % step != 1;
    let parts = |seed| {
        let select = move |entry: &Entry| is_wanted(entry.position);
        Parts {
            seed,
            sieve: Sieve { select: Some(Arc::new(select)), ..Sieve::default() },
            ..Parts::default()
        }
    };
    let mut ranges = world.target.data().ranges;
    let last = (4, None, Vec::new(), false);
    let mut is_finished = false;
    for (seed, (lanes, polls, faults, is_dropped)) in lives.into_iter().chain([last]).enumerate() {
        if is_dropped {
            world.target.replace(Data::default());
            ranges.clear();
        }
        for (call, fault) in &faults {
            world.target.faults().script(*call, *fault);
        }
        let replay = replay(&world, request(&world.log), of_lanes(lanes), parts(seed as u64));
        match polls {
            Some(polls) => killed_after(polls, run(&replay)).await,
            None => match run(&replay).await {
                Ok(replayed) => is_finished = replayed.end == ReplayEnd::Finished,
                Err(Halt::TwoWriters { .. }) => is_finished = false,
                Err(halt) => panic!("{halt}"),
            },
        }
        assert_adds_up(&replay.status().borrow().totals);
        world.target.faults().clear();
        world.target.settled().await;
        assert_eq!(world.target.data().ranges, ranges, "a replay makes and moves no range");
    }
    assert!(is_finished);
    let data = world.target.data();
    let done = data.replays.values().find(|replay| replay.is_finished).expect("one has finished");
    audit::check_replay(&world.log, done, is_wanted);
    audit::check(&world.log, &data);
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    vec((1..5_u32, option::weighted(0.7, 1..200_usize), faults(), prop::bool::weighted(0.1)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/replay.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_lives_of_a_replay_give_what_was_asked_for(
        events in 2..250_u64,
        holes in vec((any::<u64>(), 1..30_u64), 0..3),
        step in 2..9_u64,
        lives in lives(),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(survives(events, &holes, step, lives));
    }
}
