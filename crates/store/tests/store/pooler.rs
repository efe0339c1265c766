//! The same flow through PgBouncer in transaction mode, whose sessions everybody shares.

use event::{Event, Kind, Position, Time};
use projector::verify::{RowsOf, Snapshot};
use projector::{ApplyError, ApplyOutcome, ClaimError, ErrorKind};
use query::{AgentFilter, AgentLatest, Reader, TimeRange};
use store::read::{ReadOptions, TimescaleReader};
use store::testing::{PgBouncer, TestDatabase, connect};
use store::{Extension, Link, SchemaReport, StoreOptions, TimescaleTarget, examine, migrate};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::{Range, World, claim_live, entries, log, sample, samples, seconds, usage};

/// How many sessions of the server the pooler has.
const SESSIONS: u32 = 2;

/// A world whose target goes through a pooler; what it looks with does not.
async fn world() -> Option<(World, PgBouncer)> {
    let database = TestDatabase::create().await?;
    let pooler = PgBouncer::up(database.url(), SESSIONS)?;
    let target = TimescaleTarget::new(pooler.url().clone(), StoreOptions::default());
    let client = database.client().await;
    Some((World { database, target, log: log("home"), client }, pooler))
}

/// All sessions of the server at once: each client is in a transaction, so no two have the same.
async fn every_session(pooler: &PgBouncer, begin: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let client = connect(pooler.url()).await;
        client.batch_execute(begin).await.unwrap();
        clients.push(client);
    }
    clients
}

/// The first column. As simple queries: a statement of the test's own must not be found by the test.
async fn text(client: &Client, sql: &str) -> String {
    let messages = client.simple_query(sql).await.expect(sql);
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

/// What a session could keep of ours.
const LEFT: &str =
    "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'),
    current_setting('idle_in_transaction_session_timeout'), current_setting('tcp_user_timeout'),
    current_setting('jit') = (SELECT boot_val FROM pg_settings WHERE name = 'jit'),
    current_setting('work_mem'), current_setting('search_path'),
    (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))";
const NOTHING: &str = "0 0 0 0 t 4MB \"$user\", public 0 0 0";

async fn nothing_is_left(pooler: &PgBouncer) {
    for client in every_session(pooler, "BEGIN").await {
        assert_eq!(text(&client, LEFT).await, NOTHING);
        client.batch_execute("ROLLBACK").await.unwrap();
    }
}

fn latest() -> AgentLatest {
    let range = TimeRange::new(seconds(-1), Time::from_micros(seconds(100_000).micros())).unwrap();
    AgentLatest { range, filter: AgentFilter::default() }
}

/// Straight, round, usage, a hole; several times.
async fn work(range: &mut Range, world: &World, agent: &str, rounds: i64) {
    for round in 0..rounds {
        let first = range.cursor.next.0;
        let new: Vec<Event> = (0..20).map(|second| sample(agent, round * 100 + second, 1)).collect();
        assert_eq!(range.apply(&new).await, counts(20, 0));
        let more = Event::TokenUsage(usage(&format!("msg_{agent}_{round}"), 5, false));
        let mixed = [new.clone(), vec![sample(agent, round * 100 + 50, 2), more]].concat();
        assert_eq!(range.apply(&mixed).await, counts(2, 20));
        range.pass_to(range.cursor.next.plus(3)).await.unwrap();
        assert!(range.cursor.next.0 > first && world.log.host.as_str() == "home");
    }
}

fn counts(inserted: u64, present: u64) -> ApplyOutcome {
    ApplyOutcome { inserted, present, ..ApplyOutcome::default() }
}

#[tokio::test]
async fn everything_works_through_a_pooler_and_leaves_nothing_behind() {
    let Some((world, pooler)) = world().await else { return };
    let mut one = world.range().await;
    let mut two = world.range_of(&log("away")).await;
    let reader = TimescaleReader::new(pooler.url(), ReadOptions::default());
    work(&mut one, &world, "a", 2).await;
    reader.agent_latest(&latest()).await.unwrap();
    nothing_is_left(&pooler).await;

    // Two lanes, a reader, and somebody who has no manners.
    let stranger = connect(pooler.url()).await;
    let reading = async {
        for _ in 0..20 {
            reader.agent_latest(&latest()).await.unwrap();
        }
    };
    let disturbing = async {
        let garbage = "SET lock_timeout = 1; SET idle_in_transaction_session_timeout = 1; SET search_path = nowhere;
            SET statement_timeout = '50s'; SET extra_float_digits = -15; SET work_mem = '64kB'; SET DateStyle = 'SQL, DMY';
            SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'; SET TimeZone = 'Asia/Tokyo'";
        for _ in 0..50 {
            stranger.batch_execute(garbage).await.unwrap();
        }
    };
    tokio::join!(work(&mut one, &world, "b", 10), work(&mut two, &world, "c", 10), reading, disturbing);

    let names = ["a", "b", "c"];
    let rows = reader.agent_latest(&latest()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.agent_name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(world.count("agent_metrics").await, 22 * 21);
    assert_eq!(world.count("token_metrics").await, 22);
    // In one message: what the stranger has left would end the transaction before the next.
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
    for client in every_session(&pooler, begin).await {
        let prepared = "SELECT count(*) FROM pg_prepared_statements";
        assert_eq!(text(&client, prepared).await, "0");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    reader.close().await;
    world.database.drop().await;
}

/// One session of the server is enough, for many who migrate at once.
#[tokio::test]
async fn many_at_once_migrate_through_one_session() {
    let Some(database) = TestDatabase::create().await else { return };
    let Some(pooler) = PgBouncer::up(database.url(), 1) else { return };
    let (url, socket) = (pooler.url(), pooler.socket_url());
    let all = tokio::join!(
        migrate(url, Extension::Create),
        migrate(socket, Extension::Create),
        migrate(url, Extension::Create),
    );
    let outcomes = [all.0.unwrap(), all.1.unwrap(), all.2.unwrap()];
    let made: usize = outcomes.iter().map(|outcome| outcome.hypertables_made.len()).sum();
    assert_eq!(made, 6, "{outcomes:?}");
    let client = database.client().await;
    assert_eq!(text(&client, "SELECT count(*) FROM tailwater_migrations").await, "1");
}

/// A COPY that fails, at any place, leaves no statement to whoever has the session next.
#[tokio::test]
async fn failures_leave_nothing_behind_either() {
    let Some((world, pooler)) = world().await else { return };
    let mut range = world.range().await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes < 1000)").await;
    range.apply(&samples("a", 3)).await;
    assert_eq!(range.apply(&[sample("b", 0, 5000)]).await.quarantined, 1);
    nothing_is_left(&pooler).await;
    // For good, as far as anybody can tell.
    world.execute("ALTER TABLE agent_metrics RENAME TO gone").await;
    let error = range.try_apply(&[sample("b", 1, 1)]).await.unwrap_err();
    assert!(error.to_string().contains("42P01"), "{error}");
    nothing_is_left(&pooler).await;
    world.execute("ALTER TABLE gone RENAME TO agent_metrics").await;
    let mut range = world.range().await;
    assert_eq!(range.apply(&samples("a", 4)).await, counts(1, 3));

    // In the middle of a batch, on the way round, the future is dropped: the pooler ends that session.
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE agent_metrics").await.unwrap();
    let events = samples("b", 5);
    tokio::select! {
        applied = range.try_apply(&events) => panic!("applied through a lock: {applied:?}"),
        () = world.until_blocked() => {}
    }
    drop(range);
    holder.batch_execute("COMMIT").await.unwrap();
    let mut again = world.range().await;
    assert_eq!(again.apply(&events).await.inserted, 5);
    nothing_is_left(&pooler).await;
}

/// tokio-postgres names statements s0, s1, … in every process: one that another has left is met by ours.
#[tokio::test]
async fn statements_that_somebody_left_are_a_reason_to_try_again() {
    let Some((world, pooler)) = world().await else { return };
    let mut range = world.range().await;
    let left: String = (0..100).map(|number| format!("PREPARE s{number} AS SELECT 1; ")).collect();
    let clients = every_session(&pooler, "BEGIN").await;
    for client in &clients {
        client.batch_execute(&left).await.unwrap();
    }
    for client in &clients {
        client.batch_execute("COMMIT").await.unwrap();
    }
    match range.try_apply(&samples("a", 3)).await {
        Err(ApplyError::Target(error)) => {
            assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
            assert!(error.to_string().contains("42P05"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    for client in every_session(&pooler, "BEGIN").await {
        client.batch_execute("COMMIT; DEALLOCATE ALL").await.unwrap();
    }
}

/// What a blocked claim looks for is found in no transaction of its own, where a stranger's settings would count.
#[tokio::test]
async fn a_blocked_claim_minds_nothing_that_a_stranger_left() {
    let Some((world, pooler)) = world().await else { return };
    let mut range = world.range().await;
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN; UPDATE tailwater_ranges SET applied_at = now()").await.unwrap();
    let clients = every_session(&pooler, "BEGIN").await;
    for client in &clients {
        client.batch_execute("SET search_path = nowhere; COMMIT").await.unwrap();
    }
    let claimed = claim_live(&mut range.lane, range.writer, range.lo, &|_| Ok(None)).await;
    match claimed {
        Err(ClaimError::Target(error)) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
        other => panic!("{other:?}"),
    }
    holder.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn what_verifies_and_mends_leaves_nothing_in_a_session() {
    let Some((world, pooler)) = world().await else { return };
    let mut range = world.range().await;
    range.apply(&[sample("a", 0, 1), sample("a", 1, 1)]).await;
    world.execute("DELETE FROM agent_metrics WHERE position = 2").await;
    let entries = entries(Position(1), &[sample("a", 0, 1), sample("a", 1, 1)]);
    let mut snapshot = world.target.snapshot(&world.log).await.unwrap().unwrap();
    let mut rows = Vec::new();
    snapshot.rows(Kind::AgentSample, RowsOf::All, &mut |row| rows.push(row.position)).await.unwrap();
    assert_eq!(rows, [1]);
    assert_eq!(snapshot.unexplained(&entries).await.unwrap(), [Position(2)]);
    snapshot.close().await.unwrap();
    let mut mender = world.target.mender(&world.log).await.unwrap().unwrap();
    assert_eq!(mender.mend(&entries).await.unwrap().inserted, 1);
    nothing_is_left(&pooler).await;
}

#[tokio::test]
async fn an_examination_goes_through_and_leaves_nothing() {
    let Some((world, pooler)) = world().await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 3)).await;
    let report = examine(pooler.url(), Some(world.log.log_id), &[]).await.unwrap();
    assert_eq!(report.link, Link::Pooled);
    assert_eq!(report.log.unwrap().unwrap().live_next, Some(range.cursor.next));
    assert!(matches!(report.schema, Ok(SchemaReport::Current)), "{:?}", report.schema);
    assert!(report.server.is_ok() && report.tables.is_ok() && report.edition.is_ok());
    drop(range);
    nothing_is_left(&pooler).await;
}
