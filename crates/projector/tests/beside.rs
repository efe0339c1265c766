//! Several lanes beside each other: what one does must not keep another from getting on.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use event::Position;
use projector::{ErrorKind, Projector, Settings, State, Until};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use sim::events::samples;
use sim::faults::{Call, Fault};
use sim::{MemoryProjector, Running, World};

/// Small pieces, so that a small log has many.
fn settings(backlog_lanes: u32) -> Settings {
    Settings { backlog_lanes, live_events_max: 20, piece_events: 50, ..sim::settings() }
}

fn projector(world: &World, settings: Settings) -> MemoryProjector {
    Projector::new(Arc::clone(&world.log), Arc::clone(&world.target), settings)
}

/// A backlog that an earlier run has cut off is there, and now there are no lanes for it.
#[tokio::test(start_paused = true)]
async fn without_lanes_the_backlog_of_an_earlier_run_is_applied_all_the_same() {
    let world = World::with(samples(0, 200));
    let running = Running::start(projector(&world, settings(2)), Until::Stopped);
    sleep(Duration::from_millis(12)).await;
    running.stopped().await;
    assert!(world.target.data().ranges.len() > 1, "a backlog was cut off");
    let stop = CancellationToken::new();
    let alone = projector(&world, settings(0));
    let done = timeout(Duration::from_secs(3_600), alone.run(Until::Applied(world.log.head()), &stop)).await;
    done.expect("it never ended").unwrap();
    world.assert_all_applied();
}

/// The live lane is through, and leaves the rest of a log that grows alone.
#[tokio::test(start_paused = true)]
async fn a_log_that_grows_does_not_keep_the_backlog_from_its_end() {
    let world = World::with(samples(0, 2_000));
    for _ in 0..1_000 {
        world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_millis(100)));
    }
    let running = Running::start(projector(&world, settings(2)), Until::Applied(world.log.head()));
    for number in 0..100 {
        world.log.append(samples(2_000 + number, 1));
        world.log.sync();
        sleep(Duration::from_millis(50)).await;
    }
    let ended = timeout(Duration::from_secs(3_600), running.ended()).await;
    assert!(ended.expect("it never ended").unwrap().inserted >= 2_000);
}

/// A database in which a commit takes longer than the live lane may lag.
#[tokio::test(start_paused = true)]
async fn a_slow_database_does_not_keep_the_backlog_waiting_for_ever() {
    let world = World::with(samples(0, 200));
    for _ in 0..2_000 {
        world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_secs(2)));
    }
    let mut running = Running::start(projector(&world, settings(2)), Until::Stopped);
    for number in 0..3_000 {
        world.log.append(samples(200 + number, 1));
        world.log.sync();
        sleep(Duration::from_millis(200)).await;
    }
    let status = running.until(|_| true).await;
    assert_eq!(status.backlog_events, 0, "{status:?}");
}

/// What confirms an idle range moves nothing.
#[tokio::test(start_paused = true)]
async fn a_backlog_that_hangs_is_told_though_the_live_lane_is_well() {
    let world = World::with(samples(0, 200));
    world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_secs(300)));
    world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_secs(300)));
    let mut running = Running::start(projector(&world, settings(2)), Until::Stopped);
    sleep(Duration::from_secs(120)).await;
    let status = running.status();
    assert_eq!((status.state, status.backlog_events), (State::Waiting, 200), "{status:?}");
    assert!(status.error.is_some());
    assert_eq!(world.traces.loud().len(), 1, "{:?}", world.traces.loud());
    running.until_next(Position(201)).await;
    assert_eq!(running.status().error, None);
}

/// Its answer says how the ranges were before the live lane cut them, and comes behind the one that says how they are.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_does_not_hide_what_the_live_lane_has_cut_since() {
    let world = World::with(samples(0, 200));
    world.target.faults().script(Call::Claim, None);
    world.target.faults().script(Call::Claim, Fault::Late(Duration::from_secs(5)));
    for _ in 0..100 {
        world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_millis(500)));
    }
    let mut running = Running::start(projector(&world, settings(1)), Until::Stopped);
    sleep(Duration::from_secs(2)).await;
    world.log.append(samples(200, 100));
    world.log.sync();
    sleep(Duration::from_secs(8)).await;
    let status = running.status();
    assert_eq!((status.live, status.live_lag), (Some(Position(301)), Duration::ZERO), "{status:?}");
    running.until_next(Position(301)).await;
    world.assert_all_applied();
}

/// The others may have long transactions to end: who asks meanwhile is told.
#[tokio::test(start_paused = true)]
async fn a_halt_is_told_before_the_other_lanes_have_ended() {
    let world = World::with(samples(0, 200));
    world.target.faults().script(Call::Apply, Fault::Slow(Duration::from_secs(300)));
    world.target.faults().script(Call::Apply, Fault::Refused(ErrorKind::Fatal));
    let mut running = Running::start(projector(&world, settings(2)), Until::Stopped);
    let began = Instant::now();
    let status = running.until(|status| status.state == State::Halted).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(status.error.as_deref(), Some("the database refuses: Fatal"));
    assert!(running.ended().await.is_err());
}
