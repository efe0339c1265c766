//! Tests of the Docker sampler against an engine made of tables.

use std::sync::Mutex;

use event::State;

use super::*;
use crate::ManualClock;
use crate::docker::listing::Labels;
use crate::docker::stats::Counters;
use crate::docker::{NamedContainer, Sight};
use crate::names::{AgentPattern, SystemPattern};
use crate::proc::Parsed;

/// An engine at one pass.
#[derive(Clone, Default)]
struct Scene {
    containers: Vec<(Container, Sees)>,
    engine: Engine,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Engine {
    #[default]
    Answers,
    Fails,
    IsGone,
}

/// What is seen of a container when it is looked at.
#[derive(Clone)]
enum Sees {
    Sight(Sight),
    Gone,
    Nothing,
}

fn counters(input_bytes: u64) -> Option<Counters> {
    Some(Counters { input_bytes, output_bytes: 1 })
}

impl Scene {
    fn with(mut self, name: &str, phase: Phase, sees: Sees) -> Self {
        let container =
            Container { id: format!("id{name}"), name: name.to_owned(), labels: Labels::default(), phase };
        self.containers.push((container, sees));
        self
    }

    /// A container that runs since second `life`, has used so many seconds of CPU and so many bytes of all else.
    fn runs(self, name: &str, life: i64, cpu_s: u64, bytes: u64) -> Self {
        let stats = Stats {
            read: None,
            cpu_ns: Some(cpu_s * 1_000_000_000),
            cores: Some(4),
            mem_used_bytes: Some(bytes),
            mem_limit_bytes: Some(1000),
            net: counters(bytes),
            disk: counters(bytes),
        };
        let started_at = Some(Time::from_micros(life * 1_000_000));
        let inspection = Inspection { started_at, ..Inspection::default() };
        self.with(name, Phase::Runs, Sees::Sight(Sight { stats, inspection, problems: vec![] }))
    }

    fn stopped(self, name: &str) -> Self {
        self.with(name, Phase::Stopped, Sees::Nothing)
    }

    fn engine(engine: Engine) -> Self {
        Self { engine, ..Self::default() }
    }
}

#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Scene>>);

fn complaint() -> ProbeError {
    ProbeError::Complained { program: "the engine".to_owned(), message: "no".to_owned() }
}

impl DockerProbe for Stage {
    fn containers(&mut self) -> Result<DockerListing, ProbeError> {
        let scene = self.0.lock().unwrap();
        match scene.engine {
            Engine::Fails => Err(complaint()),
            Engine::IsGone => Ok(DockerListing::NoEngine),
            Engine::Answers => {
                let items = scene.containers.iter().map(|(container, _)| container.clone()).collect();
                Ok(DockerListing::Containers(Parsed { items, problems: vec![] }))
            }
        }
    }

    fn look(&mut self, ids: &[&str]) -> Vec<Look> {
        let scene = self.0.lock().unwrap();
        let sees = |id: &&str| &scene.containers.iter().find(|(container, _)| container.id == *id).unwrap().1;
        let look = |id| match sees(id) {
            Sees::Sight(sight) => Look::Seen(Box::new(sight.clone())),
            Sees::Gone => Look::Gone,
            Sees::Nothing => Look::Failed(complaint()),
        };
        ids.iter().map(look).collect()
    }

    fn place(&self) -> String {
        "the engine".to_owned()
    }
}

struct Theatre {
    clock: Arc<ManualClock>,
    stage: Stage,
    sampler: DockerSampler<Stage>,
}

/// Name, state (`system` for a system), CPU, memory, bytes received.
type Short = (String, String, Option<f64>, Option<u64>, Option<u64>);

impl Theatre {
    fn new() -> Self {
        Self::with(vec![])
    }

    fn with(named: Vec<NamedContainer>) -> Self {
        let selector = ContainerSelector {
            named,
            systems: Some(SystemPattern::new(".+-db").unwrap()),
            agents: Some(AgentPattern::new("bc-(?<agent>[^-]+)(?:-[0-9])?").unwrap()),
        };
        let clock = Arc::new(ManualClock::new(Time::from_micros(1_767_323_045_000_000)));
        let stage = Stage::default();
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let sampler = DockerSampler::new(selector, stage.clone(), shared, Registry::default());
        Self { clock, stage, sampler }
    }

    /// A pass over this scene, ten seconds after the one before.
    fn pass(&mut self, scene: Scene) -> (Result<Activity, String>, Vec<Event>, Vec<String>) {
        *self.stage.0.lock().unwrap() = scene;
        self.clock.advance(Duration::from_secs(10));
        let mut pass = Pass::default();
        let outcome = self.sampler.sample(self.clock.now(), &mut pass);
        (outcome.map_err(|error| in_one_line(&error)), pass.events, pass.problems)
    }

    fn check(&mut self, scene: Scene, expected: &[Short]) {
        let (outcome, events, problems) = self.pass(scene);
        let activity = if expected.is_empty() { Activity::Idle } else { Activity::Sampled };
        assert_eq!((outcome, problems), (Ok(activity), vec![]));
        assert_eq!(shorts(events), expected);
    }
}

fn shorts(events: Vec<Event>) -> Vec<Short> {
    let short = |event| {
        let (name, state, resources) = match event {
            Event::AgentSample(sample) => {
                assert_eq!(sample.runtime, "docker");
                let state = if sample.state == State::Stopped { "stopped" } else { "" };
                (sample.agent_name, state, sample.resources)
            }
            Event::SystemSample(sample) => (sample.system_name, "system", sample.resources),
            other => panic!("{other:?}"),
        };
        let Resources { cpu_percent, mem_used_bytes, net_rx_bytes, .. } = resources;
        (name.to_string(), state.to_owned(), cpu_percent, mem_used_bytes, net_rx_bytes)
    };
    events.into_iter().map(short).collect()
}

fn short(name: &str, state: &str, cpu: Option<f64>, bytes: u64) -> Short {
    (name.to_owned(), state.to_owned(), cpu, Some(bytes), Some(bytes))
}

fn stopped(name: &str) -> Short {
    short(name, "stopped", Some(0.0), 0)
}

fn unseen(name: &str, state: &str) -> Short {
    (name.to_owned(), state.to_owned(), None, None, None)
}

#[test]
fn each_agent_and_system_gets_its_own_container() {
    let mut theatre = Theatre::new();
    let scene = |a1, a10| {
        let scene = Scene::default().runs("bc-a1", 1, a1, 10).runs("bc-a10", 1, a10, 20);
        scene.runs("x-db", 1, 5, 30).runs("nobody", 1, 5, 40)
    };
    let first = [short("a1", "", None, 10), short("a10", "", None, 20), short("x-db", "system", None, 30)];
    theatre.check(scene(0, 3), &first);
    let second = [
        short("a1", "", Some(100.0), 10),
        short("a10", "", Some(0.0), 20),
        short("x-db", "system", Some(0.0), 30),
    ];
    theatre.check(scene(10, 3), &second);
    let tally = theatre.sampler.describe();
    assert_eq!(tally, "docker: 4 containers running, 2 agents, 1 system");
}

#[test]
fn a_sample_carries_everything() {
    let mut theatre = Theatre::new();
    let (_, events, _) = theatre.pass(Scene::default().runs("bc-a1", 1, 1, 250));
    let Event::AgentSample(sample) = &events[0] else { panic!("{events:?}") };
    let expected = Resources {
        cpu_percent: None,
        mem_used_bytes: Some(250),
        mem_limit_bytes: Some(1000),
        mem_percent: Some(25.0),
        net_rx_bytes: Some(250),
        net_tx_bytes: Some(1),
        disk_read_bytes: Some(250),
        disk_write_bytes: Some(1),
    };
    assert_eq!(sample.resources, expected);
}

#[test]
fn what_stops_reads_zero_while_it_is_listed_and_once_when_it_is_not() {
    let mut theatre = Theatre::new();
    theatre.check(Scene::default().stopped("bc-old").stopped("y-db"), &[]);
    theatre.check(Scene::default().runs("bc-zen", 1, 1, 9), &[short("zen", "", None, 9)]);
    theatre.check(Scene::default().stopped("bc-zen"), &[stopped("zen")]);
    theatre.check(Scene::default().stopped("bc-zen"), &[stopped("zen")]);
    theatre.check(Scene::default().runs("bc-zen", 30, 1, 2), &[short("zen", "", None, 2)]);
    theatre.check(Scene::default().runs("bc-zen", 30, 3, 4), &[short("zen", "", Some(20.0), 4)]);
    theatre.check(Scene::default(), &[stopped("zen")]);
    theatre.check(Scene::default(), &[]);
}

#[test]
fn one_that_goes_between_the_list_and_the_look_has_stopped() {
    let mut theatre = Theatre::new();
    theatre.check(Scene::default().runs("bc-zen", 1, 1, 9), &[short("zen", "", None, 9)]);
    theatre.check(Scene::default().with("bc-zen", Phase::Runs, Sees::Gone), &[stopped("zen")]);
    theatre.check(Scene::default().with("bc-new", Phase::Runs, Sees::Gone), &[]);
    let stopped_sight = Sight {
        inspection: Inspection { phase: Phase::Stopped, ..Inspection::default() },
        ..Sight::default()
    };
    theatre.check(Scene::default().runs("bc-zen", 2, 1, 9), &[short("zen", "", None, 9)]);
    let scene = Scene::default().with("bc-zen", Phase::Runs, Sees::Sight(stopped_sight));
    theatre.check(scene, &[stopped("zen")]);
}

#[test]
fn containers_of_one_name_are_summed_and_their_counters_never_fall() {
    let mut theatre = Theatre::new();
    let both = |cpu| Scene::default().runs("bc-zen-1", 1, cpu, 10).runs("bc-zen-2", 1, cpu, 5);
    theatre.check(both(1), &[short("zen", "", None, 15)]);
    theatre.check(both(2), &[short("zen", "", Some(20.0), 15)]);
    let (_, events, _) = theatre.pass(Scene::default().runs("bc-zen-1", 1, 3, 11).stopped("bc-zen-2"));
    let [(_, _, cpu, memory, received)] = &shorts(events)[..] else { panic!("one sample") };
    assert_eq!((*cpu, *memory, *received), (Some(10.0), Some(11), Some(16)));
}

#[test]
fn one_that_cannot_be_seen_is_null_and_a_problem_and_the_others_are_there() {
    let mut theatre = Theatre::new();
    let good = |cpu| Scene::default().runs("bc-zen", 1, cpu, 9);
    theatre.check(good(1).runs("bc-a1", 1, 1, 5), &[short("zen", "", None, 9), short("a1", "", None, 5)]);
    let (outcome, events, problems) = theatre.pass(good(2).with("bc-a1", Phase::Runs, Sees::Nothing));
    assert_eq!(outcome, Ok(Activity::Sampled));
    assert_eq!(shorts(events), [short("zen", "", Some(10.0), 9), unseen("a1", "")]);
    assert_eq!(problems, ["container \"bc-a1\": the engine: no"]);
    // The reading after spans both passes.
    let expected = [short("zen", "", Some(10.0), 9), short("a1", "", Some(20.0), 6)];
    theatre.check(good(3).runs("bc-a1", 1, 5, 6), &expected);
    let (outcome, events, _) = theatre.pass(Scene::default().with("bc-a1", Phase::Runs, Sees::Nothing));
    assert_eq!(outcome, Err("none of the containers could be seen: the engine: no".to_owned()));
    assert_eq!(shorts(events), [unseen("a1", ""), stopped("zen")]);
}

#[test]
fn an_engine_that_fails_is_an_error_and_null_for_everything_known() {
    let mut theatre = Theatre::new();
    theatre.check(Scene::engine(Engine::IsGone), &[]);
    let (outcome, events, _) = theatre.pass(Scene::engine(Engine::Fails));
    assert!(outcome.unwrap_err().contains("cannot list the containers"));
    assert!(events.is_empty());
    let scene = Scene::default().runs("bc-zen", 1, 1, 9).runs("x-db", 1, 1, 8).stopped("bc-old");
    theatre.check(scene, &[short("zen", "", None, 9), short("x-db", "system", None, 8)]);
    for (engine, says) in [(Engine::Fails, "the engine: no"), (Engine::IsGone, "its socket is gone")] {
        let (outcome, events, problems) = theatre.pass(Scene::engine(engine));
        assert!(outcome.unwrap_err().ends_with(says));
        assert_eq!((shorts(events), problems), (vec![unseen("zen", ""), unseen("x-db", "system")], vec![]));
    }
    // Back again: what was used meanwhile is told as an average.
    let scene = Scene::default().runs("bc-zen", 1, 4, 9);
    let expected = [short("zen", "", Some(10.0), 9), short("x-db", "system", Some(0.0), 0)];
    theatre.check(scene, &expected);
}

#[test]
fn a_configured_container_that_is_not_there_is_a_stopped_agent() {
    let named = NamedContainer {
        name: Text::new("boss"),
        container: "the-db".to_owned(),
        role: Text::default(),
        tool: Text::default(),
    };
    let mut theatre = Theatre::with(vec![named]);
    theatre.check(Scene::default(), &[stopped("boss")]);
    theatre.check(Scene::default().stopped("the-db"), &[stopped("boss")]);
    theatre.check(Scene::default().runs("the-db", 1, 1, 9), &[short("boss", "", None, 9)]);
    let (outcome, events, _) = theatre.pass(Scene::engine(Engine::IsGone));
    assert!(outcome.is_err());
    assert_eq!(shorts(events), [unseen("boss", "")]);
}
