//! What goes wrong, and what it is called.

use std::future::Future;
use std::time::Duration;

use event::{Event, Position};
use projector::{ApplyError, ApplyOutcome, ErrorKind, LaneName, Target, WriterId};
use store::testing::TestDatabase;
use store::{StoreOptions, TimescaleTarget};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Range, World, claim_live, sample, samples, target_error, usage};

async fn range_with_ten(world: &World) -> Range {
    let mut range = world.range().await;
    range.apply(&samples("a", 10)).await;
    range
}

#[tokio::test]
async fn a_column_that_the_owner_added_is_no_obstacle() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    for table in ["agent_metrics", "token_metrics"] {
        world.execute(&format!("ALTER TABLE {table} ADD noted timestamptz NOT NULL DEFAULT now()")).await;
    }
    range.apply(&[sample("a", 0, 0), Event::TokenUsage(usage("x", 1, false))]).await;
    range.apply(&[sample("a", 0, 0), Event::TokenUsage(usage("x", 2, false))]).await;
}

#[tokio::test]
async fn a_dropped_table_is_fatal() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    world.execute("DROP TABLE agent_metrics").await;
    let error = target_error(range.try_apply(&samples("b", 1)).await);
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    assert!(error.to_string().contains("42P01"), "{error}");
    assert_eq!(world.text("SELECT next::text FROM tailwater_ranges").await, "11");
}

#[tokio::test]
async fn a_changed_column_type_is_fatal() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    world.execute("ALTER TABLE agent_metrics ALTER mem_used_bytes TYPE integer").await;
    let error = target_error(range.try_apply(&samples("b", 1)).await);
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    assert!(error.to_string().contains("22P03"), "{error}");
}

/// Kills every session of the tailwater kind.
async fn terminate(world: &World) {
    let sql = "SELECT pg_terminate_backend(pid, 5000)::text FROM pg_stat_activity
        WHERE application_name LIKE 'tailwater/%' AND datname = current_database()";
    assert!(!world.texts(sql).await.is_empty());
}

#[tokio::test]
async fn a_session_that_was_killed_is_tried_again() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    terminate(&world).await;
    let error = target_error(range.try_apply(&samples("b", 1)).await);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("57P01"), "{error}");

    let mut again = world.range().await;
    assert_eq!(again.cursor.next, Position(11));
    again.apply(&samples("b", 1)).await;
}

/// Waits until somebody waits for a lock.
/// Holds `agent_metrics` so that `applying` stops in mid-batch, and runs `then` while it does.
async fn while_blocked<T>(world: &World, applying: impl Future<Output = T>, then: impl AsyncFnOnce()) -> T {
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE agent_metrics").await.unwrap();
    let meanwhile = async {
        world.until_blocked().await;
        then().await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(applying, meanwhile).0
}

#[tokio::test]
async fn a_session_that_is_killed_in_mid_batch_leaves_nothing_half() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    let events = [vec![Event::TokenUsage(usage("x", 1, true))], samples("b", 5)].concat();
    let applied = while_blocked(&world, range.try_apply(&events), async || terminate(&world).await).await;
    let error = target_error(applied);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert_eq!(world.count("agent_metrics").await, 10);
    assert_eq!(world.count("token_metrics").await, 0);
    assert_eq!(world.range().await.cursor.next, Position(11));
}

#[tokio::test]
async fn a_cancelled_statement_is_tried_again() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    let cancel = async || {
        let sql = "SELECT pg_cancel_backend(pid)::text FROM pg_stat_activity WHERE application_name LIKE 'tailwater/%'
            AND datname = current_database()";
        world.texts(sql).await;
    };
    let error = target_error(while_blocked(&world, range.try_apply(&samples("b", 5)), cancel).await);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("57014"), "{error}");
    assert_eq!(world.count("agent_metrics").await, 10);
    // The COPY was refused at its start, which puts the session out of step: it is of no more use, and says so.
    let error = target_error(range.try_apply(&samples("b", 5)).await);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert_eq!(world.range().await.apply(&samples("b", 5)).await.inserted, 5);
}

#[tokio::test]
async fn a_dropped_future_leaves_no_transaction_to_the_next() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    let holder = world.database.client().await;
    holder.batch_execute("BEGIN; LOCK TABLE agent_metrics").await.unwrap();
    let events = samples("b", 5);
    tokio::select! {
        applied = range.try_apply(&events) => panic!("applied through a lock: {applied:?}"),
        () = world.until_blocked() => {}
    }
    holder.batch_execute("COMMIT").await.unwrap();
    let error = target_error(range.try_apply(&events).await);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    drop(range);
    let mut again = world.range().await;
    assert_eq!(again.cursor.next, Position(11));
    assert_eq!(again.apply(&events).await.inserted, 5);
}

/// A constraint of the owner's that waits for COMMIT could only be told from the link's failure there with luck.
#[tokio::test]
async fn a_deferred_constraint_is_checked_where_it_is_broken() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    world
        .execute(
            "CREATE TABLE agents (agent_name text PRIMARY KEY);
             INSERT INTO agents VALUES ('a'), ('b');
             ALTER TABLE agent_metrics ADD FOREIGN KEY (agent_name) REFERENCES agents DEFERRABLE INITIALLY DEFERRED",
        )
        .await;
    let outcome = range.apply(&[sample("a", 0, 0), sample("nobody", 0, 0), sample("b", 0, 0)]).await;
    assert_eq!((outcome.inserted, outcome.quarantined), (2, 1));
    assert_eq!(world.texts("SELECT sqlstate FROM tailwater_quarantine").await, ["23503"]);
}

/// Has an owner's trigger undo what a transaction of ours says of deferred constraints.
async fn defer_again(world: &World) {
    world
        .execute(
            "CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NEW; END $$;
             CREATE TRIGGER defer BEFORE UPDATE ON tailwater_ranges FOR EACH ROW EXECUTE FUNCTION defer()",
        )
        .await;
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_settled() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    defer_again(&world).await;
    world
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'late'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON tailwater_ranges DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.next > 12) EXECUTE FUNCTION refuse()",
        )
        .await;
    let error = target_error(range.try_apply(&samples("b", 3)).await);
    assert!(error.to_string().contains("committing a batch: SQLSTATE P0001: late"), "{error}");
    assert_eq!(world.count("agent_metrics").await, 10);
    range.apply(&samples("b", 1)).await;
}

#[tokio::test]
async fn a_session_that_is_killed_in_mid_commit_is_settled_by_the_next_claim() {
    let Some(world) = World::new().await else { return };
    let mut range = range_with_ten(&world).await;
    defer_again(&world).await;
    world
        .execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON tailwater_ranges DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.next > 11) EXECUTE FUNCTION wait();
             SELECT pg_advisory_lock(7)",
        )
        .await;
    let events = samples("b", 3);
    let killing = async {
        world.until_blocked().await;
        terminate(&world).await;
    };
    match tokio::join!(range.try_apply(&events), killing).0 {
        Err(ApplyError::Unsettled { outcome, source }) => {
            assert_eq!(outcome, ApplyOutcome { inserted: 3, present: 0, ..ApplyOutcome::default() });
            assert_eq!(source.kind(), ErrorKind::Retry, "{source}");
        }
        other => panic!("{other:?}"),
    }
    world.execute("SELECT pg_advisory_unlock(7)").await;
    let mut again = world.range().await;
    assert_eq!(again.cursor.next, Position(11));
    assert_eq!(again.apply(&events).await.inserted, 3);
}

#[tokio::test]
async fn a_missing_database_may_come_later() {
    let Some(database) = TestDatabase::planned() else { return };
    let target = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
    let log = crate::support::log("home");
    let error = target.connect(&log, LaneName::Live).await.err().expect("no database to connect to");
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("3D000"), "{error}");

    let server = store::testing::connect(database.server()).await;
    let name = database.url().database();
    server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
    let mut range =
        Range::claim(target.connect(&log, LaneName::Live).await.unwrap(), WriterId::random()).await;
    range.apply(&samples("a", 1)).await;

    // It goes and comes back empty: the schema is made anew, and the range begins anew.
    server.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
    let error = target_error(range.try_apply(&samples("b", 1)).await);
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    let mut again = target.connect(&log, LaneName::Live).await.unwrap();
    let state = claim_live(&mut again, WriterId::random(), Position(1), &|_| Ok(None)).await.unwrap().found;
    assert_eq!((state.cursor.next, state.writer), (Position(1), None));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    // Port 1 is nobody's.
    let url = "postgres://postgres@127.0.0.1:1/tailwater?connect_timeout=2".parse().unwrap();
    let target = TimescaleTarget::new(url, StoreOptions::default());
    let error = target.connect(&crate::support::log("home"), LaneName::Live).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("127.0.0.1:1/tailwater"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/tailwater?connect_timeout=1").parse().unwrap();
    let target = TimescaleTarget::new(url, StoreOptions::default());
    let error = target.connect(&crate::support::log("home"), LaneName::Live).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    assert!(error.to_string().contains("no answer within 1 s"), "{error}");
}

/// A server, or a pooler, that is reached, lets us in, and then does not answer: no kernel ends that.
#[tokio::test]
async fn a_server_that_stops_answering_while_a_lane_connects_is_tried_again() {
    let Some(world) = World::new().await else { return };
    drop(world.lane().await);
    let url = world.database.url();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let server = server_of(&url.secret());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { until_asked_for_tables(&mut near, &mut far).await });
        }
    });
    let secret = url.secret();
    let through = secret.replacen(&server_of(&secret), &own.to_string(), 1);
    let through = format!("{through}{}connect_timeout=1", if through.contains('?') { '&' } else { '?' });
    let target = TimescaleTarget::new(through.parse().unwrap(), StoreOptions::default());
    let connecting =
        tokio::time::timeout(Duration::from_secs(30), target.connect(&world.log, LaneName::Live));
    let error = connecting.await.expect("it waits for ever").err().expect("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}

/// The host and port of a URL.
fn server_of(url: &str) -> String {
    let behind = url.split_once('@').map_or(url, |(_, behind)| behind);
    behind.split(['/', '?']).next().unwrap_or_default().to_owned()
}

/// Passes bytes on until the client asks what tables there are, and then nothing any more.
async fn until_asked_for_tables(near: &mut TcpStream, far: &mut TcpStream) {
    let (mut from_client, mut from_server) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            read = near.read(&mut from_client) => {
                let bytes = &from_client[..read.unwrap_or_default()];
                if bytes.is_empty() {
                    return;
                }
                if String::from_utf8_lossy(bytes).contains("relname") {
                    std::future::pending::<()>().await;
                }
                far.write_all(bytes).await.unwrap();
            }
            read = far.read(&mut from_server) => {
                let bytes = &from_server[..read.unwrap_or_default()];
                if bytes.is_empty() {
                    return;
                }
                near.write_all(bytes).await.unwrap();
            }
        }
    }
}
