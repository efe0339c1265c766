//! The workspace statistics: from the registry, and from what others than the daemon's samplers have put into the log.

use std::path::PathBuf;
use std::time::SystemTime;

use event::wire::Decoded;
use event::{Event, Kind, Position, Time};
use eventlog::{EventLog, LOOK_BACK};
use query::{Presence, WorkspaceAgent, WorkspaceStats};
use sampler::{AgentNow, Life, Registry};

use super::Service;
use crate::failure::{Failure, chain};

/// Where the agents are known.
#[derive(Clone)]
pub(crate) struct Agents {
    /// Who is an agent.
    pub registry: Registry,
    /// Samples that are older are not looked at: whoever made them is gone.
    pub since: Time,
    /// The data directory.
    pub workspace: PathBuf,
}

impl Service {
    /// The workspace as it is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn stats(&self) -> Result<WorkspaceStats, Failure> {
        let log = self.log.clone();
        // NOTE: only what is durable can be read, and what was acknowledged a moment ago is part of the answer.
        let head = Position(log.ends().next.0.saturating_sub(1));
        if head > Position(0) {
            log.wait_durable(head).await.map_err(|error| Failure::error(chain(&error)))?;
        }
        let agents = self.agents.clone();
        super::blocking(move || look(&log, &agents)).await
    }
}

fn look(log: &EventLog, agents: &Agents) -> Result<WorkspaceStats, Failure> {
    let now = Time::from(SystemTime::now());
    recall_states(log, &agents.registry, now)?;
    for event in latest(log, Kind::AgentSample, now)? {
        if let Event::AgentSample(sample) = event
            // NOTE: after a step back of the clock, what is younger than now is older than what the samplers see.
            && (agents.since..=now).contains(&sample.time)
        {
            agents.registry.recall(&sample);
        }
    }
    let known: Vec<WorkspaceAgent> = agents.registry.agents(now).into_iter().map(known).collect();
    Ok(WorkspaceStats::of(now, agents.workspace.display().to_string(), &known))
}

/// Has the registry hear what agents have said in the last 24 hours.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn recall_states(log: &EventLog, registry: &Registry, now: Time) -> Result<(), Failure> {
    for event in latest(log, Kind::AgentState, now)? {
        if let Event::AgentState(said) = event {
            registry.hear(&said);
        }
    }
    Ok(())
}

fn latest(log: &EventLog, kind: Kind, now: Time) -> Result<impl Iterator<Item = Event>, Failure> {
    let from = day_before(now);
    let entries = log.latest(kind, from, now).map_err(|error| Failure::error(chain(&error)))?;
    let event = |event| if let Decoded::Event(event) = event { Some(event) } else { None };
    Ok(entries.into_iter().filter_map(move |entry| event(entry.event)))
}

/// How far back the log is looked at.
pub(crate) fn day_before(now: Time) -> Time {
    now.plus_micros(-i64::try_from(LOOK_BACK.as_micros()).unwrap_or(i64::MAX))
}

fn known(agent: AgentNow) -> WorkspaceAgent {
    let presence = match agent.life {
        Life::Runs { since } => Presence::Lives { since },
        Life::Stopped | Life::Unseen => Presence::Absent,
    };
    WorkspaceAgent { name: agent.name, role: agent.role, state: agent.state, presence }
}
