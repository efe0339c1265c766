//! An examination tells what a database is, and changes nothing.

use store::testing::TestDatabase;
use store::{
    DatabaseReport, DatabaseUrl, Distance, Edition, Extension, Link, SchemaReport, Transport, examine,
    migrate,
};

use crate::support::{World, log, samples};

async fn examined(url: &DatabaseUrl) -> DatabaseReport {
    examine(url, None, &[]).await.unwrap()
}

#[tokio::test]
async fn an_empty_database_stays_empty() {
    let Some(database) = TestDatabase::create().await else { return };
    let report = examined(database.url()).await;
    assert!(matches!(report.schema, Ok(SchemaReport::Absent)), "{report:?}");
    assert_eq!((report.transport, report.link), (Transport::Plain, Link::Direct));
    assert_eq!(report.distance, Distance::SameMachine);
    assert!(matches!(report.edition, Ok(Edition::PostgreSql { .. })), "{report:?}");
    assert!(report.log.unwrap().is_none() && report.namesakes.unwrap().is_empty());
    let tables = report.tables.unwrap();
    assert_eq!((tables.bytes, tables.lacking.len()), (0, 0), "{tables:?}");
    let client = database.client().await;
    let row =
        client.query_one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", &[]);
    assert_eq!(row.await.unwrap().get::<_, i64>(0), 0);
    database.drop().await;
}

#[tokio::test]
async fn the_server_tells_its_settings_and_its_time() {
    let Some(database) = TestDatabase::create().await else { return };
    let server = examined(database.url()).await.server.unwrap();
    for setting in
        ["fsync", "max_connections", "server_version_num", "statement_timeout", "synchronous_commit"]
    {
        assert!(server.settings.contains_key(setting), "{setting} of {server:?}");
    }
    assert!(!server.is_standby && server.sessions > 0 && server.sessions_max.is_none(), "{server:?}");
    // The server is on this machine, and so is its clock.
    let uncertain = i64::try_from(server.round_trip.as_micros()).unwrap() + 1_000_000;
    assert!(server.clock_ahead_micros.abs() < uncertain, "{server:?}");
    database.drop().await;
}

#[tokio::test]
async fn hypertables_are_measured_with_their_chunks() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    let before = examined(world.database.url()).await.tables.unwrap().bytes;
    range.apply(&samples("a", 2)).await;
    let report = examined(world.database.url()).await;
    assert!(matches!(report.schema, Ok(SchemaReport::Current)), "{report:?}");
    assert!(matches!(report.edition, Ok(Edition::Timescale { .. })), "{report:?}");
    let tables = report.tables.unwrap();
    assert!(tables.bytes > before, "{} after {before}", tables.bytes);
    assert_eq!((tables.schema.as_str(), tables.lacking.len()), ("public", 0));
}

#[tokio::test]
async fn a_locked_table_holds_up_one_part_for_a_second() {
    let Some(world) = World::new().await else { return };
    world.lane().await;
    world.execute("BEGIN; LOCK TABLE gaps IN ACCESS EXCLUSIVE MODE").await;
    let report = examined(world.database.url()).await;
    let error = report.tables.unwrap_err().to_string();
    assert!(error.contains("55P03"), "{error}");
    assert!(matches!(report.schema, Ok(SchemaReport::Current)), "the others go on: {:?}", report.schema);
    assert!(report.namesakes.is_ok() && report.edition.is_ok());
}

#[tokio::test]
async fn progress_and_namesakes_are_those_of_the_log() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 1)).await;
    let twin = log(world.log.host.as_str());
    let hosts = [world.log.host.clone()];
    let url = world.database.url();
    let own = examine(url, Some(world.log.log_id), &hosts).await.unwrap();
    let progress = own.log.unwrap().unwrap();
    assert_eq!(progress.live_next.map(|next| next.0), Some(2));
    assert_eq!((progress.backlog, progress.quarantined), (0, 0));
    assert!(progress.applied_at.unwrap().micros() <= progress.now.micros());
    assert_eq!(own.namesakes.unwrap(), []);

    let of_twin = examine(url, Some(twin.log_id), &hosts).await.unwrap();
    assert_eq!(of_twin.log.unwrap(), None);
    let namesakes = of_twin.namesakes.unwrap();
    assert_eq!(namesakes.len(), 1);
    assert_eq!((namesakes[0].log_id, namesakes[0].host.as_str()), (world.log.log_id, hosts[0].as_str()));
}

#[tokio::test]
async fn what_a_user_may_not_do_is_named() {
    let Some(world) = World::new().await else { return };
    world.lane().await;
    let name = format!("tailwater_reader_{}", world.log.log_id.0.simple());
    world
        .execute(&format!("CREATE ROLE {name} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"))
        .await;
    let url = world.database.url().secret().replacen("//postgres", &format!("//{name}"), 1);
    let report = examined(&url.parse().unwrap()).await;
    world.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
    let lacking = report.tables.unwrap().lacking;
    assert!(lacking.contains(&"INSERT on agent_metrics".to_owned()), "{lacking:?}");
    assert!(lacking.contains(&"INSERT on tailwater_logs".to_owned()), "{lacking:?}");
    assert!(
        !lacking.iter().any(|text| text.contains("SELECT") || text.contains("_migrations")),
        "{lacking:?}"
    );
}

#[tokio::test]
async fn tables_of_others_and_newer_ones_are_told_apart() {
    let Some(database) = TestDatabase::create().await else { return };
    let client = database.client().await;
    client.batch_execute("CREATE TABLE agent_metrics (time timestamptz)").await.unwrap();
    let report = examined(database.url()).await;
    assert!(matches!(report.schema, Ok(SchemaReport::Foreign(_))), "{report:?}");
    client.batch_execute("DROP TABLE agent_metrics").await.unwrap();
    migrate(database.url(), Extension::Leave).await.unwrap();
    let newer = "INSERT INTO tailwater_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', true, '', 0)";
    client.batch_execute(newer).await.unwrap();
    let report = examined(database.url()).await;
    let Ok(SchemaReport::Refused(error)) = report.schema else { panic!("{report:?}") };
    assert!(error.to_string().contains("9999"), "{error}");
    let behind = "DELETE FROM tailwater_migrations";
    client.batch_execute(behind).await.unwrap();
    let report = examined(database.url()).await;
    assert!(matches!(report.schema, Ok(SchemaReport::Behind(_))), "{report:?}");
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_without_a_password() {
    let url: DatabaseUrl = "postgres://u:sekret@127.0.0.1:9/x".parse().unwrap();
    let error = examine(&url, None, &[]).await.unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:9") && !error.contains("sekret"), "{error}");
}
