//! The idempotent step after the migrations: what this edition offers, and is not there yet.
//!
//! It runs at every start, so it looks first, without a lock, and is done in a few round trips when there is
//! nothing to do. Otherwise everything happens in one transaction under an advisory lock, after another look.

use projector::{ErrorKind, TargetError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::edition::{self, Edition};
use super::{Extension, LOCK_SQL};
use crate::connect::Session;
use crate::tables::TABLES;

/// What is there of the extension.
struct Found {
    /// The schema that the extension's functions live in; `None` when it is not installed in this database.
    schema: Option<String>,
    /// Whether the server could install it: it has the files, and the loader runs.
    is_offered: bool,
}

/// Brings everything into shape; returns the edition and the tables that were turned into hypertables.
pub(super) async fn ensure(
    session: &Session,
    extension: Extension,
) -> Result<(Edition, Vec<&'static str>), TargetError> {
    let mut made = Vec::new();
    if has_work(session, extension).await? {
        session.run("locking the schema", &format!("{}; {LOCK_SQL}", session.begin_sql())).await?;
        made = under_lock(session, extension).await?;
        session.run("keeping the schema's changes", "COMMIT").await?;
    }
    Ok((edition::read(session).await?, made))
}

async fn under_lock(session: &Session, extension: Extension) -> Result<Vec<&'static str>, TargetError> {
    let mut here = found(session).await?;
    if here.schema.is_none() && here.is_offered && extension == Extension::Create {
        create_extension(session).await?;
        here = found(session).await?;
    }
    let Some(schema) = here.schema else { return Ok(Vec::new()) };
    let plain = plain_tables(session).await?;
    for table in &plain {
        make_hypertable(session, &schema, table).await?;
    }
    Ok(plain)
}

/// Looks, in a transaction, whose settings tell which schema is ours.
async fn has_work(session: &Session, extension: Extension) -> Result<bool, TargetError> {
    let tried = "looking at the schema";
    session.run(tried, session.begin_sql()).await?;
    let found = found(session).await?;
    let has_work = match (&found.schema, extension) {
        (Some(_), _) => !plain_tables(session).await?.is_empty(),
        (None, Extension::Create) => found.is_offered,
        (None, Extension::Leave) => false,
    };
    session.run(tried, "COMMIT").await?;
    Ok(has_work)
}

/// NOTE: creating the extension where its loader was not preloaded ends the session with FATAL; the loader's
/// setting tells whether it was.
async fn found(session: &Session) -> Result<Found, TargetError> {
    let tried = "looking for TimescaleDB";
    let sql = "SELECT
        (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
         WHERE extname = 'timescaledb'),
        current_setting('timescaledb.disable_load', true) IS NOT NULL
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')";
    let rows = session.client().query_typed(sql, &[]).await.map_err(|error| session.error(tried, error))?;
    let read = |row: &tokio_postgres::Row| Ok(Found { schema: row.try_get(0)?, is_offered: row.try_get(1)? });
    let found = rows.first().map(read).transpose().map_err(|error| session.error(tried, error))?;
    Ok(found.unwrap_or(Found { schema: None, is_offered: false }))
}

/// Creates it, or goes on without it where the user may not.
async fn create_extension(session: &Session) -> Result<(), TargetError> {
    let tried = "creating the extension timescaledb";
    let sql = "SAVEPOINT extension; SET LOCAL client_min_messages = warning; CREATE EXTENSION timescaledb";
    match session.client().batch_execute(sql).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            tracing::info!(%error, "the extension timescaledb is offered, but this user may not create it: plain tables");
            session.run(tried, "ROLLBACK TO extension").await
        }
        Err(error) => Err(session.error(tried, error)),
    }
}

/// Tables of ours that are not hypertables yet. Every table of [`TABLES`] has a time.
async fn plain_tables(session: &Session) -> Result<Vec<&'static str>, TargetError> {
    let tried = "looking for hypertables";
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let sql = "SELECT hypertable_name::text FROM timescaledb_information.hypertables
               WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1)";
    let rows = session.client().query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await;
    let rows = rows.map_err(|error| session.error(tried, error))?;
    let hypertables: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let hypertables = hypertables.map_err(|error| session.error(tried, error))?;
    Ok(names.into_iter().filter(|name| !hypertables.iter().any(|hypertable| hypertable == name)).collect())
}

/// Chunks of a day; without the default index on time, which costs a quarter of the rate of COPY and serves
/// no query that the key and the chunks do not serve.
async fn make_hypertable(session: &Session, schema: &str, table: &str) -> Result<(), TargetError> {
    let tried = format!("turning {table} into a hypertable");
    let sql = format!(
        "SET LOCAL client_min_messages = warning;
         SELECT {schema}.create_hypertable('{table}', {schema}.by_range('time', INTERVAL '1 day'),
             create_default_indexes => false, migrate_data => true, if_not_exists => true)"
    );
    match session.client().batch_execute(&sql).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => {
            let message =
                format!("{tried}: TimescaleDB 2.13 or newer is needed; ALTER EXTENSION timescaledb UPDATE");
            Err(TargetError::new(ErrorKind::Fatal, message).caused_by(error))
        }
        done => done.map_err(|error| session.error(&tried, error)),
    }
}
