//! One session with the server: how it is opened, how long anything may take, how its end is told.
//!
//! A link can go silent without an end. Then the kernels end it: keepalives probe an idle link after 10 s, and
//! unacknowledged data may wait 30 s, on our end and, by the session's settings, on the server's. What neither
//! covers (a server that is reached and does not answer) ends at a deadline of ours.
//!
//! NOTE: the settings belong to the session. Behind a pooler in transaction mode they would have to be set in
//! every transaction; such poolers are not supported yet.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event::LogId;
use projector::{ErrorKind, TargetError};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage, Socket};

use crate::error;
use crate::url::DatabaseUrl;

const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a session that was let go may take to say goodbye to the server.
const GOODBYE: Duration = Duration::from_secs(2);

/// For every session. The last is TimescaleDB's: without it a replay into compressed chunks is refused after
/// 100,000 tuples; 0 lifts the limit.
const SETTINGS: &str = "('lock_timeout', '10s'), ('TimeZone', 'UTC'), \
     ('idle_in_transaction_session_timeout', '60s'), \
     ('timescaledb.max_tuples_decompressed_per_dml_transaction', '0')";
/// The server's end of the link, as ours: seconds, seconds, probes, milliseconds.
const SETTINGS_TCP: &str = ", ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), \
     ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '30000')";

/// The name that the server shows for a session: `tailwater/<first 8 digits of the log's id>/<lane>`.
pub(crate) fn application_name(log: &LogId, lane: &str) -> String {
    let mut name = log.0.simple().to_string();
    name.truncate(8);
    format!("tailwater/{name}/{lane}")
}

/// A session. When it is dropped the server is told, and given [`GOODBYE`] to take note.
pub(crate) struct Session {
    client: Client,
    end: Arc<OnceLock<End>>,
    _hold: oneshot::Sender<()>,
}

/// Why a session ended.
struct End {
    kind: ErrorKind,
    message: String,
}

impl Session {
    /// Connects, and makes the settings.
    pub(crate) async fn open(url: &DatabaseUrl, application_name: &str) -> Result<Self, TargetError> {
        let tried = format!("connecting to {url}");
        let config = configure(url, application_name);
        let connecting = async { config.connect(NoTls).await.map_err(|e| error::from_postgres(&tried, e)) };
        let (client, connection) = within(url.connect_timeout(), &tried, connecting).await?;
        let (hold, released) = oneshot::channel();
        let end = Arc::new(OnceLock::new());
        tokio::spawn(drive(connection, released, Arc::clone(&end)));
        let session = Self { client, end, _hold: hold };
        within(url.connect_timeout(), &tried, session.run(&tried, &settings(url))).await?;
        Ok(session)
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Runs statements that return nothing, in one round trip.
    pub(crate) async fn run(&self, tried: &str, sql: &str) -> Result<(), TargetError> {
        self.client.batch_execute(sql).await.map_err(|error| self.error(tried, error))
    }

    /// Runs a ROLLBACK after a failure, and sees that its answer is its own.
    ///
    /// IMPORTANT: tokio-postgres 0.7.18 ends a COPY that the server refused at its start with a second Sync, whose
    /// answer it then takes for that of the next request. From there on every answer would be the one before, and a
    /// COMMIT could seem done that is not. Only a row that comes back proves that requests and answers still pair.
    pub(crate) async fn roll_back(&self, tried: &str, sql: &str) -> Result<(), TargetError> {
        let answered = self.client.simple_query(&format!("{sql}; SELECT 1")).await;
        let messages = answered.map_err(|error| self.error(tried, error))?;
        let is_own = messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_)));
        let out_of_step =
            || TargetError::new(ErrorKind::Retry, format!("{tried}: the session is out of step"));
        if is_own { Ok(()) } else { Err(out_of_step()) }
    }

    /// Judges an error of this session's client; "connection closed" is replaced by what closed it.
    pub(crate) fn error(&self, tried: &str, error: tokio_postgres::Error) -> TargetError {
        match self.end.get() {
            Some(end) if error.is_closed() => {
                TargetError::new(end.kind, format!("{tried}: {}", end.message)).caused_by(error)
            }
            _ => error::from_postgres(tried, error),
        }
    }
}

/// Runs `work`, but not for longer than `limit`.
pub(crate) async fn within<T, E: From<TargetError>>(
    limit: Duration,
    tried: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(error::timed_out(tried, limit).into()))
}

fn configure(url: &DatabaseUrl, application_name: &str) -> Config {
    let mut config = url.config();
    config.application_name(application_name);
    if url.is_tcp() {
        config
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    config
}

/// Sets what this server knows of the settings.
fn settings(url: &DatabaseUrl) -> String {
    let tcp = if url.is_tcp() { SETTINGS_TCP } else { "" };
    format!(
        "SELECT set_config(name, value, false) FROM (VALUES {SETTINGS}{tcp}) AS wanted (name, value) \
         JOIN pg_settings USING (name)"
    )
}

/// Moves the session's messages until it ends or is let go.
async fn drive(
    mut connection: Connection<Socket, NoTlsStream>,
    released: oneshot::Receiver<()>,
    end: Arc<OnceLock<End>>,
) {
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = released => timeout(GOODBYE, &mut connection).await.unwrap_or(Ok(())),
    };
    if let Err(error) = ended {
        // Told by whoever uses the session next; this error alone is nobody's.
        let told = error::from_postgres("the session ended", error);
        let _ = end.set(End { kind: told.kind(), message: told.to_string() });
    }
}
