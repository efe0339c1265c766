//! The schema: made once, by one or by many, and never over somebody else's.

use projector::{ErrorKind, LaneName, Target};
use store::testing::{TestDatabase, TestEdition};
use store::{Edition, Extension, Licence, Migrate, StoreOptions, TimescaleTarget, migrate};
use tokio_postgres::Client;

use crate::support::{TABLES, in_every_edition, log};

async fn texts(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.expect(sql).iter().map(|row| row.get(0)).collect()
}

const HYPERTABLES: &str = "SELECT concat_ws(' ', hypertable_name, time_interval)
    FROM timescaledb_information.dimensions ORDER BY hypertable_name";
const INDEXES: &str = "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'
    AND tablename = 'agent_metrics'";

/// Whether the edition has been found out.
fn is_found(edition: TestEdition, found: &Edition) -> bool {
    match (edition, found) {
        (TestEdition::Plain, Edition::PostgreSql { version }) => version.starts_with("15."),
        (TestEdition::Apache, Edition::Timescale { licence, .. }) => *licence == Licence::Apache,
        (TestEdition::Licensed, Edition::Timescale { licence, .. }) => *licence == Licence::Timescale,
        _ => false,
    }
}

async fn a_second_time_there_is_nothing_to_do(edition: TestEdition) {
    let Some(database) = TestDatabase::create_in(edition).await else { return };
    let first = migrate(database.url(), Extension::Create).await.unwrap();
    assert_eq!(first.applied.first().map(ToString::to_string).as_deref(), Some("0001 tables"));
    assert!(is_found(edition, &first.edition), "{}", first.edition);
    let hypertables = if edition == TestEdition::Plain { 0 } else { 6 };
    assert_eq!(first.hypertables_made.len(), hypertables);

    let second = migrate(database.url(), Extension::Create).await.unwrap();
    assert_eq!((second.applied.len(), second.hypertables_made.len()), (0, 0));
    assert_eq!(second.edition, first.edition);
    assert_eq!(store::edition(database.url()).await.unwrap(), first.edition);

    let client = database.client().await;
    if hypertables > 0 {
        let mut wanted = TABLES.map(|table| format!("{table} 1 day"));
        wanted.sort();
        assert_eq!(texts(&client, HYPERTABLES).await, wanted);
    }
    assert_eq!(texts(&client, INDEXES).await, ["agent_metrics_pkey"]);
    database.drop().await;
}

in_every_edition!(a_second_time_there_is_nothing_to_do, a_table_of_our_name_that_is_not_ours_is_left_alone);

#[tokio::test]
async fn many_at_once_do_it_once() {
    let Some(database) = TestDatabase::create().await else { return };
    let url = database.url();
    let all = tokio::join!(
        migrate(url, Extension::Create),
        migrate(url, Extension::Create),
        migrate(url, Extension::Create),
        migrate(url, Extension::Create),
    );
    let outcomes = [all.0.unwrap(), all.1.unwrap(), all.2.unwrap(), all.3.unwrap()];
    let made: usize = outcomes.iter().map(|outcome| outcome.hypertables_made.len()).sum();
    assert_eq!(made, 6, "{outcomes:?}");
    let client = database.client().await;
    assert_eq!(texts(&client, "SELECT count(*)::text FROM tailwater_migrations").await, ["1"]);
    assert_eq!(texts(&client, HYPERTABLES).await.len(), 6);
}

#[tokio::test]
async fn plain_tables_become_hypertables_with_their_rows_when_the_extension_comes() {
    let Some(database) = TestDatabase::create().await else { return };
    let plain = migrate(database.url(), Extension::Leave).await.unwrap();
    assert!(matches!(plain.edition, Edition::PostgreSql { .. }), "{}", plain.edition);
    let client = database.client().await;
    let sql = "INSERT INTO gaps VALUES (now(), now(), now(), 1, 'w', 'r', 'h', 1, 1)";
    client.batch_execute(sql).await.unwrap();

    let outcome = migrate(database.url(), Extension::Create).await.unwrap();
    assert_eq!((outcome.applied.len(), outcome.hypertables_made.len()), (0, 6));
    assert_eq!(texts(&client, "SELECT what FROM gaps").await, ["w"]);
}

async fn a_table_of_our_name_that_is_not_ours_is_left_alone(edition: TestEdition) {
    let Some(database) = TestDatabase::create_in(edition).await else { return };
    let client = database.client().await;
    client
        .batch_execute("CREATE TABLE agent_metrics (id int); INSERT INTO agent_metrics VALUES (7)")
        .await
        .unwrap();
    let error = migrate(database.url(), Extension::Create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fatal);
    let told = error.to_string();
    assert!(told.contains("a table agent_metrics that is not tailwater's; "), "{told}");
    assert!(told.contains("otherwise rename it (ALTER TABLE agent_metrics RENAME TO"), "{told}");
    assert!(told.contains("`tailwater migrate --adopt-bc`") && !told.contains('\n'), "{told}");
    assert_eq!(texts(&client, "SELECT id::text FROM agent_metrics").await, ["7"]);
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(texts(&client, tables).await, ["agent_metrics"]);
}

#[tokio::test]
async fn a_schema_of_its_own_keeps_out_of_the_way() {
    let Some(database) = TestDatabase::create().await else { return };
    let client = database.client().await;
    client.batch_execute("CREATE TABLE agent_metrics (id int); CREATE SCHEMA tw").await.unwrap();
    let url = format!("{}?options=-c%20search_path%3Dtw,public", database.url().secret()).parse().unwrap();
    let outcome = migrate(&url, Extension::Create).await.unwrap();
    assert_eq!(outcome.hypertables_made.len(), 6);
    assert_eq!(migrate(&url, Extension::Create).await.unwrap().hypertables_made.len(), 0);
    let hypertables = "SELECT DISTINCT hypertable_schema::text FROM timescaledb_information.hypertables";
    assert_eq!(texts(&client, hypertables).await, ["tw"]);
}

#[tokio::test]
async fn a_newer_or_another_schema_is_left_alone() {
    let Some(database) = TestDatabase::create().await else { return };
    migrate(database.url(), Extension::Leave).await.unwrap();
    let client = database.client().await;
    let check = async |sql: &str, part: &str| {
        client.batch_execute(sql).await.unwrap();
        let target = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
        let error = target.connect(&log("home"), LaneName::Live).await.err().expect(part);
        assert_eq!(error.kind(), ErrorKind::Fatal);
        assert!(error.to_string().contains(part), "{error}");
    };
    let newer = "INSERT INTO tailwater_migrations SELECT 9999, 'x', now(), true, checksum, 0 FROM tailwater_migrations";
    check(newer, "has migration 9999, which this version of tailwater does not know").await;
    check(
        "DELETE FROM tailwater_migrations WHERE version = 9999; UPDATE tailwater_migrations SET checksum = 'x'",
        "migration 1 differs",
    )
    .await;
}

#[tokio::test]
async fn never_means_never() {
    let Some(database) = TestDatabase::create().await else { return };
    let options = StoreOptions { migrate: Migrate::Never, extension: Extension::Create };
    let target = TimescaleTarget::new(database.url().clone(), options);
    let error = target.connect(&log("home"), LaneName::Live).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("tailwater migrate"), "{error}");
    migrate(database.url(), Extension::Leave).await.unwrap();
    assert!(target.connect(&log("home"), LaneName::Live).await.is_ok());
}

#[tokio::test]
async fn a_user_who_may_not_create_the_extension_gets_plain_tables() {
    let Some(database) = TestDatabase::create().await else { return };
    let client = database.client().await;
    let role = format!("{}_u", database.url().database());
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE SCHEMA AUTHORIZATION {role}");
    client.batch_execute(&sql).await.unwrap();
    let url = database.url().secret().replacen("//postgres", &format!("//{role}:p"), 1);
    let outcome = migrate(&url.parse().unwrap(), Extension::Create).await;
    let dropped = client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let outcome = outcome.unwrap();
    assert!(matches!(outcome.edition, Edition::PostgreSql { .. }), "{}", outcome.edition);
    assert_eq!((outcome.applied.len(), outcome.hypertables_made.len()), (1, 0));
    dropped.unwrap();
}
