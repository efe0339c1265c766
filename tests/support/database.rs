//! Databases for the end-to-end tests: one of the shared server, or a whole server that a test may kill.

use std::path::Path;

use store::testing::{TestDatabase, TestEdition, connect};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::FromSqlOwned;

/// A database, dropped at the end.
pub struct Database {
    runtime: Runtime,
    database: Option<TestDatabase>,
}

impl Database {
    /// An empty one; `None`, after saying so, where there is no server.
    pub fn create() -> Option<Self> {
        Self::create_in(TestEdition::Apache)
    }

    /// An empty one of this edition.
    pub fn create_in(edition: TestEdition) -> Option<Self> {
        let runtime = Runtime::new().expect("a runtime");
        let database = runtime.block_on(TestDatabase::create_in(edition))?;
        Some(Self { runtime, database: Some(database) })
    }

    fn inner(&self) -> &TestDatabase {
        self.database.as_ref().expect("it is there until the end")
    }

    pub fn url(&self) -> String {
        self.inner().url().secret()
    }

    /// One value.
    pub fn value<T: FromSqlOwned>(&self, sql: &str) -> T {
        self.values(sql).pop().expect("a row")
    }

    /// The first column.
    pub fn values<T: FromSqlOwned>(&self, sql: &str) -> Vec<T> {
        self.try_values(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The first column, unless the server refuses: a chunk that is dropped while it is read is an error of the read.
    pub fn try_values<T: FromSqlOwned>(&self, sql: &str) -> Result<Vec<T>, tokio_postgres::Error> {
        query(&self.runtime, &self.url(), sql)
    }

    /// Statements without an answer.
    pub fn execute(&self, sql: &str) {
        execute(&self.runtime, &self.url(), sql);
    }

    /// Cuts every connection to it, and takes no new ones.
    pub fn lock_out(&self) {
        let (name, server) = (self.inner().url().database(), self.inner().server().secret());
        execute(&self.runtime, &server, &format!("ALTER DATABASE \"{name}\" WITH ALLOW_CONNECTIONS false"));
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        execute(&self.runtime, &server, &cut);
    }

    /// Drops it, whoever is connected, and creates an empty one of the same name.
    pub fn drop_and_create(&self) {
        let name = self.inner().url().database().to_owned();
        let server = self.inner().server().secret();
        execute(&self.runtime, &server, &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
        execute(&self.runtime, &server, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0"));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            self.runtime.block_on(database.drop());
        }
    }
}

fn execute(runtime: &Runtime, url: &str, sql: &str) {
    let url = url.parse().expect("a URL");
    runtime.block_on(async { connect(&url).await.batch_execute(sql).await }).expect(sql);
}

fn query<T: FromSqlOwned>(runtime: &Runtime, url: &str, sql: &str) -> Result<Vec<T>, tokio_postgres::Error> {
    let url = url.parse().expect("a URL");
    let rows = runtime.block_on(async { connect(&url).await.query(sql, &[]).await })?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Host and port of a URL like `postgres://user@host:port/database`.
pub fn address(url: &str) -> &str {
    let (_, rest) = url.split_once('@').expect("a user");
    rest.split_once('/').expect("a database").0
}

/// The same URL with another host and port.
pub fn with_address(url: &str, address_: &str) -> String {
    url.replacen(address(url), address_, 1)
}

/// The same URL with another user, and a password where there is one.
pub fn with_user(url: &str, user: &str) -> String {
    url.replacen("//postgres@", &format!("//{user}@"), 1)
}

/// The same URL with another database.
pub fn with_database(url: &str, database: &str) -> String {
    format!("{}/{database}", url.rsplit_once('/').expect("a database").0)
}

/// A session that holds what its transaction has locked, until it is dropped.
pub struct Held {
    client: Client,
}

impl Held {
    fn begin(runtime: &Runtime, url: &str, sql: &str) -> Self {
        let url = url.parse().expect("a URL");
        let begin = format!("BEGIN; {sql}");
        let client = runtime.block_on(async {
            let client = connect(&url).await;
            client.batch_execute(&begin).await.expect(&begin);
            client
        });
        Self { client }
    }
}

/// A whole server of one test, which may stop it as it likes.
pub struct PrivateServer {
    server: store::testing::PrivateServer,
    url: String,
    runtime: Runtime,
}

impl PrivateServer {
    /// Makes and starts it; `None`, after saying so, where none can be made.
    pub fn up() -> Option<Self> {
        let server = store::testing::PrivateServer::up()?;
        let url = server.url().secret();
        Some(Self { server, url, runtime: Runtime::new().expect("a runtime") })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// In order: connections are told, and cut.
    pub fn stop_fast(&self) {
        self.server.stop("fast");
    }

    /// A crash: no checkpoint, connections cut.
    pub fn stop_immediately(&self) {
        self.server.stop("immediate");
    }

    /// SIGKILL: nobody is told anything.
    pub fn kill(&self) {
        self.server.stop("kill");
    }

    pub fn start(&self) {
        self.server.start();
    }

    /// The first column; fails while the server is not ready.
    pub fn values<T: FromSqlOwned>(&self, sql: &str) -> Vec<T> {
        query(&self.runtime, &self.url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub fn value<T: FromSqlOwned>(&self, sql: &str) -> T {
        self.values(sql).pop().expect("a row")
    }

    /// Statements without an answer, each in a transaction of its own when it is alone.
    pub fn execute(&self, sql: &str) {
        execute(&self.runtime, &self.url, sql);
    }

    /// The first column, in another database of the server.
    pub fn values_of<T: FromSqlOwned>(&self, database: &str, sql: &str) -> Vec<T> {
        let url = with_database(&self.url, database);
        query(&self.runtime, &url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Statements without an answer, in another database of the server.
    pub fn execute_in(&self, database: &str, sql: &str) {
        execute(&self.runtime, &with_database(&self.url, database), sql);
    }

    /// A statement that may be ended by another session; how many rows it has touched.
    pub fn try_execute(&self, sql: &str) -> Result<u64, String> {
        let url = self.url.parse().expect("a URL");
        let done = self.runtime.block_on(async { connect(&url).await.execute(sql, &[]).await });
        done.map_err(|error| format!("{error}: {error:?}"))
    }

    /// A session that has executed this in a transaction and keeps it open.
    pub fn hold(&self, sql: &str) -> Held {
        Held::begin(&self.runtime, &self.url, sql)
    }

    /// Has the session execute this as well, whenever it can, and gives back its end.
    pub fn go_on(&self, held: Held, sql: &'static str) -> JoinHandle<Held> {
        self.runtime.spawn(async move {
            held.client.batch_execute(sql).await.expect(sql);
            held
        })
    }

    /// Waits for what [`Self::go_on`] began.
    pub fn wait(&self, going_on: JoinHandle<Held>) -> Held {
        self.runtime.block_on(going_on).expect("it ends")
    }

    /// Who may connect, and how: the lines of `pg_hba.conf`, in force at once.
    pub fn admit(&self, lines: &[&str]) {
        let file: String = self.value("SELECT current_setting('hba_file')");
        let values: Vec<String> = lines.iter().map(|line| format!("('{line}')")).collect();
        self.execute(&format!("COPY (VALUES {}) TO '{file}'", values.join(", ")));
        self.execute("SELECT pg_reload_conf()");
    }

    /// Ends the sessions of the projection.
    pub fn terminate_lanes(&self) -> usize {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name LIKE 'tailwater/%' AND backend_type = 'client backend'";
        self.values::<bool>(sql).len()
    }

    /// Its data directory, where the server runs on this machine's files.
    pub fn data_dir(&self) -> &Path {
        self.server.data_dir()
    }
}
