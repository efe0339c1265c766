//! Databases that live as long as a test, for the tests and benches of every crate.
//!
//! The server is the one of `TAILWATER_TEST_DATABASE_URL`, whose user may create databases, unless the test asks for
//! another edition. Each test makes a database of its own and drops it: every one with the extension holds one of the
//! server's background workers, so one that is left behind takes a place from the others. Where there is no server
//! a test says `SKIPPED: …`, appends a line to the file of `TAILWATER_TEST_SKIPS`, and returns.

#![expect(clippy::expect_used, reason = "a test that has no database fails by panic")]

mod edition;
mod go_package;
mod pgbouncer;
mod server;

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::mem;
use std::thread;
use std::time::Duration;

use tokio_postgres::Client;
use uuid::Uuid;

use crate::url::DatabaseUrl;
use edition::{LicensedServer, Server};

pub use edition::TestEdition;
pub use go_package::{GO_HYPERTABLES, GO_TABLES};
pub use pgbouncer::PgBouncer;
pub use server::PrivateServer;

/// Where the server is.
pub const SERVER_VARIABLE: &str = "TAILWATER_TEST_DATABASE_URL";
/// A file that gets a line for each skipped test.
pub const SKIPS_VARIABLE: &str = "TAILWATER_TEST_SKIPS";

/// The sessions of tests, for whoever looks at the server.
const NAME: &str = "a test";

/// How often a drop is tried: a background worker can come back between the server's kill and its look.
const DROP_TRIES: usize = 20;
const DROP_PAUSE: Duration = Duration::from_millis(100);

/// A database of one test. It is dropped with the value, also after a panic.
#[derive(Debug)]
pub struct TestDatabase {
    server: DatabaseUrl,
    url: DatabaseUrl,
    left: Left,
}

/// What is left when the test is over.
#[derive(Debug)]
enum Left {
    /// One database of a shared server.
    Database,
    /// A server of its own.
    Server(Box<LicensedServer>),
    Nothing,
}

impl TestDatabase {
    /// An empty database, without the extension; `None`, after saying so, when there is no server.
    ///
    /// # Panics
    /// When there is a server and it does not give a database.
    pub async fn create() -> Option<Self> {
        Self::create_in(TestEdition::Apache).await
    }

    /// An empty database of this edition; `None`, after saying so, when there is no server.
    ///
    /// # Panics
    /// When there is a server and it does not give a database.
    pub async fn create_in(edition: TestEdition) -> Option<Self> {
        let database = Self::planned_in(edition)?;
        if edition != TestEdition::Licensed {
            let name = database.url.database();
            // template0: nobody can be connected to it, which would be in the way.
            let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE template0");
            let made = connect(&database.server).await.batch_execute(&sql).await;
            made.expect("create a database for the test");
        }
        Some(database)
    }

    /// A name for a database that does not exist (yet).
    ///
    /// # Panics
    /// When the server's URL is malformed.
    pub fn planned() -> Option<Self> {
        Self::planned_in(TestEdition::Apache)
    }

    /// A name for a database of this edition that does not exist (yet). The one with the Timescale licence does.
    ///
    /// # Panics
    /// When the server's URL is malformed.
    pub fn planned_in(edition: TestEdition) -> Option<Self> {
        Some(match edition.server()? {
            Server::Shared(server) => {
                let url = server.with_database(&format!("tailwater_test_{}", Uuid::new_v4().simple()));
                Self { server, url, left: Left::Database }
            }
            Server::Licensed(licensed) => {
                let url = licensed.url.clone();
                Self { server: url.clone(), url, left: Left::Server(Box::new(licensed)) }
            }
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The server's own database, to act on this one from outside.
    #[must_use]
    pub const fn server(&self) -> &DatabaseUrl {
        &self.server
    }

    /// A plain session with it.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn client(&self) -> Client {
        connect(&self.url).await
    }

    /// Drops the database, whoever is connected.
    pub async fn drop(mut self) {
        let left = mem::replace(&mut self.left, Left::Nothing);
        drop_what(left, &self.server, self.url.database()).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let left = mem::replace(&mut self.left, Left::Nothing);
        if matches!(left, Left::Nothing) {
            return;
        }
        let (server, name) = (self.server.clone(), self.url.database().to_owned());
        // Its own thread, because a runtime cannot be entered twice, and this may be inside one that is ending.
        let dropping = thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(drop_what(left, &server, &name));
            }
        });
        let _ = dropping.join();
    }
}

async fn drop_what(left: Left, server: &DatabaseUrl, name: &str) {
    match left {
        Left::Database => drop_database(server, name).await,
        Left::Server(licensed) => licensed.recycle().await,
        Left::Nothing => {}
    }
}

/// Best effort: a test must not fail for what it leaves behind.
async fn drop_database(server: &DatabaseUrl, name: &str) {
    let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
    for _ in 0..DROP_TRIES {
        let Ok((client, connection, _)) = crate::connect::connect(server, NAME).await else { return };
        let driver = tokio::spawn(connection);
        let dropped = client.batch_execute(&sql).await;
        driver.abort();
        if dropped.is_ok() {
            return;
        }
        tokio::time::sleep(DROP_PAUSE).await;
    }
}

/// A plain session with any database.
///
/// # Panics
/// When there is none to be had.
pub async fn connect(url: &DatabaseUrl) -> Client {
    let connecting = crate::connect::connect(url, NAME).await;
    let (client, connection, _) = connecting.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    tokio::spawn(connection);
    client
}

/// One number for the content of a table, whatever the order of its rows; with the number of rows in front.
///
/// # Panics
/// When the table cannot be read.
pub async fn table_checksum(client: &Client, table: &str) -> (i64, String) {
    table_checksum_of(client, table, "t::text").await
}

/// The same over one expression of the row `t`, where not every column counts.
///
/// # Panics
/// When the table cannot be read.
pub async fn table_checksum_of(client: &Client, table: &str, expression: &str) -> (i64, String) {
    let sql = format!(
        "SELECT count(*), coalesce(md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")), '')
         FROM (SELECT {expression} AS line FROM {table} AS t) AS lines"
    );
    let row = client.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("reading {table}: {error:?}"));
    (row.get(0), row.get(1))
}

/// Says that a test cannot run here, so that no skip stays hidden.
#[expect(clippy::print_stdout, reason = "scripts/test looks for this line in the test's output")]
pub fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    println!("SKIPPED: {test}: {reason}");
    if let Ok(path) = env::var(SKIPS_VARIABLE)
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{test}: {reason}");
    }
}
