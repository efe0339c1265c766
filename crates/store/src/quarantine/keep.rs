//! The quarantine's rows: written with the refusals of a batch, deleted when their events land.

use event::Position;
use event::wire::{self, Decoded};
use projector::{Entry, ErrorKind, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{HOUR_MAX, Refusals};
use crate::claim::bigint;
use crate::connect::Session;

/// How many rows are sent at once: records may be 64 KiB each.
const PAGE: usize = 500;
/// The longest message that is kept. A trigger may say anything.
const MESSAGE_CHARS_MAX: usize = 2_000;

const TRIED: &str = "writing the quarantine";

/// An event that is refused again keeps the time when it first was.
const KEEP: &str = "INSERT INTO tailwater_quarantine (log_no, position, kind, sqlstate, message, record)
    SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[])
    ON CONFLICT (log_no, position) DO UPDATE
    SET kind = EXCLUDED.kind, sqlstate = EXCLUDED.sqlstate, message = EXCLUDED.message,
        record = EXCLUDED.record, at = now()";
const COUNT_HOUR: &str = "SELECT sqlstate, count(*) FROM tailwater_quarantine
    WHERE log_no = $1 AND sqlstate = ANY ($2) AND first_at > now() - interval '1 hour'
    GROUP BY sqlstate HAVING count(*) > $3 ORDER BY sqlstate LIMIT 1";
const HELD: &str =
    "SELECT position FROM tailwater_quarantine WHERE log_no = $1 AND position BETWEEN $2 AND $3";
const RELEASE: &str = "DELETE FROM tailwater_quarantine WHERE log_no = $1 AND position = ANY ($2)";

/// Keeps the refused ones of these entries.
///
/// # Errors
/// Fatal when there were too many within the hour: the caller rolls back.
pub(crate) async fn keep(
    session: &Session,
    log_no: i32,
    entries: &[Entry],
    refusals: &Refusals,
) -> Result<(), TargetError> {
    if refusals.len() == 0 {
        return Ok(());
    }
    let mut page = Page::default();
    for entry in entries {
        if page.add(entry, refusals)? == PAGE {
            std::mem::take(&mut page).write(session, log_no).await?;
        }
    }
    page.write(session, log_no).await?;
    check_hour(session, log_no, refusals).await
}

/// Takes these entries out of the quarantine, but for the refused ones; returns how many were there.
pub(crate) async fn release(
    session: &Session,
    log_no: i32,
    entries: &[Entry],
    refusals: &Refusals,
) -> Result<u64, TargetError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(0) };
    let [first, last] = [first, last].map(|entry| bigint(entry.position));
    let held = [(&log_no as Parameter<'_>, Type::INT4), (&first, Type::INT8), (&last, Type::INT8)];
    let mut landed = Vec::new();
    for row in query(session, HELD, &held).await? {
        let number: i64 = row.try_get(0).map_err(|error| session.error(TRIED, error))?;
        let position = Position(u64::try_from(number).unwrap_or_default());
        // What is held between them without being one of them was not applied.
        let is_entry = entries.binary_search_by_key(&position, |entry| entry.position).is_ok();
        if is_entry && refusals.of(position).is_none() {
            landed.push(number);
        }
    }
    if !landed.is_empty() {
        query(session, RELEASE, &[(&log_no, Type::INT4), (&landed, Type::INT8_ARRAY)]).await?;
    }
    Ok(landed.len() as u64)
}

async fn check_hour(session: &Session, log_no: i32, refusals: &Refusals) -> Result<(), TargetError> {
    let states = refusals.limited_states();
    if states.is_empty() {
        return Ok(());
    }
    let parameters =
        [(&log_no as Parameter<'_>, Type::INT4), (&states, Type::TEXT_ARRAY), (&HOUR_MAX, Type::INT8)];
    let rows = query(session, COUNT_HOUR, &parameters).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let error = |error| session.error(TRIED, error);
    let (sqlstate, count): (&str, i64) = (row.try_get(0).map_err(error)?, row.try_get(1).map_err(error)?);
    let told = format!("{count} within an hour, where at most {HOUR_MAX} are taken for single events");
    Err(refusals.schema_error(sqlstate, &told, refusals.first_of(sqlstate)))
}

/// Rows of the quarantine, column by column.
#[derive(Default)]
struct Page {
    positions: Vec<i64>,
    kinds: Vec<String>,
    sqlstates: Vec<String>,
    messages: Vec<String>,
    records: Vec<Vec<u8>>,
}

impl Page {
    /// Adds the entry if it is refused; returns how many rows there are.
    fn add(&mut self, entry: &Entry, refusals: &Refusals) -> Result<usize, TargetError> {
        if let Some(reason) = refusals.of(entry.position) {
            self.positions.push(bigint(entry.position));
            self.kinds.push(kind_of(&entry.event));
            self.sqlstates.push(reason.sqlstate.clone());
            self.messages.push(reason.message.chars().take(MESSAGE_CHARS_MAX).collect());
            self.records.push(record_of(entry)?);
        }
        Ok(self.positions.len())
    }

    async fn write(self, session: &Session, log_no: i32) -> Result<(), TargetError> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let parameters = [
            (&log_no as Parameter<'_>, Type::INT4),
            (&self.positions, Type::INT8_ARRAY),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.sqlstates, Type::TEXT_ARRAY),
            (&self.messages, Type::TEXT_ARRAY),
            (&self.records, Type::BYTEA_ARRAY),
        ];
        query(session, KEEP, &parameters).await.map(drop)
    }
}

/// The name of a kind; of one that this version does not know, its number.
fn kind_of(event: &Decoded) -> String {
    match event {
        Decoded::Event(event) => event.kind().name().to_owned(),
        Decoded::Unknown { kind, .. } => format!("unknown({kind})"),
    }
}

/// The payload of the event's record.
fn record_of(entry: &Entry) -> Result<Vec<u8>, TargetError> {
    match &entry.event {
        Decoded::Event(event) => {
            let mut record = Vec::with_capacity(entry.bytes);
            wire::encode(event, &mut record).map_err(|error| {
                TargetError::new(ErrorKind::Fatal, format!("{TRIED}: {error}")).at(Some(entry.position))
            })?;
            Ok(record)
        }
        Decoded::Unknown { payload, .. } => Ok(payload.to_vec()),
    }
}

pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

async fn query(
    session: &Session,
    sql: &str,
    parameters: &[(Parameter<'_>, Type)],
) -> Result<Vec<Row>, TargetError> {
    session.client().query_typed(sql, parameters).await.map_err(|error| session.error(TRIED, error))
}
