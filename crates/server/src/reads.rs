//! Where answers come from: the trait between the server and whoever reads for it.

use std::future::Future;

use event::{Position, Stretch, Text, Time};
use query::{Answer, Question, ReadError, WorkspaceStats};
use serde_json::Value;

/// Answers what is asked by HTTP.
pub trait Reads: Send + Sync + 'static {
    /// Answers a question, from wherever it can.
    fn ask(&self, question: &Question) -> impl Future<Output = Result<Answered, ReadError>> + Send;

    /// The workspace as it is now.
    fn workspace(&self) -> impl Future<Output = Result<WorkspaceStats, ReadError>> + Send;

    /// How recording and projecting are doing: the object of `tailwater status`.
    fn status(&self) -> impl Future<Output = Result<Value, ReadError>> + Send;

    /// The log's ends, size and holes, and its earliest time: the object of `tailwater log stat`, and `covers_from`.
    fn log(&self) -> impl Future<Output = Result<Value, ReadError>> + Send;

    /// What lies in quarantine, the lowest positions first: the rows of `tailwater quarantine list`.
    fn quarantine(&self) -> impl Future<Output = Result<Value, ReadError>> + Send;

    /// The metrics, in the text format that Prometheus reads.
    fn metrics(&self) -> impl Future<Output = Result<String, ReadError>> + Send;

    /// Where the log ends now.
    ///
    /// # Errors
    /// When there is none at this moment.
    fn head(&self) -> Result<Head, ReadError>;

    /// What lies in the log from this position on: some entries, or the hole that it lies in. It waits until there is
    /// something durable.
    fn read(&self, from: Position) -> impl Future<Output = Result<Stretch, ReadError>> + Send;

    /// Why a person or a supervisor should look, if they should.
    fn ailment(&self) -> impl Future<Output = Result<Option<String>, ReadError>> + Send;
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The position that the next event gets.
    pub next: Position,
    /// The host of events that name none.
    pub host: Text,
}

/// An answer, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Who gave it.
    pub source: Source,
    /// The earliest time of which there is something, where that is known.
    pub covers_from: Option<Time>,
    /// The hosts of which there is something; empty when that is not known.
    pub covers_hosts: Vec<Text>,
}

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The database.
    Database,
    /// The log.
    Log,
}

impl Source {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Log => "log",
        }
    }
}
