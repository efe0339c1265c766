//! The samplers of this host, made from the configuration.

use std::sync::Arc;
use std::time::SystemTime;

use event::{HostName, Text, Time};
use eventlog::EventLog;
use sampler::docker::{ContainerSelector, DockerEngine, DockerSampler, EngineSettings, NamedContainer};
use sampler::host::{HostSampler, ProcHost};
use sampler::tmux::{AgentSelector, NamedAgent, ProcTmux, TmuxSampler, TmuxServer, TmuxSettings};
use sampler::transcripts::TranscriptSettings;
use sampler::{ConfiguredAgent, PacedSampler, Registry, Sampler, Surroundings, SystemClock, transcripts};

use crate::access::this_host;
use crate::config::{Config, DockerSampling, TmuxSampling, TranscriptSampling};
use crate::failure::{Failure, chain};
use crate::service::{Agents, day_before, recall_states};
use crate::transcript_log::LogOfTranscripts;

/// The sampler of this machine, named like the host.
///
/// # Errors
/// When /proc cannot be opened.
pub(crate) fn host(name: &HostName) -> Result<Box<dyn Sampler>, Failure> {
    let probe = ProcHost::open().map_err(|error| Failure::error(chain(&error)))?;
    Ok(Box::new(HostSampler::new(name.as_str(), probe)))
}

/// The sampler of tmux sessions.
///
/// # Errors
/// When /proc cannot be opened.
pub(crate) fn tmux(sampling: &TmuxSampling, registry: &Registry) -> Result<Box<dyn Sampler>, Failure> {
    let settings = TmuxSettings { server: server(sampling.socket.as_deref()), ..TmuxSettings::default() };
    let probe = ProcTmux::open(settings).map_err(|error| Failure::error(chain(&error)))?;
    let selector = AgentSelector {
        named: named(&sampling.sessions, &registry.configured()),
        patterns: sampling.pattern.iter().cloned().collect(),
    };
    let sampler = TmuxSampler::new(selector, probe, Arc::new(SystemClock));
    Ok(Box::new(sampler.with_registry(registry.clone())))
}

/// The agents whose sessions are known by name: those of the configuration, then those of `tmux.sessions`.
fn named(sessions: &[String], configured: &[ConfiguredAgent]) -> Vec<NamedAgent> {
    let mut named: Vec<NamedAgent> = Vec::new();
    for agent in configured {
        let Some(session) = &agent.session else { continue };
        let (name, role, tool) = (agent.name.clone(), agent.role.clone(), agent.tool.clone());
        named.push(NamedAgent { name, session: session.to_string(), role, tool });
    }
    for session in sessions {
        if named.iter().all(|agent| agent.session != *session && agent.name != *session) {
            named.push(NamedAgent::new(session));
        }
    }
    named
}

/// The daemon's agents: of the configuration, and what they have said in the last 24 hours.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn agents(config: &Config, log: &EventLog) -> Result<Agents, Failure> {
    let now = Time::from(SystemTime::now());
    let agents = agents_since(config, log, now);
    recall_states(log, &agents.registry, now)?;
    Ok(agents)
}

/// The agents of a command that has the log to itself: whatever the log knows of them.
pub(crate) fn agents_of_log(config: &Config, log: &EventLog) -> Agents {
    agents_since(config, log, day_before(Time::from(SystemTime::now())))
}

fn agents_since(config: &Config, log: &EventLog, since: Time) -> Agents {
    let own = this_host().ok().map(|host| Text::new(host.as_str()));
    let hosts = own.into_iter().chain([Text::new(log.info().host.as_str())]).collect();
    let user_home = crate::variable("HOME").filter(|home| !home.is_empty()).map(Text::from);
    let registry = Registry::new(config.agents.clone(), Surroundings { hosts, user_home });
    Agents { registry, since, workspace: config.data_dir.clone() }
}

/// Follows the transcripts of coding tools, and keeps what they tell in this log; the other samplers, which know where
/// agents work, go first.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn transcripts(
    sampling: &TranscriptSampling,
    host: Option<HostName>,
    others: &[PacedSampler],
    registry: &Registry,
    log: &EventLog,
) -> Result<PacedSampler, Failure> {
    let TranscriptSampling { homes, interval } = sampling.clone();
    let after = others.iter().map(PacedSampler::status).collect();
    let settings = TranscriptSettings { homes, interval, host, after };
    let keeper = Arc::new(LogOfTranscripts::new(log.clone()));
    transcripts::start(settings, registry.clone(), Arc::new(SystemClock), keeper)
        .map_err(|error| Failure::error(chain(&error)))
}

/// The sampler of containers.
pub(crate) fn docker(sampling: &DockerSampling, registry: &Registry) -> Box<dyn Sampler> {
    let selector = container_selector(sampling, &registry.configured());
    let engine = docker_engine(sampling);
    Box::new(DockerSampler::new(selector, engine, Arc::new(SystemClock), registry.clone()))
}

/// Which containers are agents and systems.
pub(crate) fn container_selector(
    sampling: &DockerSampling,
    configured: &[ConfiguredAgent],
) -> ContainerSelector {
    let named = |agent: &ConfiguredAgent| {
        let container = agent.container.as_ref()?.to_string();
        let (name, role, tool) = (agent.name.clone(), agent.role.clone(), agent.tool.clone());
        Some(NamedContainer { name, container, role, tool })
    };
    ContainerSelector {
        named: configured.iter().filter_map(named).collect(),
        systems: sampling.systems.clone(),
        agents: sampling.agents.clone(),
    }
}

/// The engine that is asked.
pub(crate) fn docker_engine(sampling: &DockerSampling) -> DockerEngine {
    DockerEngine::new(EngineSettings::at(sampling.socket.clone()))
}

/// A name is a socket in tmux's own folder, what has a slash is a path.
pub(crate) fn server(socket: Option<&str>) -> TmuxServer {
    match socket {
        None => TmuxServer::Default,
        Some(path) if path.contains('/') => TmuxServer::Path(path.into()),
        Some(name) => TmuxServer::Name(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_the_configuration_come_before_bare_sessions() {
        let agent = |name: &str, session: Option<&str>| ConfiguredAgent {
            name: name.into(),
            role: "worker".into(),
            session: session.map(Text::new),
            ..ConfiguredAgent::default()
        };
        let configured = [agent("a", Some("one")), agent("b", None)];
        let sessions = ["one", "a", "b", "two"].map(str::to_owned);
        let named = named(&sessions, &configured);
        let told: Vec<_> = named
            .iter()
            .map(|agent| (agent.name.as_str(), agent.session.as_str(), agent.role.as_str()))
            .collect();
        assert_eq!(told, [("a", "one", "worker"), ("b", "b", ""), ("two", "two", "")]);
    }
}
