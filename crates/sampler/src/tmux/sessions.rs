//! Which sessions are which agents: all by their names, an exact list, or patterns.
//!
//! Nothing here searches for substrings: a name is compared whole, and a pattern must match the whole name. So
//! `a1` never gets `a10`.

use std::collections::{HashMap, HashSet};

use event::Text;
use regex::Regex;

use super::panes::{PaneId, SessionKey, TmuxSession};
use crate::ErrorKind;
use crate::proc::Pid;

/// An agent that is configured by name. While it has no session it is sampled as stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAgent {
    /// The agent's name.
    pub name: Text,
    /// The name of its session.
    pub session: String,
    /// What it is for; may be empty.
    pub role: Text,
    /// The coding tool that it runs; may be empty.
    pub tool: Text,
}

impl NamedAgent {
    /// The agent whose session has the agent's name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: Text::new(name), session: name.to_owned(), role: Text::default(), tool: Text::default() }
    }

    /// Whether this is its session. tmux keeps `a.b` and `a:b` as `a_b`, and either spelling means that one.
    fn has_session(&self, name: &str) -> bool {
        self.session == name || self.session.replace(['.', ':'], "_") == name
    }
}

/// A pattern for whole names of sessions, with a group `agent`, and perhaps groups `role` and `tool`.
#[derive(Clone, Debug)]
pub struct SessionPattern {
    whole: Regex,
}

impl SessionPattern {
    /// Reads a pattern such as `(?<tool>claude|codex)-(?<agent>.+)`. It is tied to both ends of the name.
    ///
    /// # Errors
    /// When it is no regular expression, or has no group `agent`.
    pub fn new(pattern: &str) -> Result<Self, SelectorError> {
        let syntax = |source| SelectorError::Syntax { pattern: pattern.to_owned(), source };
        // NOTE: compiled as it is first, so that a stray bracket cannot close ours.
        Regex::new(pattern).map_err(syntax)?;
        let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(syntax)?;
        if whole.capture_names().flatten().all(|name| name != "agent") {
            return Err(SelectorError::NoAgent { pattern: pattern.to_owned() });
        }
        Ok(Self { whole })
    }

    fn agent(&self, session: &str) -> Option<Identity> {
        let groups = self.whole.captures(session)?;
        let group = |name| groups.name(name).map(|text| Text::new(text.as_str())).unwrap_or_default();
        let name = group("agent");
        (!name.is_empty()).then(|| Identity { name, role: group("role"), tool: group("tool") })
    }
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    /// It is no regular expression.
    #[error("the session pattern {pattern:?} is no regular expression")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
    /// It does not say which part of the name is the agent's.
    #[error("the session pattern {pattern:?} has no group named agent, such as (?<agent>.+)")]
    NoAgent {
        /// The pattern.
        pattern: String,
    },
}

impl SelectorError {
    /// What the caller can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Which sessions are agents. With neither names nor patterns, every session is one, by its own name.
#[derive(Clone, Debug, Default)]
pub struct AgentSelector {
    /// Agents by name; they come before patterns.
    pub named: Vec<NamedAgent>,
    /// Patterns; the first that matches counts.
    pub patterns: Vec<SessionPattern>,
}

/// What an agent is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: Text,
    pub(super) role: Text,
    pub(super) tool: Text,
}

/// An agent and what it lives in at this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) identity: Identity,
    /// Its sessions; empty when it is stopped.
    pub(super) sessions: Vec<SessionKey>,
    /// The servers and the first processes of its panes.
    pub(super) roots: Vec<(Pid, Pid)>,
    pub(super) hold: Hold,
}

/// Whose the panes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Its own, or it has none.
    Own,
    /// All of them are shown by an older session too, whose agent has them.
    Taken,
}

impl AgentSelector {
    /// Whether there is anything configured.
    fn takes_all(&self) -> bool {
        self.named.is_empty() && self.patterns.is_empty()
    }

    fn identify(&self, session: &str) -> Option<Identity> {
        if self.takes_all() {
            return Some(Identity { name: Text::new(session), ..Identity::default() });
        }
        let named = self.named.iter().find(|agent| agent.has_session(session)).map(named_identity);
        named.or_else(|| self.patterns.iter().find_map(|pattern| pattern.agent(session)))
    }

    /// The agents of these sessions, which come oldest first, and the named ones that have none.
    ///
    /// A pane that several sessions show (grouped sessions, linked windows) counts once: for the oldest. A
    /// session that only shows the panes of older ones is a view and no agent, unless it was named.
    pub(super) fn agents(&self, sessions: &[TmuxSession]) -> Vec<Agent> {
        let mut agents: Vec<Agent> = Vec::new();
        let mut places: HashMap<Text, usize> = HashMap::new();
        let mut shown: HashSet<(Pid, PaneId)> = HashSet::new();
        for session in sessions {
            let Some(identity) = self.identify(&session.name) else { continue };
            let place = *places.entry(identity.name.clone()).or_insert(agents.len());
            if place == agents.len() {
                agents.push(Agent { identity, sessions: vec![], roots: vec![], hold: Hold::Taken });
            }
            if let Some(agent) = agents.get_mut(place) {
                agent.take(session, &mut shown);
            }
        }
        agents.retain(|agent| agent.hold == Hold::Own || self.is_named(&agent.identity.name));
        let missing = self.named.iter().filter(|named| !places.contains_key(&named.name));
        let stopped: Vec<Agent> = missing.map(named_identity).map(Agent::stopped).collect();
        agents.extend(stopped);
        agents
    }

    /// Every configured agent: the ones to tell of when nothing could be read.
    pub(super) fn named_identities(&self) -> impl Iterator<Item = Identity> + '_ {
        self.named.iter().map(named_identity)
    }

    fn is_named(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.name == name)
    }
}

impl Agent {
    pub(super) const fn stopped(identity: Identity) -> Self {
        Self { identity, sessions: Vec::new(), roots: Vec::new(), hold: Hold::Own }
    }

    fn take(&mut self, session: &TmuxSession, shown: &mut HashSet<(Pid, PaneId)>) {
        self.sessions.push(session.key);
        for (pane, root) in &session.panes {
            if shown.insert((session.key.server, *pane)) {
                self.hold = Hold::Own;
                self.roots.extend(root.map(|root| (session.key.server, root)));
            }
        }
    }
}

fn named_identity(named: &NamedAgent) -> Identity {
    Identity { name: named.name.clone(), role: named.role.clone(), tool: named.tool.clone() }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
