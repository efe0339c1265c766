//! The workspace at one moment: its agents and how many of them do what.

use event::{State, Text, Time};

/// What is known of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceAgent {
    /// Its name.
    pub name: Text,
    /// What it is for; may be empty.
    pub role: Text,
    /// What it does.
    pub state: State,
    /// Whether it lives.
    pub presence: Presence,
}

/// Whether an agent lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It does, or so it was last seen or heard.
    Lives {
        /// Since when, where that is known.
        since: Option<Time>,
    },
    /// It does not, or nothing was ever seen or heard of it.
    #[default]
    Absent,
}

/// The workspace at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceStats {
    /// When.
    pub collected_at: Time,
    /// Where its log is.
    pub workspace_path: String,
    /// Each agent.
    pub agents: Vec<AgentStat>,
    /// How many agents there are.
    pub total_agents: u64,
    /// How many of them live, and are not done, failed or stopped.
    pub active_agents: u64,
    /// How many have the role `coordinator`.
    pub coordinators: u64,
    /// How many have the role `worker`.
    pub workers: u64,
    /// How many wait for work.
    pub idle: u64,
    /// How many are at work.
    pub working: u64,
    /// How many are through with it.
    pub done: u64,
    /// How many make no progress.
    pub stuck: u64,
    /// How many have failed.
    pub error: u64,
    /// How many do not run.
    pub stopped: u64,
    /// Which part of the active agents is at work, 0 to 1; `None` without active agents.
    pub utilization: Option<f64>,
}

/// One agent of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStat {
    /// Its name.
    pub name: Text,
    /// What it is for; may be empty.
    pub role: Text,
    /// What it does.
    pub state: State,
    /// For how long it has lived, nanoseconds; 0 when that is not known, or it does not live.
    pub uptime_nanos: u64,
}

impl WorkspaceStats {
    /// Counts these agents.
    #[must_use]
    pub fn of(collected_at: Time, workspace_path: String, agents: &[WorkspaceAgent]) -> Self {
        let in_state = |state| count(agents, |agent| agent.state == state);
        let with_role = |role| count(agents, |agent| agent.role.eq_ignore_ascii_case(role));
        let (active_agents, working) = (count(agents, WorkspaceAgent::is_active), in_state(State::Working));
        // NOTE: who is at work may be out of sight, but is never more than all that are active.
        let busy = count(agents, |agent| agent.is_active() && agent.state == State::Working);
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 agents")]
        let utilization = (active_agents > 0).then(|| busy as f64 / active_agents as f64);
        Self {
            collected_at,
            workspace_path,
            agents: agents.iter().map(|agent| agent.stat(collected_at)).collect(),
            total_agents: count(agents, |_| true),
            active_agents,
            coordinators: with_role("coordinator"),
            workers: with_role("worker"),
            idle: in_state(State::Idle),
            working,
            done: in_state(State::Done),
            stuck: in_state(State::Stuck),
            error: in_state(State::Error),
            stopped: in_state(State::Stopped),
            utilization,
        }
    }
}

impl WorkspaceAgent {
    fn is_active(&self) -> bool {
        let has_ended = matches!(self.state, State::Done | State::Error | State::Stopped);
        matches!(self.presence, Presence::Lives { .. }) && !has_ended
    }

    fn stat(&self, now: Time) -> AgentStat {
        let since = match self.presence {
            Presence::Lives { since } if self.state != State::Stopped => since,
            _ => None,
        };
        let micros = since.map_or(0, |since| now.micros().saturating_sub(since.micros()));
        AgentStat {
            name: self.name.clone(),
            role: self.role.clone(),
            state: self.state,
            uptime_nanos: u64::try_from(micros).unwrap_or(0).saturating_mul(1_000),
        }
    }
}

fn count(agents: &[WorkspaceAgent], is_meant: impl Fn(&WorkspaceAgent) -> bool) -> u64 {
    agents.iter().map(|agent| u64::from(is_meant(agent))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_767_323_045_000_000);

    fn agent(name: &str, role: &str, state: State, lived_seconds: Option<i64>) -> WorkspaceAgent {
        let since = lived_seconds.map(|seconds| NOW.plus_micros(-seconds * 1_000_000));
        let presence = Presence::Lives { since };
        WorkspaceAgent { name: name.into(), role: role.into(), state, presence }
    }

    #[test]
    fn everything_is_counted() {
        let mut agents: Vec<WorkspaceAgent> =
            State::ALL.iter().map(|state| agent(&format!("a{state}"), "worker", *state, Some(60))).collect();
        agents.push(agent("boss", "Coordinator", State::Working, None));
        agents.push(agent("late", "reviewer", State::Idle, Some(-5)));
        agents.push(WorkspaceAgent { name: "unseen".into(), ..WorkspaceAgent::default() });
        let stats = WorkspaceStats::of(NOW, "/data".to_owned(), &agents);
        assert_eq!((stats.total_agents, stats.workers, stats.coordinators), (10, 7, 1));
        assert_eq!((stats.idle, stats.working, stats.done), (2, 2, 1));
        assert_eq!((stats.stuck, stats.error, stats.stopped), (1, 1, 1));
        assert_eq!(stats.active_agents, 6, "unknown, idle, working, stuck, boss, late");
        assert_eq!(stats.utilization, Some(2.0 / 6.0));
        let uptime = |name: &str| stats.agents.iter().find(|agent| agent.name == name).unwrap().uptime_nanos;
        assert_eq!((uptime("aworking"), uptime("adone")), (60_000_000_000, 60_000_000_000));
        assert_eq!((uptime("astopped"), uptime("boss"), uptime("late"), uptime("unseen")), (0, 0, 0, 0));
    }

    #[test]
    fn without_active_agents_there_is_no_utilization() {
        let stats = WorkspaceStats::of(NOW, String::new(), &[agent("a", "", State::Done, None)]);
        assert_eq!((stats.active_agents, stats.utilization), (0, None));
        let none = WorkspaceStats::of(NOW, String::new(), &[]);
        assert_eq!((none.total_agents, none.utilization), (0, None));
    }
}
