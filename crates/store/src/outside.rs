//! Work on a log's events outside of any range: the session that does it, and how events are written there.

use event::Entry;
use projector::{Contents, LogIdentity, TargetError};
use tokio_postgres::types::Type;

use crate::apply::{Writers, Written};
use crate::claim::FIND_LOG;
use crate::connect::{Session, application_name};
use crate::quarantine::{Limit, Refusals, keep, release};
use crate::rows::Provenance;
use crate::schema::{self, State};
use crate::target::behind;
use crate::url::DatabaseUrl;

/// Opens a session of this name, and finds the log's number, where the database has ever seen it. The schema is left as
/// it is.
///
/// # Errors
/// Fatal when the schema is not up to date; otherwise as any connection.
pub(crate) async fn open(
    url: &DatabaseUrl,
    log: &LogIdentity,
    name: &str,
) -> Result<(Session, Option<i32>), TargetError> {
    let session = Session::open(url, &application_name(&log.log_id, name)).await?;
    match schema::state(&session, &schema::migrator(), url.connect_timeout()).await? {
        State::Current => {}
        State::Behind(pending) => return Err(behind(pending.len())),
        State::Refused(error) => return Err(error),
    }
    let error = |error| session.error("looking for the log", error);
    let found = session.client().query_typed(FIND_LOG, &[(&log.log_id.0, Type::UUID)]).await;
    let log_no = found.map_err(error)?.first().map(|row| row.try_get(0)).transpose().map_err(error)?;
    Ok((session, log_no))
}

/// Writes events by the rules of their tables, within the transaction that is open: what lands leaves the quarantine,
/// what is refused goes there. No range moves.
///
/// # Errors
/// By [`TargetError::kind`]: the caller rolls back.
pub(crate) async fn write(
    session: &Session,
    writers: &mut Writers,
    provenance: Provenance<'_>,
    entries: &[Entry],
    limit: Limit,
) -> Result<Written, TargetError> {
    let contents = Contents::of(entries);
    let mut refusals = Refusals::new(limit);
    refusals.add_unknown(entries, contents.unknown())?;
    let written = writers.write(session, provenance, entries, &contents, &mut refusals).await?;
    release(session, provenance.log_no, entries, &refusals).await?;
    keep(session, provenance.log_no, entries, &refusals).await?;
    Ok(written)
}
