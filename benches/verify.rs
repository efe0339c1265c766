//! `tailwater verify` over a whole log and a database that has it: how long, with how much memory, beside what reading the
//! same rows and nothing else takes; and mending an hour of it.
//!
//! ```text
//! scripts/timescaledb up
//! TAILWATER_TEST_DATABASE_URL=$(scripts/timescaledb url) BENCH_EVENTS=10000000 cargo bench --bench verify
//! ```
//!
//! Without that variable it says so and ends. `BENCH_EVENTS` is 500,000 unless set, `BENCH_ROUNDS` 3. The floor is one session
//! that takes `position` and `time` of every row by a binary COPY and throws them away. What is measured is the real
//! program, from its start to its end; that nothing is missing is asserted, times never are.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    dead_code,
    reason = "a benchmark stops at the first error, and uses its part of what benchmarks share"
)]

#[path = "support/report.rs"]
mod report;
#[path = "support/samples.rs"]
mod samples;

use std::env;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use event::HostName;
use eventlog::{EventLog, Settings, Sync};
use futures_util::StreamExt;
use report::{Report, median};
use samples::Passes;
use store::Extension;
use store::testing::{SERVER_VARIABLE, TestDatabase};
use tokio::runtime::Runtime;

/// Agents, and so the events of one pass and of one append.
const AGENTS: u64 = 100;
/// How often a process's memory is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

fn main() {
    // NOTE: only `cargo bench` says this; `cargo test --benches` wants to see that the program starts.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    if env::var(SERVER_VARIABLE).is_err() {
        println!("SKIPPED: verify: no {SERVER_VARIABLE}; scripts/timescaledb up makes a server");
        return;
    }
    let events = number("BENCH_EVENTS", 500_000).next_multiple_of(AGENTS);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    fill(&dir.path().join("data"), events);
    let runtime = Runtime::new().expect("a runtime");
    let database = runtime.block_on(TestDatabase::create()).expect("a server");
    runtime.block_on(store::migrate(database.url(), Extension::Create)).expect("the schema");
    let bench = Bench { data: dir.path().join("data"), database, events };
    let projected = bench.run(&["project", "--until-head"]);
    println!("projected in {:.1} s: {}", projected.seconds, projected.text.trim());
    let mut report = Report::default();
    bench.verify(&runtime, &mut report);
    bench.mend(&runtime, &mut report);
    report.print();
    runtime.block_on(bench.database.drop());
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// Writes the log.
fn fill(dir: &Path, events: u64) {
    let settings = Settings { sync: Sync::Os, ..Settings::default() };
    let log = EventLog::open(dir, &HostName::new("bench").expect("a host name"), settings).expect("a log");
    let passes = Passes::new(AGENTS.try_into().expect("a few agents"), 1);
    for pass in passes.take((events / AGENTS).try_into().expect("a number of passes")) {
        log.append(pass).expect("an append");
    }
    log.close().expect("closed");
}

/// What a run of the program took.
struct Run {
    seconds: f64,
    peak_mib: f64,
    text: String,
}

/// A log, and a database that has it.
struct Bench {
    data: std::path::PathBuf,
    database: TestDatabase,
    events: u64,
}

impl Bench {
    /// Runs the program, which must end well.
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
        command
            .env_clear()
            .env("HOME", self.data.parent().expect("a folder"))
            .arg("--data-dir")
            .arg(&self.data);
        command.args(arguments).arg("--database-url").arg(self.database.url().secret());
        let began = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let status = format!("/proc/{}/status", child.id());
        let looking = thread::spawn(move || {
            let mut peak = 0.0;
            while let Some(now) = peak_mib(&status) {
                peak = now;
                thread::sleep(LOOK_PAUSE);
            }
            peak
        });
        let output = child.wait_with_output().expect("the program ends");
        let seconds = began.elapsed().as_secs_f64();
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        let text = String::from_utf8(output.stdout).expect("text");
        Run { seconds, peak_mib: looking.join().expect("no panic"), text }
    }

    fn verify(&self, runtime: &Runtime, report: &mut Report) {
        let (mut seconds, mut floors, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..number("BENCH_ROUNDS", 3) {
            floors.push(runtime.block_on(self.read_rows()));
            let run = self.run(&["verify"]);
            assert!(run.text.starts_with("verified: "), "{}", run.text);
            println!("round {round}: {:.1} s, {:.0} MiB: {}", run.seconds, run.peak_mib, run.text.trim());
            seconds.push(run.seconds);
            peaks.push(run.peak_mib);
        }
        let rate = self.events as f64 / median(&seconds);
        let told = format!("{:.1} s, {rate:.0}/s", median(&seconds));
        report.number(&format!("verify {} events", self.events), &told, "10 million in under a minute");
        report.number("  reading the rows alone", &format!("{:.1} s", median(&floors)), "");
        report.number("  peak resident memory", &format!("{:.0} MiB", median(&peaks)), "");
    }

    /// Deletes an hour, verifies and mends.
    fn mend(&self, runtime: &Runtime, report: &mut Report) {
        let deleted = runtime.block_on(async {
            let sql =
                "DELETE FROM agent_metrics WHERE time >= '2026-01-02T00:00Z' AND time < '2026-01-02T01:00Z'";
            self.database.client().await.execute(sql, &[]).await.expect("rows to delete")
        });
        let run = self.run(&["verify", "--mend"]);
        println!("{}", run.text.trim());
        let told = format!("{:.1} s, {:.0} MiB", run.seconds, run.peak_mib);
        report.number(&format!("verify and mend {deleted} of them"), &told, "");
        assert!(self.run(&["verify"]).text.starts_with("verified: "), "it is clean again");
    }

    /// Seconds of the floor.
    async fn read_rows(&self) -> f64 {
        let client = self.database.client().await;
        let began = Instant::now();
        let sql =
            "COPY (SELECT position, time FROM agent_metrics WHERE log_no = 1) TO STDOUT (FORMAT binary)";
        let mut stream = pin!(client.copy_out(sql).await.expect("a COPY"));
        let mut bytes = 0;
        while let Some(row) = stream.next().await {
            bytes += row.expect("a row").len() as u64;
        }
        assert!(bytes >= self.events * 26, "every row came");
        began.elapsed().as_secs_f64()
    }
}

/// The most memory that a process has had resident; `None` once it has ended.
fn peak_mib(status: &str) -> Option<f64> {
    let text = fs::read_to_string(status).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kib.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}
