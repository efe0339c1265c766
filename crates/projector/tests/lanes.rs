//! The live lane and the backlog lanes together: what an earlier run left, and who waits for whom.
#![cfg(test)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use event::Position;
use projector::{Parts, Projector, Settings, Until};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use sim::events::samples;
use sim::faults::{Call, Fault};
use sim::{Running, World, assert_counts, audit, killed_after, lost_in_commit, settings};

/// So small that a hundred events are a backlog of several pieces.
fn small(backlog_lanes: u32) -> Settings {
    Settings { backlog_lanes, live_events_max: 25, piece_events: 20, ..settings() }
}

fn projector(world: &World, settings: Settings) -> sim::MemoryProjector {
    Projector::new(Arc::clone(&world.log), Arc::clone(&world.target), settings)
}

/// Longer than anything here takes on the paused clock.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The live lane does it all when no others are wanted, but it does not go back to what is behind it.
#[tokio::test(start_paused = true)]
async fn a_backlog_that_an_earlier_run_left_is_filled_though_no_lanes_are_wanted_now() {
    let world = World::with(samples(0, 200));
    let (until, stop) = (Until::Applied(Position(200)), CancellationToken::new());
    killed_after(30, projector(&world, small(2)).run(until, &stop)).await;
    world.target.settled().await;
    let left = world.target.data();
    assert!(!audit::is_all_passed(&world.log, &left), "the earlier run left something");
    let now = projector(&world, small(0));
    timeout(PATIENCE, now.run(until, &stop)).await.expect("it never ended").unwrap();
    world.assert_all_applied();
    audit::check_merged(&world.log, &world.target.data());
}

/// Events that come behind the end of a run are not its work: the backlog lanes do not wait for them to be applied.
#[tokio::test(start_paused = true)]
async fn a_run_to_a_position_ends_though_events_come_behind_it() {
    for millis in 0..20 {
        let world = World::with(samples(0, 79));
        let settings = Settings { backlog_rate: NonZeroU32::new(5), ..small(1) };
        let (projector, stop) = (projector(&world, settings), CancellationToken::new());
        let run = projector.run(Until::Applied(Position(79)), &stop);
        let come = async {
            sleep(Duration::from_millis(millis)).await;
            world.log.append(samples(79, 1));
            world.log.sync();
        };
        let (totals, ()) =
            timeout(PATIENCE, async { tokio::join!(run, come) }).await.expect("it never ended");
        let inserted = totals.unwrap().inserted;
        assert!((79..=80).contains(&inserted), "{millis} ms");
        assert_counts(&world.project().await.unwrap(), 80 - inserted, 0);
        world.assert_all_applied();
    }
}

/// The live lane waits at its end for the others; meanwhile the database is one in which it has not come so far.
#[tokio::test(start_paused = true)]
async fn a_live_lane_that_waits_for_the_backlog_notices_that_the_database_went_back() {
    let world = World::with(samples(0, 79));
    let (until, stop) = (Until::Applied(Position(79)), CancellationToken::new());
    killed_after(7, projector(&world, small(1)).run(until, &stop)).await;
    world.target.settled().await;
    let backup = world.target.data();
    assert_eq!(backup.ranges.len(), 2, "a backlog, and nothing of it is applied");
    world.log.append(samples(79, 5));
    world.log.sync();
    let slow = projector(&world, Settings { backlog_rate: NonZeroU32::new(5), ..small(1) });
    let status = slow.status();
    let run = slow.run(Until::Applied(Position(84)), &stop);
    let restore = async {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(status.borrow().live, Some(Position(85)));
        world.target.replace(backup);
    };
    let (totals, ()) = timeout(PATIENCE, async { tokio::join!(run, restore) }).await.expect("it never ended");
    totals.unwrap();
    world.assert_all_applied();
}

/// All is applied, but one lane does not know it yet: its count is not lost.
#[tokio::test(start_paused = true)]
async fn a_run_does_not_end_before_every_commit_is_settled() {
    // Which of two lanes comes back first is chance.
    for seed in 0..20 {
        let world = World::with(samples(0, 26));
        world.target.faults().script(Call::Apply, Fault::Lost);
        world.target.faults().script(Call::Apply, lost_in_commit(true, 0));
        let parts = Parts { seed, ..Parts::default() };
        let (log, target) = (Arc::clone(&world.log), Arc::clone(&world.target));
        let projector = Projector::with_parts(log, target, small(2), parts);
        let (until, stop) = (Until::Applied(Position(26)), CancellationToken::new());
        assert_counts(&projector.run(until, &stop).await.unwrap(), 26, 0);
        world.assert_all_applied();
        audit::check_merged(&world.log, &world.target.data());
    }
}

/// A lane that finds nothing left, because another one still works the last piece, leaves and is not brought back; the
/// live lane goes on meanwhile.
#[tokio::test(start_paused = true)]
async fn lanes_that_find_nothing_do_not_come_back_again_and_again() {
    let world = World::with(samples(0, 100));
    let settings = Settings { backlog_rate: NonZeroU32::new(3), ..small(3) };
    let mut running = Running::start(projector(&world, settings), Until::Stopped);
    running.until(|status| status.backlog_events > 0).await;
    for number in 100..160 {
        sleep(Duration::from_millis(500)).await;
        world.log.append(samples(number, 1));
    }
    let status = running.until(|status| status.next == Some(Position(161))).await;
    assert!(status.live_lag < Duration::from_secs(1));
    running.stopped().await;
    world.assert_all_applied();
    let [connects, claims] = [Call::Connect, Call::Claim].map(|call| world.target.times(call).len());
    // A lane that leaves makes the live lane claim; five pieces have a claim each.
    assert!(connects <= 1 + 3 && claims <= 20, "{connects} connections, {claims} claims");
}
