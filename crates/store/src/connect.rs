//! One session with the server: how it is opened, how its transactions begin, how its end is told.
//!
//! A link can go silent without an end. Then the kernels end it: keepalives probe an idle link after 10 s, and
//! unacknowledged data may wait 30 s, on our end (`dial.rs`) and, over a direct link, on the server's. What neither
//! covers (a server that is reached and does not answer) ends at a deadline of ours.
//!
//! Every setting that a transaction needs begins with it and ends with it, so that a pooler in transaction mode may
//! stand in between (`link.rs`); what else that takes is in `statements.rs`. TLS is in `tls.rs`, the way of sqlx in
//! `relay.rs`.

mod dial;
mod link;
mod relay;
mod statements;
mod tls;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use event::LogId;
use projector::{ErrorKind, TargetError};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Client, Config, Connection, SimpleQueryMessage};

use crate::error;
use crate::url::{Channel, DatabaseUrl};
pub use dial::Transport;
use dial::{Failure, Stream, Then, dial};
pub use link::Link;
pub(crate) use link::common_settings_sql;
pub(crate) use relay::Relay;
pub(crate) use statements::Prepared;

/// A COMMIT that waits for the database's disk, whatever its owner has set; what waits for more than that stays so. The
/// log trims what is flushed.
pub(crate) const COMMIT_FLUSHED: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'; COMMIT";

/// How long a session that was let go may take to say goodbye to the server.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long the reason of an end may come behind the end; see [`told`].
const MOMENT: Duration = Duration::from_millis(20);

/// The name that the server shows for a session: `tailwater/<first 8 digits of the log's id>/<lane>`.
pub(crate) fn application_name(log: &LogId, lane: &str) -> String {
    let mut name = log.0.simple().to_string();
    name.truncate(8);
    format!("tailwater/{name}/{lane}")
}

/// A session. When it is dropped the server is told, and given [`GOODBYE`] to take note.
pub(crate) struct Session {
    client: Client,
    link: Link,
    transport: Transport,
    /// How a transaction begins.
    begin: String,
    /// Whether the server may have a statement of ours that we know nothing of.
    in_doubt: AtomicBool,
    end: Arc<OnceLock<End>>,
    _hold: oneshot::Sender<()>,
}

/// Why a session ended.
struct End {
    kind: ErrorKind,
    message: String,
}

impl Session {
    /// Connects, and finds out what is at the other end.
    pub(crate) async fn open(url: &DatabaseUrl, application_name: &str) -> Result<Self, TargetError> {
        let tried = format!("connecting to {url}");
        let opening = async {
            let (client, connection, Greeted { key, transport }) = connect(url, application_name).await?;
            let (hold, released) = oneshot::channel();
            let end = Arc::new(OnceLock::new());
            tokio::spawn(drive(connection, released, Arc::clone(&end)));
            let session = Self {
                client,
                link: Link::Pooled,
                transport,
                begin: String::new(),
                in_doubt: AtomicBool::new(false),
                end,
                _hold: hold,
            };
            session.found(url, key, &tried).await
        };
        within(url.connect_timeout(), &tried, opening).await
    }

    /// The same session, once it is known what it is one with.
    async fn found(mut self, url: &DatabaseUrl, key: Option<i32>, tried: &str) -> Result<Self, TargetError> {
        let rows = self.client.query_typed(&link::question(key, url.is_tcp()), &[]).await;
        let rows = rows.map_err(|error| self.error(tried, error))?;
        let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
        let answer = rows.first().map(read).transpose().map_err(|error| self.error(tried, error))?;
        let (backend, known): (i32, Vec<String>) = answer.unwrap_or_default();
        self.link = if key == Some(backend) { Link::Direct } else { Link::Pooled };
        self.begin = link::begin_sql(&known, url.settings());
        Ok(self)
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// What is between us and the server.
    pub(crate) const fn link(&self) -> Link {
        self.link
    }

    /// What carries the bytes on our side of a pooler, if there is one.
    pub(crate) const fn transport(&self) -> Transport {
        self.transport
    }

    /// The statements that begin a transaction: send them as they are, in one message, and more behind them.
    pub(crate) fn begin_sql(&self) -> &str {
        &self.begin
    }

    /// The same for a transaction that sees one moment of the database.
    pub(crate) fn begin_snapshot_sql(&self) -> String {
        link::as_snapshot(&self.begin)
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
        let useless = |why: &str| TargetError::new(ErrorKind::Retry, format!("{tried}: {why}"));
        if self.in_doubt.load(Ordering::Relaxed) {
            // In the middle of its transaction, so that the pooler ends the server's session as well.
            return Err(useless("a statement may have been left behind"));
        }
        let answered = self.client.simple_query(&format!("{sql}; SELECT 1")).await;
        let messages = answered.map_err(|error| self.error(tried, error))?;
        let is_own = messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_)));
        if is_own { Ok(()) } else { Err(useless("the session is out of step")) }
    }

    /// Judges an error of this session's client; "connection closed" is replaced by what closed it.
    pub(crate) fn error(&self, tried: &str, error: tokio_postgres::Error) -> TargetError {
        let end = error.is_closed().then(|| told(&self.end)).flatten();
        match end {
            Some(end) => TargetError::new(end.kind, format!("{tried}: {}", end.message)),
            _ => error::from_postgres(tried, error),
        }
    }
}

/// Why a session that is closed has ended.
///
/// NOTE: tokio-postgres 0.7.18 takes no more requests from the moment on when its connection has failed; that the failure
/// is written down here comes some instructions later, on whichever thread drives it.
fn told(end: &OnceLock<End>) -> Option<&End> {
    let patience = Instant::now() + MOMENT;
    while end.get().is_none() && Instant::now() < patience {
        thread::yield_now();
    }
    end.get()
}

/// Runs `work`, but not for longer than `limit`.
pub(crate) async fn within<T, E: From<TargetError>>(
    limit: Duration,
    tried: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(error::timed_out(tried, limit).into()))
}

/// What is known of the other end once it has let us in.
pub(crate) struct Greeted {
    /// The process id in its key.
    key: Option<i32>,
    transport: Transport,
}

/// A client of tokio-postgres, what must be driven for it, and what was learnt.
type Connected = (Client, Connection<Stream, Stream>, Greeted);

/// Tries the channels that the URL's `sslmode` knows, one after the other; the error is the first one's.
pub(crate) async fn connect(url: &DatabaseUrl, application_name: &str) -> Result<Connected, TargetError> {
    let tried = format!("connecting to {url}");
    let mut config = url.config();
    config.application_name(application_name);
    // The stream that it gets is one already, encrypted or not: nothing is to be negotiated any more.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let mut first = None;
    for &channel in url.channels() {
        match try_channel(url, &config, channel, &tried).await {
            Ok(connected) => return Ok(connected),
            Err((error, Then::GiveUp)) => return Err(first.unwrap_or(error)),
            Err((error, Then::TryNext)) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| TargetError::new(ErrorKind::Fatal, tried)))
}

async fn try_channel(
    url: &DatabaseUrl,
    config: &Config,
    channel: Channel,
    tried: &str,
) -> Result<Connected, (TargetError, Then)> {
    let told =
        |Failure { kind, message, then }| (TargetError::new(kind, format!("{tried}: {message}")), then);
    let stream = dial(url, channel).await.map_err(told)?;
    let (key, transport) = (stream.watch().key(), stream.transport());
    match config.connect_raw(stream, Secured).await {
        Ok((client, connection)) => Ok((client, connection, Greeted { key: key.get().copied(), transport })),
        Err(error) => {
            let is_refused = error.code().is_some_and(|code| code.code() == error::NOT_LET_IN);
            let then = if is_refused { Then::TryNext } else { Then::GiveUp };
            Err((error::at_the_door(tried, error), then))
        }
    }
}

/// Hands a stream on as it is: [`dial()`] has seen to TLS.
struct Secured;

impl TlsConnect<Stream> for Secured {
    type Stream = Stream;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Stream, Self::Error>>;

    fn connect(self, stream: Stream) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

/// Moves the session's messages until it ends or is let go.
async fn drive(
    mut connection: Connection<Stream, Stream>,
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

#[cfg(test)]
mod tests;
