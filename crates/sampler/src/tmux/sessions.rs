//! Which sessions are which agents: all by their names, an exact list, or patterns.
//!
//! Nothing here searches for substrings: a name is compared whole, and a pattern must match the whole name. So
//! `a1` never gets `a10`.

use std::collections::{HashMap, HashSet};

use event::Text;

use super::panes::{PaneId, SessionKey, TmuxSession};
pub(super) use crate::names::Identity;
pub use crate::names::{AgentPattern as SessionPattern, PatternError as SelectorError};
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

/// Which sessions are agents. With neither names nor patterns, every session is one, by its own name.
#[derive(Clone, Debug, Default)]
pub struct AgentSelector {
    /// Agents by name; they come before patterns.
    pub named: Vec<NamedAgent>,
    /// Patterns; the first that matches counts.
    pub patterns: Vec<SessionPattern>,
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
