//! What a sampling pass costs: 100 agents with 1,000 processes, from tables and from a real tmux.
//!
//! The real part is compared, in the same run, with the way of the Go package that this replaces: for each
//! agent `pgrep -P` down the tree, and `ps -o %cpu,rss -p` for each process. It counts CPU time, of this process
//! and of what it forks, and of the tmux server. It needs no database; without tmux it says what it skipped.

#![expect(clippy::print_stdout, reason = "the report of a benchmark goes to standard output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
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

/// A tmux server of its own, with agents that sleep.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn start(agents: u32, processes_each: u32) -> Self {
        let server = Self { folder: tempfile::tempdir().unwrap() };
        let children = "sleep 3600 & ".repeat(usize::try_from(processes_each).unwrap() - 1);
        let script = format!("{children}wait");
        for agent in 0..agents {
            let name = format!("agent-{agent}");
            assert!(server.tmux(&["new-session", "-d", "-s", &name, "--", "sh", "-c", &script]).0);
        }
        let all = usize::try_from(agents * processes_each).unwrap();
        while server.processes(&server.panes()).len() < all {
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("socket")
    }

    fn tmux(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.socket()).args(["-f", "/dev/null"]).args(args).env_remove("TMUX");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn panes(&self) -> Vec<String> {
        self.tmux(&["list-panes", "-a", "-F", "#{pane_pid}"]).1.lines().map(str::to_owned).collect()
    }

    fn pid(&self) -> String {
        self.tmux(&["display-message", "-p", "#{pid}"]).1
    }

    /// The panes' processes and their children, for the set-up only.
    fn processes(&self, panes: &[String]) -> Vec<String> {
        let children = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let below = panes.iter().filter_map(|pid| children(pid).ok());
        let below: Vec<String> =
            below.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        panes.iter().cloned().chain(below).collect()
    }

    fn sampler(&self) -> TmuxSampler<ProcTmux> {
        let settings = TmuxSettings { server: TmuxServer::Path(self.socket()), ..TmuxSettings::default() };
        TmuxSampler::new(AgentSelector::default(), ProcTmux::open(settings).unwrap(), Arc::new(SystemClock))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// CPU time in milliseconds of this process and what it reaped, and of another process.
fn cpu_ms(server: &str) -> (f64, f64) {
    let ticks = |pid: &str| {
        let text = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        pid_stat::parse(&text).unwrap().ticks() as f64 * 10.0
    };
    (ticks("self"), ticks(server))
}

/// The old way, once over these panes.
fn old_way(panes: &[String]) -> usize {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut pids: Vec<String> = panes.to_vec();
    let mut next = 0;
    while let Some(pid) = pids.get(next).cloned() {
        pids.extend(run("pgrep", &["-P", &pid]).lines().map(str::to_owned));
        run("ps", &["-o", "%cpu,rss", "-p", &pid]);
        next += 1;
    }
    pids.len()
}

fn real(criterion: &mut Criterion) {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("SKIPPED: sample/real: tmux is not installed");
        return;
    }
    let mut host = HostSampler::new(machine_name(), ProcHost::open().unwrap());
    idle(&mut host);
    let server = Server::start(AGENTS, PROCESSES_PER_AGENT);
    let mut tmux = server.sampler();
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
    let server = Server::start(50, 5);
    let mut tmux = server.sampler();
    let ours = measure("50 agents, 250 processes", &server, &mut [&mut tmux, host]);
    println!("sampled each second: {:.2} % of a core, the tmux server's part included", ours / 10.0);
}

/// Runs many passes; prints and returns the CPU time of one, milliseconds.
fn measure(what: &str, server: &Server, samplers: &mut [&mut dyn Sampler]) -> f64 {
    let pid = server.pid();
    let before = cpu_ms(&pid);
    let mut walls: Vec<Duration> = Vec::new();
    for _ in 0..PASSES {
        let start = Instant::now();
        for sampler in &mut *samplers {
            pass(*sampler);
        }
        walls.push(start.elapsed());
    }
    let after = cpu_ms(&pid);
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

fn compare(server: &Server, ours: f64) {
    if ["pgrep", "ps"].iter().any(|program| Command::new(program).arg("-V").output().is_err()) {
        println!("SKIPPED: the comparison with pgrep and ps: they are not installed");
        return;
    }
    let panes = server.panes();
    let part = panes.get(..OLD_WAY_AGENTS).unwrap();
    let pid = server.pid();
    let before = cpu_ms(&pid);
    let processes = old_way(part);
    let theirs = (cpu_ms(&pid).0 - before.0) * panes.len() as f64 / part.len() as f64;
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
