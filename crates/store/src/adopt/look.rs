//! What there is to adopt: which tables have our names and are not ours, whether they are the Go package's, and
//! whether the names are free that they are to get. It reads the catalogs only, and so waits for nobody.

use projector::{ErrorKind, TargetError};
use tokio_postgres::types::Type;

use super::source::{Original, Source};
use crate::connect::Session;
use crate::schema::{self, LOGS_TABLE, MIGRATIONS_TABLE};

/// Where adoptions are noted.
pub(super) const ADOPTIONS_TABLE: &str = "tailwater_adoptions";

const TRIED: &str = "looking at the Go package's tables";

/// What there is.
#[derive(Debug)]
pub(super) enum Here {
    /// No table of the Go package's.
    Nothing,
    /// Its tables, under our names.
    Originals(Vec<Original>),
    /// Our tables, and of the Go package's those that are set aside and not copied yet.
    Unfinished(Vec<Original>),
}

/// Tells it, within a transaction of the caller's.
pub(super) async fn look(session: &Session) -> Result<Here, TargetError> {
    let present = schema::present_tables(session).await?;
    let is_present = |name: &str| present.iter().any(|present| present == name);
    if is_present(LOGS_TABLE) {
        return match is_present(ADOPTIONS_TABLE) {
            true => unfinished(session).await,
            false => Ok(Here::Nothing),
        };
    }
    let mut originals = Vec::new();
    for name in present.iter().filter(|name| *name != MIGRATIONS_TABLE) {
        originals.push(original(session, name).await?);
    }
    refuse_taken_names(session, &originals).await?;
    Ok(if originals.is_empty() { Here::Nothing } else { Here::Originals(originals) })
}

async fn unfinished(session: &Session) -> Result<Here, TargetError> {
    let sql = format!("SELECT name FROM {ADOPTIONS_TABLE} WHERE finished_at IS NULL ORDER BY name");
    let names = texts(session, &sql, &[]).await?;
    let mut originals = Vec::new();
    for source in names.iter().filter_map(|name| Source::named(name)) {
        originals.push(recognise(session, source, &source.kept_name()).await?);
    }
    Ok(if originals.is_empty() { Here::Nothing } else { Here::Unfinished(originals) })
}

/// A table of our name, which must be the Go package's.
async fn original(session: &Session, name: &str) -> Result<Original, TargetError> {
    let source = Source::named(name)
        .ok_or_else(|| refused(name, "the Go package has no table of that name; rename it yourself"))?;
    let sql = "SELECT 'yes' FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema() AND relname = $1 AND relkind NOT IN ('r', 'p')";
    if !texts(session, sql, &[name]).await?.is_empty() {
        return Err(refused(name, "it is a view, and no table; rename it yourself"));
    }
    recognise(session, source, name).await
}

/// NOTE: a table with our provenance is ours, of a schema that has lost its other tables.
async fn recognise(session: &Session, source: &'static Source, table: &str) -> Result<Original, TargetError> {
    let sql = "SELECT attname || ' ' || CASE held.typtype WHEN 'e' THEN 'enum' ELSE held.typname END
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        JOIN pg_type AS named ON named.oid = atttypid
        JOIN pg_type AS held ON held.oid = CASE named.typtype WHEN 'd' THEN named.typbasetype ELSE named.oid END
        WHERE nspname = current_schema() AND relname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let columns = texts(session, sql, &[table]).await?;
    if columns.is_empty() {
        return Err(gone(table, source.name));
    }
    let split =
        |line: &String| line.rsplit_once(' ').map(|(name, type_)| (name.to_owned(), type_.to_owned()));
    let columns: Vec<(String, String)> = columns.iter().filter_map(split).collect();
    if columns.iter().any(|(name, _)| name == "log_no") {
        return Err(refused(table, "it has a column log_no, and so was tailwater's own; rename it yourself"));
    }
    source.recognise(&columns).map_err(|lack| {
        refused(table, &format!("{lack}, and so it is not the Go package's; rename it yourself"))
    })
}

/// The names that the tables are to get must be free, of types as well: each table has one of its name.
async fn refuse_taken_names(session: &Session, originals: &[Original]) -> Result<(), TargetError> {
    let wanted: Vec<String> = originals.iter().map(|original| original.source.kept_name()).collect();
    let wanted = format!("{{{}}}", wanted.join(","));
    let sql = "SELECT name FROM unnest($1::text::text[]) AS name
        WHERE EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                      WHERE nspname = current_schema() AND relname = name)
           OR EXISTS (SELECT FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
                      WHERE nspname = current_schema() AND typname = name)
        ORDER BY name";
    match texts(session, sql, &[&wanted]).await?.first() {
        None => Ok(()),
        Some(taken) => {
            let message = format!(
                "the name {taken}, which the Go package's table is to get, is taken: rename what has it, and \
                 try again; nothing has changed"
            );
            Err(TargetError::new(ErrorKind::Fatal, message))
        }
    }
}

/// The statements that set tables aside: each gets its new name, and so do its constraints, indexes and sequences
/// that begin with the old one, because ours are to have those names.
///
/// NOTE: an index of a constraint is renamed with it. A name that is taken, or would be too long, stays as it is.
pub(super) async fn renames(session: &Session, originals: &[Original]) -> Result<String, TargetError> {
    let mut sql = String::new();
    for original in originals {
        let (old, new) = (original.source.name, original.source.kept_name());
        for line in texts(session, RENAMES, &[old, &new]).await? {
            sql.push_str(&line);
            sql.push_str("; ");
        }
        sql.push_str(&format!("ALTER TABLE {old} RENAME TO {new}; "));
    }
    Ok(sql)
}

const RENAMES: &str = "WITH own AS (
        SELECT pg_class.oid, relnamespace FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema() AND relname = $1
    ), named AS (
        SELECT conname AS name, 'ALTER TABLE ' || $1 || ' RENAME CONSTRAINT %I TO %I' AS statement
        FROM own JOIN pg_constraint ON conrelid = own.oid WHERE contype IN ('p', 'u', 'x')
        UNION ALL
        SELECT relname, 'ALTER INDEX %I RENAME TO %I'
        FROM own JOIN pg_index ON indrelid = own.oid JOIN pg_class ON pg_class.oid = indexrelid
        WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
        UNION ALL
        SELECT relname, 'ALTER SEQUENCE %I RENAME TO %I'
        FROM own JOIN pg_depend ON refobjid = own.oid AND refclassid = 'pg_class'::regclass
            AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
        JOIN pg_class ON pg_class.oid = objid AND relkind = 'S'
    ), renamed AS (
        SELECT name, statement, $2 || substr(name, length($1) + 1) AS new
        FROM named WHERE starts_with(name, $1 || '_')
    )
    SELECT format(statement, name, new) FROM renamed
    WHERE octet_length(new) < 64 AND NOT EXISTS (
        SELECT FROM own JOIN pg_class ON pg_class.relnamespace = own.relnamespace AND relname = new)
    ORDER BY name";

/// The first column of a query.
async fn texts(session: &Session, sql: &str, parameters: &[&str]) -> Result<Vec<String>, TargetError> {
    let parameters: Vec<_> = parameters.iter().map(|text| (text as _, Type::TEXT)).collect();
    let rows = session.client().query_typed(sql, &parameters).await;
    let rows = rows.map_err(|error| session.error(TRIED, error))?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| session.error(TRIED, error))).collect()
}

fn gone(kept: &str, name: &str) -> TargetError {
    let message = format!(
        "the table {kept} is gone before all of its rows were copied: bring it back, or give them up by DELETE FROM \
         {ADOPTIONS_TABLE} WHERE name = '{name}'"
    );
    TargetError::new(ErrorKind::Fatal, message)
}

fn refused(table: &str, why: &str) -> TargetError {
    TargetError::new(ErrorKind::Fatal, format!("the database's table {table} cannot be adopted: {why}"))
}
