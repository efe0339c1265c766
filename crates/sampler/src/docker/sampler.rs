//! The Docker sampler: one `agent_sample` or `system_sample` for each name and pass.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event::{Event, Resources, SystemSample, Text, Time};

use super::inspection::Inspection;
use super::listing::{Container, Phase};
use super::probe::{DockerListing, DockerProbe, Look};
use super::selector::{ContainerSelector, Key, Owner};
use super::stats::{Stats, add};
use super::usage::{Account, Meters, Reading};
use crate::error::in_one_line;
use crate::{Activity, Clock, Life, Pass, ProbeError, Registry, SampleError, Sampler, Seen};

/// Samples the agents and systems that live in containers.
pub struct DockerSampler<P> {
    selector: ContainerSelector,
    probe: P,
    clock: Arc<dyn Clock>,
    registry: Registry,
    meters: Meters,
    accounts: HashMap<Key, Account>,
    /// Who had containers at the last good pass and has run since this process began.
    present: Vec<Owner>,
}

/// Who has containers, and which.
struct Party {
    owner: Owner,
    containers: Vec<Container>,
}

/// A running container at one pass.
struct Running {
    id: String,
    inspection: Inspection,
    cpu_percent: Option<f64>,
    stats: Stats,
}

impl<P: DockerProbe> DockerSampler<P> {
    /// A sampler of the containers that `selector` chooses.
    pub fn new(selector: ContainerSelector, probe: P, clock: Arc<dyn Clock>, registry: Registry) -> Self {
        Self {
            selector,
            probe,
            clock,
            registry,
            meters: Meters::default(),
            accounts: HashMap::new(),
            present: Vec::new(),
        }
    }

    /// The parties of these containers, in the order of the list; those that only are configured come last.
    fn parties(&self, containers: Vec<Container>) -> Vec<Party> {
        let mut parties: Vec<Party> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut join = |owner: Owner, container: Option<Container>| {
            let place = *places.entry(owner.key()).or_insert(parties.len());
            match parties.get_mut(place) {
                Some(party) => party.containers.extend(container),
                None => parties.push(Party { owner, containers: container.into_iter().collect() }),
            }
        };
        for container in containers {
            if let Some(owner) = self.selector.owner(&container) {
                join(owner, Some(container));
            }
        }
        self.selector.named_owners().for_each(|owner| join(owner, None));
        self.present.iter().cloned().for_each(|owner| join(owner, None));
        parties
    }

    /// Looks at every running container of somebody's.
    fn look(&mut self, parties: &[Party]) -> HashMap<String, Look> {
        let containers = parties.iter().flat_map(|party| &party.containers);
        let running = containers.filter(|container| container.phase == Phase::Runs);
        let ids: Vec<&str> = running.map(|container| container.id.as_str()).collect();
        if ids.is_empty() {
            return HashMap::new();
        }
        let looks = self.probe.look(&ids);
        ids.into_iter().map(str::to_owned).zip(looks).collect()
    }

    /// What of a party runs. Its containers that turn out to have stopped or gone are taken out or marked.
    fn running(&mut self, party: &mut Party, looks: &mut Looks, pass: &mut Pass) -> Vec<Running> {
        let mut running = Vec::new();
        party.containers.retain_mut(|container| {
            if container.phase == Phase::Stopped {
                return true;
            }
            let mut odd = |problem: &str| {
                let name = crate::proc::show(container.name.as_bytes());
                pass.problems.push(format!("container {name}: {problem}"));
            };
            let (stats, inspection) = match looks.by_id.remove(&container.id) {
                Some(Look::Gone) => return false,
                Some(Look::Seen(sight)) => {
                    sight.problems.iter().for_each(|problem| odd(problem));
                    (sight.stats, sight.inspection)
                }
                Some(Look::Failed(error)) => {
                    odd(&in_one_line(&error));
                    looks.failed.push(error);
                    (Stats::default(), Inspection::default())
                }
                None => (Stats::default(), Inspection::default()),
            };
            if inspection.phase == Phase::Stopped {
                container.phase = Phase::Stopped;
                return true;
            }
            let cpu_percent = self.meters.percent(&container.id, inspection.started_at, &stats, looks.at);
            running.push(Running { id: container.id.clone(), inspection, cpu_percent, stats });
            true
        });
        running
    }

    /// Pushes the sample of a party, and tells whether it is one to be told of.
    fn tell(&mut self, time: Time, party: &Party, running: &[Running], pass: &mut Pass) -> Told {
        let key = party.owner.key();
        if running.is_empty() {
            self.accounts.remove(&key);
            let was_present = self.present.iter().any(|owner| owner.key() == key);
            let is_named = self.selector.named_owners().any(|owner| owner.key() == key);
            if !was_present && !is_named {
                return Told::Nothing;
            }
            pass.events.extend(self.event(time, &party.owner, Life::Stopped, None, stopped()));
            return Told::Sample;
        }
        let readings: Vec<(&str, Reading)> = running.iter().map(Running::reading).collect();
        let counters = self.accounts.entry(key).or_default().update(&readings);
        let since = running.iter().filter_map(|container| container.inspection.started_at).min();
        let directory = running.iter().find_map(|container| container.inspection.directory.clone());
        let resources = resources(running, counters);
        pass.events.extend(self.event(time, &party.owner, Life::Runs { since }, directory, resources));
        Told::Sample
    }

    fn event(
        &self,
        time: Time,
        owner: &Owner,
        life: Life,
        directory: Option<Text>,
        resources: Resources,
    ) -> Option<Event> {
        match owner {
            Owner::Agent(identity) => {
                let seen = Seen {
                    name: identity.name.clone(),
                    role: identity.role.clone(),
                    tool: identity.tool.clone(),
                    runtime: Text::const_new("docker"),
                    life,
                    directory,
                };
                self.registry.sample(time, &seen, resources)
            }
            Owner::System(name) => Some(Event::SystemSample(SystemSample {
                time,
                host: None,
                system_name: name.clone(),
                resources,
            })),
        }
    }

    /// A pass that failed: null for everything that is known, which is not the zero of what is stopped.
    fn fail(&self, time: Time, pass: &mut Pass, error: ProbeError) -> SampleError {
        for party in self.parties(Vec::new()) {
            pass.events.extend(self.event(time, &party.owner, Life::Unseen, None, Resources::default()));
        }
        let what = "cannot list the containers (`tailwater doctor` tells more)";
        SampleError::new(what, error.kind(), error)
    }

    fn no_engine(&self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        if self.present.is_empty() && self.selector.named.is_empty() {
            return Ok(Activity::Idle);
        }
        let message = "its socket is gone".to_owned();
        Err(self.fail(time, pass, ProbeError::Complained { program: self.probe.place(), message }))
    }
}

/// What was seen of the containers of a pass.
struct Looks {
    by_id: HashMap<String, Look>,
    /// Our clock when all had been seen.
    at: Duration,
    failed: Vec<ProbeError>,
}

/// What a party has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Sample,
    Nothing,
}

impl Running {
    fn reading(&self) -> (&str, Reading) {
        let Stats { net, disk, .. } = self.stats;
        (&self.id, Reading { started_at: self.inspection.started_at, net, disk })
    }
}

type CounterPair = (Option<super::stats::Counters>, Option<super::stats::Counters>);

/// The sums over the running containers of one name; null where one of them does not tell.
fn resources(running: &[Running], (net, disk): CounterPair) -> Resources {
    let sum = |number: fn(&Stats) -> Option<u64>| {
        running.iter().try_fold(0, |sum, container| Some(add(sum, number(&container.stats)?)))
    };
    let used = sum(|stats| stats.mem_used_bytes);
    let limit = sum(|stats| stats.mem_limit_bytes);
    let percent = |limit: u64| Some(used? as f64 / limit as f64 * 100.0);
    Resources {
        cpu_percent: running.iter().try_fold(0.0, |sum, container| Some(sum + container.cpu_percent?)),
        mem_used_bytes: used,
        mem_limit_bytes: limit,
        mem_percent: limit.filter(|limit| *limit > 0).and_then(percent),
        net_rx_bytes: net.map(|net| net.input_bytes),
        net_tx_bytes: net.map(|net| net.output_bytes),
        disk_read_bytes: disk.map(|disk| disk.input_bytes),
        disk_write_bytes: disk.map(|disk| disk.output_bytes),
    }
}

/// What has no process uses nothing; what it may use, nobody tells.
const fn stopped() -> Resources {
    Resources {
        cpu_percent: Some(0.0),
        mem_used_bytes: Some(0),
        mem_limit_bytes: None,
        mem_percent: Some(0.0),
        net_rx_bytes: Some(0),
        net_tx_bytes: Some(0),
        disk_read_bytes: Some(0),
        disk_write_bytes: Some(0),
    }
}

impl<P: DockerProbe> Sampler for DockerSampler<P> {
    fn name(&self) -> &str {
        "docker"
    }

    fn describe(&mut self) -> String {
        match self.probe.containers() {
            Err(error) => format!("docker: {}", in_one_line(&error)),
            Ok(DockerListing::NoEngine) => {
                format!("docker: nothing there, looked for {}", self.probe.place())
            }
            Ok(DockerListing::Containers(parsed)) => {
                let plural =
                    |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
                let running = parsed.items.iter().filter(|container| container.phase == Phase::Runs);
                let tally = self.selector.tally(&parsed.items);
                format!(
                    "docker: {} running, {}, {}",
                    plural(running.count(), "container"),
                    plural(tally.agents, "agent"),
                    plural(tally.systems, "system"),
                )
            }
        }
    }

    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        let containers = match self.probe.containers() {
            Ok(DockerListing::NoEngine) => return self.no_engine(time, pass),
            Err(error) => return Err(self.fail(time, pass, error)),
            Ok(DockerListing::Containers(mut parsed)) => {
                pass.problems.append(&mut parsed.problems);
                parsed.items
            }
        };
        let ids: HashSet<String> = containers.iter().map(|container| container.id.clone()).collect();
        self.meters.keep(|id| ids.contains(id));
        let mut parties = self.parties(containers);
        let by_id = self.look(&parties);
        let looked = by_id.len();
        let mut looks = Looks { by_id, at: self.clock.monotonic(), failed: Vec::new() };
        let mut present = Vec::new();
        for party in &mut parties {
            let running = self.running(party, &mut looks, pass);
            if self.tell(time, party, &running, pass) == Told::Sample && !party.containers.is_empty() {
                present.push(party.owner.clone());
            }
        }
        self.present = present;
        if looks.failed.len() == looked
            && let Some(error) = looks.failed.pop()
        {
            return Err(SampleError::new("none of the containers could be seen", error.kind(), error));
        }
        Ok(if pass.events.is_empty() { Activity::Idle } else { Activity::Sampled })
    }
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
