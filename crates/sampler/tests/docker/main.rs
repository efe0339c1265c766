//! The Docker sampler from outside: on recorded answers, on an engine that misbehaves, on a real one.
#![cfg(test)]

mod fake;
mod real;
mod recorded;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{AgentSample, Event, Resources, SystemSample};
use sampler::docker::{ContainerSelector, DockerEngine, DockerSampler, EngineSettings};
use sampler::{AgentPattern, Clock, Pass, Registry, Sampler, SystemClock, SystemPattern};

/// Long enough for any machine; a test that reaches it fails.
const FOREVER: Duration = Duration::from_secs(100);

/// Waits until something is so.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < FOREVER, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The sampler over a real probe, and its passes.
struct Containers {
    sampler: DockerSampler<DockerEngine>,
}

/// What one pass told.
#[derive(Debug)]
struct Told {
    agents: Vec<AgentSample>,
    systems: Vec<SystemSample>,
    problems: Vec<String>,
    error: Option<String>,
}

impl Containers {
    fn new(settings: EngineSettings, agents: &str) -> Self {
        let selector = ContainerSelector {
            named: Vec::new(),
            systems: Some(SystemPattern::new(".+-(?:db|daemon)").unwrap()),
            agents: Some(AgentPattern::new(agents).unwrap()),
        };
        let (engine, clock) = (DockerEngine::new(settings), Arc::new(SystemClock));
        Self { sampler: DockerSampler::new(selector, engine, clock, Registry::default()) }
    }

    fn pass(&mut self) -> Told {
        let mut pass = Pass::default();
        let error = self.sampler.sample(SystemClock.now(), &mut pass).err().map(|error| {
            let mut line = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                line = format!("{line}: {error}");
                cause = error.source();
            }
            line
        });
        let mut told = Told { agents: vec![], systems: vec![], problems: pass.problems, error };
        for event in pass.events {
            match event {
                Event::AgentSample(sample) => told.agents.push(sample),
                Event::SystemSample(sample) => told.systems.push(sample),
                other => panic!("{other:?}"),
            }
        }
        told
    }

    /// A pass that must have nothing to complain of.
    fn good_pass(&mut self) -> Told {
        let told = self.pass();
        assert_eq!((&told.problems, &told.error), (&vec![], &None));
        told
    }
}

impl Told {
    /// The agents by name, but those that a label makes everybody's on an engine that tests share.
    fn names(&self) -> Vec<&str> {
        let names = self.agents.iter().map(|sample| sample.agent_name.as_str());
        let mut names: Vec<&str> = names.filter(|name| !name.starts_with("labelled ")).collect();
        names.sort_unstable();
        names
    }

    fn agent(&self, name: &str) -> &AgentSample {
        let found = self.agents.iter().find(|sample| sample.agent_name == name);
        found.unwrap_or_else(|| panic!("{name} is not in {self:?}"))
    }

    fn numbers(&self, name: &str) -> &Resources {
        &self.agent(name).resources
    }
}

/// With the patience of a test on a busy machine.
fn patient(socket: &Path) -> EngineSettings {
    EngineSettings { answer_limit: FOREVER, pass_limit: FOREVER, ..EngineSettings::at(socket.to_owned()) }
}
