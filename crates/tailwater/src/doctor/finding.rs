//! What a check has found.

use serde::Serialize;

/// How good or bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sign {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// It works, and may not for long, or not as well as it could.
    Warning,
    /// It does not work, or loses something.
    Failure,
}

impl Sign {
    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One line of the answer. Other tools build on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How good or bad it is.
    pub sign: Sign,
    /// What was looked at: a name that stays.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; null when all is as it should be.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { sign: Sign::Ok, check, found: found.into(), advice: None }
    }

    /// Worth knowing.
    #[must_use]
    pub(crate) fn note(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::with(Sign::Note, check, found, advice)
    }

    /// It works, and may not for long.
    #[must_use]
    pub(crate) fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::with(Sign::Warning, check, found, advice)
    }

    /// It does not work.
    #[must_use]
    pub(crate) fn failure(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::with(Sign::Failure, check, found, advice)
    }

    /// Anything that is not as it should be.
    #[must_use]
    pub(crate) fn with(
        sign: Sign,
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { sign, check, found: found.into(), advice: Some(advice.into()) }
    }
}
