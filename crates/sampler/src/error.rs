//! Why a source could not be read, and why a pass failed.

use std::path::PathBuf;

use crate::proc::ParseError;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again at the next pass.
    Retry,
    /// What was asked for is wrong: mend it.
    Invalid,
    /// The source said something that this version does not understand.
    Data,
    /// It will not work in this process.
    Fatal,
}

/// A reading of the machine that failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file or folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file was read and not understood.
    #[error("cannot understand {}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ParseError,
    },
    /// A program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program did not end in time and was killed.
    #[error("{program} did not answer within {limit_ms} ms")]
    TimedOut {
        /// Which.
        program: String,
        /// The limit, milliseconds.
        limit_ms: u128,
    },
    /// A program ended with a complaint.
    #[error("{program}: {message}")]
    Complained {
        /// Which.
        program: String,
        /// The first line of what it said, or how it ended.
        message: String,
    },
}

impl ProbeError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse { .. } => ErrorKind::Data,
            Self::Read { .. } | Self::Run { .. } | Self::TimedOut { .. } | Self::Complained { .. } => {
                ErrorKind::Retry
            }
        }
    }
}

/// A pass that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct SampleError {
    what: String,
    kind: ErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SampleError {
    /// An error that says what was tried, with its cause.
    #[must_use]
    pub fn new(
        what: impl Into<String>,
        kind: ErrorKind,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { what: what.into(), kind, source: Some(Box::new(source)) }
    }

    /// What the caller can do. The loop tries again whatever it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// An error and its causes in one line, for `status` and traces.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// The first of some problems, and how many more there are; `None` when there are none.
pub(crate) fn in_short(problems: &[String]) -> Option<String> {
    let first = problems.first()?;
    Some(match problems.len() - 1 {
        0 => first.clone(),
        more => format!("{first}; and {more} more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_the_whole_chain() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let cause = ProbeError::Read { path: "/proc/stat".into(), source: denied };
        assert_eq!(cause.kind(), ErrorKind::Retry);
        let error = SampleError::new("nothing of this host could be read", cause.kind(), cause);
        let line = "nothing of this host could be read: cannot read /proc/stat: permission denied";
        assert_eq!(in_one_line(&error), line);
    }
}
