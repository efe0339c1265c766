//! Tests of the tmux sampler against a machine made of tables.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use event::{AgentSample, AgentState, Event};

use super::*;
use crate::ManualClock;
use crate::proc::pid_io::PidIo;
use crate::proc::pid_stat::PidStat;
use crate::proc::{Parsed, Pid};
use crate::tmux::{IoReading, Machine, NamedAgent, PaneId, SessionKey, SessionPattern, TmuxSession};

const SERVER: Pid = Pid(10);

/// A machine at one pass: its sessions and its processes.
#[derive(Clone, Default)]
struct Scene {
    sessions: Option<Vec<TmuxSession>>,
    processes: HashMap<Pid, PidStat>,
    denied: Vec<Pid>,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    Tmux,
    Proc,
    Machine,
}

impl Scene {
    fn session(mut self, id: u64, name: &str, roots: &[u32]) -> Self {
        let key = SessionKey { server: SERVER, id, created: 1_700_000_000 };
        let pane = |root: &u32| (PaneId(u64::from(*root)), Some(Pid(*root)));
        let session = TmuxSession { key, name: name.to_owned(), panes: roots.iter().map(pane).collect() };
        self.sessions.get_or_insert_default().push(session);
        self
    }

    /// A process that started long ago; each has a page of memory for each of its numbers' digits' worth: pid pages.
    fn process(mut self, pid: u32, parent: u32, own_ticks: u64) -> Self {
        let stat = PidStat {
            pid: Pid(pid),
            parent: Pid(parent),
            state: b'S',
            own_ticks,
            reaped_ticks: 0,
            start_ticks: 7,
            rss_pages: u64::from(pid),
        };
        self.processes.insert(Pid(pid), stat);
        self
    }

    fn broken(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }

    fn check(&self, part: Broken) -> Result<(), ProbeError> {
        if self.broken == Some(part) {
            let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            return Err(ProbeError::Read { path: "/proc".into(), source });
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Stage {
    scene: Arc<Mutex<Scene>>,
    stats: Arc<Mutex<u32>>,
}

impl TmuxProbe for Stage {
    fn sessions(&mut self) -> Result<TmuxListing, ProbeError> {
        let scene = self.scene.lock().unwrap();
        scene.check(Broken::Tmux)?;
        Ok(match &scene.sessions {
            Some(items) => TmuxListing::Sessions(Parsed { items: items.clone(), problems: vec![] }),
            None => TmuxListing::NoServer,
        })
    }

    fn pids(&mut self, into: &mut Vec<Pid>) -> Result<(), ProbeError> {
        let scene = self.scene.lock().unwrap();
        scene.check(Broken::Proc)?;
        *into = scene.processes.keys().copied().collect();
        Ok(())
    }

    fn stat(&mut self, pid: Pid) -> Result<Option<PidStat>, ProbeError> {
        *self.stats.lock().unwrap() += 1;
        Ok(self.scene.lock().unwrap().processes.get(&pid).copied())
    }

    fn io(&mut self, pid: Pid) -> Result<IoReading, ProbeError> {
        let scene = self.scene.lock().unwrap();
        let io = PidIo { read_bytes: u64::from(pid.0), write_bytes: 1 };
        Ok(if scene.denied.contains(&pid) { IoReading::Denied } else { IoReading::Read(io) })
    }

    fn machine(&mut self) -> Result<Machine, ProbeError> {
        self.scene.lock().unwrap().check(Broken::Machine)?;
        Ok(Machine { memory_bytes: 4_096_000, cores: 2 })
    }

    fn units(&self) -> Units {
        Units { ticks_per_second: 100, page_bytes: 4096 }
    }
}

struct Theatre {
    clock: Arc<ManualClock>,
    stage: Stage,
    sampler: TmuxSampler<Stage>,
}

impl Theatre {
    fn new(selector: AgentSelector) -> Self {
        let clock = Arc::new(ManualClock::new(Time::from_micros(1_767_323_045_000_000)));
        let stage = Stage::default();
        let sampler = TmuxSampler::new(selector, stage.clone(), Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, stage, sampler }
    }

    /// A pass over this scene, a second after the one before.
    fn pass(&mut self, scene: &Scene) -> (Result<Activity, SampleError>, Vec<AgentSample>, Vec<String>) {
        *self.stage.scene.lock().unwrap() = scene.clone();
        self.clock.advance(Duration::from_secs(1));
        let mut pass = Pass::default();
        let outcome = self.sampler.sample(self.clock.now(), &mut pass);
        let agent = |event| if let Event::AgentSample(sample) = event { sample } else { panic!("{event:?}") };
        (outcome, pass.events.into_iter().map(agent).collect(), pass.problems)
    }

    /// `(name, state, cpu, memory in pages)` of each sample.
    fn samples(&mut self, scene: &Scene) -> Vec<(String, State, Option<f64>, Option<u64>)> {
        let (outcome, samples, problems) = self.pass(scene);
        outcome.unwrap();
        assert_eq!(problems, Vec::<String>::new());
        let short = |sample: AgentSample| {
            let pages = sample.resources.mem_used_bytes.map(|bytes| bytes / 4096);
            (sample.agent_name.to_string(), sample.state, sample.resources.cpu_percent, pages)
        };
        samples.into_iter().map(short).collect()
    }
}

fn named(names: &[&str]) -> AgentSelector {
    AgentSelector { named: names.iter().map(|name| NamedAgent::new(name)).collect(), patterns: vec![] }
}

fn short(
    name: &str,
    state: State,
    cpu: Option<f64>,
    pages: u64,
) -> (String, State, Option<f64>, Option<u64>) {
    (name.to_owned(), state, cpu, Some(pages))
}

#[test]
fn every_session_is_an_agent_and_gets_its_own_tree() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let scene = |a1, a10| {
        let scene = Scene::default().session(0, "a1", &[20]).session(1, "a10", &[30, 40]).process(1, 0, 9);
        let scene = scene.process(10, 1, 99).process(20, 10, 0).process(21, 20, a1);
        scene.process(30, 10, 0).process(40, 10, a10).process(50, 1, 7777)
    };
    let first = theatre.samples(&scene(5, 5));
    assert_eq!(first, [short("a1", State::Unknown, None, 41), short("a10", State::Unknown, None, 70)]);
    let second = theatre.samples(&scene(30, 105));
    let unknown = State::Unknown;
    assert_eq!(second, [short("a1", unknown, Some(25.0), 41), short("a10", unknown, Some(100.0), 70)]);
}

#[test]
fn what_an_agent_says_is_in_its_samples_for_as_long_as_its_session_lives() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let registry = Registry::default();
    theatre.sampler = theatre.sampler.with_registry(registry.clone());
    let scene = |created: u64| {
        let mut scene = Scene::default().session(0, "zen", &[20]).process(10, 1, 0).process(20, 10, 0);
        scene.sessions.iter_mut().flatten().for_each(|session| session.key.created = created);
        scene
    };
    let began = 1_767_323_040;
    let say = |seconds: i64, state: State| {
        let time = Time::from_micros((began + seconds) * 1_000_000);
        registry.hear(&AgentState { time, agent_name: "zen".into(), state, ..AgentState::default() });
    };
    let created = |seconds: i64| scene(u64::try_from(began + seconds).unwrap());
    say(-1, State::Stuck);
    assert_eq!(theatre.samples(&created(0))[0].1, State::Unknown, "that was said in another session");
    say(2, State::Working);
    assert_eq!(theatre.samples(&created(0))[0].1, State::Working);
    let (_, broken, _) = theatre.pass(&created(0).broken(Broken::Tmux));
    assert_eq!((broken[0].state, broken[0].resources), (State::Working, Resources::default()));
    assert_eq!(theatre.samples(&created(3))[0].1, State::Unknown, "the session was made anew");
    assert_eq!(theatre.samples(&Scene::default())[0].1, State::Stopped);
}

#[test]
fn a_sample_carries_everything() {
    let patterns = vec![SessionPattern::new("(?<tool>claude)-(?<role>[a-z]+)-(?<agent>.+)").unwrap()];
    let mut theatre = Theatre::new(AgentSelector { named: vec![], patterns });
    let scene = Scene::default().session(0, "claude-worker-x", &[20]).session(1, "other", &[30]);
    let scene = scene.process(10, 1, 0).process(20, 10, 0).process(30, 10, 0).process(25, 20, 0);
    let (_, samples, _) = theatre.pass(&scene);
    let expected = AgentSample {
        time: theatre.clock.now(),
        host: None,
        agent_name: "x".into(),
        role: "worker".into(),
        tool: "claude".into(),
        runtime: "tmux".into(),
        state: State::Unknown,
        resources: Resources {
            cpu_percent: None,
            mem_used_bytes: Some(45 * 4096),
            mem_limit_bytes: Some(4_096_000),
            mem_percent: Some(4.5),
            net_rx_bytes: None,
            net_tx_bytes: None,
            disk_read_bytes: Some(45),
            disk_write_bytes: Some(2),
        },
    };
    assert_eq!(samples, [expected]);
}

#[test]
fn a_stopped_agent_is_zero_and_a_failed_reading_is_an_error_and_null() {
    let mut theatre = Theatre::new(named(&["a1", "a2"]));
    let scene = Scene::default().session(0, "a1", &[20]).process(10, 1, 0).process(20, 10, 0);
    let stopped = short("a2", State::Stopped, Some(0.0), 0);
    assert_eq!(theatre.samples(&scene), [short("a1", State::Unknown, None, 20), stopped.clone()]);
    for broken in [Broken::Tmux, Broken::Proc] {
        let (outcome, samples, _) = theatre.pass(&scene.clone().broken(broken));
        assert!(outcome.is_err());
        let names: Vec<&str> = samples.iter().map(|sample| sample.agent_name.as_str()).collect();
        assert_eq!(names, ["a1", "a2"]);
        let null =
            |sample: &AgentSample| sample.resources == Resources::default() && sample.state == State::Unknown;
        assert!(samples.iter().all(null), "{samples:?}");
    }
    assert_eq!(theatre.samples(&scene), [short("a1", State::Unknown, Some(0.0), 20), stopped]);
    let no_server = theatre.samples(&Scene::default());
    assert!(
        no_server
            .iter()
            .all(|(_, state, cpu, pages)| { (*state, *cpu, *pages) == (State::Stopped, Some(0.0), Some(0)) })
    );
}

#[test]
fn a_session_that_ends_is_told_once() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let scene = Scene::default().session(0, "a", &[20]).process(10, 1, 0).process(20, 10, 0);
    theatre.samples(&scene);
    let ended = theatre.samples(&Scene::default());
    assert_eq!(ended, [short("a", State::Stopped, Some(0.0), 0)]);
    let (outcome, samples, _) = theatre.pass(&Scene::default());
    assert_eq!((outcome.unwrap(), samples.len()), (Activity::Idle, 0));
}

#[test]
fn without_sessions_no_process_is_read() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let (outcome, _, _) = theatre.pass(&Scene::default().process(20, 10, 0));
    assert_eq!(outcome.unwrap(), Activity::Idle);
    assert_eq!(*theatre.stage.stats.lock().unwrap(), 0);
}

#[test]
fn a_pane_whose_process_ended_counts_as_zero() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let gone = Scene::default().session(0, "a", &[20]).process(10, 1, 0);
    assert_eq!(theatre.samples(&gone), [short("a", State::Stopped, Some(0.0), 0)]);
    let taken_over = gone.process(20, 1, 500);
    assert_eq!(theatre.samples(&taken_over), [short("a", State::Stopped, Some(0.0), 0)], "by a stranger");
}

#[test]
fn disk_counters_live_as_long_as_the_session() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let scene = |id| Scene::default().session(id, "a", &[20]).process(10, 1, 0).process(20, 10, 0);
    let mut read = |scene: &Scene| theatre.pass(scene).1[0].resources.disk_read_bytes;
    assert_eq!(read(&scene(0)), Some(20), "all that the tree has");
    assert_eq!(read(&scene(0).process(25, 20, 0)), Some(20), "a process from elsewhere rebases");
    let mut denied = scene(0).process(25, 20, 0);
    denied.denied.push(Pid(25));
    assert_eq!(read(&denied), None, "one part is not known, so the sum is not");
    assert_eq!(read(&scene(1).process(25, 20, 0)), Some(45), "a new session begins anew");
}

#[test]
fn a_machine_that_hides_its_memory_is_a_problem_not_a_failure() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let scene = Scene::default().session(0, "a", &[20]).process(10, 1, 0).process(20, 10, 0);
    let (outcome, samples, problems) = theatre.pass(&scene.broken(Broken::Machine));
    assert!(outcome.is_ok());
    assert_eq!(problems, ["cannot read /proc: permission denied"]);
    let resources = samples[0].resources;
    assert_eq!((resources.mem_limit_bytes, resources.mem_percent), (None, None));
    assert_eq!(resources.mem_used_bytes, Some(20 * 4096));
}

#[test]
fn more_than_the_machine_has_is_never_told() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let scene = |ticks| Scene::default().session(0, "a", &[20]).process(10, 1, 0).process(20, 10, ticks);
    theatre.samples(&scene(0));
    assert_eq!(theatre.samples(&scene(5000)), [short("a", State::Unknown, Some(200.0), 20)]);
}

#[test]
fn a_named_agent_that_only_shows_panes_of_others_is_told() {
    let mut theatre = Theatre::new(named(&["a", "view"]));
    let scene = Scene::default().session(0, "a", &[20]).session(1, "view", &[20]);
    let (outcome, samples, problems) = theatre.pass(&scene.process(10, 1, 0).process(20, 10, 0));
    assert!(outcome.is_ok());
    assert_eq!(problems, ["the sessions of agent view show only panes of other agents"]);
    assert_eq!((samples[1].resources, samples[1].state), (Resources::default(), State::Unknown));
}

#[test]
fn the_network_notice_is_given_once() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&lines);
    let make = move || Writer(Arc::clone(&writer));
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(make).finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut theatre = Theatre::new(AgentSelector::default());
        let scene = Scene::default().session(0, "a", &[20]).process(10, 1, 0).process(20, 10, 0);
        let scenes = [Scene::default(), scene.clone(), scene.clone(), Scene::default(), scene];
        scenes.iter().for_each(|scene| drop(theatre.pass(scene)));
    });
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("INFO") && text.contains("network use is not measured"), "{text}");
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn descriptions() {
    let mut theatre = Theatre::new(AgentSelector::default());
    let mut describe = |scene: Scene| {
        *theatre.stage.scene.lock().unwrap() = scene;
        theatre.sampler.describe()
    };
    assert_eq!(describe(Scene::default()), "tmux: no server running");
    let three = Scene::default().session(0, "zen", &[1]).session(1, "work", &[2]).session(2, "a1", &[3]);
    assert_eq!(describe(three.clone()), "tmux: 3 sessions: zen, work, a1");
    assert_eq!(describe(Scene::default().session(0, "zen", &[1])), "tmux: 1 session: zen");
    assert_eq!(describe(three.clone().broken(Broken::Tmux)), "tmux: cannot read /proc: permission denied");
    let many: VecDeque<String> = (0..12).map(|number| format!("s{number}")).collect();
    let many = (0..).zip(&many).fold(Scene::default(), |scene, (id, name)| scene.session(id, name, &[100]));
    assert_eq!(describe(many), "tmux: 12 sessions, 1 agent: s0", "the others only show its pane");
    let mut theatre = Theatre::new(named(&["zen", "a2"]));
    *theatre.stage.scene.lock().unwrap() = three;
    assert_eq!(theatre.sampler.describe(), "tmux: 3 sessions, 1 agent: zen; stopped: a2");
}
