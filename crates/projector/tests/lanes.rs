//! Several lanes beside each other: what one does must not keep another from getting on.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use projector::{Projector, Settings, Until};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use sim::events::samples;
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
