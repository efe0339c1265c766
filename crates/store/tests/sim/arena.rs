//! A real database that things happen to: killed sessions, held locks, restores, drops.
//!
//! A trigger writes down how each range moves, in the transaction that moves it, so that the auditor knows of every
//! commit; a constraint refuses poison. Each database is made from a template that has the schema and the trigger: a projector that comes at once
//! after a drop finds both.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use projector::Settings;
use sim::arena::Arena;
use sim::database::Data;
use sim::faults::{Call, Fault};
use store::testing::{TestDatabase, TestEdition, connect};
use store::{Extension, StoreOptions, TimescaleTarget, migrate};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::content;

/// In the order in which lanes take their locks, so that nobody waits in a circle.
const TABLES: [&str; 13] = [
    "tailwater_logs",
    "tailwater_ranges",
    "agent_metrics",
    "system_metrics",
    "channel_metrics",
    "token_metrics",
    "agent_states",
    "gaps",
    "tailwater_quarantine",
    "tailwater_replays",
    "tailwater_replay_ranges",
    "tailwater_adoptions",
    "sim_passed",
];

const WRITE_DOWN: &str = "
    CREATE TABLE sim_passed (
        number bigserial PRIMARY KEY, log_no integer NOT NULL, writer uuid NOT NULL,
        first bigint NOT NULL, next bigint NOT NULL, is_hole boolean NOT NULL, is_current boolean NOT NULL);
    CREATE FUNCTION sim_pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO sim_passed (log_no, writer, first, next, is_hole, is_current)
        VALUES (NEW.log_no, NEW.writer, OLD.next, NEW.next, NEW.digest_at IS NOT DISTINCT FROM OLD.digest_at, true);
        RETURN NULL;
    END $$;
    CREATE TRIGGER sim_pass AFTER UPDATE OF next ON tailwater_ranges
        FOR EACH ROW WHEN (OLD.next <> NEW.next) EXECUTE FUNCTION sim_pass();
    ALTER TABLE system_metrics ADD CONSTRAINT no_poison CHECK (system_name <> 'poison')";

const OURS: &str =
    "pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tailwater/%'";

/// How often a template that somebody still looks at is tried.
const CLONE_TRIES: u32 = 50;

/// A database with the schema and the trigger, to make others from.
pub(crate) struct Template {
    edition: TestEdition,
    database: TestDatabase,
}

impl Template {
    /// `None`, after saying so, when there is no server.
    pub(crate) async fn make(edition: TestEdition) -> Option<Self> {
        let database = TestDatabase::create_in(edition).await?;
        migrate(database.url(), Extension::Create).await.unwrap();
        database.client().await.batch_execute(WRITE_DOWN).await.unwrap();
        let name = database.url().database();
        let close = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false");
        connect(database.server()).await.batch_execute(&close).await.unwrap();
        Some(Self { edition, database })
    }

    /// Makes a database like it. TimescaleDB's workers may have to leave first.
    async fn copy_to(&self, name: &str) {
        let server = connect(self.database.server()).await;
        let template = self.database.url().database();
        let end =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        for _ in 0..CLONE_TRIES {
            server.batch_execute(&end).await.unwrap();
            if server.batch_execute(&create).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{template} is never free to be copied");
    }
}

/// One history's database.
pub(crate) struct TimescaleArena<'a> {
    template: &'a Template,
    database: TestDatabase,
    target: Arc<TimescaleTarget>,
    /// Every table's rows; without any it is a backup of an empty database.
    backup: Vec<(&'static str, Vec<Bytes>)>,
}

impl<'a> TimescaleArena<'a> {
    pub(crate) async fn new(template: &'a Template) -> Self {
        let database = TestDatabase::planned_in(template.edition).expect("the template has a server");
        template.copy_to(database.url().database()).await;
        let target = Arc::new(TimescaleTarget::new(database.url().clone(), StoreOptions::default()));
        Self { template, database, target, backup: Vec::new() }
    }

    pub(crate) async fn gone(self) {
        self.database.drop().await;
    }

    async fn client(&self) -> Client {
        self.database.client().await
    }

    async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.expect(sql);
    }

    async fn kill(&self) {
        self.execute(&format!("SELECT pg_terminate_backend(pid) FROM {OURS}")).await;
    }

    /// Holds what lanes want for a while.
    async fn hold(&self) {
        self.execute("BEGIN; LOCK TABLE tailwater_ranges IN SHARE MODE; SELECT pg_sleep(0.03); COMMIT").await;
    }

    async fn usurp(&self) {
        self.execute("UPDATE tailwater_ranges SET writer = gen_random_uuid()").await;
    }

    async fn is_anyone_there(&self) -> bool {
        let sql = format!("SELECT count(*) FROM {OURS}");
        let count: i64 = self.client().await.query_one(&sql, &[]).await.expect("the activity").get(0);
        count > 0
    }
}

impl Arena for TimescaleArena<'_> {
    type Target = TimescaleTarget;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn target(&self) -> &Arc<TimescaleTarget> {
        &self.target
    }

    fn settings(&self, drawn: Settings) -> Settings {
        Settings {
            live_pause: Duration::from_millis(1),
            confirm_interval: Duration::from_millis(200),
            retry_pause_min: Duration::from_millis(2),
            retry_pause_max: Duration::from_millis(20),
            backlog_rate: drawn.backlog_rate.map(|rate| rate.saturating_mul(50.try_into().unwrap())),
            ..drawn
        }
    }

    async fn data(&self) -> Data {
        content::read(&self.client().await).await
    }

    async fn settled(&self) {
        let gone = async {
            while self.is_anyone_there().await {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Self::PATIENCE, gone).await.expect("a session of ours never ends");
    }

    async fn back_up(&mut self) {
        let client = self.client().await;
        self.backup.clear();
        for table in TABLES {
            let rows = client.copy_out(&format!("COPY (SELECT * FROM {table}) TO STDOUT")).await.unwrap();
            self.backup.push((table, rows.try_collect().await.unwrap()));
        }
    }

    async fn restore(&self) {
        let client = self.client().await;
        let tables = TABLES.join(", ");
        client.batch_execute(&format!("BEGIN; LOCK TABLE {tables}; TRUNCATE {tables}")).await.unwrap();
        for (table, rows) in &self.backup {
            let mut sink = pin!(client.copy_in(&format!("COPY {table} FROM STDIN")).await.unwrap());
            for row in rows {
                sink.send(row.clone()).await.unwrap();
            }
            sink.as_mut().finish().await.unwrap();
        }
        let end = format!("SELECT pg_terminate_backend(pid) FROM {OURS}; COMMIT");
        client.batch_execute(&end).await.unwrap();
    }

    async fn wipe_progress(&self) {
        self.execute(
            "BEGIN; LOCK TABLE tailwater_ranges; DELETE FROM tailwater_ranges;
             UPDATE sim_passed SET is_current = false; COMMIT",
        )
        .await;
    }

    async fn drop_database(&self) {
        let name = self.database.url().database();
        let sql = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
        let server = connect(self.database.server()).await;
        // NOTE: a worker of TimescaleDB can come back between the server's kill and its look.
        for _ in 0..CLONE_TRIES {
            if server.batch_execute(&sql).await.is_ok() {
                return self.template.copy_to(name).await;
            }
        }
        panic!("{name} cannot be dropped");
    }

    async fn take_poison(&self) {
        self.execute("ALTER TABLE system_metrics DROP CONSTRAINT IF EXISTS no_poison").await;
    }

    async fn disturb(&self, faults: &[(Call, Fault)]) {
        for (_, fault) in faults {
            sleep(Duration::from_millis(7)).await;
            match fault {
                Fault::Overtaken => self.usurp().await,
                Fault::Slow(_) | Fault::Late(_) | Fault::Hangs => self.hold().await,
                Fault::Lost | Fault::LostInCommit { .. } | Fault::Refused(_) => self.kill().await,
            }
        }
        pending::<()>().await;
    }
}
