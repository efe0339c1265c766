//! What waits for the database's disk, and what a crash of the database may take back.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use event::Position;
use projector::{Projector, Settings, Status, Until};
use sim::database::{Data, Range};
use sim::events::{sample, samples};
use sim::{MemoryProjector, Running, World, assert_adds_up, settings};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The lowest position that a database has not applied; the world has one log.
fn lowest(data: &Data) -> Option<Position> {
    let unfinished = |range: &&Range| range.hi.is_none_or(|hi| range.cursor.next < hi);
    data.ranges.values().filter(unfinished).map(|range| range.cursor.next).min()
}

fn projector(world: &World, lanes: u32, flush_interval: Duration) -> MemoryProjector {
    let settings = Settings {
        backlog_lanes: lanes,
        live_events_max: 25,
        piece_events: 20,
        flush_interval,
        ..settings()
    };
    Projector::new(Arc::clone(&world.log), Arc::clone(&world.target), settings)
}

/// What the projector says is applied for good must be so.
fn assert_held(world: &World, status: &Status) {
    let kept = world.target.flushed().and_then(|data| lowest(&data));
    assert!(status.flushed <= status.next, "{status:?}");
    assert!(status.flushed <= kept, "{:?} is told, {kept:?} is on the disk", status.flushed);
}

fn world(events: u64) -> World {
    let world = World::with(samples(0, events));
    world.target.keep_flushed();
    world
}

/// While much is applied nothing waits for the disk but once a second; a second after the last of it everything is there.
#[tokio::test(start_paused = true)]
async fn a_burst_is_flushed_soon_and_an_idle_lane_is_at_rest() {
    let world = world(95);
    let mut running = world.start();
    running.until_next(Position(96)).await;
    assert_held(&world, &running.status());
    assert!(running.status().flushed < Some(Position(96)), "{:?}", running.status());
    sleep(settings().flush_interval + Duration::from_millis(100)).await;
    assert_eq!(running.status().flushed, Some(Position(96)));
    assert_held(&world, &running.status());
    // What comes seldom waits for the disk, each time.
    for next in [97, 98, 99] {
        sleep(settings().flush_interval).await;
        world.log.append([sample(next - 2)]);
        let soon = settings().flush_interval / 2;
        timeout(soon, running.until(|status| status.flushed == Some(Position(next)))).await.unwrap();
    }
    assert_adds_up(&running.stopped().await.1);
}

/// A run to the head ends when everything is on the disk.
#[tokio::test(start_paused = true)]
async fn what_a_run_has_done_when_it_ends_no_crash_takes_back() {
    for lanes in 0..3 {
        let world = world(95);
        let projector = projector(&world, lanes, Duration::from_secs(1));
        projector.run(Until::Applied(Position(95)), &CancellationToken::new()).await.unwrap();
        let data = world.target.flushed().unwrap();
        assert_eq!(lowest(&data), Some(Position(96)), "{lanes} lanes");
        world.target.replace(data);
        world.assert_all_applied();
    }
}

/// Wherever the database crashes, what was told as applied for good is there, and the rest comes again.
#[tokio::test(start_paused = true)]
async fn a_crash_of_the_database_costs_nothing() {
    for millis in (0..400).step_by(13) {
        let world = world(95);
        let projector = projector(&world, millis / 13 % 3, Duration::from_millis(60));
        let mut running = Running::start(projector, Until::Stopped);
        for _ in 0..millis {
            sleep(Duration::from_millis(1)).await;
            assert_held(&world, &running.status());
        }
        world.target.replace(world.target.flushed().unwrap());
        world.log.append(samples(95, 5));
        let all = async {
            running.until_next(Position(101)).await;
            running.until(|status| status.flushed == Some(Position(101))).await;
        };
        timeout(Duration::from_secs(60), all).await.unwrap_or_else(|_| panic!("crashed after {millis} ms"));
        assert_held(&world, &running.status());
        running.stopped().await;
        world.assert_all_applied();
    }
}
