//! The end: told to stop, a projector ends at once wherever it waits, and finishes what is under way.
#![cfg(test)]

use std::time::Duration;

use event::Position;
use projector::{Source, State, Totals, Until};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use sim::database::STEP;
use sim::events::samples;
use sim::faults::{Call, Fault};
use sim::log::Syncs;
use sim::{Running, World};

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_while_it_waits_for_events() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until_next(Position(21)).await;
    sleep(Duration::from_secs(3_600)).await;
    let (took, totals) = running.stopped().await;
    assert_eq!((took, totals.inserted), (Duration::ZERO, 20));
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_in_the_pause_after_a_batch() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until_next(Position(21)).await;
    let (took, totals) = running.stopped().await;
    assert_eq!((took, totals.inserted), (Duration::ZERO, 20));
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_in_back_off() {
    let world = World::with(samples(0, 20));
    world.target.go_away();
    let mut running = world.start();
    running.until(|status| status.error.is_some()).await;
    sleep(Duration::from_secs(3_600)).await;
    let (took, totals) = running.stopped().await;
    assert_eq!((took, totals), (Duration::ZERO, Totals::default()));
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_while_the_database_does_not_answer() {
    for call in [Call::Connect, Call::Claim] {
        let world = World::with(samples(0, 20));
        world.target.faults().script(call, Fault::Hangs);
        let running = world.start();
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(world.target.times(call).len(), 1);
        let (took, totals) = running.stopped().await;
        assert_eq!((took, totals), (Duration::ZERO, Totals::default()), "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_while_it_waits_for_a_sync() {
    for applied in [0, 20] {
        let world = World::with(samples(0, applied));
        let mut running = world.start();
        running.until(|status| status.state == State::Live).await;
        world.log.set_syncs(Syncs::Held);
        world.log.append(samples(applied, 5));
        sleep(Duration::from_secs(3_600)).await;
        let (took, totals) = running.stopped().await;
        assert_eq!((took, totals.inserted), (Duration::ZERO, applied));
    }
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_before_it_begins_it_does_nothing() {
    let world = World::with(samples(0, 20));
    let stop = CancellationToken::new();
    stop.cancel();
    let totals = world.projector().run(Until::Stopped, &stop).await.unwrap();
    assert_eq!(totals, Totals::default());
    assert!(world.target.times(Call::Connect).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_under_way_is_finished_and_counted() {
    let world = World::with(samples(0, 40));
    let slow = Duration::from_secs(60);
    world.target.faults().script(Call::Apply, None);
    world.target.faults().script(Call::Apply, Fault::Slow(slow));
    let mut running = world.start();
    running.until_next(Position(11)).await;
    sleep(Duration::from_secs(20)).await;
    let (took, totals) = running.stopped().await;
    let rest = slow.checked_sub(Duration::from_secs(20)).unwrap();
    assert!(took >= rest && took <= rest + 5 * STEP, "{took:?}");
    assert_eq!((totals.read, totals.inserted), (20, 20));
    assert_eq!(world.target.rows().len(), 20);
    let next = world.target.range(world.log.identity().log_id).unwrap().cursor.next;
    assert_eq!(next, Position(21));
}

/// Stopped anywhere, its counts are those of the database.
#[tokio::test(start_paused = true)]
async fn stopped_at_any_moment_its_counts_are_those_of_the_database() {
    for millis in 0..60 {
        let world = World::with(samples(0, 95));
        let running = world.start();
        sleep(Duration::from_millis(millis)).await;
        let (_, totals) = running.stopped().await;
        assert_eq!(usize::try_from(totals.inserted).unwrap(), world.target.rows().len(), "{millis} ms");
        assert_eq!(world.project().await.unwrap().inserted + totals.inserted, 95);
        world.assert_all_applied();
    }
}

/// The connection goes in the last COMMIT, and nobody waits for what became of it.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_does_not_keep_it_from_stopping() {
    let world = World::with(samples(0, 10));
    let after = Duration::from_secs(300);
    world.target.faults().script(Call::Apply, Fault::LostInCommit { effect: true, after });
    let mut running = world.start();
    running.until(|status| status.error.is_some()).await;
    // Its next claim stands in front of the lock.
    sleep(Duration::from_secs(60)).await;
    let (took, totals) = running.stopped().await;
    assert_eq!((took, totals), (Duration::ZERO, Totals::default()), "a count that is not known is not added");
    assert_eq!(world.project().await.unwrap(), Totals::default());
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn a_log_that_closes_ends_it_well() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until_next(Position(21)).await;
    sleep(Duration::from_secs(60)).await;
    let closed = Instant::now();
    world.log.close();
    assert_eq!(running.ended().await.unwrap().inserted, 20);
    assert_eq!(closed.elapsed(), Duration::ZERO);
    assert!(world.traces.loud().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_closes_at_any_moment_ends_it_well() {
    for millis in 0..40 {
        let world = World::with(samples(0, 55));
        let running = Running::start(world.projector(), Until::Stopped);
        sleep(Duration::from_millis(millis)).await;
        world.log.close();
        let totals = running.ended().await.unwrap();
        assert_eq!(usize::try_from(totals.inserted).unwrap(), world.target.rows().len(), "{millis} ms");
        assert!(world.traces.loud().is_empty());
    }
}

/// With events that can no longer be made durable, too.
#[tokio::test(start_paused = true)]
async fn a_log_that_closes_before_its_sync_ends_it_well() {
    let world = World::new();
    world.log.set_syncs(Syncs::Held);
    world.log.append(samples(0, 5));
    let running = world.start();
    sleep(Duration::from_secs(60)).await;
    world.log.close();
    assert_eq!(running.ended().await.unwrap(), Totals::default());
    assert!(world.target.rows().is_empty());
}
