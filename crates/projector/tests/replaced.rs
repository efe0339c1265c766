//! Databases that are not what they were: dropped, restored from a backup, or without their progress.
#![cfg(test)]

use std::time::Duration;

use event::Position;
use projector::State;
use tokio::time::sleep;

use sim::database::Data;
use sim::events::{sample, samples};
use sim::faults::{Call, Fault};
use sim::{Running, World, assert_adds_up, assert_counts, lost_in_commit};

const AWAY: &str = "the database is away; recording goes on, projecting resumes by itself";
const OVERTAKEN: &str = "another writer has claimed this range; claiming it back once";

#[tokio::test(start_paused = true)]
async fn a_database_that_was_dropped_and_made_empty_is_filled_again() {
    let world = World::with(samples(0, 95));
    let mut running = world.start();
    running.until_next(Position(96)).await;
    world.target.replace(Data::default());
    world.log.append([sample(95)]);
    running.until(|status| status.next == Some(Position(97))).await;
    world.assert_all_applied();
    let (_, totals) = running.stopped().await;
    assert_counts(&totals, 95 + 96, 0);
    assert_eq!(world.traces.loud(), [AWAY], "the connection ended, and nothing else is strange");
}

#[tokio::test(start_paused = true)]
async fn a_database_dropped_in_the_middle_is_filled_from_the_beginning() {
    for millis in [3, 7, 11, 15, 19, 33] {
        let world = World::with(samples(0, 95));
        let running = Running::start(world.projector(), projector::Until::Applied(Position(95)));
        sleep(Duration::from_millis(millis)).await;
        world.target.replace(Data::default());
        assert_adds_up(&running.ended().await.unwrap());
        world.assert_all_applied();
    }
}

/// It resumes where the backup was; the log still has the rest.
#[tokio::test(start_paused = true)]
async fn a_database_that_was_restored_from_a_backup_is_brought_up_again() {
    let world = World::with(samples(0, 30));
    world.project().await.unwrap();
    let backup = world.target.data();
    world.log.append(samples(30, 30));
    world.project().await.unwrap();
    world.target.replace(backup);
    assert_counts(&world.project().await.unwrap(), 30, 0);
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty());
}

/// The rows are there and nobody knows how far it was: everything is sent again, nothing comes twice.
#[tokio::test(start_paused = true)]
async fn progress_that_was_lost_is_made_again_from_the_rows_that_are_there() {
    let world = World::with(samples(0, 30));
    world.project().await.unwrap();
    world.target.wipe_progress().await;
    world.log.append(samples(30, 10));
    assert_counts(&world.project().await.unwrap(), 10, 30);
    world.assert_all_applied();
}

/// The range goes while a projector holds it: it claims anew, as after being overtaken.
#[tokio::test(start_paused = true)]
async fn progress_that_is_lost_under_way_is_claimed_anew() {
    let world = World::with(samples(0, 30));
    let mut running = world.start();
    running.until(|status| status.state == State::Live && status.next == Some(Position(31))).await;
    world.target.wipe_progress().await;
    world.log.append(samples(30, 10));
    running.until_next(Position(41)).await;
    assert_counts(&running.stopped().await.1, 40, 30);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [OVERTAKEN]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_projector_confirms_its_range_and_counts_nothing() {
    let world = World::with(samples(0, 20));
    {
        let mut faults = world.target.faults();
        faults.script(Call::Apply, None);
        faults.script(Call::Apply, None);
        for fault in [lost_in_commit(true, 5), lost_in_commit(false, 5), Fault::Lost] {
            faults.script(Call::Apply, fault);
        }
    }
    let mut running = world.start();
    running.until_next(Position(21)).await;
    sleep(Duration::from_secs(3_600)).await;
    let confirmed = world.target.times(Call::Apply).len() - 2;
    assert!((330..=360).contains(&confirmed), "{confirmed} times in an hour");
    let status = running.status();
    assert_eq!((status.state, status.next, status.error), (State::Live, Some(Position(21)), None));
    assert_counts(&running.stopped().await.1, 20, 0);
    assert_eq!(world.target.commits().len(), 2);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [AWAY; 3]);
}

/// Nothing is appended, and it notices all the same, within [`Settings::confirm_interval`].
#[tokio::test(start_paused = true)]
async fn what_becomes_of_the_database_is_noticed_while_nothing_comes() {
    let soon = sim::settings().confirm_interval + Duration::from_secs(1);
    let world = World::with(samples(0, 95));
    let mut running = world.start();
    running.until_next(Position(96)).await;
    sleep(Duration::from_secs(3_600)).await;

    world.target.replace(Data::default());
    sleep(soon).await;
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [AWAY]);

    world.target.wipe_progress().await;
    sleep(soon).await;
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [AWAY, OVERTAKEN]);

    world.target.go_away();
    sleep(soon).await;
    assert_eq!(running.status().state, State::Waiting);
    world.target.come_back();
    // Jitter makes a pause up to twice as long.
    sleep(soon + 2 * sim::settings().retry_pause_max).await;
    assert_eq!(running.status().state, State::Live);
    assert_counts(&running.stopped().await.1, 95 + 95, 95);
}
