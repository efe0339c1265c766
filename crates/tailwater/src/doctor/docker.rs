//! The Docker engine: whether it can be asked, and what of its containers is sampled.

use std::path::Path;

use sampler::ProbeError;
use sampler::docker::{ContainerSelector, DockerListing, DockerProbe, EngineVersion};

use super::{Finding, Subject};
use crate::failure::chain;
use crate::output::counted;
use crate::sources;

const CHECK: &str = "source.docker";

/// Looks at it as the sampler does.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let Some(sampling) = &subject.config.docker else {
        return vec![Finding::note(
            CHECK,
            "not sampled: docker.enabled is false",
            "nothing, if that is meant",
        )];
    };
    let mut engine = sources::docker_engine(sampling);
    let told = engine.version().and_then(|version| Ok((version, engine.containers()?)));
    let mut findings = vec![match told {
        Ok((Some(version), DockerListing::Containers(containers))) => {
            let selector = sources::container_selector(sampling, &subject.config.agents);
            let finding = listed(&sampling.socket, &version, &containers.items, &selector);
            match containers.problems.first() {
                None => finding,
                Some(problem) => Finding::warning(
                    CHECK,
                    format!("{}; {problem}", finding.found),
                    "tell the makers of tailwater: this engine answers in a way that it does not know",
                ),
            }
        }
        Ok(_) => Finding::note(
            CHECK,
            format!("{} is not there: no Docker engine", sampling.socket.display()),
            "nothing: it is seen when it starts; a socket elsewhere (rootless, Podman) is named by docker.socket",
        ),
        Err(error) => refused(&sampling.socket, &error),
    }];
    findings.extend(elsewhere(crate::variable("DOCKER_HOST").as_deref(), &sampling.socket));
    findings
}

fn listed(
    socket: &Path,
    version: &EngineVersion,
    containers: &[sampler::docker::listing::Container],
    selector: &ContainerSelector,
) -> Finding {
    let tally = selector.tally(containers);
    Finding::ok(
        CHECK,
        format!(
            "{} answers: engine {}, API {}; {}, of which run {} and {}",
            socket.display(),
            version.engine,
            version.api,
            counted(containers.len() as u64, "container"),
            counted(tally.agents as u64, "agent"),
            counted(tally.systems as u64, "system"),
        ),
    )
}

fn refused(socket: &Path, error: &ProbeError) -> Finding {
    let socket = socket.display();
    match error {
        ProbeError::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Finding::warning(
                CHECK,
                format!("{socket} may not be used by this user"),
                "add this user to the group of the socket (mind that it gives the power of root), or set \
                 docker.enabled = false",
            )
        }
        error => Finding::warning(
            CHECK,
            format!("{socket} does not answer as a Docker engine: {}", chain(error)),
            "start the engine; remove its socket if it is gone for good, or set docker.enabled = false",
        ),
    }
}

/// A `DOCKER_HOST` that is no socket of this machine is not followed.
fn elsewhere(host: Option<&str>, socket: &Path) -> Option<Finding> {
    let host = host.filter(|host| !host.is_empty() && !host.starts_with("unix://"))?;
    // NOTE: only the scheme is told, the rest may hold a password.
    let scheme = host.split(':').next().unwrap_or_default();
    Some(Finding::note(
        CHECK,
        format!("DOCKER_HOST leads elsewhere ({scheme}); {} is sampled, not that", socket.display()),
        "run tailwater on the machine of that engine: what runs there is no part of this host",
    ))
}

#[cfg(test)]
mod tests {
    use sampler::docker::listing::Container;
    use sampler::{AgentPattern, SystemPattern};

    use super::super::Sign;
    use super::*;

    #[test]
    fn what_is_sampled_is_counted() {
        let container =
            |name: &str| Container { id: name.to_owned(), name: name.to_owned(), ..Container::default() };
        let selector = ContainerSelector {
            named: Vec::new(),
            systems: Some(SystemPattern::new(".+-db").unwrap()),
            agents: Some(AgentPattern::new("bc-(?<agent>.+)").unwrap()),
        };
        let version = EngineVersion { engine: "29.1".to_owned(), api: "1.52".to_owned() };
        let containers = ["bc-zen", "bc-a1", "bc-x-db", "other"].map(container);
        let told = listed(Path::new("/s"), &version, &containers, &selector);
        let words = "/s answers: engine 29.1, API 1.52; 4 containers, of which run 2 agents and 1 system";
        assert_eq!((told.sign, told.found.as_str()), (Sign::Ok, words));
    }

    #[test]
    fn who_may_not_ask_is_told_what_that_means() {
        let source = std::io::ErrorKind::PermissionDenied.into();
        let told = refused(Path::new("/s"), &ProbeError::Read { path: "/s".into(), source });
        assert!(told.sign == Sign::Warning && told.advice.unwrap().contains("power of root"));
        let late = ProbeError::TimedOut { program: "the engine".to_owned(), limit_ms: 3000 };
        let told = refused(Path::new("/s"), &late);
        assert!(told.sign == Sign::Warning && told.found.contains("does not answer"), "{told:?}");
    }

    #[test]
    fn an_engine_elsewhere_is_no_part_of_this_host() {
        let check = |host: &str| elsewhere(Some(host), Path::new("/s")).map(|finding| finding.found);
        assert_eq!(check("").or_else(|| check("unix:///x")), None);
        let told = check("tcp://u:sekret@host:2376").unwrap();
        assert!(told.contains("(tcp)") && !told.contains("sekret"), "{told}");
    }
}
