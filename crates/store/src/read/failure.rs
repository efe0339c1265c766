//! What went wrong while reading, as the caller needs to know it.

use std::time::Duration;

use projector::ErrorKind;
use query::{ReadError, ReadErrorKind};

use crate::DatabaseUrl;
use crate::error::{kind_of, told};

const DATABASE_MISSING: &str = "3D000";
const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_COLUMN: &str = "42703";
const UNDEFINED_FUNCTION: &str = "42883";
const QUERY_CANCELED: &str = "57014";

/// Whether the server lost a function that it had: the extension is gone.
pub(super) fn is_undefined_function(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == UNDEFINED_FUNCTION)
}

/// The error of a database that gave no connection or no answer in time.
pub(super) fn silent(url: &DatabaseUrl, limit: Duration) -> ReadError {
    let message = format!("the database {url} did not answer within {limit:?}: try again later");
    ReadError::new(ReadErrorKind::Unavailable, message)
}

/// An error of sqlx, judged.
pub(super) fn read_error(url: &DatabaseUrl, error: sqlx::Error) -> ReadError {
    let (kind, told) = match &error {
        sqlx::Error::Database(server) => told_by_server(&server.code().unwrap_or_default(), server.message()),
        sqlx::Error::PoolTimedOut => (ReadErrorKind::Unavailable, "no connection to be had, it is down or busy".into()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        // The stream broke in mid-message.
        | sqlx::Error::Protocol(_) => (ReadErrorKind::Unavailable, error.to_string()),
        _ => (ReadErrorKind::Fatal, error.to_string()),
    };
    let told: Vec<_> = told.split_whitespace().collect();
    ReadError::new(kind, format!("cannot read from the database {url}: {}", told.join(" "))).caused_by(error)
}

fn told_by_server(code: &str, message: &str) -> (ReadErrorKind, String) {
    let told = told(code, message);
    match code {
        // NOTE: a daemon that has just been started, or upgraded, makes them in a moment; until then the log answers.
        UNDEFINED_TABLE => {
            let advice = "nothing is projected into it yet, run `tailwater migrate` or `tailwater run`";
            (ReadErrorKind::Unavailable, format!("{advice} ({message})"))
        }
        UNDEFINED_COLUMN => {
            let advice = "its tables are older than this binary, or not ours: run `tailwater migrate`";
            (ReadErrorKind::Unavailable, format!("{advice} ({message})"))
        }
        DATABASE_MISSING => (
            ReadErrorKind::Unavailable,
            format!("{told}: create it, and run `tailwater migrate` or `tailwater run`"),
        ),
        QUERY_CANCELED => {
            (ReadErrorKind::Unavailable, format!("{told}: ask for a shorter range, or for fewer names"))
        }
        // The extension went away since we looked: the next request looks again.
        UNDEFINED_FUNCTION => (ReadErrorKind::Unavailable, told),
        _ if kind_of(code) == ErrorKind::Retry => (ReadErrorKind::Unavailable, told),
        _ => (ReadErrorKind::Fatal, told),
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind_and_one_line() {
        let check = |code: &str, kind: ReadErrorKind, says: &str| {
            let (got, told) = told_by_server(code, "because");
            assert_eq!(got, kind, "{code}");
            assert!(told.contains(says) && told.contains("because"), "{told}");
        };
        check("42P01", ReadErrorKind::Unavailable, "run `tailwater migrate`");
        check("42703", ReadErrorKind::Unavailable, "older than this binary");
        check("42501", ReadErrorKind::Fatal, "SQLSTATE 42501");
        check("28P01", ReadErrorKind::Fatal, "SQLSTATE 28P01");
        check("22003", ReadErrorKind::Fatal, "SQLSTATE 22003");
        check("3D000", ReadErrorKind::Unavailable, "create it");
        check("57014", ReadErrorKind::Unavailable, "a shorter range");
        check("57P01", ReadErrorKind::Unavailable, "SQLSTATE 57P01");
        check("53300", ReadErrorKind::Unavailable, "SQLSTATE 53300");
        check("42883", ReadErrorKind::Unavailable, "SQLSTATE 42883");
    }
}
