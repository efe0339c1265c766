//! How a command ends when it does not end well: one line, and an exit code.

use std::fmt;

/// Exit code: unhealthy, or nothing found.
pub(crate) const UNHEALTHY: u8 = 1;
/// Exit code: an error.
pub(crate) const ERROR: u8 = 2;

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    /// 1 unhealthy or nothing found, 2 error; 0 when nobody wanted the rest.
    pub exit: u8,
    /// What, why and what to do, in one line; empty when there is nobody to tell.
    pub message: String,
    /// Whether it is only that the daemon went before it said how the work ends.
    pub is_lost: bool,
}

impl Failure {
    /// An error.
    #[must_use]
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { exit: ERROR, message: message.into(), is_lost: false }
    }

    /// The daemon went before it said how the work ends.
    #[must_use]
    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self { is_lost: true, ..Self::error(message) }
    }

    /// Unhealthy, or nothing found.
    #[must_use]
    pub(crate) fn unhealthy(message: impl Into<String>) -> Self {
        Self { exit: UNHEALTHY, message: message.into(), is_lost: false }
    }

    /// Nobody reads what is written (`| head` has seen enough): no work is left, and nothing to say.
    #[must_use]
    pub(crate) const fn unread() -> Self {
        Self { exit: 0, message: String::new(), is_lost: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The text of an error and of its causes in one line; a cause that the text has already is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::error(chain(error.as_ref()))
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Self {
        Self::error(chain(&error))
    }
}

use crate::config;
