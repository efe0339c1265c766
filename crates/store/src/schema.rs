//! The schema: made by the migrations, kept in shape by `ensure`, and judged before either touches anything.

mod edition;
mod ensure;
mod state;

use std::fmt;

use projector::{ErrorKind, TargetError};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use crate::connect::{Relay, Session};
use crate::error;
use crate::url::DatabaseUrl;

pub use edition::{Edition, Licence};
pub(crate) use state::{LOGS_TABLE, State, present_tables, state};

/// Where the database notes which migrations it has. Not sqlx's own name for it, which another program that
/// shares the database may use.
pub(crate) const MIGRATIONS_TABLE: &str = "tailwater_migrations";

/// Takes our advisory lock until the transaction ends; its number is "tailwate" in ASCII.
///
/// NOTE: sqlx's own lock belongs to the session, and behind a pooler nobody knows whose that is.
pub(crate) const LOCK_SQL: &str = "SELECT pg_advisory_xact_lock(x'7461696c77617465'::bigint)";

/// More than sqlx's migrator has.
const STATEMENTS_MAX: usize = 16;

/// Whether the extension may be made in a database that does not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// Yes, where the server offers it and the user may.
    #[default]
    Create,
    /// No: it is used where it is, plain tables otherwise.
    Leave,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.version, self.description)
    }
}

/// What [`migrate`] did; both lists are empty when there was nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrateOutcome {
    /// Migrations that were applied by this call, or beside it by another process.
    pub applied: Vec<Migration>,
    /// What the server is.
    pub edition: Edition,
    /// Tables that this call turned into hypertables.
    pub hypertables_made: Vec<&'static str>,
}

/// The embedded migrations.
pub(crate) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("../../migrations");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator.set_locking(false);
    migrator
}

/// Brings the schema of the database at `url` up to date. Several processes may do it at once.
///
/// # Errors
/// Retry when the server is away or the database does not exist. Fatal when a table of our name is not ours,
/// when the schema is newer than this binary, or when a permission is missing; nothing has changed then.
pub async fn migrate(url: &DatabaseUrl, extension: Extension) -> Result<MigrateOutcome, TargetError> {
    let session = Session::open(url, "tailwater/migrate").await?;
    let pending = match state(&session, &migrator(), url.connect_timeout()).await? {
        State::Current => Vec::new(),
        State::Behind(pending) => pending,
        State::Refused(error) => return Err(error),
    };
    if !pending.is_empty() {
        run(url, session.begin_sql(), "migrating", &Around::default()).await?;
    }
    let (edition, hypertables_made) = ensure::ensure(&session, extension).await?;
    Ok(MigrateOutcome { applied: pending, edition, hypertables_made })
}

/// What the server is.
///
/// # Errors
/// When it cannot be asked.
pub async fn edition(url: &DatabaseUrl) -> Result<Edition, TargetError> {
    let session = Session::open(url, "tailwater/edition").await?;
    edition::read(&session).await
}

/// Statements that belong to the transaction of the migrations.
#[derive(Debug, Default)]
pub(crate) struct Around {
    /// In front of them.
    pub(crate) before: String,
    /// Behind them.
    pub(crate) after: String,
}

/// Runs the migrations, in one transaction under our lock: all of them, or none. `doing` says what it is for.
///
/// NOTE: a migration that sqlx must run outside a transaction (`-- no-transaction`) cannot be among them.
pub(crate) async fn run(
    url: &DatabaseUrl,
    begin: &str,
    doing: &str,
    around: &Around,
) -> Result<(), TargetError> {
    let tried = format!("{doing} {url}");
    let relay = Relay::needed(url);
    if let Some(relay) = &relay {
        relay.start().await.map_err(|error| error::from_sqlx(&tried, error.into()))?;
    }
    let options = relay.as_ref().map_or_else(|| url.connect_options(), Relay::connect_options);
    let options = options.statement_cache_capacity(STATEMENTS_MAX);
    let connecting = timeout(url.connect_timeout(), PgConnection::connect_with(&options));
    let mut connection = connecting
        .await
        .map_err(|_| error::timed_out(&tried, url.connect_timeout()))?
        .map_err(|error| error::from_sqlx(&tried, error))?;
    run_on(&mut connection, begin, around).await.map_err(|error| judge(&tried, error))?;
    connection.close().await.map_err(|error| error::from_sqlx(&tried, error))
}

/// NOTE: sqlx names the statements of its migrator, and without a cache forgets the names. None may be left to
/// a pooler's session; after an error the transaction is left open instead, which ends the session as well.
async fn run_on(connection: &mut PgConnection, begin: &str, around: &Around) -> Result<(), MigrateError> {
    let begin = AssertSqlSafe(format!("{begin}; {LOCK_SQL}"));
    let mut transaction = connection.begin_with(begin).await?;
    sqlx::raw_sql(AssertSqlSafe(around.before.clone())).execute(&mut *transaction).await?;
    migrator().run_direct(None, &mut *transaction, false).await?;
    sqlx::raw_sql(AssertSqlSafe(around.after.clone())).execute(&mut *transaction).await?;
    transaction.clear_cached_statements().await?;
    Ok(transaction.commit().await?)
}

fn judge(tried: &str, error: MigrateError) -> TargetError {
    match error {
        MigrateError::Execute(error) => error::from_sqlx(tried, error),
        MigrateError::ExecuteMigration(error, version) => {
            error::from_sqlx(&format!("{tried}, migration {version}"), error)
        }
        error => TargetError::new(ErrorKind::Fatal, format!("{tried}: {error}")),
    }
}
