//! Whether the schema is ours, and how far it is.

use std::time::Duration;

use projector::{ErrorKind, TargetError};
use sqlx::migrate::Migrator;
use tokio_postgres::types::Type;

use super::{MIGRATIONS_TABLE, Migration};
use crate::connect::{Session, within};
use crate::tables::TABLES;

const TRIED: &str = "reading the schema";

/// What a database has of our schema.
#[derive(Debug)]
pub(crate) enum State {
    /// All of it.
    Current,
    /// These migrations are missing.
    Behind(Vec<Migration>),
    /// Something that must not be touched, or not now.
    Refused(TargetError),
}

/// A migration as the database noted it.
struct Applied {
    version: i64,
    checksum: Vec<u8>,
}

/// Tables beside those of [`TABLES`], and a view.
const OWN_TABLES: [&str; 8] = [
    LOGS_TABLE,
    "tailwater_ranges",
    "tailwater_replays",
    "tailwater_replay_ranges",
    "tailwater_quarantine",
    "tailwater_adoptions",
    "model_prices",
    "token_costs",
];

/// Whose presence tells that the tables of our names are ours.
pub(crate) const LOGS_TABLE: &str = "tailwater_logs";

/// Reads it: five round trips, no locks. In a transaction, for its settings: which schema is ours is one of them.
///
/// NOTE: within a limit, as every connect begins with it: a server that is reached and does not answer would keep a lane
/// for ever.
pub(crate) async fn state(
    session: &Session,
    migrator: &Migrator,
    limit: Duration,
) -> Result<State, TargetError> {
    let reading = async {
        session.run(TRIED, session.begin_sql()).await?;
        let state = read(session, migrator).await?;
        session.run(TRIED, "COMMIT").await?;
        Ok(state)
    };
    within(limit, TRIED, reading).await
}

async fn read(session: &Session, migrator: &Migrator) -> Result<State, TargetError> {
    // NOTE: tables and ranges that are made while a dump comes back collide with those of the dump.
    if is_being_restored(session).await? {
        return Ok(State::Refused(being_restored()));
    }
    let present = present_tables(session).await?;
    let is_present = |name: &str| present.iter().any(|present| present == name);
    if !is_present(LOGS_TABLE)
        && let Some(table) = present.iter().find(|name| *name != MIGRATIONS_TABLE)
    {
        return Ok(State::Refused(foreign(table)));
    }
    let applied = if is_present(MIGRATIONS_TABLE) { applied(session).await? } else { Vec::new() };
    Ok(compare(migrator, &applied))
}

/// Whether TimescaleDB was told that a dump comes back into this database.
async fn is_being_restored(session: &Session) -> Result<bool, TargetError> {
    let sql = "SELECT coalesce(current_setting('timescaledb.restoring', true) = 'on', false)";
    let row =
        session.client().query_typed_one(sql, &[]).await.map_err(|error| session.error(TRIED, error))?;
    row.try_get(0).map_err(|error| session.error(TRIED, error))
}

/// Which tables of our names there are in the schema where ours would be made.
pub(crate) async fn present_tables(session: &Session) -> Result<Vec<String>, TargetError> {
    let tried = "looking for tables";
    let names: Vec<&str> =
        TABLES.iter().map(|table| table.name).chain(OWN_TABLES).chain([MIGRATIONS_TABLE]).collect();
    let sql = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
               WHERE nspname = current_schema() AND relname = ANY ($1) AND relkind IN ('r', 'p', 'v', 'm', 'f')
               ORDER BY relname";
    let rows = session.client().query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await;
    let rows = rows.map_err(|error| session.error(tried, error))?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| session.error(tried, error))).collect()
}

async fn applied(session: &Session) -> Result<Vec<Applied>, TargetError> {
    let tried = "reading which migrations were applied";
    let sql = format!("SELECT version, checksum FROM {MIGRATIONS_TABLE} ORDER BY version");
    let rows = session.client().query_typed(&sql, &[]).await.map_err(|error| session.error(tried, error))?;
    let read =
        |row: &tokio_postgres::Row| Ok(Applied { version: row.try_get(0)?, checksum: row.try_get(1)? });
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| session.error(tried, error))
}

fn compare(migrator: &Migrator, applied: &[Applied]) -> State {
    for found in applied {
        match migrator.iter().find(|known| known.version == found.version) {
            None => return State::Refused(newer(found.version)),
            Some(known) if *known.checksum != *found.checksum => {
                return State::Refused(changed(found.version));
            }
            Some(_) => {}
        }
    }
    let is_pending = |version| applied.iter().all(|found| found.version != version);
    let pending: Vec<Migration> = migrator
        .iter()
        .filter(|known| is_pending(known.version))
        .map(|known| Migration { version: known.version, description: known.description.to_string() })
        .collect();
    if pending.is_empty() { State::Current } else { State::Behind(pending) }
}

fn being_restored() -> TargetError {
    let message = "a dump is being restored into the database (timescaledb.restoring is on); wait for its end, which is \
                   `SELECT timescaledb_post_restore()` there";
    TargetError::new(ErrorKind::Retry, message)
}

fn foreign(table: &str) -> TargetError {
    let message = format!(
        "the database has a table {table} that is not tailwater's; if it is the Go package's, run `tailwater \
         migrate --adopt-bc`, which keeps it as {table}_bc and copies its rows; otherwise rename it (ALTER TABLE \
         {table} RENAME TO {table}_old), or use a fresh database or schema"
    );
    TargetError::new(ErrorKind::Fatal, message)
}

fn newer(version: i64) -> TargetError {
    let message = format!(
        "the database's schema has migration {version}, which this version of tailwater does not know; use the \
         version that made it, or a newer one"
    );
    TargetError::new(ErrorKind::Fatal, message)
}

fn changed(version: i64) -> TargetError {
    let message = format!(
        "the database's migration {version} differs from the one of this version of tailwater: another build \
         made its schema; use that build, or a fresh database"
    );
    TargetError::new(ErrorKind::Fatal, message)
}
