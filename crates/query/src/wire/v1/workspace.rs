//! The workspace as JSON: the Go package's names, and the utilization beside them.

use schemars::JsonSchema;
use serde::ser::{Serialize, Serializer};

use crate::{AgentStat, WorkspaceStats};

#[derive(serde::Serialize, JsonSchema)]
pub(in crate::wire) struct WorkspaceV1<'a> {
    collected_at: String,
    workspace_path: &'a str,
    agents: AgentsV1<'a>,
    utilization: Option<f64>,
}

#[derive(serde::Serialize, JsonSchema)]
struct AgentsV1<'a> {
    agent_stats: Vec<AgentStatV1<'a>>,
    total_agents: u64,
    active_agents: u64,
    coordinators: u64,
    workers: u64,
    idle: u64,
    working: u64,
    done: u64,
    stuck: u64,
    error: u64,
    stopped: u64,
}

#[derive(serde::Serialize, JsonSchema)]
struct AgentStatV1<'a> {
    name: &'a str,
    role: &'a str,
    state: &'a str,
    uptime: u64,
}

impl<'a> From<&'a AgentStat> for AgentStatV1<'a> {
    fn from(it: &'a AgentStat) -> Self {
        Self { name: &it.name, role: &it.role, state: it.state.as_str(), uptime: it.uptime_nanos }
    }
}

impl<'a> From<&'a WorkspaceStats> for WorkspaceV1<'a> {
    fn from(it: &'a WorkspaceStats) -> Self {
        Self {
            collected_at: it.collected_at.to_string(),
            workspace_path: &it.workspace_path,
            agents: AgentsV1 {
                agent_stats: it.agents.iter().map(AgentStatV1::from).collect(),
                total_agents: it.total_agents,
                active_agents: it.active_agents,
                coordinators: it.coordinators,
                workers: it.workers,
                idle: it.idle,
                working: it.working,
                done: it.done,
                stuck: it.stuck,
                error: it.error,
                stopped: it.stopped,
            },
            utilization: it.utilization,
        }
    }
}

impl Serialize for WorkspaceStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WorkspaceV1::from(self).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use event::{State, Time};

    use super::*;
    use crate::{Presence, WorkspaceAgent};

    #[test]
    fn the_workspace_is_as_the_go_package_spells_it() {
        let collected_at = Time::from_micros(1_767_323_045_678_901);
        let presence = Presence::Lives { since: Some(collected_at.plus_micros(-1_500_000)) };
        let agent =
            WorkspaceAgent { name: "zen".into(), role: "worker".into(), state: State::Working, presence };
        let stats = WorkspaceStats::of(collected_at, "/data".to_owned(), &[agent]);
        let agents = r#"{"agent_stats":[{"name":"zen","role":"worker","state":"working","uptime":1500000000}],"total_agents":1,"active_agents":1,"coordinators":0,"workers":1,"idle":0,"working":1,"done":0,"stuck":0,"error":0,"stopped":0}"#;
        let expected = format!(
            r#"{{"collected_at":"2026-01-02T03:04:05.678901Z","workspace_path":"/data","agents":{agents},"utilization":1.0}}"#
        );
        assert_eq!(serde_json::to_string(&stats).unwrap(), expected);
    }
}
