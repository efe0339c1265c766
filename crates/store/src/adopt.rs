//! Coming from the Go package: its tables have our names, and stand where ours are to be. Adopting sets them aside
//! (`<name>_bc`), makes ours, and copies their rows, which then belong to a log of their own.
//!
//! 1. One transaction under the migrations' lock: the renames, our schema, and a row of `tailwater_adoptions` for
//!    each table. Before it everything is the Go package's, after it the tables are ours.
//! 2. The ordinary `ensure`: hypertables, where the extension is.
//! 3. The rows, a piece at a time (`copying.rs`). The adoption's row says how far that is, and is the mark of a
//!    finished copy. Whatever ends this, the next call goes on there; what is finished is not touched again.
//!
//! What becomes of which row is in `source.rs`, and in `docs/decisions/0018-adoption.md`.

mod copying;
mod look;
mod source;

use event::{HostName, Time};
use projector::{ErrorKind, TargetError};
use tokio_postgres::Row;

use crate::connect::Session;
use crate::schema::{self, Around, Extension};
use crate::url::DatabaseUrl;
use copying::Copying;
use look::{ADOPTIONS_TABLE, Here, look, renames};
use source::{Original, Window};

/// The log whose rows the Go package's are, in every database. Its end is "bc" in ASCII.
pub const ADOPTED_LOG: &str = "00000000-0000-4000-8000-000000006263";

/// Two adoptions do not look at the same time; the number is "adopt-bc" in ASCII.
///
/// NOTE: not the migrations' lock, which the transaction of step 1 takes while this one is held.
const LOCK_SQL: &str = "SELECT pg_advisory_xact_lock(x'61646f70742d6263'::bigint)";

/// For every transaction that goes through the rows. What a killed process has left at work is waited for. A limit
/// that the owner has set for short statements does not end it. A policy of the owner's that hides rows does, for they
/// would be lost without a word.
const LONG_WORK: &str =
    "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0; SET LOCAL row_security = off";

const SESSION: &str = "tailwater/adopt";
const TRIED: &str = "looking at the Go package's tables";

/// What is to be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoptable {
    /// The host of an adoption that was begun before, which its rest must have as well.
    pub host: Option<String>,
    /// The tables; none when there is nothing to adopt.
    pub tables: Vec<AdoptableTable>,
}

/// A table of the Go package's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptableTable {
    /// The Go package's name of it, and ours.
    pub name: &'static str,
    /// Its name now.
    pub found_as: String,
    /// Its rows.
    pub rows: u64,
    /// The first and the last time that an event may have; `None` when there is no such row.
    pub span: Option<(Time, Time)>,
}

/// What became of the rows of one table: `rows = copied + present + duplicates + all of refused`, unless somebody
/// changed the table meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptedTable {
    /// The Go package's name of it, and ours.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Rows that are in our table now.
    pub copied: u64,
    /// Rows whose key has a row of another log, which stays.
    pub present: u64,
    /// Rows of a series and a time that another row of the table has already.
    pub duplicates: u64,
    /// Those of `copied` and `present` in which a count was null, and is 0 now.
    pub filled: u64,
    /// Rows that could not be copied, by the reason.
    pub refused: Vec<(String, u64)>,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptProgress {
    /// The table.
    pub table: &'static str,
    /// Pieces that are done.
    pub done: u64,
    /// How many there are.
    pub pieces: u64,
}

/// Tells what there is to adopt, and changes nothing.
///
/// # Errors
/// Fatal when a table of our name is neither ours nor the Go package's, or a name is taken; or by the connection.
pub async fn adoptable(url: &DatabaseUrl) -> Result<Adoptable, TargetError> {
    let session = Session::open(url, SESSION).await?;
    session.run(TRIED, &format!("{}; {LONG_WORK}", session.begin_sql())).await?;
    let (originals, host, is_kept) = match look(&session).await? {
        Here::Nothing => (Vec::new(), None, false),
        Here::Originals(originals) => (originals, None, false),
        Here::Unfinished(originals) => (originals, Some(adopted_host(&session).await?), true),
    };
    let mut tables = Vec::new();
    for original in &originals {
        tables.push(measure(&session, original, is_kept).await?);
    }
    session.run(TRIED, "COMMIT").await?;
    Ok(Adoptable { host, tables })
}

/// Tells what would become of the rows in an empty database of ours, and changes nothing.
///
/// # Errors
/// As [`adoptable`].
pub async fn preview_adoption(url: &DatabaseUrl) -> Result<Vec<AdoptedTable>, TargetError> {
    let session = Session::open(url, SESSION).await?;
    session.run(TRIED, &format!("{}; {LONG_WORK}", session.begin_sql())).await?;
    let (originals, is_kept) = match look(&session).await? {
        Here::Nothing => (Vec::new(), false),
        Here::Originals(originals) => (originals, false),
        Here::Unfinished(originals) => (originals, true),
    };
    let mut tables = Vec::new();
    for original in &originals {
        tables.push(preview(&session, original, &found_as(original, is_kept)).await?);
    }
    session.run(TRIED, "COMMIT").await?;
    Ok(tables)
}

/// Adopts the Go package's tables, or goes on with what was begun; a database without any is only migrated. `tell`
/// hears of every piece.
///
/// # Errors
/// Fatal when a table of our name is neither ours nor the Go package's, or a name is taken: nothing has changed
/// then. Busy when somebody does not let go of a table; or by the connection. The next call goes on.
pub async fn adopt(
    url: &DatabaseUrl,
    host: &HostName,
    extension: Extension,
    mut tell: impl FnMut(AdoptProgress),
) -> Result<Vec<AdoptedTable>, TargetError> {
    let session = Session::open(url, SESSION).await?;
    set_aside(url, &session, host).await?;
    schema::migrate(url, extension).await?;
    session.run(TRIED, session.begin_sql()).await?;
    let here = look(&session).await?;
    session.run(TRIED, "COMMIT").await?;
    let Here::Unfinished(originals) = here else { return Ok(Vec::new()) };
    for original in &originals {
        copy(&session, original, &mut tell).await?;
    }
    let names: Vec<&str> = originals.iter().map(|original| original.source.name).collect();
    report(&session, &names).await
}

/// Step 1, where it was not done.
async fn set_aside(url: &DatabaseUrl, session: &Session, host: &HostName) -> Result<(), TargetError> {
    let tried = "setting the Go package's tables aside";
    session.run(tried, &format!("{}; {LOCK_SQL}", session.begin_sql())).await?;
    if let Here::Originals(originals) = look(session).await? {
        let before = renames(session, &originals).await?;
        let around = Around { before, after: note_sql(&originals, host) };
        schema::run(url, session.begin_sql(), &format!("{tried} in"), &around).await.map_err(in_use)?;
    }
    session.run(tried, "COMMIT").await
}

fn in_use(error: TargetError) -> TargetError {
    match error.kind() {
        ErrorKind::Busy => {
            let message = format!(
                "{error}: somebody uses the tables; stop the Go program and what reads them, and try again"
            );
            TargetError::new(ErrorKind::Busy, message)
        }
        _ => error,
    }
}

/// Notes which tables are to be copied, as whose.
fn note_sql(originals: &[Original], host: &HostName) -> String {
    let host = host.as_str().replace('\'', "''").replace('\\', r"\\");
    let names: Vec<String> = originals.iter().map(|it| format!("('{}')", it.source.name)).collect();
    format!(
        "INSERT INTO tailwater_logs (log_id, host) VALUES ('{ADOPTED_LOG}', E'{host}');
         INSERT INTO {ADOPTIONS_TABLE} (name, log_no, next_time)
         SELECT name, log_no, '{begin}' FROM (VALUES {names}) AS names (name), tailwater_logs
         WHERE log_id = '{ADOPTED_LOG}'",
        begin = Window::ALL.from,
        names = names.join(", "),
    )
}

async fn copy(
    session: &Session,
    original: &Original,
    tell: &mut impl FnMut(AdoptProgress),
) -> Result<(), TargetError> {
    let table = original.source.name;
    let target = original.source.target().ok_or_else(|| {
        TargetError::new(ErrorKind::Fatal, format!("{table} is no table of this version of tailwater"))
    })?;
    let copying = Copying::begin(session, original, target).await?;
    let pieces = copying.pieces();
    let mut done = 0;
    tell(AdoptProgress { table, done, pieces });
    while copying.copy_piece().await? {
        done += 1;
        tell(AdoptProgress { table, done, pieces });
    }
    copying.finish().await
}

fn found_as(original: &Original, is_kept: bool) -> String {
    if is_kept { original.source.kept_name() } else { original.source.name.to_owned() }
}

async fn adopted_host(session: &Session) -> Result<String, TargetError> {
    let sql = format!("SELECT host FROM tailwater_logs WHERE log_id = '{ADOPTED_LOG}'");
    let rows = query(session, &sql).await?;
    Ok(rows.first().map(|row| get(session, row, 0)).transpose()?.unwrap_or_default())
}

async fn measure(
    session: &Session,
    original: &Original,
    is_kept: bool,
) -> Result<AdoptableTable, TargetError> {
    let found_as = found_as(original, is_kept);
    let judged = original.judged(&found_as, None);
    let within = format!("\"time\" >= '{}' AND \"time\" < '{}'", Window::ALL.from, Window::ALL.to);
    let sql = format!(
        "SELECT count(*), (extract(epoch FROM min(\"time\") FILTER (WHERE {within})) * 1000000)::bigint,
             (extract(epoch FROM max(\"time\") FILTER (WHERE {within})) * 1000000)::bigint FROM ({judged}) AS judged"
    );
    let rows = query(session, &sql).await?;
    let (mut count, mut span) = (0, None);
    if let Some(row) = rows.first() {
        count = unsigned(get(session, row, 0)?);
        let (first, last): (Option<i64>, Option<i64>) = (get(session, row, 1)?, get(session, row, 2)?);
        span = first.zip(last).map(|(first, last)| (Time::from_micros(first), Time::from_micros(last)));
    }
    Ok(AdoptableTable { name: original.source.name, found_as, rows: count, span })
}

async fn preview(
    session: &Session,
    original: &Original,
    found_as: &str,
) -> Result<AdoptedTable, TargetError> {
    let is_call = original.source.has_calls();
    let sql = format!(
        "SELECT reason, nth > 1 AND NOT {is_call} AS is_duplicate, count(*) FROM ({}) AS ranked
         GROUP BY reason, is_duplicate",
        original.ranked(found_as, None)
    );
    let mut table = AdoptedTable { name: original.source.name.to_owned(), ..AdoptedTable::default() };
    for row in query(session, &sql).await? {
        let reason: Option<String> = get(session, &row, 0)?;
        let (is_duplicate, rows) = (get::<bool>(session, &row, 1)?, unsigned(get(session, &row, 2)?));
        table.rows += rows;
        match reason {
            None if is_duplicate => table.duplicates += rows,
            None => table.copied += rows,
            Some(reason) => table.refuse(reason, rows),
        }
    }
    // NOTE: as the report orders them.
    table.refused.sort_by(|(one, ones), (other, others)| others.cmp(ones).then_with(|| one.cmp(other)));
    Ok(table)
}

impl AdoptedTable {
    fn refuse(&mut self, reason: String, rows: u64) {
        match self.refused.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum += rows,
            None => self.refused.push((reason, rows)),
        }
    }
}

/// What became of the rows of finished tables.
async fn report(session: &Session, names: &[&str]) -> Result<Vec<AdoptedTable>, TargetError> {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!(
        "SELECT name, rows, copied, present, duplicates, filled,
             ARRAY(SELECT key FROM jsonb_each_text(refused) ORDER BY value::bigint DESC, key COLLATE \"C\"),
             ARRAY(SELECT value::bigint FROM jsonb_each_text(refused) ORDER BY value::bigint DESC, key COLLATE \"C\")
         FROM {ADOPTIONS_TABLE} WHERE name IN ({}) ORDER BY name",
        names.join(", ")
    );
    session.run(TRIED, session.begin_sql()).await?;
    let rows = query(session, &sql).await?;
    session.run(TRIED, "COMMIT").await?;
    let read = |row: &Row| {
        let count = |index| get(session, row, index).map(unsigned);
        let (reasons, counts): (Vec<String>, Vec<i64>) = (get(session, row, 6)?, get(session, row, 7)?);
        Ok(AdoptedTable {
            name: get(session, row, 0)?,
            rows: count(1)?,
            copied: count(2)?,
            present: count(3)?,
            duplicates: count(4)?,
            filled: count(5)?,
            refused: reasons.into_iter().zip(counts.into_iter().map(unsigned)).collect(),
        })
    };
    rows.iter().map(read).collect()
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

async fn query(session: &Session, sql: &str) -> Result<Vec<Row>, TargetError> {
    session.client().query_typed(sql, &[]).await.map_err(|error| session.error(TRIED, error))
}

fn get<T: tokio_postgres::types::FromSqlOwned>(
    session: &Session,
    row: &Row,
    index: usize,
) -> Result<T, TargetError> {
    row.try_get(index).map_err(|error| session.error(TRIED, error))
}
