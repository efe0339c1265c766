//! Adoptions that do not run through: killed, in each other's way, in a log's way, refused.

use event::Time;
use projector::ErrorKind;
use store::testing::GO_TABLES;
use store::{Extension, adopt, adoptable, preview_adoption};

use crate::adopting::{adopted, host, hours, world};
use crate::support::{World, log, outcome, sample};

/// Drops an adoption at its `at`-th word: as if the process were killed there.
async fn adopt_until(world: &World, at: usize) -> bool {
    let (killed, end) = tokio::sync::oneshot::channel();
    let (mut killed, mut heard, host) = (Some(killed), 0, host());
    let tell = |_| {
        heard += 1;
        if heard == at {
            let _ = killed.take().map(|killed| killed.send(()));
        }
    };
    tokio::select! {
        biased;
        _ = end => true,
        done = adopt(world.database.url(), &host, Extension::Leave, tell) => { done.unwrap(); false }
    }
}

#[tokio::test]
async fn whatever_ends_it_the_next_one_goes_on() {
    let Some(whole) = world(&[&hours(24 * 120)]).await else { return };
    let at_once = adopted(&whole, Extension::Leave).await;
    let wanted = whole.checksums().await;

    let Some(world) = world(&[&hours(24 * 120)]).await else { return };
    let mut at = 1;
    // The words of an attempt: one in front of each table and one for each piece.
    while adopt_until(&world, at).await {
        at = at % 3 + 1;
        if at == 1 {
            let found = adoptable(world.database.url()).await.unwrap();
            assert_eq!(found.host.as_deref(), Some(host().as_str()));
        }
    }
    assert_eq!(world.checksums().await, wanted);
    let counts =
        "SELECT concat_ws(' ', name, rows, copied, finished_at IS NULL) FROM tailwater_adoptions ORDER BY 1";
    let told: Vec<String> =
        at_once.iter().map(|it| format!("{} {} {} f", it.name, it.rows, it.copied)).collect();
    assert_eq!(world.texts(counts).await, told);
    assert_eq!(told[0], "agent_metrics 5760 5760 f");
}

#[tokio::test]
async fn two_at_once_copy_every_row_once() {
    let Some(world) = world(&[&hours(24 * 120)]).await else { return };
    let (url, host) = (world.database.url(), host());
    let both = tokio::join!(
        adopt(url, &host, Extension::Create, |_| ()),
        adopt(url, &host, Extension::Create, |_| ()),
        adopt(url, &host, Extension::Create, |_| ())
    );
    for tables in [both.0, both.1, both.2] {
        let tables = tables.unwrap();
        assert!(tables.iter().all(|it| it.rows == it.copied), "{tables:?}");
    }
    assert_eq!(world.count("agent_metrics").await, 5_760);
    assert_eq!(world.text("SELECT sum(copied)::text FROM tailwater_adoptions").await, "17280");
}

#[tokio::test]
async fn rows_of_a_log_that_are_there_stay_and_its_projection_does_not_mind() {
    // Ten seconds from 2026-01-02T03:04:05Z, where the events of a test begin.
    let rows = "INSERT INTO agent_metrics (time, agent_name, mem_used_bytes)
        SELECT to_timestamp(1767323045 + n), 'zen', 777 FROM generate_series(0, 9) AS n";
    let Some(world) = world(&[rows]).await else { return };
    assert!(adopt_until(&world, 1).await, "the tables are there, and no row is copied");
    let mut range = world.range_of(&log(host().as_str())).await;
    let events: Vec<_> = (5..12).map(|second| sample("zen", second, 1)).collect();
    assert_eq!(range.apply(&events).await, outcome(7, 0, 0, 0));
    let tables = adopted(&world, Extension::Leave).await;
    assert_eq!((tables[0].rows, tables[0].copied, tables[0].present), (10, 5, 5));
    let by_log = "SELECT concat_ws(' ', log_id = '00000000-0000-4000-8000-000000006263', count(*), max(mem_used_bytes))
        FROM agent_metrics JOIN tailwater_logs USING (log_no) GROUP BY log_id ORDER BY 1";
    assert_eq!(world.texts(by_log).await, ["f 7 1", "t 5 777"]);

    // What the log says of a time that the Go package's row has already is there already.
    let older: Vec<_> = (0..6).map(|second| sample("zen", second, 1)).collect();
    assert_eq!(range.apply(&older).await, outcome(0, 6, 5, 0));
    range.claim_again().await;
    assert_eq!(world.count("agent_metrics").await, 12);
    assert_eq!(world.count("tailwater_quarantine").await, 0);
}

#[tokio::test]
async fn a_name_that_is_taken_refuses_everything() {
    for taken in [
        "CREATE TABLE token_metrics_bc (id int)",
        "CREATE VIEW token_metrics_bc AS SELECT 1 AS one",
        "CREATE INDEX token_metrics_bc ON system_metrics (time)",
        "CREATE TYPE token_metrics_bc AS ENUM ('a')",
        "CREATE SEQUENCE token_metrics_bc",
    ] {
        let Some(world) = world(&[taken, &hours(1)]).await else { return };
        is_refused(&world, &["token_metrics_bc", "taken", "nothing has changed"]).await;
    }
}

#[tokio::test]
async fn what_is_not_the_go_packages_is_refused_by_its_name() {
    for (make, told) in [
        ("ALTER TABLE channel_metrics DROP reaction_count", ["channel_metrics", "no column reaction_count"]),
        (
            "ALTER TABLE agent_metrics ALTER time TYPE text",
            ["agent_metrics", "column time has the type text"],
        ),
        ("ALTER TABLE system_metrics ADD log_no int", ["system_metrics", "was tailwater's own"]),
        ("CREATE TABLE agent_states (time timestamptz)", ["agent_states", "no table of that name"]),
        ("CREATE TABLE tailwater_ranges (lo bigint)", ["tailwater_ranges", "no table of that name"]),
        (
            "ALTER TABLE agent_metrics RENAME TO a; CREATE VIEW agent_metrics AS TABLE a",
            ["agent_metrics", "a view"],
        ),
    ] {
        let Some(world) = world(&[make]).await else { return };
        is_refused(&world, &told).await;
    }
}

/// Nothing is adopted, for this reason in one line, and nothing has changed.
async fn is_refused(world: &World, told: &[&str]) {
    let relations =
        "SELECT relname || ' ' || relkind::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'public' ORDER BY 1";
    let before = world.texts(relations).await;
    let url = world.database.url();
    let errors = [
        adoptable(url).await.expect_err("refused"),
        preview_adoption(url).await.expect_err("refused"),
        adopt(url, &host(), Extension::Create, |_| ()).await.expect_err("refused"),
    ];
    for error in errors {
        let message = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Fatal, "{message}");
        assert!(told.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{message}");
    }
    assert_eq!(world.texts(relations).await, before);
}

#[tokio::test]
async fn a_table_that_somebody_uses_is_waited_for_and_then_told() {
    let Some(world) = world(&[&hours(1)]).await else { return };
    let other = world.database.client().await;
    other.batch_execute("BEGIN; SELECT FROM token_metrics").await.unwrap();
    let error = adopt(world.database.url(), &host(), Extension::Leave, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let message = error.to_string();
    assert!(message.contains("55P03") && message.contains("stop the Go program"), "{message}");
    assert_eq!(world.count("agent_metrics").await, 2, "nothing is renamed");
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(adopted(&world, Extension::Leave).await.len(), 4);
}

#[tokio::test]
async fn a_kept_table_that_is_gone_is_told_with_the_way_out() {
    let Some(world) = world(&[&hours(1)]).await else { return };
    assert!(adopt_until(&world, 1).await);
    world.execute("DROP TABLE channel_metrics_bc").await;
    let error = adopt(world.database.url(), &host(), Extension::Leave, |_| ()).await.unwrap_err();
    let message = error.to_string();
    let (_, way_out) = message.split_once("give them up by ").expect("a way out");
    world.execute(way_out).await;
    assert_eq!(adopted(&world, Extension::Leave).await.len(), 3);
}

#[tokio::test]
async fn a_limit_on_statements_does_not_end_it() {
    let Some(world) = world(&[&hours(2)]).await else { return };
    assert!(adopt_until(&world, 1).await);
    world.trigger("agent_metrics", "PERFORM pg_sleep(0.1);").await;
    let name = world.database.url().database();
    world.execute(&format!("ALTER DATABASE {name} SET statement_timeout = '300ms'")).await;
    assert_eq!(adopted(&world, Extension::Leave).await[0].copied, 4, "four rows take 0.4 s in one statement");
}

#[tokio::test]
async fn rows_that_a_policy_hides_are_not_lost_without_a_word() {
    let Some(world) = World::new().await else { return };
    let role = format!("{}_u", world.database.url().database());
    world
        .execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; CREATE SCHEMA AUTHORIZATION {role}; SET ROLE {role};
             SET search_path = {role}; {GO_TABLES} {} ALTER TABLE agent_metrics ENABLE ROW LEVEL SECURITY;
             ALTER TABLE agent_metrics FORCE ROW LEVEL SECURITY; CREATE POLICY none ON agent_metrics USING (false)",
            hours(2)
        ))
        .await;
    let url = world.database.url().secret().replacen("//postgres", &format!("//{role}:p"), 1);
    let url = url.parse().unwrap();
    let hidden = adopt(&url, &host(), Extension::Leave, |_| ()).await;
    world.execute("ALTER TABLE agent_metrics_bc NO FORCE ROW LEVEL SECURITY").await;
    let shown = adopt(&url, &host(), Extension::Leave, |_| ()).await;
    world.execute(&format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let message = hidden.unwrap_err().to_string();
    assert!(message.contains("42501") && message.contains("agent_metrics_bc"), "{message}");
    assert_eq!(shown.unwrap()[0].copied, 4);
}

#[tokio::test]
async fn a_row_that_the_database_drops_without_a_word_is_no_copy() {
    let Some(world) = world(&[&hours(3)]).await else { return };
    assert!(adopt_until(&world, 1).await);
    world.trigger("agent_metrics", "IF NEW.agent_name = 'a1' THEN RETURN NULL; END IF;").await;
    let error = adopt(world.database.url(), &host(), Extension::Leave, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("drops 3 rows without a word"), "{error}");
    assert_eq!(world.count("agent_metrics").await, 0);
    world.execute("DROP TRIGGER judge_agent_metrics ON agent_metrics").await;
    assert_eq!(adopted(&world, Extension::Leave).await[0].copied, 6);
}

#[tokio::test]
async fn a_schema_of_its_own_is_looked_at_alone() {
    let Some(world) = world(&["CREATE SCHEMA tw", &hours(1)]).await else { return };
    let url = format!("{}?options=-c%20search_path%3Dtw,public", world.database.url().secret());
    let url = url.parse().unwrap();
    assert_eq!(adoptable(&url).await.unwrap().tables, []);
    world.execute("ALTER TABLE agent_metrics SET SCHEMA tw").await;
    let tables = adopt(&url, &host(), Extension::Leave, |_| ()).await.unwrap();
    assert_eq!(
        tables.iter().map(|it| (it.name.as_str(), it.copied)).collect::<Vec<_>>(),
        [("agent_metrics", 2)]
    );
    assert_eq!(world.text("SELECT count(*)::text FROM tw.agent_metrics_bc").await, "2");
    assert_eq!(world.text("SELECT count(*)::text FROM public.token_metrics").await, "2");
    let first = adoptable(world.database.url()).await.unwrap().tables[0].span.unwrap().0;
    assert_eq!(first, "2025-01-01T00:00:00Z".parse::<Time>().unwrap());
}
