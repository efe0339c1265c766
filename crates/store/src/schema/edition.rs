//! What the server offers.

use std::fmt;

use projector::TargetError;

use crate::connect::Session;

/// What a database is, as far as the projection cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edition {
    /// It has the extension: tables are hypertables.
    Timescale {
        /// The extension's version.
        version: String,
        /// What of it may be used.
        licence: Licence,
    },
    /// Plain tables.
    PostgreSql {
        /// The server's version.
        version: String,
    },
}

/// Under which licence TimescaleDB runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Licence {
    /// Hypertables and `time_bucket`.
    Apache,
    /// Compression, continuous aggregates and policies as well.
    Timescale,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timescale { version, licence: Licence::Apache } => {
                write!(f, "TimescaleDB {version} (Apache licence)")
            }
            Self::Timescale { version, licence: Licence::Timescale } => {
                write!(f, "TimescaleDB {version} (Timescale licence)")
            }
            Self::PostgreSql { version } => write!(f, "PostgreSQL {version} (plain tables)"),
        }
    }
}

const SQL: &str = "SELECT current_setting('server_version'),
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
    current_setting('timescaledb.license', true)";

/// Asks the server.
pub(super) async fn read(session: &Session) -> Result<Edition, TargetError> {
    let tried = "asking for the server's version";
    let row = session.client().query_typed(SQL, &[]).await.map_err(|error| session.error(tried, error))?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let parts = row.first().map(read).transpose().map_err(|error| session.error(tried, error))?;
    let (server, extension, licence): (String, Option<String>, Option<String>) = parts.unwrap_or_default();
    Ok(match extension {
        Some(version) => {
            let is_full = licence.as_deref() == Some("timescale");
            Edition::Timescale {
                version,
                licence: if is_full { Licence::Timescale } else { Licence::Apache },
            }
        }
        None => Edition::PostgreSql { version: server },
    })
}
