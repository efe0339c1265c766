//! Looking at a database without changing it: what an operator should know before projecting into it, and while.
//!
//! Every look is a transaction of its own that is read-only and short: a lock that somebody holds ends it after a
//! second, and what it did not find out is an error of that part alone.

mod looks;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event::{HostName, LogId, Position, Time};
use projector::{ErrorKind, TargetError};

use crate::connect::{Link, Session, Transport, within};
use crate::schema::{self, Edition, Migration, State};
use crate::url::{DatabaseUrl, Server};

/// How long one look may take; the server ends it a little earlier.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// What a database is, and what it has of ours.
#[derive(Debug)]
pub struct DatabaseReport {
    /// How long it took until the session could be used.
    pub connected_in: Duration,
    /// What carries the bytes.
    pub transport: Transport,
    /// Whether others can listen on the way.
    pub distance: Distance,
    /// Whether a pooler stands in between.
    pub link: Link,
    /// What it offers.
    pub edition: Result<Edition, TargetError>,
    /// The server itself.
    pub server: Result<ServerReport, TargetError>,
    /// Our schema in it.
    pub schema: Result<SchemaReport, TargetError>,
    /// Our tables, if there are any.
    pub tables: Result<Tables, TargetError>,
    /// The log's own progress; `None` when the database has never seen it.
    pub log: Result<Option<LogReport>, TargetError>,
    /// Other logs of the same hosts that were projected here.
    pub namesakes: Result<Vec<Namesake>, TargetError>,
}

/// Whether the bytes leave this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// They do not.
    SameMachine,
    /// They may.
    Network,
}

/// A server as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its settings that matter to us, as `pg_settings` has them; those that it does not know are not there.
    pub settings: BTreeMap<String, String>,
    /// Whether it replays the log of another server, and so takes no rows.
    pub is_standby: bool,
    /// Its sessions of clients now.
    pub sessions: u64,
    /// How many sessions our user may have in this database, where that is bounded.
    pub sessions_max: Option<u64>,
    /// Its clock less ours, microseconds.
    pub clock_ahead_micros: i64,
    /// How long asking for its clock took: half of it the difference may be wrong by.
    pub round_trip: Duration,
}

/// How far the schema is.
#[derive(Debug)]
pub enum SchemaReport {
    /// There is nothing of ours yet.
    Absent,
    /// It is complete.
    Current,
    /// These migrations are missing.
    Behind(Vec<Migration>),
    /// Tables of our names that are not ours, such as the Go package's.
    Foreign(TargetError),
    /// It must not be touched: it is newer, or another build's.
    Refused(TargetError),
}

/// The tables of the projection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The schema they are in.
    pub schema: String,
    /// Bytes on the server's disk, indexes and chunks included.
    pub bytes: u64,
    /// What our user may not do and projecting needs, such as `INSERT on agent_metrics`.
    pub lacking: Vec<String>,
}

/// The progress of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// When the database first saw it.
    pub first_seen: Time,
    /// The position that the live lane applies next; `None` before the first claim.
    pub live_next: Option<Position>,
    /// Positions that are left to the backlog lanes.
    pub backlog: u64,
    /// When something was applied last.
    pub applied_at: Option<Time>,
    /// Its events in quarantine.
    pub quarantined: u64,
    /// What the database's clock says.
    pub now: Time,
}

/// Another log whose host is called the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// The log.
    pub log_id: LogId,
    /// Its host.
    pub host: String,
    /// When the database first saw it.
    pub first_seen: Time,
    /// When something of it was applied last.
    pub applied_at: Time,
    /// What the database's clock says.
    pub now: Time,
}

/// Looks at the database behind a URL, at the progress of `log`, and at other logs of `hosts`.
///
/// # Errors
/// When it cannot be reached, or does not let us in.
pub async fn examine(
    url: &DatabaseUrl,
    log: Option<LogId>,
    hosts: &[HostName],
) -> Result<DatabaseReport, TargetError> {
    let began = Instant::now();
    let session = Session::open(url, "tailwater/doctor").await?;
    let connected_in = began.elapsed();
    let mut asking = Asking { session: &session, silent: None };
    let server = asking.part("asking the server for its settings", looks::server(&session)).await;
    let schema = asking.part("reading the schema", schema_of(&session)).await;
    let is_ours = matches!(schema, Ok(SchemaReport::Current | SchemaReport::Behind(_)));
    let tables = asking.part("looking at the tables", looks::tables(&session)).await;
    let (log, namesakes) = match is_ours {
        true => (
            asking.part("reading the log's progress", looks::log(&session, log)).await,
            asking.part("looking for other logs", looks::namesakes(&session, log, hosts)).await,
        ),
        false => (Ok(None), Ok(Vec::new())),
    };
    let edition = within(LOOK_LIMIT, "asking for the edition", schema::edition(url)).await;
    let (transport, link, distance) = (session.transport(), session.link(), distance(url));
    Ok(DatabaseReport {
        connected_in,
        transport,
        distance,
        link,
        edition,
        server,
        schema,
        tables,
        log,
        namesakes,
    })
}

/// Looks one after the other, until the server stops answering: then none waits any more.
struct Asking<'a> {
    session: &'a Session,
    silent: Option<String>,
}

impl Asking<'_> {
    async fn part<T>(
        &mut self,
        tried: &str,
        look: impl Future<Output = Result<T, TargetError>>,
    ) -> Result<T, TargetError> {
        if let Some(silence) = &self.silent {
            return Err(TargetError::new(
                ErrorKind::Retry,
                format!("{tried}: not asked any more: {silence}"),
            ));
        }
        let limited = tokio::time::timeout(LOOK_LIMIT, look).await;
        let answer = limited.unwrap_or_else(|_| {
            let silence = crate::error::timed_out(tried, LOOK_LIMIT);
            self.silent = Some(silence.to_string());
            Err(silence)
        });
        if answer.is_err() && self.silent.is_none() {
            // A part that failed in the middle of its transaction; the session may be gone as well.
            let _ = within(LOOK_LIMIT, tried, self.session.run(tried, "ROLLBACK")).await;
        }
        answer
    }
}

async fn schema_of(session: &Session) -> Result<SchemaReport, TargetError> {
    let state = schema::state(session, &schema::migrator(), LOOK_LIMIT).await?;
    let (is_begun, is_taken) = looks::presence(session).await?;
    Ok(match state {
        State::Current => SchemaReport::Current,
        State::Behind(_) if !is_begun => SchemaReport::Absent,
        State::Behind(pending) => SchemaReport::Behind(pending),
        State::Refused(error) if is_taken && !is_begun => SchemaReport::Foreign(error),
        State::Refused(error) => SchemaReport::Refused(error),
    })
}

fn distance(url: &DatabaseUrl) -> Distance {
    match url.server() {
        Server::Socket(_) => Distance::SameMachine,
        Server::Tcp(host) if is_loopback(host) => Distance::SameMachine,
        Server::Tcp(_) => Distance::Network,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine_is_known() {
        let check = |url: &str, expected: Distance| {
            assert_eq!(distance(&url.parse().unwrap()), expected, "{url}");
        };
        for url in ["postgres://a@localhost/x", "postgres://a@127.0.0.5/x", "postgres://a@[::1]/x"] {
            check(url, Distance::SameMachine);
        }
        check("postgres://a@%2Frun%2Fpostgresql/x", Distance::SameMachine);
        for url in ["postgres://a@db/x", "postgres://a@10.0.0.1/x", "postgres://a@localhost.example/x"] {
            check(url, Distance::Network);
        }
    }
}
