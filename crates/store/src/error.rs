//! Errors of the database, judged: what the projector does about each, by SQLSTATE.

use std::io;

use projector::{ErrorKind, TargetError};
use tokio_postgres::error::{DbError, Severity};

use crate::quarantine::Reason;

/// What an SQLSTATE means to us: a row for each class of PostgreSQL's manual, appendix A, and in front of it a row
/// for each code of the class that is judged otherwise.
///
/// NOTE: Data says that one event is at fault, and costs a search for it; what refuses every event alike is Fatal.
/// A class whose errors come out of a trigger of the owner's depends on the row, and so is Data.
const KINDS: &[(&str, ErrorKind)] = &[
    ("00", ErrorKind::Fatal),    // successful completion: not an error
    ("01", ErrorKind::Fatal),    // warning: not an error
    ("02", ErrorKind::Fatal),    // no data: not an error
    ("03", ErrorKind::Fatal),    // SQL statement not yet complete
    ("08", ErrorKind::Retry),    // connection exception
    ("09", ErrorKind::Data),     // triggered action exception
    ("0A", ErrorKind::Fatal),    // feature not supported
    ("0B", ErrorKind::Fatal),    // invalid transaction initiation
    ("0F", ErrorKind::Fatal),    // locator exception
    ("0L", ErrorKind::Fatal),    // invalid grantor
    ("0P", ErrorKind::Fatal),    // invalid role specification
    ("0Z", ErrorKind::Fatal),    // diagnostics exception
    ("10", ErrorKind::Fatal),    // XQuery error
    ("20", ErrorKind::Data),     // case not found: a CASE without ELSE in a trigger
    ("21", ErrorKind::Data), // cardinality violation: a trigger that makes two keys one, or looks up too much
    ("22P03", ErrorKind::Fatal), // a column's type was changed: it refuses every row, not one
    ("22P04", ErrorKind::Fatal), // COPY data of the wrong shape: a column too many or too few
    ("22", ErrorKind::Data), // data exception: too long, out of range, not translatable
    ("23", ErrorKind::Data), // a constraint that the owner added: ours cannot be broken
    ("24", ErrorKind::Fatal), // invalid cursor state
    ("25006", ErrorKind::Retry), // read-only: a standby, or a server whose disk is full
    ("25P03", ErrorKind::Retry), // idle_in_transaction_session_timeout
    ("25P04", ErrorKind::Retry), // transaction_timeout
    ("25", ErrorKind::Fatal), // invalid transaction state
    ("26", ErrorKind::Retry), // prepared statement gone: a pooler gave us another backend
    ("27", ErrorKind::Fatal), // triggered data change violation
    ("28", ErrorKind::Fatal), // wrong user or password
    ("2B", ErrorKind::Fatal), // dependent privilege descriptors still exist
    ("2D", ErrorKind::Fatal), // invalid transaction termination
    ("2F", ErrorKind::Fatal), // SQL routine exception
    ("34", ErrorKind::Fatal), // invalid cursor name
    ("38", ErrorKind::Data), // external routine exception: RAISE in a trigger of another language
    ("39", ErrorKind::Fatal), // external routine invocation exception: the trigger is broken
    ("3B", ErrorKind::Fatal), // savepoint exception
    ("3D", ErrorKind::Retry), // the database does not exist: it may be created later
    ("3F", ErrorKind::Fatal), // invalid schema name
    ("40003", ErrorKind::Retry), // statement completion unknown: the next claim tells
    ("40", ErrorKind::Busy), // serialization failure, deadlock
    ("42P05", ErrorKind::Retry), // prepared statement is there: a pooler gave us a session that somebody left it in
    ("42", ErrorKind::Fatal),    // no permission, or a table or column is gone: its rows went with it
    ("44", ErrorKind::Data),     // WITH CHECK OPTION of a view in a table's place
    ("53400", ErrorKind::Fatal), // a configured limit was exceeded: it is exceeded next time as well
    ("53", ErrorKind::Retry),    // out of disk, memory or connections
    ("54000", ErrorKind::Data),  // an index row too large for a page: long texts in a key
    ("54", ErrorKind::Fatal),    // program limit exceeded: too complex, too many columns
    ("55006", ErrorKind::Retry), // the object is in use: somebody creates or drops the database
    ("55P03", ErrorKind::Busy),  // lock_timeout
    ("55", ErrorKind::Fatal),    // object not in prerequisite state
    ("57", ErrorKind::Retry),    // shutdown, crash, starting up, cancelled, database dropped
    ("58", ErrorKind::Retry),    // the server's own I/O
    ("72", ErrorKind::Retry),    // snapshot too old
    ("F0", ErrorKind::Fatal),    // configuration file error
    ("HV", ErrorKind::Fatal),    // foreign data wrapper error
    ("P0", ErrorKind::Data),     // RAISE in a trigger of the owner's
    ("XX", ErrorKind::Fatal),    // a bug or damage of the server
];

/// How a server says that pg_hba.conf has no entry for a user over this channel (with or without TLS). A wrong
/// password has another code.
pub(crate) const NOT_LET_IN: &str = "28000";
const WRONG_PASSWORD: &str = "28P01";
const NO_DATABASE: &str = "3D000";

/// What the relay says to sqlx about a link that was not made: 08001 is SQL's own code for that, the other is ours.
const RELAY_RETRY: &str = "08001";
const RELAY_FATAL: &str = "TWTLS";

/// The code under which the relay tells an error.
pub(crate) const fn code_of_relay(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Retry => RELAY_RETRY,
        _ => RELAY_FATAL,
    }
}

/// What came with a code, and the code if it is the server's.
pub(crate) fn told(code: &str, message: &str) -> String {
    match code {
        RELAY_RETRY | RELAY_FATAL => message.to_owned(),
        _ => format!("SQLSTATE {code}: {message}"),
    }
}

/// What to do about an SQLSTATE. A class that is in no table is somebody's own, and a person must look.
pub(crate) fn kind_of(code: &str) -> ErrorKind {
    KINDS.iter().find(|(prefix, _)| code.starts_with(prefix)).map_or(ErrorKind::Fatal, |(_, kind)| *kind)
}

/// An error of tokio-postgres, with what caused it in its text: `tried` tells what failed, as in "copying into agent_metrics".
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn from_postgres(tried: &str, error: tokio_postgres::Error) -> TargetError {
    if let Some(server) = error.as_db_error() {
        return told_by_server(tried, server);
    }
    let kind = kind_of_client_error(&error);
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    TargetError::new(kind, one_line(&format!("{tried}: {error}{cause}")))
}

/// The same of a server that does not let us in, with what to do about it.
pub(crate) fn at_the_door(tried: &str, error: tokio_postgres::Error) -> TargetError {
    let hint = match error.as_db_error().map(|server| server.code().code()) {
        Some(NOT_LET_IN) => "the user is the one of the URL, and the server's pg_hba.conf must let it in",
        Some(WRONG_PASSWORD) => "user and password are those of the URL",
        Some(NO_DATABASE) => "tailwater makes tables; the database is yours to make, by CREATE DATABASE",
        _ => return from_postgres(tried, error),
    };
    let error = from_postgres(tried, error);
    TargetError::new(error.kind(), format!("{error}; {hint}"))
}

/// NOTE: tokio-postgres keeps the kinds of its errors to itself; they are told apart by what they hold.
fn kind_of_client_error(error: &tokio_postgres::Error) -> ErrorKind {
    let is_io = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>);
    let is_lost =
        matches!(error.to_string().as_str(), "unexpected message from server" | "timeout waiting for server");
    if is_io || is_lost || error.is_closed() { ErrorKind::Retry } else { ErrorKind::Fatal }
}

fn told_by_server(tried: &str, error: &DbError) -> TargetError {
    let code = error.code().code();
    TargetError::new(
        kind_of_server_error(error),
        format!("{}: SQLSTATE {code}: {}", one_line(tried), words(error)),
    )
}

/// NOTE: a table that was dropped while a statement waited for its lock has no code of its own. It is a chunk, and the
/// next attempt makes another.
fn kind_of_server_error(error: &DbError) -> ErrorKind {
    match (error.code().code(), error.routine()) {
        ("XX000", Some("relation_open")) => ErrorKind::Busy,
        (code, _) => kind_of(code),
    }
}

/// What the server said, in one line.
fn words(error: &DbError) -> String {
    let detail = error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    one_line(&format!("{}{detail}", error.message()))
}

/// Why the database refuses an event, if that is what the error is.
pub(crate) fn refusal(error: &tokio_postgres::Error) -> Option<Reason> {
    let server = error.as_db_error().filter(|server| kind_of(server.code().code()) == ErrorKind::Data)?;
    if server.parsed_severity() != Some(Severity::Error) {
        return None;
    }
    Some(Reason { sqlstate: server.code().code().to_owned(), message: words(server) })
}

/// An error of sqlx, as [`from_postgres`].
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
pub(crate) fn from_sqlx(tried: &str, error: sqlx::Error) -> TargetError {
    let (kind, told) = match &error {
        sqlx::Error::Database(server) => {
            let code = server.code().unwrap_or_default();
            (kind_of(&code), told(&code, server.message()))
        }
        sqlx::Error::Io(cause) => (ErrorKind::Retry, cause.to_string()),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            (ErrorKind::Retry, error.to_string())
        }
        // The stream broke in mid-message.
        sqlx::Error::Protocol(_) => (ErrorKind::Retry, error.to_string()),
        _ => (ErrorKind::Fatal, error.to_string()),
    };
    TargetError::new(kind, one_line(&format!("{tried}: {told}")))
}

/// A wait that took longer than anything healthy does.
pub(crate) fn timed_out(tried: &str, limit: std::time::Duration) -> TargetError {
    TargetError::new(ErrorKind::Retry, format!("{tried}: no answer within {} s", limit.as_secs()))
}

/// Whether the server said that the transaction is gone: an ERROR, not the end of the session, after which
/// nobody knows.
pub(crate) fn is_settled(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|server| server.parsed_severity() == Some(Severity::Error))
}

/// The row of a COPY that was refused, from 1, out of a context such as `COPY agent_metrics, line 3, column
/// time`. The words may be in any language; table names of ours hold no digit.
pub(crate) fn copy_row(error: &tokio_postgres::Error) -> Option<usize> {
    copy_row_in(error.as_db_error()?.where_()?)
}

fn copy_row_in(context: &str) -> Option<usize> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, rest) = line.split_once(',')?;
    let digits = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit() && letter != ',');
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let check = |kind: ErrorKind, codes: &[&str]| {
            for code in codes {
                assert_eq!(kind_of(code), kind, "{code}");
            }
        };
        check(
            ErrorKind::Retry,
            &[
                "08000",
                "08001",
                "08003",
                "08006",
                "08P01",
                "57014",
                "57P01",
                "57P02",
                "57P03",
                "57P04",
                "57P05",
                "53000",
                "53100",
                "53200",
                "53300",
                "40003",
                "55006",
                "25006",
                "25P03",
                "25P04",
                "3D000",
                "58000",
                "58030",
                "58P01",
                "26000",
                "42P05",
                "72000",
                RELAY_RETRY,
            ],
        );
        check(ErrorKind::Busy, &["40000", "40001", "40002", "40P01", "55P03"]);
        check(
            ErrorKind::Data,
            &[
                "22001", "22003", "22021", "22P05", "23502", "23503", "23505", "23514", "23P01", "54000",
                "P0001", "P0004", "09000", "20000", "21000", "38000", "44000",
            ],
        );
        check(
            ErrorKind::Fatal,
            &[
                "42P01",
                "42703",
                "42501",
                "28000",
                "28P01",
                "3F000",
                "0A000",
                "22P03",
                "22P04",
                "53400",
                "54001",
                "55000",
                "25P02",
                "XX000",
                "XX002",
                "F0000",
                "99999",
                "",
                RELAY_FATAL,
            ],
        );
    }

    /// The classes of PostgreSQL's manual, appendix A.
    const CLASSES: [&str; 44] = [
        "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23",
        "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44",
        "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
    ];

    #[test]
    fn every_class_has_one_row_and_its_exceptions_stand_in_front() {
        let classes: Vec<&str> = KINDS.iter().map(|(code, _)| *code).filter(|code| code.len() == 2).collect();
        assert_eq!(classes, CLASSES);
        for (index, (code, kind)) in KINDS.iter().enumerate().filter(|(_, (code, _))| code.len() != 2) {
            assert_eq!(code.len(), 5, "{code}");
            let class = KINDS.iter().position(|(class, _)| *class == &code[..2]).unwrap();
            assert!(index < class, "{code} stands behind its class");
            assert_ne!(*kind, KINDS[class].1, "{code} is judged as its class");
        }
    }

    #[test]
    fn the_row_is_read_out_of_any_context() {
        let check = |context: &str, row: Option<usize>| assert_eq!(copy_row_in(context), row, "{context}");
        check("COPY agent_metrics, line 3", Some(3));
        check("COPY agent_metrics, line 12, column time", Some(12));
        check("COPY agent_metrics, Zeile 12, Spalte time", Some(12));
        check("PL/pgSQL function f() line 4 at RAISE\nCOPY gaps, line 7", Some(7));
        check("SQL statement \"x\", line 9", None);
        check("COPY agent_metrics", None);
        check("", None);
    }

    #[test]
    fn messages_are_one_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
    }
}
