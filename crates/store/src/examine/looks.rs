//! The statements of an examination.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use event::{HostName, LogId, Position, Time};
use projector::{ErrorKind, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{LogReport, Namesake, ServerReport, Tables};
use crate::connect::Session;
use crate::tables::TABLES;

/// The settings that decide whether rows are safe, sessions are had, or statements are cut short.
const SETTINGS: [&str; 17] = [
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "idle_session_timeout",
    "max_connections",
    "max_parallel_workers",
    "max_worker_processes",
    "reserved_connections",
    "server_version",
    "server_version_num",
    "statement_timeout",
    "superuser_reserved_connections",
    "synchronous_commit",
    "timescaledb.max_background_workers",
    "transaction_read_only",
    "transaction_timeout",
    "zero_damaged_pages",
];

/// Outside of a transaction of ours, which would show its own settings.
const SERVER: &str = "SELECT pg_is_in_recovery(),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    (SELECT least(nullif(rolconnlimit, -1), nullif(datconnlimit, -1))::bigint
     FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    ARRAY(SELECT name FROM pg_settings WHERE name = ANY ($1) ORDER BY name),
    ARRAY(SELECT setting FROM pg_settings WHERE name = ANY ($1) ORDER BY name)";

/// Whether our own tables are begun, and whether a name of ours is taken.
const PRESENCE: &str = "SELECT to_regclass('tailwater_logs') IS NOT NULL,
    EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname = current_schema() AND relname = ANY ($1))";

/// What each table needs, as the statements of claims, batches and the quarantine have it.
const LACKING: &str = r"WITH ours AS (
        SELECT c.oid, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE nspname = current_schema() AND relkind IN ('r', 'p')
          AND (relname = ANY ($1) OR relname LIKE 'tailwater\_%')
          AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'tailwater_logs'))
    SELECT privilege || ' on ' || relname FROM ours, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS privilege
    WHERE NOT has_table_privilege(oid, privilege)
      AND (relname <> 'tailwater_migrations' OR privilege = 'SELECT')
      AND (relname <> 'tailwater_logs' OR privilege IN ('SELECT', 'INSERT'))
    UNION ALL SELECT 'TEMPORARY on the database'
    WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
    UNION ALL SELECT 'USAGE on a schema of its search_path' WHERE current_schema() IS NULL
    UNION ALL SELECT 'CREATE on the schema ' || current_schema()
    WHERE NOT EXISTS (SELECT FROM ours) AND NOT has_schema_privilege(current_schema(), 'CREATE')
    ORDER BY 1";

const EXTENSION_SCHEMA: &str = "SELECT quote_ident(nspname) FROM pg_extension
    JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'";

const LOG: &str = "SELECT (extract(epoch FROM first_seen) * 1000000)::bigint,
        (SELECT next FROM tailwater_ranges AS live WHERE live.log_no = logs.log_no AND hi IS NULL),
        (SELECT coalesce(sum(hi - next), 0)::bigint FROM tailwater_ranges AS past
         WHERE past.log_no = logs.log_no AND hi IS NOT NULL),
        (SELECT (extract(epoch FROM max(applied_at)) * 1000000)::bigint FROM tailwater_ranges AS any_range
         WHERE any_range.log_no = logs.log_no),
        (SELECT count(*) FROM tailwater_quarantine AS kept WHERE kept.log_no = logs.log_no),
        (extract(epoch FROM now()) * 1000000)::bigint
    FROM tailwater_logs AS logs WHERE log_id = $1";

/// NOTE: a log that never applied anything has no rows that could be mixed with others.
const NAMESAKES: &str = "SELECT log_id, host, (extract(epoch FROM first_seen) * 1000000)::bigint,
        (extract(epoch FROM max(applied_at)) * 1000000)::bigint, (extract(epoch FROM now()) * 1000000)::bigint
    FROM tailwater_logs JOIN tailwater_ranges USING (log_no)
    WHERE host = ANY ($1) AND log_id IS DISTINCT FROM $2
    GROUP BY log_id, host, first_seen HAVING max(applied_at) IS NOT NULL
    ORDER BY max(applied_at) DESC LIMIT 20";

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Asks in a transaction that can change nothing and waits for nobody for long; its settings say which schema is ours.
async fn look(
    session: &Session,
    tried: &str,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, TargetError> {
    let begin = format!(
        "{}; SET LOCAL statement_timeout TO '4s'; SET LOCAL lock_timeout TO '1s'; SET TRANSACTION READ ONLY",
        session.begin_sql()
    );
    session.run(tried, &begin).await?;
    let rows = session.client().query_typed(sql, parameters).await;
    let rows = rows.map_err(|error| session.error(tried, error))?;
    session.run(tried, "COMMIT").await?;
    Ok(rows)
}

fn names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).collect()
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(super) async fn server(session: &Session) -> Result<ServerReport, TargetError> {
    let tried = "asking the server for its settings";
    let settings: &[&str] = &SETTINGS;
    let (asked_at, began) = (SystemTime::now(), Instant::now());
    let row = session.client().query_typed(SERVER, &[(&settings, Type::TEXT_ARRAY)]).await;
    let round_trip = began.elapsed();
    let row = row.map_err(|error| session.error(tried, error))?;
    let read = |row: &Row| {
        let names: Vec<String> = row.try_get(4)?;
        let values: Vec<String> = row.try_get(5)?;
        let now: i64 = row.try_get(3)?;
        Ok(ServerReport {
            settings: names.into_iter().zip(values).collect::<BTreeMap<_, _>>(),
            is_standby: row.try_get(0)?,
            sessions: count(row.try_get(1)?),
            sessions_max: row.try_get::<_, Option<i64>>(2)?.map(count),
            clock_ahead_micros: now.saturating_sub(Time::from(asked_at + round_trip / 2).micros()),
            round_trip,
        })
    };
    let report = row.first().map(read).transpose().map_err(|error| session.error(tried, error))?;
    report.ok_or_else(|| TargetError::new(ErrorKind::Retry, format!("{tried}: no answer")))
}

/// Whether our own tables are begun, and whether a name of ours is taken.
pub(super) async fn presence(session: &Session) -> Result<(bool, bool), TargetError> {
    let tried = "looking for tables";
    let rows = look(session, tried, PRESENCE, &[(&names(), Type::TEXT_ARRAY)]).await?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let found = rows.first().map(read).transpose().map_err(|error| session.error(tried, error))?;
    Ok(found.unwrap_or_default())
}

pub(super) async fn tables(session: &Session) -> Result<Tables, TargetError> {
    let tried = "looking at the tables";
    let failed = |error| session.error(tried, error);
    let names = names();
    let extension = look(session, tried, EXTENSION_SCHEMA, &[]).await?;
    let extension: Option<String> =
        extension.first().map(|row| row.try_get(0)).transpose().map_err(failed)?;
    let size = size_sql(extension.as_deref());
    let rows = look(session, tried, &size, &[(&names, Type::TEXT_ARRAY)]).await?;
    let read = |row: &Row| Ok((row.try_get::<_, Option<String>>(0)?, row.try_get::<_, i64>(1)?));
    let (schema, bytes) = rows.first().map(read).transpose().map_err(failed)?.unwrap_or_default();
    let lacking = look(session, tried, LACKING, &[(&names, Type::TEXT_ARRAY)]).await?;
    let lacking = lacking.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
    Ok(Tables { schema: schema.unwrap_or_default(), bytes: count(bytes), lacking })
}

/// A hypertable's rows are in its chunks, which only the extension adds up.
fn size_sql(extension: Option<&str>) -> String {
    let size = match extension {
        Some(schema) => format!("coalesce({schema}.hypertable_size(c.oid), pg_total_relation_size(c.oid))"),
        None => "pg_total_relation_size(c.oid)".to_owned(),
    };
    format!(
        r"SELECT current_schema()::text, coalesce(sum({size}), 0)::bigint
          FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
          WHERE nspname = current_schema() AND relkind IN ('r', 'p')
            AND (relname = ANY ($1) OR relname LIKE 'tailwater\_%')"
    )
}

pub(super) async fn log(session: &Session, log: Option<LogId>) -> Result<Option<LogReport>, TargetError> {
    let tried = "reading the log's progress";
    let Some(log) = log else { return Ok(None) };
    let rows = look(session, tried, LOG, &[(&log.0, Type::UUID)]).await?;
    let read = |row: &Row| {
        Ok(LogReport {
            first_seen: Time::from_micros(row.try_get(0)?),
            live_next: row.try_get::<_, Option<i64>>(1)?.map(|next| Position(count(next))),
            backlog: count(row.try_get(2)?),
            applied_at: row.try_get::<_, Option<i64>>(3)?.map(Time::from_micros),
            quarantined: count(row.try_get(4)?),
            now: Time::from_micros(row.try_get(5)?),
        })
    };
    rows.first().map(read).transpose().map_err(|error| session.error(tried, error))
}

pub(super) async fn namesakes(
    session: &Session,
    log: Option<LogId>,
    hosts: &[HostName],
) -> Result<Vec<Namesake>, TargetError> {
    let tried = "looking for other logs";
    let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    let own = log.map(|log| log.0);
    let rows = look(session, tried, NAMESAKES, &[(&hosts, Type::TEXT_ARRAY), (&own, Type::UUID)]).await?;
    let read = |row: &Row| {
        Ok(Namesake {
            log_id: LogId(row.try_get(0)?),
            host: row.try_get(1)?,
            first_seen: Time::from_micros(row.try_get(2)?),
            applied_at: Time::from_micros(row.try_get(3)?),
            now: Time::from_micros(row.try_get(4)?),
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| session.error(tried, error))
}
