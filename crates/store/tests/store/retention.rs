//! What is older than a database keeps goes, of every table and nothing else, beside lanes that write.

use std::collections::BTreeMap;

use event::{
    AgentState, ChannelSample, Event, Gap, Position, Resources, State, SystemSample, Time, TokenUsage,
};
use projector::ErrorKind;
use store::testing::PgBouncer;
use store::{DatabaseUrl, Dropped, Extension, Retention, server_time};

use crate::support::{NOON, Range, TABLES, World, outcome, sample, seconds, target_error};

const DAY: i64 = 86_400;

/// An event of each kind, so many days after the first day.
fn one_of_each(day: i64) -> Vec<Event> {
    let time = seconds(day * DAY);
    let name = || "a".into();
    let channel = ChannelSample { time, channel_name: name(), ..ChannelSample::default() };
    let gap = Gap { time, from: time, to: time, what: name(), reason: name(), ..Gap::default() };
    let state = AgentState { time, agent_name: name(), state: State::Idle, ..AgentState::default() };
    vec![
        sample("a", day * DAY, 0),
        Event::SystemSample(SystemSample {
            time,
            system_name: name(),
            resources: Resources::default(),
            host: None,
        }),
        Event::ChannelSample(channel),
        Event::TokenUsage(TokenUsage { time, agent_name: name(), model: name(), ..TokenUsage::default() }),
        Event::AgentState(state),
        Event::Gap(gap),
    ]
}

/// The beginning of a day, so many days after the first one.
fn midnight(day: i64) -> Time {
    Time::from_micros((NOON / 1_000_000 / DAY + day) * DAY * 1_000_000)
}

async fn open(world: &World, url: &DatabaseUrl) -> Retention {
    Retention::open(url, &world.log.log_id).await.unwrap()
}

/// A whole pass: what was dropped of each table, chunks and rows.
async fn pass(retention: &mut Retention, before: Time) -> BTreeMap<&'static str, (u64, u64)> {
    retention.begin(before).await.unwrap();
    let mut dropped = BTreeMap::new();
    while let Some(Dropped { table, chunks, rows }) = retention.drop_next().await.unwrap() {
        let of_table: &mut (u64, u64) = dropped.entry(table).or_default();
        *of_table = (of_table.0 + chunks, of_table.1 + rows);
    }
    dropped.retain(|_, dropped| *dropped != (0, 0));
    dropped
}

/// The same of every table.
fn of_each(chunks: u64, rows: u64) -> BTreeMap<&'static str, (u64, u64)> {
    TABLES.into_iter().map(|table| (table, (chunks, rows))).collect()
}

async fn counts(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in TABLES {
        counts.push(world.count(table).await);
    }
    counts
}

/// A world with an event of each kind in each of five days.
async fn five_days(extension: Extension) -> Option<(World, Range)> {
    let world = World::with(extension).await?;
    let mut range = world.range().await;
    for day in 0..5 {
        range.apply(&one_of_each(day)).await;
    }
    Some((world, range))
}

#[tokio::test]
async fn whole_chunks_of_every_hypertable_go() {
    let Some((world, _)) = five_days(Extension::Create).await else { return };
    let mut retention = open(&world, world.database.url()).await;
    assert_eq!(pass(&mut retention, midnight(0)).await, BTreeMap::new());
    // The third day is not over at its noon: its chunk stays, with what is older.
    assert_eq!(pass(&mut retention, seconds(2 * DAY + 1)).await, of_each(2, 0));
    assert_eq!(counts(&world).await, [3; 6]);
    assert_eq!(pass(&mut retention, seconds(2 * DAY + 1)).await, BTreeMap::new());
    let name = "SELECT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%/retention'";
    let named = world.text(name).await;
    assert!(named.starts_with("tailwater/") && named.ends_with("/retention"), "{named}");
}

#[tokio::test]
async fn rows_of_every_plain_table_go_to_the_microsecond() {
    let Some((world, _)) = five_days(Extension::Leave).await else { return };
    let mut retention = open(&world, world.database.url()).await;
    assert_eq!(pass(&mut retention, seconds(0)).await, BTreeMap::new());
    let behind = Time::from_micros(seconds(2 * DAY).micros() + 1);
    assert_eq!(pass(&mut retention, behind).await, of_each(0, 3));
    assert_eq!(counts(&world).await, [2; 6]);
    assert_eq!(pass(&mut retention, behind).await, BTreeMap::new());
}

/// More than one transaction takes, and every other row is to stay.
#[tokio::test]
async fn many_rows_go_in_pieces_and_the_rows_between_them_stay() {
    let Some(world) = World::with(Extension::Leave).await else { return };
    world.lane().await;
    world
        .execute(
            "INSERT INTO agent_metrics (time, agent_name, host, log_no, position)
             SELECT CASE n % 2 WHEN 0 THEN '2026-01-01Z'::timestamptz ELSE '2026-02-01Z' END, n::text, '', 1, n
             FROM generate_series(1, 50000) AS n",
        )
        .await;
    let mut retention = open(&world, world.database.url()).await;
    retention.begin(midnight(10)).await.unwrap();
    let mut rows = Vec::new();
    while let Some(dropped) = retention.drop_next().await.unwrap() {
        rows.push(dropped.rows);
    }
    assert_eq!(rows, [10_000, 10_000, 5_000]);
    assert_eq!(world.text("SELECT sum(position % 2)::text FROM agent_metrics").await, "25000");
    assert_eq!(world.count("agent_metrics").await, 25_000);
}

/// The owner's own partitions of a plain table.
#[tokio::test]
async fn the_parts_of_a_table_are_part_of_it() {
    let Some((world, _)) = five_days(Extension::Leave).await else { return };
    world
        .execute(
            "CREATE TABLE \"Older gaps\" () INHERITS (gaps);
             WITH moved AS (DELETE FROM ONLY gaps WHERE time < '2026-01-05Z' RETURNING *)
             INSERT INTO \"Older gaps\" SELECT * FROM moved",
        )
        .await;
    let mut retention = open(&world, world.database.url()).await;
    assert_eq!(pass(&mut retention, midnight(2)).await, of_each(0, 2));
    assert_eq!(world.text("SELECT count(*)::text FROM \"Older gaps\"").await, "1");
}

/// What lanes know of chunks may be of one that is gone: what comes for its day is written all the same.
#[tokio::test]
async fn a_dropped_day_can_be_written_again() {
    let Some((world, mut range)) = five_days(Extension::Create).await else { return };
    let mut retention = open(&world, world.database.url()).await;
    assert_eq!(pass(&mut retention, midnight(2)).await, of_each(2, 0));
    assert_eq!(range.apply(&[sample("late", 7, 0), sample("late", DAY, 0)]).await, outcome(2, 0, 0, 0));
    range.jump(&world, 1).await;
    let again: Vec<Event> = (0..5).flat_map(one_of_each).collect();
    assert_eq!(range.apply(&again).await, outcome(12, 18, 0, 0));
    assert_eq!(pass(&mut retention, midnight(2)).await, of_each(2, 0));
    assert_eq!(counts(&world).await, [3; 6]);
}

/// A lane that has written into what is to go, and has not committed: it is not waited for, and does not wait.
async fn check_beside_a_lane(extension: Extension, dropped: (u64, u64), busy: Option<ErrorKind>, left: i64) {
    let Some((world, mut range)) = five_days(extension).await else { return };
    world
        .execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
             CREATE TRIGGER wait AFTER INSERT ON agent_metrics FOR EACH STATEMENT EXECUTE FUNCTION wait();
             SELECT pg_advisory_lock(7)",
        )
        .await;
    let mut retention = open(&world, world.database.url()).await;
    let beside = async {
        world.until_blocked().await;
        retention.begin(midnight(2)).await.unwrap();
        let mut errors = Vec::new();
        loop {
            match retention.drop_next().await {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(error) => errors.push(error.kind()),
            }
        }
        world.execute("SELECT pg_advisory_unlock(7)").await;
        errors
    };
    let late = [sample("late", 7, 0)];
    let (applied, errors) = tokio::join!(range.apply(&late), beside);
    assert_eq!(applied, outcome(1, 0, 0, 0));
    assert_eq!(errors.first().copied(), busy, "{errors:?}");
    assert_eq!(counts(&world).await, [left, 3, 3, 3, 3, 3], "the other tables go on");
    let rest = BTreeMap::from([("agent_metrics", dropped)]);
    assert_eq!(pass(&mut retention, midnight(2)).await, rest);
    assert_eq!(counts(&world).await, [3; 6]);
    assert_eq!(range.apply(&[sample("new", 4 * DAY, 0)]).await, outcome(1, 0, 0, 0));
}

#[tokio::test]
async fn a_chunk_that_a_lane_writes_to_is_left_to_another_pass() {
    check_beside_a_lane(Extension::Create, (2, 0), Some(ErrorKind::Busy), 6).await;
}

#[tokio::test]
async fn a_plain_table_that_a_lane_writes_to_loses_what_nobody_holds() {
    check_beside_a_lane(Extension::Leave, (0, 1), None, 4).await;
}

/// The other way round: a lane that knows the chunk waits for its lock, and then it is gone.
#[tokio::test]
async fn a_lane_whose_chunk_goes_while_it_waits_for_it_is_busy_and_comes_again() {
    let Some((world, mut range)) = five_days(Extension::Create).await else { return };
    let other = world.database.client().await;
    other
        .batch_execute("BEGIN; SELECT drop_chunks('agent_metrics', '2026-01-04Z'::timestamptz)")
        .await
        .unwrap();
    let gone = async {
        world.until_blocked().await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let late = [sample("late", 7, 0)];
    let (applied, ()) = tokio::join!(range.try_apply(&late), gone);
    let busy = target_error(applied);
    assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
    range.claim_again().await;
    assert_eq!(range.apply(&late).await, outcome(1, 0, 0, 0));
    assert_eq!(counts(&world).await, [4, 5, 5, 5, 5, 5]);
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_passed_over() {
    let Some((world, _)) = five_days(Extension::Leave).await else { return };
    let other = world.database.client().await;
    other.batch_execute("BEGIN; SELECT FROM gaps WHERE position = 6 FOR KEY SHARE").await.unwrap();
    let mut retention = open(&world, world.database.url()).await;
    let dropped = pass(&mut retention, midnight(2)).await;
    assert_eq!((dropped["gaps"], dropped["agent_states"]), ((0, 1), (0, 2)));
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pass(&mut retention, midnight(2)).await, BTreeMap::from([("gaps", (0, 1))]));
}

#[tokio::test]
async fn a_pooler_may_stand_between() {
    let Some((world, mut range)) = five_days(Extension::Create).await else { return };
    let Some(pooler) = PgBouncer::up(world.database.url(), 2) else { return };
    let mut retention = open(&world, pooler.url()).await;
    assert_eq!(pass(&mut retention, midnight(3)).await, of_each(3, 0));
    assert_eq!(range.apply(&one_of_each(6)).await, outcome(6, 0, 0, 0));
    assert_eq!(range.cursor.next, Position(37));
}

/// A DELETE there would be of somebody else's rows.
#[tokio::test]
async fn tables_that_are_not_ours_are_left_alone() {
    let Some(world) = World::with(Extension::Leave).await else { return };
    world.execute("CREATE TABLE gaps (time timestamptz); INSERT INTO gaps VALUES ('2020-01-01Z')").await;
    let Err(error) = Retention::open(world.database.url(), &world.log.log_id).await else { panic!("opened") };
    assert!(error.kind() == ErrorKind::Fatal && error.to_string().contains("not tailwater's"), "{error}");
    assert_eq!(world.text("SELECT count(*)::text FROM gaps").await, "1");
}

#[tokio::test]
async fn the_servers_clock_is_told() {
    let Some(world) = World::new().await else { return };
    let early: Time = "2025-01-01T00:00:00Z".parse().unwrap();
    let first = server_time(world.database.url()).await.unwrap();
    world.lane().await;
    let second = open(&world, world.database.url()).await.server_time().await.unwrap();
    assert!(early < first && first < second, "{first} {second}");
}
