//! What can go wrong with the log, one type per operation.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use event::limits::Invalid;
use event::{HostNameError, Position};
use thiserror::Error;

/// Why a log does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the log in {dir} is held by {holder}; a log has one process at a time")]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// Who has it, as that process told.
        holder: String,
    },
    /// The data directory cannot be made or used.
    #[error("cannot {what} {path}")]
    Directory {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// fjall would not open it.
    #[error("cannot open the log in {path}")]
    Engine {
        /// The log's directory.
        path: PathBuf,
        /// Why not.
        source: EngineError,
    },
    /// It opens, and is no log of ours.
    #[error("{path} is not a log that this version can read: {reason}")]
    Foreign {
        /// The log's directory.
        path: PathBuf,
        /// What is missing or strange.
        reason: String,
    },
    /// The writer thread did not start.
    #[error("cannot start the log's writer thread")]
    Thread {
        /// Why not.
        source: io::Error,
    },
    /// The host name that the log was created with is none.
    #[error("the log in {path} has no usable host name")]
    Host {
        /// The log's directory.
        path: PathBuf,
        /// What is wrong.
        source: HostNameError,
    },
}

/// Why an append kept nothing.
#[derive(Clone, Debug, Error)]
pub enum AppendError {
    /// An event breaks a limit: mend it.
    #[error("event {index} of the append: {invalid}")]
    Invalid {
        /// Which event, from 0.
        index: usize,
        /// What is wrong with it.
        invalid: Invalid,
    },
    /// An event is too large for a record.
    #[error("event {index} of the append has {bytes} bytes, the most is {most}")]
    TooLarge {
        /// Which event, from 0.
        index: usize,
        /// Its size as a payload.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// An event could not be encoded: a bug.
    #[error("event {index} of the append cannot be encoded: {reason}")]
    Encode {
        /// Which event, from 0.
        index: usize,
        /// What the encoder said.
        reason: String,
    },
    /// The writer is behind: try later.
    #[error("the log's queue is full: {queued} appends wait for the disk")]
    Full {
        /// How many wait.
        queued: usize,
    },
    /// An earlier append failed; the log takes no more until it is opened again.
    #[error("the log has failed and takes no more events until it is opened again")]
    Failed(#[source] Arc<EngineError>),
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

/// Why the log cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// fjall could not read it.
    #[error("cannot read the log at position {position}")]
    Engine {
        /// Where.
        position: Position,
        /// Why not.
        source: EngineError,
    },
    /// A record is damaged.
    #[error("the record at position {position} is damaged: {reason}")]
    Damaged {
        /// Where.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
    /// Records are not there though later ones are.
    #[error("positions {from} to {to} are missing from the log")]
    Missing {
        /// The first that is missing.
        from: Position,
        /// The last that is missing.
        to: Position,
    },
    /// The log was closed while the reader waited.
    #[error("the log is closed")]
    Closed,
}

/// Why the log cannot be measured.
#[derive(Debug, Error)]
#[error("cannot measure {path}")]
pub struct StatError {
    /// What was looked at.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// What fjall said, in words: its own `Display` is the debug form.
#[derive(Debug)]
pub struct EngineError(pub(crate) fjall::Error);

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            fjall::Error::Io(io) => write!(f, "{io}"),
            fjall::Error::Storage(storage) => write!(f, "{storage}"),
            fjall::Error::Poisoned => f.write_str("an earlier write to the disk failed"),
            fjall::Error::InvalidVersion(version) => write!(f, "its format {version:?} is not fjall 3's"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl std::error::Error for EngineError {}
