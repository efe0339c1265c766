//! Replays into a real database, straight and through a pooler: what the tables are, what is kept of the progress, and
//! that the projection's own is left alone.

use std::sync::Arc;

use event::Position;
use projector::{
    Parts, Projector, ReadLimits, Replay, ReplayBegin, ReplayEnd, ReplayRequest, Replayed, Settings, Source,
    Until,
};
use sim::events::{draw_of, samples};
use sim::killed_after;
use sim::log::MemoryLog;
use store::testing::{PgBouncer, TestDatabase};
use store::{DatabaseUrl, StoreOptions, TimescaleTarget, unfinished_replay};
use tokio_util::sync::CancellationToken;

use crate::support::World;

const EVENTS: u64 = 3_000;

/// Events whose keys meet often, and others.
fn a_log() -> Arc<MemoryLog> {
    let log = MemoryLog::new();
    log.append((0..EVENTS / 2).map(|number| draw_of(number).event()));
    log.append(samples(10_000, EVENTS / 2));
    log.sync();
    log
}

/// Small batches and pieces, so that there are many.
fn settings(lanes: u32) -> Settings {
    let batch = ReadLimits { events_max: 100, bytes_max: 1024 * 1024 };
    Settings { batch, piece_events: 250, backlog_lanes: lanes, ..Settings::default() }
}

fn asked(log: &MemoryLog) -> ReplayRequest {
    let (lo, hi) = (Position::FIRST, log.ends().durable.next());
    ReplayRequest { request: "from=1 to=head kind=all".to_owned(), lo, hi, begin: ReplayBegin::Resume }
}

fn replay(
    log: &Arc<MemoryLog>,
    url: &DatabaseUrl,
    asked: ReplayRequest,
    lanes: u32,
) -> Replay<MemoryLog, TimescaleTarget> {
    let target = TimescaleTarget::replay(url.clone(), StoreOptions::default(), asked);
    Replay::new(Arc::clone(log), Arc::new(target), settings(lanes), Parts::default())
}

async fn run(replay: &Replay<MemoryLog, TimescaleTarget>) -> Replayed {
    replay.run(&CancellationToken::new()).await.unwrap()
}

/// A world to look with, whose log is this one.
async fn world(log: &MemoryLog) -> Option<World> {
    let database = TestDatabase::create().await?;
    let target = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
    let client = database.client().await;
    Some(World { database, target, log: log.identity(), client })
}

/// The checksums of the tables after a plain projection.
async fn projected(log: &Arc<MemoryLog>) -> Option<Vec<(i64, String)>> {
    let world = world(log).await?;
    let target = TimescaleTarget::new(world.database.url().clone(), StoreOptions::default());
    let projector = Projector::new(Arc::clone(log), Arc::new(target), settings(2));
    projector.run(Until::Applied(log.head()), &CancellationToken::new()).await.unwrap();
    let checksums = world.checksums().await;
    world.database.drop().await;
    Some(checksums)
}

const REPLAYS: &str =
    "SELECT concat_ws(' ', request, lo, hi, finished_at IS NOT NULL) FROM tailwater_replays";
const RANGES: &str =
    "SELECT concat_ws(' ', min(lo), sum(next - lo), max(hi)) FROM tailwater_replay_ranges GROUP BY replay_no";

/// Killed somewhere, it goes on, whatever the number of lanes; then nothing is left, and nothing of the projection's.
async fn comes_to_the_same(
    world: &World,
    url: &DatabaseUrl,
    log: &Arc<MemoryLog>,
    expected: &[(i64, String)],
) {
    for polls in [40, 300] {
        killed_after(polls, run(&replay(log, url, asked(log), 3))).await;
    }
    let request = asked(log).request;
    let left = unfinished_replay(url, &log.identity(), &request).await.unwrap();
    let left = left.map(|found| {
        assert_eq!((found.lo, found.hi), (Position(1), Position(EVENTS + 1)));
        found.left.iter().map(|(next, hi)| hi.since(*next)).sum::<u64>()
    });
    let replayed = run(&replay(log, url, asked(log), 4)).await;
    assert_eq!(replayed.end, ReplayEnd::Finished);
    // NOTE: a batch that was under way at the kill may have been committed since.
    assert!(replayed.totals.sent <= left.unwrap_or(EVENTS), "{replayed:?} {left:?}");
    assert_eq!(world.checksums().await, expected);
    assert_eq!(world.texts(REPLAYS).await, [format!("{request} 1 {} t", EVENTS + 1)]);
    assert_eq!(world.texts(RANGES).await, [format!("1 {EVENTS} {}", EVENTS + 1)]);
    assert_eq!(world.text("SELECT count(*)::text FROM tailwater_ranges").await, "0");
    assert_eq!(unfinished_replay(url, &log.identity(), &request).await.unwrap(), None);
    // Once more is a new one, over what is there.
    let again = run(&replay(log, url, asked(log), 2)).await;
    assert_eq!((again.totals.sent, again.totals.inserted), (EVENTS, 0));
    assert_eq!(world.checksums().await, expected);
    assert_eq!(world.texts(REPLAYS).await.len(), 1, "the finished one is forgotten");
}

#[tokio::test]
async fn a_replay_gives_the_tables_of_the_projection() {
    let log = a_log();
    let Some(expected) = projected(&log).await else { return };
    let Some(world) = world(&log).await else { return };
    comes_to_the_same(&world, world.database.url(), &log, &expected).await;
    world.database.drop().await;
}

#[tokio::test]
async fn so_it_does_through_a_pooler() {
    let log = a_log();
    let Some(expected) = projected(&log).await else { return };
    let Some(world) = world(&log).await else { return };
    let Some(pooler) = PgBouncer::up(world.database.url(), 3) else { return };
    comes_to_the_same(&world, pooler.url(), &log, &expected).await;
    world.database.drop().await;
}

#[tokio::test]
async fn where_there_are_no_tables_no_replay_was_begun_and_none_are_made() {
    let log = a_log();
    let Some(database) = TestDatabase::create().await else { return };
    let found = unfinished_replay(database.url(), &log.identity(), "all").await.unwrap();
    assert_eq!(found, None);
    let client = database.client().await;
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'tailwater%'";
    assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
    database.drop().await;
}

/// It stands in the way of its successor until that one ends it: the backend was a replay's lane of this log.
#[tokio::test]
async fn a_dead_lane_of_a_replay_is_ended() {
    let log = a_log();
    let Some(world) = world(&log).await else { return };
    let url = world.database.url();
    let (first, stop) = (replay(&log, url, asked(&log), 1), CancellationToken::new());
    let mut status = first.status();
    let stops = async {
        status.wait_for(|status| status.totals.sent > 0).await.unwrap();
        stop.cancel();
    };
    let (stopped, ()) = tokio::join!(first.run(&stop), stops);
    assert_eq!(stopped.unwrap().end, ReplayEnd::Stopped);
    // Somebody has the name of a lane, is the range's backend, and holds its row.
    let holder = world.database.client().await;
    let name = log.identity().log_id.0.simple().to_string();
    let hold = format!(
        "SET application_name = 'tailwater/{}/replay-1';
         UPDATE tailwater_replay_ranges SET backend = pg_backend_pid(), backend_start =
             (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())",
        &name[..8]
    );
    // NOTE: in a message of its own, which is a transaction: others must see it.
    holder.batch_execute(&hold).await.unwrap();
    holder.batch_execute("BEGIN; UPDATE tailwater_replay_ranges SET applied_at = now()").await.unwrap();
    assert_eq!(run(&replay(&log, url, asked(&log), 1)).await.end, ReplayEnd::Finished);
    assert!(holder.batch_execute("COMMIT").await.is_err(), "it was ended");
    world.database.drop().await;
}
