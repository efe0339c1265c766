//! The editions of a database that everything must work in, and the server of each.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::{NAME, SERVER_VARIABLE, skip};
use crate::url::DatabaseUrl;

/// Where the server without TimescaleDB is.
const PLAIN_VARIABLE: &str = "TAILWATER_TEST_POSTGRES_URL";
/// The script that runs a server with the Timescale licence: `scripts/editions`.
const LICENCE_VARIABLE: &str = "TAILWATER_TEST_TIMESCALE_LICENCE";

/// An edition that a test can have a database of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestEdition {
    /// TimescaleDB under the Apache licence: a shared server.
    Apache,
    /// PostgreSQL 15 without any extension: a shared server.
    Plain,
    /// TimescaleDB under the Timescale licence: a server of the test's own, with one database that has the extension
    /// from the beginning, and one backend that clients share by transactions.
    Licensed,
}

impl TestEdition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Apache, Self::Plain, Self::Licensed];

    /// The edition's server; `None`, after saying so, where there is none.
    pub(super) fn server(self) -> Option<Server> {
        match self {
            Self::Apache => shared(SERVER_VARIABLE, "no database server; scripts/timescaledb up makes one"),
            Self::Plain => shared(PLAIN_VARIABLE, "no plain PostgreSQL; scripts/editions up makes one"),
            Self::Licensed => LicensedServer::up().map(Server::Licensed),
        }
    }
}

fn shared(variable: &str, otherwise: &str) -> Option<Server> {
    let Ok(url) = env::var(variable) else {
        skip(otherwise);
        return None;
    };
    Some(Server::Shared(url.parse().expect(variable)))
}

/// Where a test's database lies.
#[derive(Debug)]
pub(super) enum Server {
    /// Among those of other tests.
    Shared(DatabaseUrl),
    /// Alone.
    Licensed(LicensedServer),
}

/// Takes everything that a test can have left.
const CLEAN: &str = "DO $$ DECLARE statement text; BEGIN
    FOR statement IN
        SELECT format('DROP MATERIALIZED VIEW %I.%I CASCADE', user_view_schema, user_view_name)
        FROM _timescaledb_catalog.continuous_agg
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP TABLE %I CASCADE', tablename) FROM pg_tables WHERE schemaname = 'public'
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP SEQUENCE %I CASCADE', sequencename) FROM pg_sequences WHERE schemaname = 'public'
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP FUNCTION %s CASCADE', pg_proc.oid::regprocedure) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP EXECUTE statement; END LOOP;
    END $$";

/// Servers whose test is over: making one takes seconds, cleaning it does not.
static IDLE: Mutex<Vec<LicensedServer>> = Mutex::new(Vec::new());

/// A server with one database. It ends with the value, and with this process.
#[derive(Debug)]
pub(super) struct LicensedServer {
    process: Child,
    pub(super) url: DatabaseUrl,
}

impl LicensedServer {
    fn up() -> Option<Self> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.or_else(Self::start)
    }

    fn start() -> Option<Self> {
        let Some(script) = env::var_os(LICENCE_VARIABLE) else {
            skip("no TimescaleDB under the Timescale licence: run the tests by scripts/test");
            return None;
        };
        let mut command = Command::new(script);
        command.arg("licensed").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("scripts/editions runs");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the server says something");
        let url = line.trim().parse().unwrap_or_else(|error| panic!("scripts/editions licensed: {error}"));
        Some(Self { process, url })
    }

    /// Cleans it for the next test of this process.
    pub(super) async fn recycle(self) {
        let Ok((client, connection, _)) = crate::connect::connect(&self.url, NAME).await else { return };
        let driver = tokio::spawn(connection);
        let cleaned = client.batch_execute(CLEAN).await;
        driver.abort();
        if cleaned.is_ok() {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }
}

impl Drop for LicensedServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
