//! The reader against real servers: the answers of [`query::fold`], and errors that say what to do.

mod same_answers;
mod same_counts;

use event::{AgentSample, Resources, SystemSample, Time};
use query::{AgentFilter, Buckets, Interval, ReadErrorKind, SystemFilter};

use super::*;
use crate::Extension;
use crate::testing::{TestDatabase, TestEdition};

const NOON: i64 = 1_767_355_200; // 2026-01-02T12:00:00Z

fn at(seconds: i64) -> Time {
    Time::from_micros((NOON + seconds) * 1_000_000)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to)).unwrap()
}

fn reader(url: &DatabaseUrl) -> TimescaleReader {
    TimescaleReader::new(
        url,
        ReadOptions { acquire_timeout: Duration::from_secs(2), ..ReadOptions::default() },
    )
}

fn latest() -> AgentLatest {
    AgentLatest { range: range(0, 600), filter: AgentFilter::default() }
}

/// A migrated database, if there is a server.
async fn migrated(extension: Extension) -> Option<TestDatabase> {
    migrated_in(TestEdition::Apache, extension).await
}

async fn migrated_in(edition: TestEdition, extension: Extension) -> Option<TestDatabase> {
    let database = TestDatabase::create_in(edition).await?;
    crate::migrate(database.url(), extension).await.unwrap();
    Some(database)
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

fn resources(it: &Resources) -> String {
    [
        number(it.cpu_percent),
        number(it.mem_used_bytes),
        number(it.mem_limit_bytes),
        number(it.mem_percent),
        number(it.net_rx_bytes),
        number(it.net_tx_bytes),
        number(it.disk_read_bytes),
        number(it.disk_write_bytes),
    ]
    .join(", ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Writes samples as the projection does: of those with one key the first stays.
async fn insert_agents(database: &TestDatabase, samples: &[AgentSample]) {
    let row = |(index, it): (usize, &AgentSample)| {
        let texts = [it.agent_name.as_str(), &it.role, &it.tool, &it.runtime, it.state.as_str()]
            .map(quoted)
            .join(", ");
        let host = quoted(it.host.as_deref().unwrap_or("own"));
        format!("('{}', {texts}, {}, {host}, 1, {})", it.time, resources(&it.resources), index + 1)
    };
    insert(database, "agent_metrics", samples.iter().enumerate().map(row).collect()).await;
}

async fn insert_systems(database: &TestDatabase, samples: &[SystemSample]) {
    let row = |(index, it): (usize, &SystemSample)| {
        let host = quoted(it.host.as_deref().unwrap_or("own"));
        let name = quoted(&it.system_name);
        format!("('{}', {name}, {}, {host}, 1, {})", it.time, resources(&it.resources), index + 1)
    };
    insert(database, "system_metrics", samples.iter().enumerate().map(row).collect()).await;
}

async fn insert(database: &TestDatabase, table: &str, rows: Vec<String>) {
    if rows.is_empty() {
        return;
    }
    let sql = format!("INSERT INTO {table} VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
    database.client().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_has_empty_answers() {
    let Some(database) = migrated(Extension::Create).await else { return };
    let reader = reader(database.url());
    let buckets = Buckets::new(range(0, 600), Interval::DEFAULT).unwrap();
    let agents = AgentSeries { buckets, filter: AgentFilter::default() };
    let systems = SystemSeries { buckets, filter: SystemFilter::default() };
    assert_eq!(reader.agent_series(&agents).await.unwrap(), []);
    assert_eq!(reader.system_series(&systems).await.unwrap(), []);
    assert_eq!(reader.agent_latest(&latest()).await.unwrap(), []);
    assert_eq!(reader.agent_summary("a", range(0, 600)).await.unwrap(), None);
    reader.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_never_sql() {
    let Some(database) = migrated(Extension::Create).await else { return };
    let name = "a'; DROP TABLE agent_metrics; --\"\\";
    let sample = AgentSample { time: at(1), agent_name: name.into(), ..AgentSample::default() };
    insert_agents(&database, &[sample]).await;
    let reader = reader(database.url());
    let filter = AgentFilter { agent_name: Names::only([name, "b"]), ..AgentFilter::default() };
    let rows = reader.agent_latest(&AgentLatest { filter, ..latest() }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.agent_name.as_str()).collect::<Vec<_>>(), [name]);
    assert_eq!(reader.agent_summary(name, range(0, 600)).await.unwrap().unwrap().agent_name, name);
    reader.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_beyond_a_bigint_stay_at_its_end() {
    let Some(database) = migrated(Extension::Create).await else { return };
    let most = event::limits::COUNT_MAX;
    let full = |seconds, counter| AgentSample {
        time: at(seconds),
        agent_name: "a".into(),
        resources: Resources {
            mem_used_bytes: Some(most),
            net_rx_bytes: Some(counter),
            disk_read_bytes: Some(7),
            ..Resources::default()
        },
        ..AgentSample::default()
    };
    insert_agents(&database, &[full(0, 0), full(1, most), full(2, 1), full(3, most)]).await;
    let reader = reader(database.url());
    let summary = reader.agent_summary("a", range(0, 600)).await.unwrap().unwrap();
    assert_eq!(summary.network.unwrap().received, Some(most));
    assert_eq!(summary.network.unwrap().sent, None);
    assert_eq!(summary.disk.received, Some(0));
    assert_eq!((summary.memory.avg_bytes, summary.memory.max_bytes), (Some(most), Some(most)));
    let buckets = Buckets::new(range(0, 600), Interval::DEFAULT).unwrap();
    let rows = reader.agent_series(&AgentSeries { buckets, filter: AgentFilter::default() }).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].rates.net_rx_per_second.unwrap() > 6e18);
    reader.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_says_what_to_run() {
    let Some(database) = TestDatabase::create().await else { return };
    let reader = reader(database.url());
    let error = reader.agent_latest(&latest()).await.unwrap_err();
    assert_eq!(error.kind(), ReadErrorKind::Unavailable);
    assert!(error.to_string().contains("run `tailwater migrate` or `tailwater run`"), "{error}");
    // The connection is as good as new.
    crate::migrate(database.url(), Extension::Create).await.unwrap();
    assert_eq!(reader.agent_latest(&latest()).await.unwrap(), []);
    reader.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_unavailable_and_comes_back() {
    let Some(database) = TestDatabase::planned() else { return };
    let nobody: DatabaseUrl = "postgres://postgres:secret@127.0.0.1:9/tailwater".parse().unwrap();
    let away = reader(&nobody).agent_latest(&latest()).await.unwrap_err();
    let missing = reader(database.url()).agent_latest(&latest()).await.unwrap_err();
    for error in [away, missing] {
        assert_eq!(error.kind(), ReadErrorKind::Unavailable, "{error}");
        let told = error.to_string();
        assert!(told.starts_with("cannot read from the database postgres://"), "{told}");
        assert!(!told.contains('\n') && !told.contains("secret"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_its_time_and_no_more() {
    let Some(database) = migrated(Extension::Create).await else { return };
    let options = ReadOptions { statement_timeout: Duration::from_millis(100), ..ReadOptions::default() };
    let reader = TimescaleReader::new(database.url(), options);
    let client = database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE agent_metrics IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let error = reader.agent_latest(&latest()).await.unwrap_err();
    assert_eq!(error.kind(), ReadErrorKind::Unavailable);
    assert!(error.to_string().contains("ask for a shorter range"), "{error}");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(reader.agent_latest(&latest()).await.unwrap(), []);
    reader.close().await;
    database.drop().await;
}
