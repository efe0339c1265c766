//! Who is an agent, and what is known of it: shared by the samplers, and by whoever hears what agents say.

use std::sync::{Arc, Mutex, PoisonError};

use event::{AgentSample, AgentState, Event, Resources, State, Text, Time};

/// An agent as a sampler sees it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: Text,
    /// What it is for, as far as the sampler can tell; may be empty.
    pub role: Text,
    /// The coding tool that it runs, as far as the sampler can tell; may be empty.
    pub tool: Text,
    /// What it runs in, such as `tmux` or `docker`.
    pub runtime: Text,
    /// Whether it runs, and since when.
    pub life: Life,
    /// Where it works, if the sampler can tell.
    pub directory: Option<Text>,
}

/// Whether an agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs {
        /// Since when, where that is known.
        since: Option<Time>,
    },
    /// It does not.
    Stopped,
    /// The sampler could not see.
    #[default]
    Unseen,
}

/// What is known of agents. A clone is the same registry.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Agents>>);

#[derive(Debug, Default)]
struct Agents {}

impl Registry {
    /// The sample of an agent, with role, tool and state filled in from what is known of it.
    #[must_use]
    pub fn sample(&self, time: Time, seen: &Seen, resources: Resources) -> Event {
        let _agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = if seen.life == Life::Stopped { State::Stopped } else { State::Unknown };
        Event::AgentSample(AgentSample {
            time,
            host: None,
            agent_name: seen.name.clone(),
            role: seen.role.clone(),
            tool: seen.tool.clone(),
            runtime: seen.runtime.clone(),
            state,
            resources,
        })
    }

    /// Takes what an agent says of itself.
    pub fn hear(&self, _said: &AgentState) {}

    /// The homes of the agents that have one of their own.
    #[must_use]
    pub fn homes(&self) -> Vec<Text> {
        Vec::new()
    }

    /// The agent whose home or working directory this path is, or lies in; `None` when it is nobody's or several
    /// agents'.
    #[must_use]
    pub fn agent_at(&self, _path: &str) -> Option<Text> {
        None
    }
}
