//! The good days: everything arrives once and in order, durable positions only, and the status is true.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use event::{Kind, Position};
use projector::{Projector, ReadLimits, Settings, Source, State, Totals, Until};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use sim::events::{Draw, DrawnHost, sample, samples, usage};
use sim::log::{Kept, MemoryLog, Syncs};
use sim::rows::expected;
use sim::{Running, World, assert_adds_up, settings};

fn sent(inserted: u64, present: u64) -> Totals {
    let sent = inserted + present;
    Totals { read: sent, sent, inserted, present, ..Totals::default() }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_database_gets_everything_once_and_in_order() {
    let world = World::with(samples(0, 95));
    assert_eq!(world.project().await.unwrap(), sent(95, 0));
    world.assert_all_applied();
    let spans: Vec<_> = world.target.commits().iter().map(|commit| (commit.from.0, commit.to.0)).collect();
    let whole = (0..9).map(|batch| (batch * 10 + 1, batch * 10 + 11));
    assert_eq!(spans, whole.chain([(91, 96)]).collect::<Vec<_>>());
    assert!(world.traces.loud().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_kind_arrives() {
    let draw = |kind| Draw {
        kind,
        host: DrawnHost::Other,
        name: 1,
        time: 1,
        message: 1,
        counts: (1, 2),
        is_final: true,
    };
    let world = World::with(Kind::ALL.map(|kind| draw(kind).event()));
    assert_eq!(world.project().await.unwrap(), sent(6, 0));
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn events_of_one_key_make_one_row_within_a_batch_and_across() {
    let world = World::with((0..35).map(|number| sample(number % 7)));
    assert_eq!(world.project().await.unwrap(), sent(7, 28));
    world.assert_all_applied();
    let positions: Vec<_> = world.target.rows().values().map(|row| row.position.0).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7], "the first one stays");
}

#[tokio::test(start_paused = true)]
async fn the_most_complete_snapshot_of_a_usage_wins() {
    let world = World::new();
    let check = async |events: Vec<_>, winner: u64| {
        let log = MemoryLog::new();
        log.append(events);
        let projector = Projector::new(Arc::clone(&log), Arc::clone(&world.target), settings());
        world.target.replace(sim::database::Data::default());
        projector.run(Until::Applied(log.head()), &CancellationToken::new()).await.unwrap();
        let rows = world.target.rows();
        assert_eq!(rows, expected(&log.identity(), &log.entries()));
        let positions: Vec<_> = rows.values().map(|row| row.position.0).collect();
        assert_eq!(positions, [winner]);
    };
    check(vec![usage("msg_1", 1, 9, false), usage("msg_1", 2, 0, false)], 2).await;
    check(vec![usage("msg_1", 1, 9, true), usage("msg_1", 2, 0, false)], 1).await;
    check(vec![usage("msg_1", 1, 1, false), usage("msg_1", 1, 2, false)], 2).await;
    check(vec![usage("msg_1", 1, 1, false), usage("msg_1", 1, 1, false)], 1).await;
    check(vec![usage("", 1, 1, false), usage("", 2, 2, true)], 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_database_begins_at_the_first_position_that_the_log_has() {
    let world = World::with(samples(0, 30));
    world.log.trim(Position(18), Kept::Checksum);
    assert_eq!(world.project().await.unwrap(), sent(13, 0));
    assert_eq!(world.target.commits()[0].from, Position(18));
    assert_eq!(world.target.rows(), expected(&world.log.identity(), &world.log.entries()[17..]));
    assert!(world.traces.loud().is_empty(), "what was gone before it began is nothing that it missed");
}

#[tokio::test(start_paused = true)]
async fn the_next_one_resumes_where_the_last_one_was() {
    let world = World::with(samples(0, 25));
    assert_eq!(world.project().await.unwrap(), sent(25, 0));
    world.log.append(samples(25, 5));
    world.log.sync();
    assert_eq!(world.project().await.unwrap(), sent(5, 0));
    let commits = world.target.commits();
    let last = commits.last().unwrap();
    assert_eq!((last.from, last.to), (Position(26), Position(31)));
    assert_ne!(last.writer, commits[0].writer);
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty(), "a new writer is nothing to warn of");
}

#[tokio::test(start_paused = true)]
async fn until_applied_ends_at_once_when_all_is_there() {
    let world = World::with(samples(0, 25));
    let empty = Projector::new(MemoryLog::new(), Arc::clone(&world.target), settings());
    let stop = CancellationToken::new();
    assert_eq!(empty.run(Until::Applied(Position(0)), &stop).await.unwrap(), Totals::default());
    world.project().await.unwrap();
    assert_eq!(world.project().await.unwrap(), Totals::default());
}

#[tokio::test(start_paused = true)]
async fn until_applied_waits_for_positions_that_are_yet_to_come() {
    let world = World::with(samples(0, 5));
    let mut running = Running::start(world.projector(), Until::Applied(Position(8)));
    running.until_next(Position(6)).await;
    world.log.append(samples(5, 3));
    assert_eq!(running.ended().await.unwrap(), sent(8, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_durable_is_asked_for_and_not_read_before() {
    let world = World::new();
    world.log.set_syncs(Syncs::Held);
    world.log.append(samples(0, 5));
    let mut running = world.start();
    sleep(Duration::from_secs(60)).await;
    assert!(world.log.syncs_asked() > 0);
    assert_eq!(world.target.range(world.log.identity().log_id), None, "nothing is claimed before");
    world.log.set_syncs(Syncs::OnDemand);
    running.until_next(Position(6)).await;

    world.log.set_syncs(Syncs::Held);
    let asked = world.log.syncs_asked();
    world.log.append(samples(5, 5));
    sleep(Duration::from_secs(60)).await;
    assert!(world.log.syncs_asked() > asked);
    assert_eq!(world.target.rows().len(), 5);
    // The positions come again, with other events: nothing of the first ones may have been applied.
    world.log.cut_power();
    world.log.append(samples(100, 5));
    world.log.set_syncs(Syncs::OnDemand);
    running.until_next(Position(11)).await;
    world.assert_all_applied();
    let (_, totals) = running.stopped().await;
    assert_eq!(totals, sent(10, 0));
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_is_applied_later() {
    let world = World::new();
    let mut running = world.start();
    running.until(|status| status.state == State::Live).await;
    for round in 0..5 {
        world.log.append(samples(round * 3, 3));
        let status = running.until_next(Position(round * 3 + 4)).await;
        assert_eq!(status.totals, sent(round * 3 + 3, 0));
        assert_eq!((status.state, status.error, status.outage_since), (State::Live, None, None));
        sleep(Duration::from_secs(5)).await;
    }
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_head_it_gathers_before_it_looks_again() {
    let world = World::new();
    let mut running = world.start();
    for number in 0..1_000 {
        world.log.append([sample(number)]);
        sleep(Duration::from_millis(1)).await;
    }
    running.until_next(Position(1_001)).await;
    // A second at 50 ms each; while behind, batches are full.
    let commits = world.target.commits().len();
    assert!((100..=130).contains(&commits), "{commits} transactions");
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_far_it_is() {
    let world = World::with(samples(0, 500));
    let mut running = world.start();
    let begin = running.status();
    assert_eq!((begin.state, begin.next, begin.totals), (State::Waiting, None, Totals::default()));
    let early = running.until_next(Position(11)).await;
    assert_eq!((early.state, early.totals), (State::CatchingUp, sent(10, 0)));
    let late = running.until_next(Position(501)).await;
    assert_eq!((late.state, late.totals), (State::Live, sent(500, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_as_large_as_the_settings_say() {
    let world = World::with(samples(0, 100));
    let bytes = world.log.entries()[0].bytes;
    let limits = ReadLimits { events_max: 1_000, bytes_max: bytes * 7 };
    let settings = Settings { batch: limits, ..Settings::default() };
    let projector = Projector::new(Arc::clone(&world.log), Arc::clone(&world.target), settings);
    projector.run(Until::Applied(Position(100)), &CancellationToken::new()).await.unwrap();
    assert!(world.log.limits_seen().iter().all(|seen| *seen == limits));
    let commits = world.target.commits();
    assert_eq!(commits.len(), 100_usize.div_ceil(7));
    assert!(commits.iter().all(|commit| commit.to.since(commit.from) <= 7));
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn two_logs_keep_their_progress_apart_in_one_database() {
    let world = World::with(samples(0, 25));
    let other = MemoryLog::new();
    other.append(samples(20, 25));
    let beside = Projector::new(Arc::clone(&other), Arc::clone(&world.target), settings());
    assert_eq!(world.project().await.unwrap(), sent(25, 0));
    // Across logs the row that is there stays.
    let totals = beside.run(Until::Applied(other.head()), &CancellationToken::new()).await.unwrap();
    assert_eq!(totals, sent(20, 5));
    assert_adds_up(&totals);
    let of = |log: &MemoryLog| world.target.range(log.identity().log_id).unwrap().cursor.next;
    assert_eq!((of(&world.log), of(&other)), (Position(26), Position(26)));
    assert!(world.expected().iter().all(|(key, row)| world.target.rows()[key] == *row));
}

#[tokio::test(start_paused = true)]
async fn two_projectors_over_one_source_bring_everything_once() {
    let world = World::with(samples(0, 200));
    let (one, two) = (world.projector(), world.projector());
    let (stop, until) = (CancellationToken::new(), Until::Applied(Position(200)));
    let (first, second) = tokio::join!(one.run(until, &stop), two.run(until, &stop));
    assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
    let totals = [one.status().borrow().totals, two.status().borrow().totals];
    assert_eq!(totals.iter().map(assert_adds_up).sum::<u64>(), 200);
    world.assert_all_applied();
}
