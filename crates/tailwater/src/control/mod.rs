//! The control socket: how a command asks the running daemon, which has the log, to do its work.
//!
//! A unix socket `tailwater.sock` (mode 0600) in the data directory. The client sends one line of JSON,
//! [`Request`], followed by as many bytes as it announces; the daemon answers with lines of JSON,
//! [`Reply`]: any number of `progress`, `lines` and `notice`, then one `done` or `failed`. The daemon stops the
//! work when the client goes away, and waits with it while the client does not read (see [`output`]). Both ends
//! are of the same version: a request carries it, and another one is refused.

pub(crate) mod client;
pub(crate) mod output;
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::output::Told;
use crate::cli::Format;
use crate::config::Backlog;
use crate::selection::{Place, Selection};
use crate::service::{Begin, Mend, QuarantineAction, ReplayTask};

/// The version of this protocol.
pub(crate) const PROTOCOL: u32 = 7;

/// The most bytes of a request line.
pub(crate) const REQUEST_LINE_BYTES_MAX: u64 = 64 * 1024;

/// A request line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The version of the protocol, [`PROTOCOL`].
    pub protocol: u32,
    /// What to do.
    #[serde(flatten)]
    pub task: Task,
}

/// What a daemon can be asked to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub(crate) enum Task {
    /// Record the NDJSON that follows.
    Record {
        /// Record the valid lines and count the others.
        skip_invalid: bool,
        /// Bytes of NDJSON behind the request line.
        bytes: u64,
    },
    /// Tell which version of tailwater the daemon is.
    Version,
    /// Tell how recording and projecting are doing.
    Status,
    /// Tell it as metrics.
    Metrics,
    /// Tell which agents there are, and what they do.
    Stats,
    /// Answer a question from the log.
    Query {
        /// What about.
        topic: query::Topic,
        /// Its parameters, as on the command line.
        parameters: Vec<(String, String)>,
        /// What relative times are relative to, microseconds since the epoch.
        now_micros: i64,
    },
    /// Measure the log.
    LogStat,
    /// Project into a database until everything that is in the log now is there, or for ever.
    Project {
        /// Which database, with its password.
        database_url: String,
        /// Whether to stop at the head.
        until_head: bool,
        /// How what was missed is filled.
        backlog: Backlog,
        /// How long the database keeps events; none means as the daemon was told, if it was.
        retention: Option<Duration>,
    },
    /// Apply a part of the log again, into any database.
    Replay(ReplayTask),
    /// Look at the quarantine of the log, or change it.
    Quarantine {
        /// In which database, with its password; none means the daemon's own.
        database_url: Option<String>,
        /// What to do.
        action: QuarantineAction,
    },
    /// Tell the last events of a selection, and then what comes.
    LogTail {
        /// Which events.
        selection: Selection,
        /// Where to begin.
        begin: Begin,
        /// Whether to go on with what comes, until stopped.
        follow: bool,
        /// How to print them.
        format: Format,
    },
    /// Tell the events of a selection as NDJSON that can be imported.
    LogExport {
        /// Which events.
        selection: Selection,
    },
    /// Import the chunk of NDJSON that follows.
    Import {
        /// Lines of the input before this chunk, for errors.
        lines_before: u64,
        /// Import the valid lines and count the others.
        skip_invalid: bool,
        /// Bytes of NDJSON behind the request line.
        bytes: u64,
    },
    /// Check that a database has what the log has.
    VerifyDatabase {
        /// Which one, with its password; none means the daemon's own.
        database_url: Option<String>,
        /// Whether what is missing is replayed.
        mend: Mend,
        /// How long the database keeps events; none means for ever.
        retention: Option<Duration>,
    },
    /// Check every record of the log.
    LogVerify,
    /// Put aside what cannot be read.
    LogRepair,
    /// Let go of old events.
    LogTrim {
        /// Before this place; `None`: as the settings say.
        before: Option<Place>,
        /// Whether to only tell what would go.
        dry_run: bool,
    },
    /// Give the log a new identity.
    LogAdopt,
}

impl Task {
    /// How many bytes follow the request line.
    #[must_use]
    pub(crate) const fn body_bytes(&self) -> u64 {
        match self {
            Self::Record { bytes, .. } | Self::Import { bytes, .. } => *bytes,
            Self::Query { .. }
            | Self::Version
            | Self::Status
            | Self::Metrics
            | Self::Stats
            | Self::LogStat
            | Self::Project { .. }
            | Self::Replay(_)
            | Self::Quarantine { .. }
            | Self::LogTail { .. }
            | Self::LogExport { .. }
            | Self::VerifyDatabase { .. }
            | Self::LogVerify
            | Self::LogRepair
            | Self::LogTrim { .. }
            | Self::LogAdopt => 0,
        }
    }
}

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// How far the work is.
    Progress(Progress),
    /// Whole lines for the command's standard output.
    Lines(String),
    /// A line for its standard error.
    Notice(String),
    /// The answer.
    Done(Value),
    /// Why there is none.
    Failed {
        /// The exit code of the command.
        exit: u8,
        /// What, why and what to do, in one line.
        message: String,
    },
}

impl From<Told> for Reply {
    fn from(told: Told) -> Self {
        match told {
            Told::Progress(progress) => Self::Progress(progress),
            Told::Lines(lines) => Self::Lines(lines),
            Told::Notice(line) => Self::Notice(line),
        }
    }
}

/// How far a piece of work is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Events done.
    pub done: u64,
    /// Events in all.
    pub total: u64,
    /// What it waits for, in one line.
    pub waiting: Option<String>,
}

/// Where the socket of a data directory is.
#[must_use]
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tailwater.sock")
}
