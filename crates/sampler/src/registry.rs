//! Who is an agent, and what is known of it: shared by the samplers, and by whoever hears what agents say.
//!
//! Three tell of an agent: the configuration, the samplers that see it, and the agent itself. Each answer is the first
//! that is not empty, in this order, but for the state, which only the agent knows, and of which three things hold:
//!
//! - A state counts while the agent lives of which it was said: one from before its session or container began does not.
//! - A sampler that sees the agent stopped says so, whatever the agent has said before.
//! - A state from the future was said by a clock that was wrong, and is forgotten.

mod known;
mod places;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{AgentSample, AgentState, Event, Resources, State, Text, Time};

use self::known::{Elsewhere, Known, MICROS_A_DAY};

/// The most agents that are known beside the configured ones: names come from outside.
const AGENTS_MAX: usize = 4_096;

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

/// An agent of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredAgent {
    /// Its name.
    pub name: Text,
    /// What it is for; may be empty.
    pub role: Text,
    /// The coding tool that it runs; may be empty.
    pub tool: Text,
    /// The name of its tmux session.
    pub session: Option<Text>,
    /// The name of its container.
    pub container: Option<Text>,
    /// Its own home folder.
    pub home: Option<Text>,
    /// Where it works.
    pub directory: Option<Text>,
}

/// What an agent is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentNow {
    /// Its name.
    pub name: Text,
    /// What it is for; may be empty.
    pub role: Text,
    /// What it does; unknown when nobody said.
    pub state: State,
    /// Whether it runs; unseen when only the configuration knows it.
    pub life: Life,
}

/// Where the agents live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The names of this host that events may carry; an event without one is of this host.
    pub hosts: Vec<Text>,
    /// The home folder of the user. Who works right in it does not own all that lies below.
    pub user_home: Option<Text>,
}

/// What is known of agents. A clone is the same registry.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Agents>>);

#[derive(Debug, Default)]
struct Agents {
    surroundings: Surroundings,
    known: BTreeMap<Text, Known>,
}

impl Registry {
    /// A registry that knows what the configuration tells.
    #[must_use]
    pub fn new(configured: Vec<ConfiguredAgent>, surroundings: Surroundings) -> Self {
        let known = configured.into_iter().map(|agent| (agent.name.clone(), Known::configured(agent)));
        Self(Arc::new(Mutex::new(Agents { surroundings, known: known.collect() })))
    }

    /// The sample of an agent, with role, tool and state filled in from what is known of it; `None` when the agent is
    /// seen in another place as well, and sampled there: the counters of two places in one series make no sense.
    #[must_use]
    pub fn sample(&self, time: Time, seen: &Seen, resources: Resources) -> Option<Event> {
        let mut agents = self.lock();
        let known = agents.known(&seen.name, time);
        let state = known.see(time, seen);
        let labels = known.labels(seen);
        if let Some(elsewhere) = known.is_sampled_elsewhere(time, seen) {
            if elsewhere == Elsewhere::Anew {
                let (agent, left_out) = (seen.name.as_str(), seen.runtime.as_str());
                tracing::info!(
                    agent,
                    left_out,
                    "the agent is seen in two places, and sampled in the other one"
                );
            }
            return None;
        }
        Some(Event::AgentSample(AgentSample {
            time,
            host: None,
            agent_name: seen.name.clone(),
            role: labels.role,
            tool: labels.tool,
            runtime: labels.runtime,
            state,
            resources,
        }))
    }

    /// Takes what an agent says of itself, if it is of this host. What was said later counts, whatever comes first.
    pub fn hear(&self, said: &AgentState) {
        let mut agents = self.lock();
        if agents.is_here(said.host.as_ref()) {
            agents.known(&said.agent_name, said.time).hear(said);
        }
    }

    /// Takes a sample that was made elsewhere, such as one that the log has; of this host only.
    pub fn recall(&self, sample: &AgentSample) {
        let mut agents = self.lock();
        if agents.is_here(sample.host.as_ref()) {
            agents.known(&sample.agent_name, sample.time).recall(sample);
        }
    }

    /// The agent whose home or working directory this path is, or lies in; `None` when it is nobody's or several
    /// agents'. The longest one counts, a configured one before one that was seen, and of two agents in one place
    /// the one that runs.
    #[must_use]
    pub fn agent_at(&self, path: &str) -> Option<Text> {
        let agents = self.lock();
        let user_home = agents.surroundings.user_home.as_deref();
        let claims = agents.known.iter().flat_map(|(name, known)| known.claims(name));
        places::owner(path, claims, user_home).cloned()
    }

    /// The homes of the agents that have one of their own.
    #[must_use]
    pub fn homes(&self) -> Vec<Text> {
        self.configured().into_iter().filter_map(|agent| agent.home).collect()
    }

    /// The agents of the configuration, by name.
    #[must_use]
    pub fn configured(&self) -> Vec<ConfiguredAgent> {
        self.lock().known.values().filter_map(|known| known.configured.clone()).collect()
    }

    /// The agents that the configuration knows, and those of which something was seen or heard in the last 24 hours,
    /// by name.
    #[must_use]
    pub fn agents(&self, now: Time) -> Vec<AgentNow> {
        let day_ago = now.plus_micros(-MICROS_A_DAY);
        let mut agents = self.lock();
        let recent = |known: &Known| known.configured.is_some() || known.touched() >= Some(day_ago);
        let known = agents.known.iter_mut().filter(|(_, known)| recent(known));
        known.map(|(name, known)| known.now(name, now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Agents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agents {
    fn is_here(&self, host: Option<&Text>) -> bool {
        host.is_none_or(|host| self.surroundings.hosts.contains(host))
    }

    /// What is known of this agent; it may be nothing yet.
    fn known(&mut self, name: &Text, time: Time) -> &mut Known {
        if !self.known.contains_key(name) && self.known.len() >= AGENTS_MAX {
            self.make_room(time);
        }
        self.known.entry(name.clone()).or_default()
    }

    /// Forgets who was not seen or heard for a day, and at least the quarter that was not for the longest time.
    fn make_room(&mut self, time: Time) {
        let strangers = self.known.values().filter(|known| known.configured.is_none());
        let mut touched: Vec<Option<Time>> = strangers.map(Known::touched).collect();
        touched.sort_unstable();
        let quarter = touched.get(touched.len() / 4).copied().flatten();
        let kept_from = quarter.max(Some(time.plus_micros(-MICROS_A_DAY)));
        self.known.retain(|_, known| known.configured.is_some() || known.touched() > kept_from);
    }
}

#[cfg(test)]
#[path = "registry/tests.rs"]
mod tests;
