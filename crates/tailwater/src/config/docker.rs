//! Sampling containers: the settings `docker.enabled`, `docker.socket`, `docker.interval`, `docker.agents` and `docker.systems`.

use std::path::PathBuf;
use std::time::Duration;

use sampler::{AgentPattern, SystemPattern};

use crate::failure::chain;

use super::meaning::{flag, optional, required, sampling_interval};
use super::raw::{ConfigError, RawConfig};

/// Where an engine listens that runs as root.
const SOCKET: &str = "/var/run/docker.sock";

/// How to sample containers.
#[derive(Clone, Debug)]
pub struct DockerSampling {
    /// How often.
    pub interval: Duration,
    /// The engine's socket.
    pub socket: PathBuf,
    /// A pattern for whole names of containers, with a group `agent`.
    pub agents: Option<AgentPattern>,
    /// A pattern for whole names of containers that are systems.
    pub systems: Option<SystemPattern>,
}

impl DockerSampling {
    /// Checks what was typed; `None` when it is not wanted.
    pub(super) fn new(
        raw: &RawConfig,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let agents = |text: &str| AgentPattern::new(text).map_err(|error| chain(&error));
        let systems = |text: &str| SystemPattern::new(text).map_err(|error| chain(&error));
        let sampling = Self {
            interval: required(raw, "docker.interval", sampling_interval)?,
            socket: optional(raw, "docker.socket", socket)?.unwrap_or_else(|| default_socket(variable)),
            agents: required(raw, "docker.agents", |text| unless_empty(text, agents))?,
            systems: required(raw, "docker.systems", |text| unless_empty(text, systems))?,
        };
        Ok(required(raw, "docker.enabled", flag)?.then_some(sampling))
    }
}

/// An empty pattern is one that nothing matches.
fn unless_empty<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    match path.starts_with('/') {
        true => Ok(path.into()),
        false => Err("is not the whole path of a unix socket, such as /var/run/docker.sock".to_owned()),
    }
}

/// That of `DOCKER_HOST`, when it is a socket at all.
fn default_socket(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let host = variable("DOCKER_HOST").filter(|host| host.starts_with("unix:///"));
    host.and_then(|host| socket(&host).ok()).unwrap_or_else(|| SOCKET.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Origin, Overrides, RawValue};
    use super::*;

    fn sampling(
        settings: &[(&'static str, &str)],
        host: Option<&str>,
    ) -> Result<Option<DockerSampling>, String> {
        let value = |text: &str| RawValue { text: text.to_owned(), origin: Origin::Default };
        let flags: Overrides = settings.iter().map(|(key, text)| (*key, value(text))).collect();
        let raw = RawConfig::gather(None, |_| None, flags).unwrap();
        let variable = |name: &str| host.filter(|_| name == "DOCKER_HOST").map(str::to_owned);
        DockerSampling::new(&raw, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn the_socket_is_the_setting_or_that_of_the_environment() {
        let check = |setting: &str, host: Option<&str>, expected: &str| {
            let found = sampling(&[("docker.socket", setting)], host).unwrap().unwrap();
            assert_eq!(found.socket, Path::new(expected), "{setting} {host:?}");
        };
        check("", None, SOCKET);
        check("", Some(""), SOCKET);
        check("", Some("unix:///run/d.sock"), "/run/d.sock");
        check("", Some("tcp://u:sekret@host:2376"), SOCKET);
        check("/x/d.sock", Some("unix:///run/d.sock"), "/x/d.sock");
        check("unix:///x/d.sock", None, "/x/d.sock");
        let error = sampling(&[("docker.socket", "tcp://u:sekret@host")], None).unwrap_err();
        assert!(error.contains("docker.socket") && !error.contains("sekret"), "{error}");
    }

    #[test]
    fn patterns_are_checked_and_may_be_empty() {
        let defaults = sampling(&[], None).unwrap().unwrap();
        assert!(defaults.agents.is_some() && defaults.systems.is_some());
        assert_eq!(defaults.interval, Duration::from_secs(10));
        let none = sampling(&[("docker.agents", ""), ("docker.systems", "")], None).unwrap().unwrap();
        assert!(none.agents.is_none() && none.systems.is_none());
        for (key, pattern, says) in [
            ("docker.agents", ".+", "has no group named agent"),
            ("docker.agents", "(", "no regular expression"),
            ("docker.systems", "(", "no regular expression"),
        ] {
            let error = sampling(&[(key, pattern)], None).unwrap_err();
            assert!(error.contains(key) && error.contains(says), "{error}");
        }
        assert!(sampling(&[("docker.enabled", "false")], None).unwrap().is_none());
    }
}
