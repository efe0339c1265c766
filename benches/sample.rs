//! What a sampling pass costs: 100 agents with 1,000 processes, from tables and from a real tmux.
//!
//! The real part is compared, in the same run, with the way of the Go package that this replaces: for each
//! agent `pgrep -P` down the tree, and `ps -o %cpu,rss -p` for each process. It counts CPU time, of this process
//! and of what it forks, and of the tmux server. It needs no database; without tmux it says what it skipped.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a benchmark that cannot be set up ends, and its report goes to standard output"
)]

#[path = "support/fleet.rs"]
mod fleet;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use fleet::{Fleet, is_installed, old_way, ticks};
use sampler::host::{HostSampler, ProcHost, machine_name};
use sampler::proc::pid_io::PidIo;
use sampler::proc::pid_stat::{self, PidStat};
use sampler::proc::{Parsed, Pid};
use sampler::tmux::{
    AgentSelector, IoReading, Machine, PaneId, ProcTmux, SessionKey, TmuxListing, TmuxProbe, TmuxSampler,
    TmuxServer, TmuxSession, TmuxSettings, Units,
};
use sampler::{Clock, Pass, ProbeError, Sampler, SystemClock};

const AGENTS: u32 = 100;
const PROCESSES_PER_AGENT: u32 = 10;
/// The old way takes 20 s for 100 agents; a tenth of them tells as much.
const OLD_WAY_AGENTS: usize = 10;
const PASSES: u32 = 100;
const SERVER: Pid = Pid(2);

/// A machine of tables: every agent is a shell with nine children.
struct Tables {
    sessions: Vec<TmuxSession>,
    first: u32,
    last: u32,
}

impl Tables {
    fn new() -> Self {
        let first = 1000;
        let session = |number: u32| TmuxSession {
            key: SessionKey { server: SERVER, id: u64::from(number), created: 1 },
            name: format!("agent-{number}"),
            panes: vec![(PaneId(u64::from(number)), Some(Pid(first + number * PROCESSES_PER_AGENT)))],
        };
        let sessions = (0..AGENTS).map(session).collect();
        Self { sessions, first, last: first + AGENTS * PROCESSES_PER_AGENT }
    }
}

impl TmuxProbe for Tables {
    fn sessions(&mut self) -> Result<TmuxListing, ProbeError> {
        Ok(TmuxListing::Sessions(Parsed { items: self.sessions.clone(), problems: Vec::new() }))
    }

    fn pids(&mut self, into: &mut Vec<Pid>) -> Result<(), ProbeError> {
        into.clear();
        into.extend((self.first..self.last).map(Pid));
        Ok(())
    }

    fn stat(&mut self, pid: Pid) -> Result<Option<PidStat>, ProbeError> {
        let root = pid.0 - pid.0 % PROCESSES_PER_AGENT;
        let parent = if pid.0 == root { SERVER } else { Pid(root) };
        Ok(Some(PidStat {
            pid,
            parent,
            state: b'S',
            own_ticks: 5,
            reaped_ticks: 5,
            start_ticks: 1,
            rss_pages: 9,
        }))
    }

    fn io(&mut self, _: Pid) -> Result<IoReading, ProbeError> {
        Ok(IoReading::Read(PidIo { read_bytes: 1, write_bytes: 1 }))
    }

    fn machine(&mut self) -> Result<Machine, ProbeError> {
        Ok(Machine { memory_bytes: 1 << 34, cores: 2 })
    }

    fn units(&self) -> Units {
        Units { ticks_per_second: 100, page_bytes: 4096 }
    }
}

fn pass(sampler: &mut dyn Sampler) -> usize {
    let mut pass = Pass::default();
    sampler.sample(SystemClock.now(), &mut pass).unwrap();
    pass.events.len()
}

fn pure(criterion: &mut Criterion) {
    let mut tmux = TmuxSampler::new(AgentSelector::default(), Tables::new(), Arc::new(SystemClock));
    assert_eq!(pass(&mut tmux), 100);
    criterion.bench_function("sample/tables/100_agents_1000_processes", |bencher| {
        bencher.iter(|| pass(&mut tmux));
    });
    let line = std::fs::read("/proc/self/stat").unwrap();
    criterion.bench_function("sample/parse/pid_stat", |bencher| bencher.iter(|| pid_stat::parse(&line)));
}

fn sampler_of(server: &Fleet) -> TmuxSampler<ProcTmux> {
    // NOTE: each pass is to ask tmux, as it does at the default interval of 10 s.
    let (server, answer_age_max) = (TmuxServer::Path(server.socket()), Duration::ZERO);
    let settings = TmuxSettings { server, answer_age_max, ..TmuxSettings::default() };
    TmuxSampler::new(AgentSelector::default(), ProcTmux::open(settings).unwrap(), Arc::new(SystemClock))
}

/// CPU time in milliseconds of this process and what it reaped, and of the tmux server.
fn cpu_ms(server: u32) -> (f64, f64) {
    let milliseconds = |pid: u32| ticks(pid).map_or(0.0, |ticks| ticks as f64 * 10.0);
    (milliseconds(std::process::id()), milliseconds(server))
}

fn real(criterion: &mut Criterion) {
    if !is_installed("tmux") {
        println!("SKIPPED: sample/real: tmux is not installed");
        return;
    }
    let mut host = HostSampler::new(machine_name(), ProcHost::open().unwrap());
    idle(&mut host);
    let server = Fleet::start(AGENTS, PROCESSES_PER_AGENT);
    let mut tmux = sampler_of(&server);
    assert_eq!(pass(&mut tmux), 100);
    criterion.bench_function("sample/real/100_agents_1000_processes", |bencher| {
        bencher.iter(|| pass(&mut tmux) + pass(&mut host));
    });
    criterion.bench_function("sample/real/host", |bencher| bencher.iter(|| pass(&mut host)));
    let ours = measure("100 agents, 1,000 processes", &server, &mut [&mut tmux, &mut host]);
    compare(&server, ours);
}

/// A small machine, sampled each second. It comes first: the many processes of the other leave slowly.
fn idle(host: &mut dyn Sampler) {
    let server = Fleet::start(50, 5);
    let mut tmux = sampler_of(&server);
    let ours = measure("50 agents, 250 processes", &server, &mut [&mut tmux, host]);
    println!("sampled each second: {:.2} % of a core, the tmux server's part included", ours / 10.0);
}

/// Runs many passes; prints and returns the CPU time of one, milliseconds.
fn measure(what: &str, server: &Fleet, samplers: &mut [&mut dyn Sampler]) -> f64 {
    let pid = server.pid();
    let before = cpu_ms(pid);
    let mut walls: Vec<Duration> = Vec::new();
    for _ in 0..PASSES {
        let start = Instant::now();
        for sampler in &mut *samplers {
            pass(*sampler);
        }
        walls.push(start.elapsed());
    }
    let after = cpu_ms(pid);
    walls.sort_unstable();
    let (own, tmux) = ((after.0 - before.0) / f64::from(PASSES), (after.1 - before.1) / f64::from(PASSES));
    println!(
        "{what}: a pass of tmux and host takes {:.2?} (median of {PASSES}; {:.2?} to {:.2?}); \
         CPU {own:.2} ms with its fork, and {tmux:.2} ms in the tmux server",
        walls.get(walls.len() / 2).unwrap(),
        walls.first().unwrap(),
        walls.last().unwrap(),
    );
    own + tmux
}

fn compare(server: &Fleet, ours: f64) {
    if !["pgrep", "ps"].into_iter().all(is_installed) {
        println!("SKIPPED: the comparison with pgrep and ps: they are not installed");
        return;
    }
    let panes = server.panes();
    let part = panes.get(..OLD_WAY_AGENTS).unwrap();
    let pid = server.pid();
    let before = cpu_ms(pid);
    let processes = old_way(part);
    let theirs = (cpu_ms(pid).0 - before.0) * panes.len() as f64 / part.len() as f64;
    println!(
        "pgrep and ps for {} agents ({processes} processes), scaled to {}: CPU {theirs:.0} ms; that is {:.0} times as much",
        part.len(),
        panes.len(),
        theirs / ours
    );
}

/// Passes are long enough; fewer of them tell as much.
fn settings() -> Criterion {
    Criterion::default().sample_size(50).measurement_time(Duration::from_secs(5))
}

criterion_group! { name = benches; config = settings(); targets = pure, real }
criterion_main!(benches);
