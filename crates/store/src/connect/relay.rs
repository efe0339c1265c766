//! The way of sqlx to the server: through streams of ours.
//!
//! sqlx opens its own sockets. Its TLS trusts every public authority beside the one that sslrootcert names, it takes
//! `allow` for `disable`, and it sets no keepalives. So that both clients mean the same by a URL, sqlx is told of a
//! socket in this process instead, without TLS, and what it says there goes on through [`dial`].
//!
//! The socket has an abstract name (unix(7)): there is no file to protect or to leave behind. IMPORTANT: any process
//! may try such a name, so only this very process is let in, by the kernel's word on who connects.
//!
//! What fails before the server answers reaches sqlx as the server's own ErrorResponse would, under a code that
//! [`crate::error`] knows.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::time::Duration;

use projector::ErrorKind;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::OnceCell;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::dial::{Failure, Stream, Then, dial};
use crate::error;
use crate::url::{Channel, DatabaseUrl};

/// A startup packet is the user's name and a few settings; the server itself takes no more.
const STARTUP_BYTES_MAX: usize = 10_000;
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// An answer of a megabyte or two should not cost a thousand wake-ups.
const TO_US_BYTES: usize = 128 * 1024;
const TO_SERVER_BYTES: usize = 8 * 1024;
/// Out of file descriptors: some will be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One database, for as many connections of sqlx as it likes. They end with it.
#[derive(Debug)]
pub(crate) struct Relay {
    url: DatabaseUrl,
    name: String,
    task: OnceCell<Task>,
}

/// A task that ends with its value.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// A relay to this database, not started yet; `None` where TLS is out of the question, and so sqlx needs none.
    pub(crate) fn needed(url: &DatabaseUrl) -> Option<Self> {
        let name = format!("tailwater-{}", Uuid::new_v4().simple());
        let needs_tls = url.channels().iter().any(|channel| *channel != Channel::Plain);
        needs_tls.then(|| Self { url: url.clone(), name, task: OnceCell::new() })
    }

    /// For sqlx.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        // A path that begins with NUL is an abstract name; sqlx adds the file's usual name.
        self.url.connect_options().socket(format!("\0{}", self.name))
    }

    /// Takes connections from now on; the second time it is nothing.
    pub(crate) async fn start(&self) -> io::Result<()> {
        self.task.get_or_try_init(async || self.listen()).await.map(drop)
    }

    fn listen(&self) -> io::Result<Task> {
        let name = format!("{}/.s.PGSQL.{}", self.name, self.url.port());
        let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        listener.set_nonblocking(true)?;
        let serving = serve(UnixListener::from_std(listener)?, self.url.clone());
        Ok(Task(tokio::spawn(serving).abort_handle()))
    }
}

async fn serve(listener: UnixListener, url: DatabaseUrl) {
    let mut links = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((near, _)) if is_ours(&near) => {
                links.spawn(link(near, url.clone()));
            }
            Ok(_) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while links.try_join_next().is_some() {}
    }
}

/// Whether it is this process that connects.
fn is_ours(near: &UnixStream) -> bool {
    let pid = near.peer_cred().ok().and_then(|peer| peer.pid());
    pid.is_some_and(|pid| u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()))
}

/// One connection, from its start to its end.
async fn link(mut near: UnixStream, url: DatabaseUrl) {
    let limit = url.connect_timeout();
    let late = || {
        let message = format!("no answer within {} s", limit.as_secs());
        refusal(&Failure { kind: ErrorKind::Retry, message, then: Then::GiveUp })
    };
    match timeout(limit, open(&mut near, &url)).await.unwrap_or_else(|_| Err(late())) {
        // Who ended it, and how, the client sees by itself.
        Ok(mut far) => {
            let _ = copy_bidirectional_with_sizes(&mut near, &mut far, TO_SERVER_BYTES, TO_US_BYTES).await;
        }
        Err(refusal) => {
            let _ = near.write_all(&refusal).await;
        }
    }
}

/// Finds the channel on which the server takes the session, and hands its first answer on; else what is to be
/// told instead, which is about the first channel.
async fn open(near: &mut UnixStream, url: &DatabaseUrl) -> Result<Stream, Vec<u8>> {
    let told = |error: io::Error| refusal(&lost(&error));
    let startup = read_counted(near, &[], STARTUP_BYTES_MAX).await.map_err(told)?;
    let mut first = None;
    for &channel in url.channels() {
        match try_channel(url, channel, &startup).await {
            Ok((_, answer)) if is_refusal(&answer) => first = first.or(Some(answer)),
            Ok((far, answer)) => return near.write_all(&answer).await.map(|()| far).map_err(told),
            Err(failure) => {
                first = first.or_else(|| Some(refusal(&failure)));
                if failure.then == Then::GiveUp {
                    break;
                }
            }
        }
    }
    Err(first.unwrap_or_default())
}

/// Sends the startup packet, and reads one message.
async fn try_channel(
    url: &DatabaseUrl,
    channel: Channel,
    startup: &[u8],
) -> Result<(Stream, Vec<u8>), Failure> {
    let mut far = dial(url, channel).await?;
    far.write_all(startup).await.map_err(|error| lost(&error))?;
    far.flush().await.map_err(|error| lost(&error))?;
    let letter = far.read_u8().await.map_err(|error| lost(&error))?;
    let answer = read_counted(&mut far, &[letter], MESSAGE_BYTES_MAX).await.map_err(|error| lost(&error))?;
    Ok((far, answer))
}

/// Reads a length that counts itself, and the rest; `head` stands in front of it.
async fn read_counted(from: &mut (impl AsyncRead + Unpin), head: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let rest = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let rest = rest.filter(|rest| *rest <= max).ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = [head, &length.to_be_bytes()].concat();
    let body = bytes.len();
    bytes.resize(body + rest, 0);
    from.read_exact(bytes.get_mut(body..).unwrap_or_default()).await?;
    Ok(bytes)
}

/// Whether the server has no entry in pg_hba.conf for this user over this channel.
fn is_refusal(answer: &[u8]) -> bool {
    let code = format!("\0C{}\0", error::NOT_LET_IN);
    answer.first() == Some(&b'E') && answer.windows(code.len()).any(|window| window == code.as_bytes())
}

fn lost(error: &io::Error) -> Failure {
    Failure { kind: ErrorKind::Retry, message: error.to_string(), then: Then::GiveUp }
}

/// An ErrorResponse (PostgreSQL's manual, "Error and Notice Message Fields").
fn refusal(failure: &Failure) -> Vec<u8> {
    let code = error::code_of_relay(failure.kind);
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{}\0\0", failure.message);
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_is_told_as_the_server_would() {
        let failure = Failure { kind: ErrorKind::Fatal, message: "no entry".to_owned(), then: Then::GiveUp };
        let bytes = refusal(&failure);
        let read = read_counted(&mut bytes.get(1..).unwrap(), b"E", MESSAGE_BYTES_MAX).await.unwrap();
        assert_eq!(read, bytes);
        assert!(!is_refusal(&bytes));
        assert!(is_refusal(b"E\0\0\0\x20SFATAL\0C28000\0Mno pg_hba.conf entry\0\0"));
        assert!(!is_refusal(b"E\0\0\0\x20SFATAL\0C28P01\0Mpassword\0\0"));
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_refused() {
        for bytes in [[0, 0, 0, 3], [0, 0, 0, 0], [0xff; 4]] {
            assert!(read_counted(&mut bytes.as_slice(), &[], STARTUP_BYTES_MAX).await.is_err(), "{bytes:?}");
        }
    }
}
