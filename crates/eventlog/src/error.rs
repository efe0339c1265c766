//! What can go wrong with the log, one type per operation.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use event::limits::Invalid;
use event::{HostNameError, Position};
use thiserror::Error;

use crate::writer::NoRoom;

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
    #[error("cannot open the log in {path} (`tailwater log repair` saves what can be read)")]
    Engine {
        /// The log's directory.
        path: PathBuf,
        /// Why not.
        source: EngineError,
    },
    /// Its files are damaged where they were durable: opening it would lose more.
    #[error(
        "the log in {path} is damaged: {reason}; `tailwater log repair` saves what can be read and keeps the old files"
    )]
    Damaged {
        /// The log's directory.
        path: PathBuf,
        /// What was found, and in which file.
        reason: String,
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
    /// The log is as large as it may be, and nothing of it may be trimmed.
    #[error("the log is full: {0}")]
    NoRoom(NoRoom),
    /// The log has failed; it tries to work again by itself.
    #[error("the log takes no events now; it goes on by itself when it can")]
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
    /// What an appender keeps cannot be read.
    #[error("cannot read or write what the log keeps beside its events")]
    Meta {
        /// Why not.
        source: EngineError,
    },
    /// The log has failed, and may work again.
    #[error("the log has failed; it goes on by itself when it can")]
    Failed,
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

impl ReadError {
    pub(crate) fn engine(position: Position, error: fjall::Error) -> Self {
        Self::Engine { position, source: error.into() }
    }

    pub(crate) fn of_meta(error: fjall::Error) -> Self {
        Self::Meta { source: error.into() }
    }
}

/// What fjall or the disk said, in words: fjall's own `Display` is the debug form.
#[derive(Debug)]
pub struct EngineError(String);

impl EngineError {
    /// A failure of ours, in words.
    pub(crate) fn told(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn of_mark(error: &io::Error) -> Self {
        Self(format!("cannot write the file `mark`: {error}"))
    }
}

impl From<fjall::Error> for EngineError {
    fn from(error: fjall::Error) -> Self {
        Self(match error {
            fjall::Error::Io(io) => io.to_string(),
            fjall::Error::Storage(storage) => storage_text(&storage),
            fjall::Error::JournalRecovery(journal) => journal_text(journal).to_owned(),
            fjall::Error::Poisoned => "an earlier write to the disk failed: is it full?".to_owned(),
            fjall::Error::InvalidVersion(_) => "its files are not of fjall 3".to_owned(),
            fjall::Error::Locked => "another process has its files open".to_owned(),
            fjall::Error::Unrecoverable => "its journals do not fit its tables".to_owned(),
            fjall::Error::Decompress(_) => "a value of its journal cannot be decompressed".to_owned(),
            fjall::Error::InvalidTrailer => "a batch of its journal has no whole end".to_owned(),
            fjall::Error::InvalidTag((what, tag)) => tag_text(what, tag),
            fjall::Error::KeyspaceDeleted => "this part of it was trimmed meanwhile".to_owned(),
            _ => "fjall gives an error that this version has no words for".to_owned(),
        })
    }
}

/// fjall does not tell in which of its files.
fn storage_text(error: &fjall::LsmError) -> String {
    use fjall::LsmError;
    match error {
        // NOTE: what it seeks or reads behind the end, it was told by the file itself.
        LsmError::Io(io)
            if matches!(io.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) =>
        {
            "one of its files is shorter than what it should hold".to_owned()
        }
        LsmError::Io(io) => io.to_string(),
        LsmError::Decompress(_) => "a block of a table cannot be decompressed".to_owned(),
        LsmError::InvalidVersion(version) => {
            format!("a table has the format {version}, which this version does not know")
        }
        LsmError::Unrecoverable => "its tables do not fit its manifest".to_owned(),
        LsmError::ChecksumMismatch { got, expected } => format!(
            "a block of a table has the checksum {:032x}, and should have {:032x}",
            got.into_u128(),
            expected.into_u128()
        ),
        LsmError::InvalidTag((what, tag)) => tag_text(what, *tag),
        LsmError::InvalidTrailer => "a block of a table has no whole end".to_owned(),
        LsmError::InvalidHeader(_) => "a table has something else where a block should begin".to_owned(),
        LsmError::Utf8(_) => "a table has something else where a name should be".to_owned(),
        _ => "fjall's tables give an error that this version has no words for".to_owned(),
    }
}

fn tag_text(what: &str, tag: u8) -> String {
    format!("one of its files tells {tag} for what fjall calls {what}")
}

fn journal_text(error: fjall::JournalRecoveryError) -> &'static str {
    use fjall::JournalRecoveryError;
    match error {
        JournalRecoveryError::InsufficientLength => "a batch of its journal has fewer items than it tells",
        JournalRecoveryError::TooManyItems => "a batch of its journal has more items than it tells",
        JournalRecoveryError::ChecksumMismatch => "a batch of its journal does not pass its checksum",
        JournalRecoveryError::InvalidFileName => "a file beside its journals has a name that is none",
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EngineError {}

/// The text of an error and of its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
