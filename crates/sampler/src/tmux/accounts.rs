//! From what an agent's tree is and used to the eight numbers of its sample.
//!
//! The disk counters of a sample are since the agent began, so each agent has an account that gathers the gains.
//! An account begins with what its first tree has, and lives as long as one of the agent's sessions does; a
//! session that is made anew, even under the same name, begins a new one.

use std::collections::HashMap;
use std::time::Duration;

use event::{Resources, State, Text};

use super::ledger::{Gain, Member, added};
use super::panes::SessionKey;
use super::probe::{Machine, Units};
use super::sessions::{Agent, Hold};
use crate::proc::pid_io::PidIo;

/// The accounts of all agents that were there at the last pass.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: HashMap<Text, Account>,
}

#[derive(Debug)]
struct Account {
    sessions: Vec<SessionKey>,
    io: PidIo,
}

/// What all agents of a pass share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) machine: Option<Machine>,
    pub(super) units: Units,
    /// Since the previous reading; `None` at the first.
    pub(super) elapsed: Option<Duration>,
}

/// The sums over the tree of one agent.
#[derive(Clone, Copy, Debug, Default)]
struct Tree {
    processes: usize,
    rss_pages: u64,
    io: PidIo,
    denied: usize,
}

impl Accounts {
    /// The state and the numbers of each agent, in their order.
    pub(super) fn pass(
        &mut self,
        agents: &[Agent],
        members: &[Member],
        gains: &[Gain],
        frame: &Frame,
    ) -> Vec<(State, Resources)> {
        let mut before = std::mem::take(&mut self.accounts);
        let trees = trees(agents.len(), members);
        let mut numbers = Vec::with_capacity(agents.len());
        for (agent, (tree, gain)) in agents.iter().zip(trees.iter().zip(gains)) {
            let account = before.remove(&agent.identity.name).filter(|account| account.lives_on(agent));
            numbers.push(self.agent(agent, tree, gain, account, frame));
        }
        numbers
    }

    fn agent(
        &mut self,
        agent: &Agent,
        tree: &Tree,
        gain: &Gain,
        account: Option<Account>,
        frame: &Frame,
    ) -> (State, Resources) {
        if agent.hold == Hold::Taken {
            return (State::Unknown, Resources::default());
        }
        let began_now = account.is_none();
        let io = account.map_or(tree.io, |account| added(account.io, gain.io));
        if !agent.sessions.is_empty() {
            self.accounts
                .insert(agent.identity.name.clone(), Account { sessions: agent.sessions.clone(), io });
        }
        let state = if tree.processes == 0 { State::Stopped } else { State::Unknown };
        let cpu_percent = match state {
            State::Stopped => Some(0.0),
            // NOTE: processes that were there before the agent was known have used an unknown part just now.
            _ if began_now && gain.rebased > 0 => None,
            _ => frame.percent(gain.ticks),
        };
        let io = (tree.denied == 0).then_some(io);
        (state, frame.resources(cpu_percent, tree.rss_pages, io))
    }
}

impl Account {
    fn lives_on(&self, agent: &Agent) -> bool {
        agent.sessions.iter().any(|session| self.sessions.contains(session))
    }
}

impl Frame {
    fn resources(&self, cpu_percent: Option<f64>, rss_pages: u64, io: Option<PidIo>) -> Resources {
        let used = rss_pages.saturating_mul(self.units.page_bytes);
        let limit = self.machine.map(|machine| machine.memory_bytes);
        Resources {
            cpu_percent,
            mem_used_bytes: Some(used),
            mem_limit_bytes: limit,
            mem_percent: limit.filter(|limit| *limit > 0).map(|limit| used as f64 / limit as f64 * 100.0),
            net_rx_bytes: None,
            net_tx_bytes: None,
            disk_read_bytes: io.map(|io| io.read_bytes),
            disk_write_bytes: io.map(|io| io.write_bytes),
        }
    }

    /// CPU use over the elapsed time; more than the machine has would be an error of reading, so that is a wall.
    fn percent(&self, ticks: u64) -> Option<f64> {
        let elapsed = self.elapsed.filter(|elapsed| !elapsed.is_zero())?;
        let seconds = ticks as f64 / self.units.ticks_per_second.max(1) as f64;
        let percent = seconds / elapsed.as_secs_f64() * 100.0;
        Some(self.machine.map_or(percent, |machine| percent.min(f64::from(machine.cores) * 100.0)))
    }
}

fn trees(agents: usize, members: &[Member]) -> Vec<Tree> {
    let mut trees = vec![Tree::default(); agents];
    for member in members {
        let Some(tree) = trees.get_mut(member.agent) else { continue };
        tree.processes += 1;
        tree.rss_pages = tree.rss_pages.saturating_add(member.stat.rss_pages);
        match member.io {
            Some(io) => tree.io = added(tree.io, io),
            None => tree.denied += 1,
        }
    }
    trees
}
