//! The tmux sampler: one `agent_sample` for each agent and pass.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use event::{Resources, State, Text, Time};

use super::accounts::{Accounts, Frame};
use super::ledger::Ledger;
use super::probe::{TmuxListing, TmuxProbe, Units};
use super::scan::Scan;
use super::sessions::{Agent, AgentSelector, Hold, Identity};
use super::tree::Root;
use crate::error::in_one_line;
use crate::{Activity, Clock, Life, Pass, ProbeError, Registry, SampleError, Sampler, Seen};

/// The most names in the startup summary.
const NAMES_SHOWN_MAX: usize = 10;

/// Samples the agents that live in tmux.
pub struct TmuxSampler<P> {
    selector: AgentSelector,
    registry: Registry,
    probe: P,
    clock: Arc<dyn Clock>,
    scan: Scan,
    ledger: Ledger,
    accounts: Accounts,
    /// The agents that had sessions at the last good pass.
    present: Vec<Identity>,
    /// When the last good reading began, monotonic.
    read_at: Option<Duration>,
    network_notice: Notice,
}

/// A thing to say once in a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Due,
    Given,
}

impl<P: TmuxProbe> TmuxSampler<P> {
    /// A sampler of the sessions that `selector` chooses.
    pub fn new(selector: AgentSelector, probe: P, clock: Arc<dyn Clock>) -> Self {
        Self {
            selector,
            registry: Registry::default(),
            probe,
            clock,
            scan: Scan::default(),
            ledger: Ledger::default(),
            accounts: Accounts::default(),
            present: Vec::new(),
            read_at: None,
            network_notice: Notice::Due,
        }
    }

    /// Makes its samples with what this registry knows of the agents, and tells it what it sees.
    #[must_use]
    pub fn with_registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// The agents of this pass: those that tmux and the configuration tell, and those that just stopped.
    fn agents(&mut self, pass: &mut Pass) -> Result<Vec<Agent>, ProbeError> {
        let mut agents = match self.probe.sessions()? {
            TmuxListing::Sessions(mut parsed) => {
                pass.problems.append(&mut parsed.problems);
                self.selector.agents(&parsed.items)
            }
            TmuxListing::NoTmux | TmuxListing::NoServer => self.selector.agents(&[]),
        };
        let names: HashSet<&Text> = agents.iter().map(|agent| &agent.identity.name).collect();
        let stopped = self.present.iter().filter(|identity| !names.contains(&identity.name));
        let stopped: Vec<Agent> = stopped.cloned().map(Agent::stopped).collect();
        agents.extend(stopped);
        Ok(agents)
    }

    /// Reads the processes and tells each agent's state and numbers.
    fn measure(&mut self, agents: &[Agent], pass: &mut Pass) -> Result<Vec<(State, Resources)>, ProbeError> {
        let (read_at, since_boot) = (self.clock.monotonic(), self.clock.since_boot());
        let roots = roots(agents);
        let members = if roots.is_empty() {
            self.scan.clear();
            Vec::new()
        } else {
            self.scan.members(&mut self.probe, &roots)?
        };
        let units = self.probe.units();
        let scan = &self.scan;
        let is_alive = |pid, start_ticks| scan.is_alive(pid, start_ticks);
        let gains = self.ledger.pass(ticks(since_boot, units), &members, agents.len(), is_alive);
        let elapsed = self.read_at.replace(read_at).map(|before| read_at.saturating_sub(before));
        let machine = self.probe.machine().map_err(|error| pass.problems.push(in_one_line(&error))).ok();
        Ok(self.accounts.pass(agents, &members, &gains, &Frame { machine, units, elapsed }))
    }

    /// A pass that failed: null for every agent that is known, which is not the zero of a stopped one.
    fn fail(&self, time: Time, pass: &mut Pass, what: &str, error: ProbeError) -> SampleError {
        let named = self.selector.named_identities();
        let absent = named.filter(|named| self.present.iter().all(|present| present.name != named.name));
        for identity in self.present.iter().cloned().chain(absent) {
            let seen = seen(identity, Life::Unseen, None);
            pass.events.extend(self.registry.sample(time, &seen, Resources::default()));
        }
        SampleError::new(what, error.kind(), error)
    }

    fn give_notice(&mut self) {
        if self.network_notice == Notice::Due {
            self.network_notice = Notice::Given;
            tracing::info!(
                "network use is not measured for agents in tmux: the kernel counts it for a network \
                 namespace, not for a process; an agent in a container has it"
            );
        }
    }
}

fn roots(agents: &[Agent]) -> Vec<Root> {
    let all = agents.iter().enumerate();
    all.flat_map(|(place, agent)| {
        agent.roots.iter().map(move |(server, pid)| Root { pid: *pid, server: *server, agent: place })
    })
    .collect()
}

fn ticks(since_boot: Duration, units: Units) -> u64 {
    let ticks = since_boot.as_nanos().saturating_mul(u128::from(units.ticks_per_second)) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn seen(identity: Identity, life: Life, directory: Option<Text>) -> Seen {
    let Identity { name, role, tool } = identity;
    Seen { name, role, tool, runtime: Text::const_new("tmux"), life, directory }
}

/// Whether it runs, and since its oldest session was made.
fn life(agent: &Agent, state: State) -> Life {
    let oldest = agent.sessions.iter().map(|session| session.created).min();
    let since = oldest.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000_000));
    match (state, agent.hold) {
        (State::Stopped, _) => Life::Stopped,
        (_, Hold::Taken) => Life::Unseen,
        (_, Hold::Own) => Life::Runs { since: since.map(Time::from_micros) },
    }
}

impl<P: TmuxProbe> Sampler for TmuxSampler<P> {
    fn name(&self) -> &str {
        "tmux"
    }

    fn describe(&mut self) -> String {
        match self.probe.sessions() {
            Err(error) => format!("tmux: {}", in_one_line(&error)),
            Ok(TmuxListing::NoTmux) => "tmux: no such program".to_owned(),
            Ok(TmuxListing::NoServer) => "tmux: no server running".to_owned(),
            Ok(TmuxListing::Sessions(parsed)) => {
                summary(parsed.items.len(), &self.selector.agents(&parsed.items))
            }
        }
    }

    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        let agents = match self.agents(pass) {
            Ok(agents) => agents,
            Err(error) => return Err(self.fail(time, pass, "cannot list the sessions", error)),
        };
        let numbers = match self.measure(&agents, pass) {
            Ok(numbers) => numbers,
            Err(error) => return Err(self.fail(time, pass, "cannot read the processes", error)),
        };
        let taken = agents.iter().filter(|agent| agent.hold == Hold::Taken);
        pass.problems.extend(taken.map(|agent| {
            format!("the sessions of agent {} show only panes of other agents", agent.identity.name)
        }));
        let there = agents.iter().filter(|agent| !agent.sessions.is_empty());
        self.present = there.map(|agent| agent.identity.clone()).collect();
        if agents.is_empty() {
            return Ok(Activity::Idle);
        }
        self.give_notice();
        for (agent, (state, resources)) in agents.into_iter().zip(numbers) {
            let directory = agent.roots.first().and_then(|(_, root)| self.probe.directory(*root));
            let life = life(&agent, state);
            let seen = seen(agent.identity, life, directory.map(Text::new));
            pass.events.extend(self.registry.sample(time, &seen, resources));
        }
        Ok(Activity::Sampled)
    }
}

/// `tmux: 3 sessions: zen, work, a1`; with a selection `tmux: 3 sessions, 2 agents: zen, a1; stopped: a2`.
fn summary(sessions: usize, agents: &[Agent]) -> String {
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (there, stopped): (Vec<&Agent>, Vec<&Agent>) =
        agents.iter().partition(|agent| !agent.sessions.is_empty());
    let mut line = format!("tmux: {}", plural(sessions, "session"));
    if there.len() != sessions {
        line.push_str(&format!(", {}", plural(there.len(), "agent")));
    }
    for (word, agents) in [(": ", there), ("; stopped: ", stopped)] {
        if !agents.is_empty() {
            line.push_str(word);
            line.push_str(&names(&agents));
        }
    }
    line
}

fn names(agents: &[&Agent]) -> String {
    let shown: Vec<&str> =
        agents.iter().take(NAMES_SHOWN_MAX).map(|agent| agent.identity.name.as_str()).collect();
    let more = match agents.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
