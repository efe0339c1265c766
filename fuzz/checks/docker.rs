//! What must hold for any bytes that are taken for answers of a Docker engine.

use std::sync::Arc;
use std::time::Duration;

use event::{Event, Resources, Time, limits};
use sampler::docker::{ContainerSelector, DockerListing, DockerProbe, DockerSampler, Look, Sight};
use sampler::docker::{inspection, listing, stats};
use sampler::proc::Parsed;
use sampler::{AgentPattern, ManualClock, Pass, ProbeError, Registry, Sampler, SystemPattern};

/// An engine that gives the same list at each pass, and the next answers for each container that is looked at.
struct Script {
    list: Parsed<listing::Container>,
    looks: Vec<Look>,
}

impl DockerProbe for Script {
    fn containers(&mut self) -> Result<DockerListing, ProbeError> {
        Ok(DockerListing::Containers(self.list.clone()))
    }

    fn look(&mut self, ids: &[&str]) -> Vec<Look> {
        ids.iter().map(|_| self.looks.pop().unwrap_or(Look::Gone)).collect()
    }

    fn place(&self) -> String {
        "a script".to_owned()
    }
}

/// The first line is the list, and then each container has a line of numbers and one of its life, over three passes.
/// Tells whether anything was sampled.
pub fn check(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let list = listing::parse(lines.next().unwrap_or_default());
    let list = list.unwrap_or_else(|error| Parsed { items: Vec::new(), problems: vec![error.to_string()] });
    let mut looks = Vec::new();
    while let Some(numbers) = lines.next() {
        looks.push(look(numbers, lines.next().unwrap_or_default()));
    }
    looks.reverse();
    assert!(list.items.iter().all(|it| it.id.bytes().all(|byte| byte.is_ascii_alphanumeric())), "{list:?}");
    run(Script { list, looks })
}

fn look(numbers: &[u8], life: &[u8]) -> Look {
    let Ok((stats, problems)) = stats::parse(numbers) else { return Look::Gone };
    let inspection = inspection::parse(life).unwrap_or_default();
    Look::Seen(Box::new(Sight { stats, inspection, problems }))
}

fn run(script: Script) -> bool {
    let selector = ContainerSelector {
        named: Vec::new(),
        systems: SystemPattern::new(".+-db").ok(),
        agents: AgentPattern::new("(?<agent>.+)").ok(),
    };
    let clock = Arc::new(ManualClock::new(Time::from_micros(1_767_323_045_000_000)));
    let mut sampler = DockerSampler::new(selector, script, clock.clone(), Registry::default());
    let mut is_sampled = false;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(10));
        let mut pass = Pass::default();
        let _ = sampler.sample(Time::from_micros(1_767_323_045_000_000), &mut pass);
        is_sampled |= !pass.events.is_empty();
        pass.events.iter().for_each(check_event);
        assert!(pass.problems.iter().all(|problem| !problem.contains('\n')), "{:?}", pass.problems);
    }
    is_sampled
}

fn check_event(event: &Event) {
    let resources = match event {
        Event::AgentSample(sample) => &sample.resources,
        Event::SystemSample(sample) => &sample.resources,
        other => panic!("{other:?}"),
    };
    let Resources { cpu_percent, mem_percent, .. } = resources;
    let is_good = |number: &f64| number.is_finite() && *number >= 0.0;
    assert!(cpu_percent.iter().chain(mem_percent).all(is_good), "{event:?}");
    let counts = [resources.mem_used_bytes, resources.mem_limit_bytes, resources.net_rx_bytes];
    let others = [resources.net_tx_bytes, resources.disk_read_bytes, resources.disk_write_bytes];
    assert!(counts.iter().chain(&others).flatten().all(|count| *count <= limits::COUNT_MAX), "{event:?}");
}
