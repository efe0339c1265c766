//! Which database a URL leads to: what two spellings of one address have in common.

use projector::TargetError;

use crate::connect::{Session, within};
use crate::url::DatabaseUrl;

const TRIED: &str = "asking which database this is";
/// NOTE: not the system identifier, which a promoted copy of the server's files shares, and which not every role may
/// read. Two servers that run do not begin in the same microsecond, and every role may ask for it.
const IDENTIFY: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, oid
    FROM pg_database WHERE datname = current_database()";

/// A database of a server that runs now, whatever its address is spelled like. It does not outlive the server's
/// run: compare two that were asked for at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseIdentity {
    /// When the server began to run, microseconds since the epoch.
    server_began: i64,
    /// The database's number in it.
    oid: u32,
}

/// Asks the server behind a URL which database that is.
///
/// # Errors
/// By [`TargetError::kind`], as any connection.
pub async fn identify(url: &DatabaseUrl) -> Result<DatabaseIdentity, TargetError> {
    let session = Session::open(url, "tailwater/identify").await?;
    let asked = async {
        let row = session.client().query_typed_one(IDENTIFY, &[]).await?;
        Ok(DatabaseIdentity { server_began: row.try_get(0)?, oid: row.try_get(1)? })
    };
    let judged = async { asked.await.map_err(|error| session.error(TRIED, error)) };
    within(url.connect_timeout(), TRIED, judged).await
}
