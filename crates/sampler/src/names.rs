//! Patterns for whole names, whose named groups tell what a name says of an agent or a system.
//!
//! A pattern is tied to both ends of the name, so `a1` never gets `a10`.

use event::Text;
use regex::Regex;

use crate::ErrorKind;

/// What an agent is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: Text,
    pub(crate) role: Text,
    pub(crate) tool: Text,
}

/// A pattern for whole names of agents, with a group `agent`, and perhaps groups `role` and `tool`.
#[derive(Clone, Debug)]
pub struct AgentPattern {
    whole: Regex,
}

impl AgentPattern {
    /// Reads a pattern such as `(?<tool>claude|codex)-(?<agent>.+)`. It is tied to both ends of the name.
    ///
    /// # Errors
    /// When it is no regular expression, or has no group `agent`.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let whole = whole(pattern)?;
        if whole.capture_names().flatten().all(|name| name != "agent") {
            return Err(PatternError::NoAgent { pattern: pattern.to_owned() });
        }
        Ok(Self { whole })
    }

    pub(crate) fn agent(&self, name: &str) -> Option<Identity> {
        let groups = self.whole.captures(name)?;
        let group = |name| groups.name(name).map(|text| Text::new(text.as_str())).unwrap_or_default();
        let name = group("agent");
        (!name.is_empty()).then(|| Identity { name, role: group("role"), tool: group("tool") })
    }
}

/// A pattern for whole names of systems, perhaps with a group `system` for the part that is the system's name.
#[derive(Clone, Debug)]
pub struct SystemPattern {
    whole: Regex,
}

impl SystemPattern {
    /// Reads a pattern such as `.+-db`. It is tied to both ends of the name.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self { whole: whole(pattern)? })
    }

    /// The system's name: what the group took, else all of the name.
    pub(crate) fn system(&self, name: &str) -> Option<Text> {
        let groups = self.whole.captures(name)?;
        let taken = groups.name("system").map_or(name, |taken| taken.as_str());
        (!taken.is_empty()).then(|| Text::new(taken))
    }
}

fn whole(pattern: &str) -> Result<Regex, PatternError> {
    let syntax = |source| PatternError::Syntax { pattern: pattern.to_owned(), source };
    // NOTE: compiled as it is first, so that a stray bracket cannot close ours.
    Regex::new(pattern).map_err(syntax)?;
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(syntax)
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("the pattern {pattern:?} is no regular expression")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
    /// It does not say which part of the name is the agent's.
    #[error("the pattern {pattern:?} has no group named agent, such as (?<agent>.+)")]
    NoAgent {
        /// The pattern.
        pattern: String,
    },
}

impl PatternError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_named_by_its_group_or_whole() {
        let check = |pattern: &str, name: &str, system: Option<&str>| {
            let found = SystemPattern::new(pattern).unwrap().system(name);
            assert_eq!(found.as_deref(), system, "{pattern} on {name}");
        };
        check(".+-db", "x-db", Some("x-db"));
        check(".+-db", "x-db2", None);
        check(".+-db|x", "ax", None);
        check("(?:bc-)?(?<system>.+)-db", "bc-x-db", Some("x"));
        check("(?<system>.*)-db", "-db", None);
        assert!(SystemPattern::new("(").is_err());
    }
}
