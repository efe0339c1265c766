//! What goes wrong with a read: a parameter that means nothing, or a reader that cannot answer.

use std::borrow::Cow;
use std::error::Error;

/// A parameter of a request that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {problem}")]
pub struct RequestError {
    /// Which parameter, as the caller spells it: `from`, `interval`, `agent`, …
    pub parameter: Cow<'static, str>,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl RequestError {
    pub(crate) fn new(parameter: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), problem: problem.into() }
    }
}

/// Why a reader gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    kind: ReadErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What the caller of a reader can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// The request asks for what cannot be answered: change it.
    Invalid,
    /// The data is out of reach now: try later, or ask another reader.
    Unavailable,
    /// It will not work until somebody mends something: the message says what.
    Fatal,
}

impl ReadError {
    /// An error of this kind, told in one line.
    #[must_use]
    pub fn new(kind: ReadErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ReadErrorKind {
        self.kind
    }
}

impl From<RequestError> for ReadError {
    fn from(error: RequestError) -> Self {
        Self::new(ReadErrorKind::Invalid, error.to_string())
    }
}
