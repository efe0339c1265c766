//! The samplers of this host, made from the configuration.

use std::sync::Arc;

use event::HostName;
use eventlog::EventLog;
use sampler::docker::{ContainerSelector, DockerEngine, DockerSampler, EngineSettings};
use sampler::host::{HostSampler, ProcHost};
use sampler::tmux::{AgentSelector, NamedAgent, ProcTmux, TmuxSampler, TmuxServer, TmuxSettings};
use sampler::transcripts::TranscriptSettings;
use sampler::{PacedSampler, Registry, Sampler, SystemClock, transcripts};

use crate::config::{DockerSampling, TmuxSampling, TranscriptSampling};
use crate::failure::{Failure, chain};
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
pub(crate) fn tmux(sampling: &TmuxSampling) -> Result<Box<dyn Sampler>, Failure> {
    let settings = TmuxSettings { server: server(sampling.socket.as_deref()), ..TmuxSettings::default() };
    let probe = ProcTmux::open(settings).map_err(|error| Failure::error(chain(&error)))?;
    let selector = AgentSelector {
        named: sampling.sessions.iter().map(|name| NamedAgent::new(name)).collect(),
        patterns: sampling.pattern.iter().cloned().collect(),
    };
    Ok(Box::new(TmuxSampler::new(selector, probe, Arc::new(SystemClock))))
}

/// Follows the transcripts of coding tools, and keeps what they tell in this log.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn transcripts(
    sampling: &TranscriptSampling,
    host: Option<HostName>,
    registry: &Registry,
    log: &EventLog,
) -> Result<PacedSampler, Failure> {
    let TranscriptSampling { homes, interval } = sampling.clone();
    let settings = TranscriptSettings { homes, interval, host };
    let keeper = Arc::new(LogOfTranscripts::new(log.clone()));
    transcripts::start(settings, registry.clone(), Arc::new(SystemClock), keeper)
        .map_err(|error| Failure::error(chain(&error)))
}

/// The sampler of containers.
pub(crate) fn docker(sampling: &DockerSampling, registry: &Registry) -> Box<dyn Sampler> {
    let (selector, engine) = (container_selector(sampling), docker_engine(sampling));
    Box::new(DockerSampler::new(selector, engine, Arc::new(SystemClock), registry.clone()))
}

/// Which containers are agents and systems.
pub(crate) fn container_selector(sampling: &DockerSampling) -> ContainerSelector {
    ContainerSelector {
        named: Vec::new(),
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
