//! The command's end of the control socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::output::Told;
use super::{PROTOCOL, Reply, Request, Task, socket_path};
use crate::failure::Failure;

/// How long a daemon that is well may take to say its version.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What is so when the daemon goes in the middle of a task.
const fn lost(task: &Task) -> &'static str {
    match task {
        Task::Record { .. } => {
            "the daemon ended before it answered; whether it did what was asked is not known (recording the same \
             events again is harmless: the database keeps each once)"
        }
        Task::Import { .. } => {
            "the daemon ended before it answered; whether it imported the part that was under way is not known"
        }
        Task::Replay(_) => {
            "the daemon ended before it had told everything: what was sent stays, and the same events asked for again, \
             without --restart, go on from there"
        }
        Task::Version
        | Task::Status
        | Task::Metrics
        | Task::Stats
        | Task::Query { .. }
        | Task::LogStat
        | Task::Project { .. }
        | Task::Quarantine { .. }
        | Task::LogTail { .. }
        | Task::LogExport { .. }
        | Task::VerifyDatabase { .. }
        | Task::LogVerify
        | Task::LogRepair
        | Task::LogTrim { .. }
        | Task::LogAdopt => "the daemon ended before it had told everything: run this again",
    }
}

/// A connection to the running daemon.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the daemon of a data directory; `None` when none answers.
    ///
    /// # Errors
    /// When the socket is there and may not be used.
    pub(crate) async fn connect(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let path = socket_path(data_dir);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self { stream })),
            Err(error) => match error.kind() {
                // NOTE: nobody listens, a daemon that is ending, or a path too long for any socket.
                io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::InvalidInput => Ok(None),
                _ => {
                    Err(Failure::error(format!("cannot use the daemon's socket {}: {error}", path.display())))
                }
            },
        }
    }

    /// Whether a daemon answers. NOTE: the socket of one that was just killed takes connections until the kernel is
    /// done with it, and says nothing.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(crate) async fn answers(data_dir: &Path) -> Result<bool, Failure> {
        let Some(client) = Self::connect(data_dir).await? else { return Ok(false) };
        let asked = client.ask(Task::Version, &[], |_| Ok(()));
        Ok(tokio::time::timeout(ANSWER_LIMIT, asked)
            .await
            .is_ok_and(|answer| !answer.is_err_and(|it| it.is_lost)))
    }

    /// Has the daemon do a task: sends it with its body, passes on what it tells, gives the answer.
    ///
    /// # Errors
    /// The daemon's failure, the loss of the connection, or that of `tell`: then the daemon stops.
    pub(crate) async fn ask(
        mut self,
        task: Task,
        body: &[u8],
        mut tell: impl FnMut(Told) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let lost = lost(&task);
        let request = Request { protocol: PROTOCOL, task };
        let mut line = serde_json::to_vec(&request).context("cannot encode the request")?;
        line.push(b'\n');
        // NOTE: a daemon that refuses early closes before it has read everything: its answer says why.
        let sent = self.send(&line, body).await;
        let mut read = BufReader::new(self.stream);
        let mut line = String::new();
        // NOTE: a line without its end is no line: the daemon went while it wrote it.
        let is_lost = |error: io::Error| Failure::lost(format!("{lost}: {error}"));
        while read.read_line(&mut line).await.map_err(is_lost)? > 0 && line.ends_with('\n') {
            match serde_json::from_str(&line).context("the daemon's answer makes no sense")? {
                Reply::Progress(progress) => tell(Told::Progress(progress))?,
                Reply::Lines(lines) => tell(Told::Lines(lines))?,
                Reply::Notice(line) => tell(Told::Notice(line))?,
                Reply::Done(answer) => return Ok(answer),
                Reply::Failed { exit, message } => {
                    return Err(Failure { exit, message, is_lost: false });
                }
            }
            line.clear();
        }
        sent.map_err(|error| Failure::lost(format!("the daemon did not take the request: {error}")))?;
        Err(Failure::lost(lost))
    }

    async fn send(&mut self, line: &[u8], body: &[u8]) -> io::Result<()> {
        self.stream.write_all(line).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await
    }
}
