//! The real daemon beside a small fleet: 50 agents of 250 processes, sampled with their host each second for minutes;
//! its CPU time and its memory, and then its memory after much was recorded at once.
//!
//! In the same run the Go package's way samples the same agents, as fast as is bearable: one agent a second by
//! `pgrep -P` down its tree and `ps` for each process, and now and then `docker stats --no-stream`. What a pass of
//! all agents costs is reckoned from that.
//!
//! ```text
//! just fleet 10
//! ```
//!
//! | variable | what | unless set |
//! | --- | --- | --- |
//! | `BENCH_FLEET_MINUTES` | how long it samples | 1 |
//! | `BENCH_FLEET_BURST` | events that are recorded afterwards, in requests of 10,000, and as many again at once; 0: none | 300,000 |
//! | `BENCH_FLEET_BINARY` | another daemon to measure | this one |
//! | `TAILWATER_TEST_DATABASE_URL` | a server to project into | none: the daemon only records |
//! | `TAILWATER_TEST_DOCKER` | the engine whose containers `docker stats` samples | none |
//!
//! The daemon's CPU time has that of the tmux clients it starts in it; the part of the tmux server is told apart.
//! `MALLOC_*` and `MIMALLOC_*` reach the daemon. That it sampled is told by how many events came.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark stops at the first error"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/report.rs"]
mod report;

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use daemon::{Daemon, Memory};
use event::Time;
use fleet::{Fleet, is_installed, old_way, ticks};
use report::{Report, median, percentile};
use store::testing::{SERVER_VARIABLE, TestDatabase};
use tokio::runtime::Runtime;

const AGENTS: u32 = 50;
const PROCESSES_EACH: u32 = 5;
/// Opening the log, and for some the schema, is not idling.
const START: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// `docker stats` takes two seconds of waiting, and so comes once in so many.
const SECONDS_FOR_DOCKER: u32 = 15;
/// Events of a request, of those that fill the log's memory.
const REQUEST_EVENTS: u64 = 10_000;
/// How long memory may take to come back.
const REST: Duration = Duration::from_secs(30);

fn main() {
    // NOTE: only `cargo bench` says this; `cargo test --benches` wants to see that the program starts.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    if !is_installed("tmux") {
        println!("SKIPPED: fleet: tmux is not installed");
        return;
    }
    let mut report = Report::default();
    let runtime = Runtime::new().expect("a runtime");
    let database = env::var(SERVER_VARIABLE).ok().and_then(|_| runtime.block_on(TestDatabase::create()));
    if database.is_none() {
        println!("no {SERVER_VARIABLE}: the daemon records, and does not project");
    }
    let fleet = Fleet::start_at_work(AGENTS, PROCESSES_EACH);
    let daemon = start(&fleet, database.as_ref());
    sleep(START);
    idle(&daemon, &fleet, &mut report);
    burst(&daemon, &mut report);
    drop(daemon);
    report.print();
    if let Some(database) = database {
        runtime.block_on(database.drop());
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// A daemon that samples the host and the fleet each second.
fn start(fleet: &Fleet, database: Option<&TestDatabase>) -> Daemon {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let binary = env::var_os("BENCH_FLEET_BINARY").unwrap_or(env!("CARGO_BIN_EXE_tailwater").into()).into();
    Daemon::start(home, binary, |command| {
        command.env("TAILWATER_TMUX_SOCKET", fleet.socket());
        command.env("TAILWATER_HOST_INTERVAL", "1s").env("TAILWATER_TMUX_INTERVAL", "1s");
        let ours = |name: &str| name.starts_with("MALLOC_") || name.starts_with("MIMALLOC_");
        command.envs(env::vars().filter(|(name, _)| ours(name)));
        if let Some(database) = database {
            command.env("TAILWATER_DATABASE_URL", database.url().secret());
        }
    })
}

/// The Go package's way, a part of it each second.
struct OldWay {
    panes: Vec<String>,
    agents: u64,
    agent_ticks: u64,
    docker: Option<String>,
    stats: u64,
    stats_ticks: u64,
}

impl OldWay {
    fn new(fleet: &Fleet) -> Self {
        let panes = if ["pgrep", "ps"].into_iter().all(is_installed) { fleet.panes() } else { Vec::new() };
        if panes.is_empty() {
            println!("SKIPPED: the comparison with pgrep and ps: they are not installed");
        }
        let docker = env::var("TAILWATER_TEST_DOCKER").ok().filter(|_| is_installed("docker"));
        if docker.is_none() {
            println!("SKIPPED: docker stats: TAILWATER_TEST_DOCKER names no engine");
        }
        Self { panes, agents: 0, agent_ticks: 0, docker, stats: 0, stats_ticks: 0 }
    }

    fn do_a_second(&mut self, second: u32) {
        let own = || ticks(std::process::id()).expect("this process");
        let before = own();
        let next = self.panes.iter().cycle().nth(second as usize % self.panes.len().max(1));
        if let Some(pane) = next {
            old_way(std::slice::from_ref(pane));
            self.agents += 1;
        }
        let between = own();
        self.agent_ticks += between - before;
        if let Some(socket) = &self.docker
            && second.is_multiple_of(SECONDS_FOR_DOCKER)
        {
            let mut stats = Command::new("docker");
            stats.args(["--host", &format!("unix://{socket}"), "stats", "--no-stream"]).stdout(Stdio::null());
            assert!(stats.status().expect("docker").success(), "docker stats");
            self.stats += 1;
            self.stats_ticks += own() - between;
        }
    }

    /// Milliseconds of CPU for a pass of all agents, and for one `docker stats`.
    fn pass_ms(&self) -> (f64, f64) {
        let each = |ticks: u64, count: u64| ticks as f64 * 10.0 / count.max(1) as f64;
        (each(self.agent_ticks, self.agents) * f64::from(AGENTS), each(self.stats_ticks, self.stats))
    }
}

/// Watches it sample for minutes.
fn idle(daemon: &Daemon, fleet: &Fleet, report: &mut Report) {
    let seconds = u32::try_from(number("BENCH_FLEET_MINUTES", 1) * 60).expect("some minutes");
    let mut old = OldWay::new(fleet);
    let server = fleet.pid();
    daemon.forget_peak();
    let events = daemon.events();
    let (begin, own, tmux) = (Instant::now(), daemon.ticks(), ticks(server).expect("a server"));
    let mut memory = Vec::new();
    for second in 0..seconds {
        old.do_a_second(second);
        memory.push(daemon.memory());
        if second.is_multiple_of(60) {
            print_minute(second / 60, daemon, own, begin);
        }
        sleep((SECOND * (second + 1)).saturating_sub(begin.elapsed()));
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let percent = |before: u64, after: u64| (after - before) as f64 / elapsed;
    let (own, tmux) = (percent(own, daemon.ticks()), percent(tmux, ticks(server).expect("a server")));
    let wanted = elapsed * f64::from(AGENTS + 1);
    let got = (daemon.events() - events) as f64;
    report.number("events that came, of those wanted", &format!("{got:.0} of {wanted:.0}"), "");
    report.number("CPU of the daemon and its forks", &format!("{own:.2} %"), "<= 1 %");
    report.number("CPU of the tmux server", &format!("{tmux:.2} %"), "");
    told(&memory, report);
    compare(&old, own + tmux, report);
}

fn print_minute(minute: u32, daemon: &Daemon, ticks_before: u64, begin: Instant) {
    let Memory { resident, heap, peak } = daemon.memory();
    let ticks = daemon.ticks() - ticks_before;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "minute {minute}: {ticks} ticks in {:.0} s, resident {resident:.1} MiB, of it heap {heap:.1}, peak {peak:.1}; load {}",
        begin.elapsed().as_secs_f64(),
        load.split_whitespace().next().unwrap_or_default()
    );
}

fn told(memory: &[Memory], report: &mut Report) {
    let of = |part: fn(&Memory) -> f64| memory.iter().map(part).collect::<Vec<_>>();
    let (resident, heap) = (of(|memory| memory.resident), of(|memory| memory.heap));
    let text = format!("{:.1} MiB", median(&resident));
    report.number("resident, the median", &text, "<= 40 MiB");
    report.number("  at its highest", &format!("{:.1} MiB", percentile(&of(|memory| memory.peak), 100)), "");
    report.number("  of it heap, the median", &format!("{:.1} MiB", median(&heap)), "");
}

fn compare(old: &OldWay, ours: f64, report: &mut Report) {
    let (pass, stats) = old.pass_ms();
    // A percent of a core is 10 ms in a second.
    let ours_ms = ours * 10.0;
    report.number("our CPU for a pass, tmux's part included", &format!("{ours_ms:.1} ms"), "");
    report.number("pgrep and ps for a pass", &format!("{pass:.0} ms"), "");
    report.number("  so many times as much", &format!("{:.0}", pass / ours_ms), ">= 50");
    if old.stats > 0 {
        report.number("docker stats, each time, its engine's part not", &format!("{stats:.0} ms"), "");
    }
}

/// Has much recorded, and looks at what stays of the memory for that.
fn burst(daemon: &Daemon, report: &mut Report) {
    let events = number("BENCH_FLEET_BURST", 300_000);
    if events == 0 {
        return;
    }
    let start = Time::from(SystemTime::now());
    daemon.forget_peak();
    let begin = daemon.ticks();
    for first in (0..events).step_by(usize::try_from(REQUEST_EVENTS).expect("a few")) {
        daemon.record(&lines(start, first..(first + REQUEST_EVENTS).min(events)));
    }
    remember(daemon, begin, &format!("recorded {events}, {REQUEST_EVENTS} at a time"), report);
    daemon.forget_peak();
    let begin = daemon.ticks();
    daemon.record(&lines(start, events..2 * events));
    remember(daemon, begin, &format!("recorded {events} at once"), report);
}

fn remember(daemon: &Daemon, ticks_before: u64, what: &str, report: &mut Report) {
    let (ticks, after) = (daemon.ticks() - ticks_before, daemon.memory());
    sleep(REST);
    let later = daemon.memory();
    report.number(what, &format!("{:.1} MiB", after.resident), "");
    report.number("  at its highest", &format!("{:.1} MiB", later.peak), "");
    report.number("  30 s later", &format!("{:.1} MiB", later.resident), "");
    report.number("  of that heap", &format!("{:.1} MiB", later.heap), "");
    report.number("  CPU", &format!("{} ms", ticks * 10), "");
}

/// Samples of a hundred agents a microsecond apart, as lines.
fn lines(start: Time, numbers: std::ops::Range<u64>) -> String {
    let line = |number: u64| {
        let time = start.plus_micros(number.cast_signed());
        let memory = 100_000_000 + number * 4_096;
        format!(
            r#"{{"kind":"agent_sample","time":"{time}","agent_name":"agent-{}","cpu_percent":{}.5,"mem_used_bytes":{memory},"mem_limit_bytes":17179869184}}"#,
            number % 100,
            number % 90
        ) + "\n"
    };
    numbers.map(line).collect()
}
