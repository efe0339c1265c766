//! The daemon's end of the control socket.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use event::limits::REQUEST_BYTES_MAX;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::Output;
use super::{PROTOCOL, REQUEST_LINE_BYTES_MAX, Reply, Request, Task, socket_path};
use crate::failure::Failure;

/// How long a client that does not read holds up the end of the daemon.
const SLOW_READER_GRACE: Duration = Duration::from_millis(500);

/// Does what clients ask.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Does a task. It tells `output` what comes before the answer and gives up soon after `stop` is told.
    fn handle(
        &self,
        task: Task,
        body: Vec<u8>,
        output: &Output,
        stop: &CancellationToken,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// Makes the socket of a data directory; the caller holds the log, so a socket that is there is a dead one.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn bind(data_dir: &Path) -> Result<UnixListener, Failure> {
    let path = socket_path(data_dir);
    let bound = remove_stale(&path).and_then(|()| {
        let listener = UnixListener::bind(&path)?;
        // NOTE: the data directory is 0700 already; this is for one that somebody has opened up.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    bound.map_err(|error| {
        Failure::error(format!(
            "cannot make the daemon's socket {}: {error}; a socket's path has at most 107 bytes",
            path.display()
        ))
    })
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Serves clients until told to stop, then waits for the tasks that are under way.
pub(crate) async fn serve(listener: UnixListener, handler: Arc<impl Handler>, stop: CancellationToken) {
    let clients = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (handler, stop) = (Arc::clone(&handler), stop.child_token());
                clients.spawn(async move {
                    if let Err(error) = serve_client(stream, &*handler, stop).await {
                        tracing::debug!(%error, "a client of the control socket went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    clients.close();
    clients.wait().await;
}

async fn serve_client(
    stream: UnixStream,
    handler: &impl Handler,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        request = read_request(&mut read) => request,
    };
    let (task, body) = match request {
        Ok(request) => request,
        Err(failure) => return send(&mut write, &failed(&failure)).await,
    };
    // NOTE: however this ends, work on threads of its own hears of it.
    let _stops = stop.clone().drop_guard();
    let (output, mut listener) = Output::new();
    let work = handler.handle(task, body, &output, &stop);
    tokio::pin!(work);
    let mut client_is_there = true;
    let answer = loop {
        tokio::select! {
            answer = &mut work => break answer,
            told = listener.next() => send_patiently(&mut write, &told.into(), &stop).await?,
            () = gone(&mut read), if client_is_there => {
                client_is_there = false;
                stop.cancel();
            }
        }
    };
    while let Some(told) = listener.next_of_rest() {
        send_patiently(&mut write, &told.into(), &stop).await?;
    }
    let reply = answer.map_or_else(|failure| failed(&failure), Reply::Done);
    send_patiently(&mut write, &reply, &stop).await
}

fn failed(failure: &Failure) -> Reply {
    Reply::Failed { exit: failure.exit, message: failure.message.clone() }
}

/// Reads the request line and the body that it announces.
async fn read_request(read: &mut BufReader<OwnedReadHalf>) -> Result<(Task, Vec<u8>), Failure> {
    let mut line = String::new();
    read.take(REQUEST_LINE_BYTES_MAX).read_line(&mut line).await.context("cannot read the request")?;
    let request: Request = serde_json::from_str(&line).map_err(|error| {
        Failure::error(format!(
            "the daemon does not understand the request ({error}): is it of another version?"
        ))
    })?;
    if request.protocol != PROTOCOL {
        return Err(Failure::error(format!(
            "the daemon speaks protocol {PROTOCOL}, this command {}: restart the daemon after an upgrade",
            request.protocol
        )));
    }
    let bytes = usize::try_from(request.task.body_bytes()).unwrap_or(usize::MAX);
    if bytes > REQUEST_BYTES_MAX {
        return Err(Failure::error(format!(
            "a request has at most {REQUEST_BYTES_MAX} bytes, this one {bytes}"
        )));
    }
    // NOTE: it grows with what comes, so that an announcement alone costs nothing.
    let mut body = Vec::new();
    read.take(bytes as u64).read_to_end(&mut body).await.context("cannot read the request's body")?;
    if body.len() < bytes {
        return Err(Failure::error("the client went away in the middle of its request; nothing was done"));
    }
    Ok((request.task, body))
}

/// Waits until the client has gone; what it still sends is no part of the protocol.
async fn gone(read: &mut BufReader<OwnedReadHalf>) {
    let mut nothing = [0; 64];
    while matches!(read.read(&mut nothing).await, Ok(1..)) {}
}

/// Sends for as long as the client takes to read it, unless the work is to stop.
async fn send_patiently(
    write: &mut OwnedWriteHalf,
    reply: &Reply,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let impatience = async {
        stop.cancelled().await;
        tokio::time::sleep(SLOW_READER_GRACE).await;
    };
    tokio::select! {
        sent = send(write, reply) => sent,
        () = impatience => bail!("the client did not read its answer"),
    }
}

async fn send(write: &mut OwnedWriteHalf, reply: &Reply) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    Ok(())
}
