//! Transcripts that are there when the real daemon starts: how many megabytes a second of one core it reads into its
//! log, and what watching them costs then.
//!
//! Files of 200 KB, half of them Claude Code's in 100 folders, half Codex's, are made first and lie in the page cache. In
//! the same run a JSON parser reads every line and throws it away: the floor.
//!
//! | variable | what | unless set |
//! | --- | --- | --- |
//! | `BENCH_IMPORT_FILES` | how many files; 10,000 are 2 GB | 1,000 |
//!
//! The daemon's CPU time is from its start on: opening the log, finding the files, reading, and appending
//! with the identity of usage. That it read everything is told by how many events came.
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
#[path = "support/transcripts.rs"]
mod transcripts;

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use daemon::Daemon;
use report::Report;
use serde::de::IgnoredAny;
use tempfile::TempDir;
use transcripts::transcript;
use usage::Tool;

const FILE_BYTES: usize = 200_000;
/// A file that was read is looked at once more when it has been quiet for 10 s.
const SETTLED: Duration = Duration::from_secs(15);
/// How long it is watched when it has nothing to read.
const WATCHED: Duration = Duration::from_secs(120);

fn main() {
    // NOTE: only `cargo bench` says this; `cargo test --benches` wants to see that the program starts.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let files =
        env::var("BENCH_IMPORT_FILES").map_or(1_000, |text| text.parse().expect("BENCH_IMPORT_FILES"));
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let made = make(home.path(), files);
    let megabytes = made.bytes as f64 / 1e6;
    println!("{files} files, {megabytes:.0} MB, {} calls", made.calls);
    let floor = cpu_of(|| made.paths.iter().for_each(|path| parse_all(path)));
    let mut report = Report::default();
    let mut daemon = start(home);
    let wall = until_read(&daemon, made.calls);
    let cpu = daemon.ticks() as f64 / 100.0;
    let text = format!("{:.0} MB/s", megabytes / cpu);
    report.number("read, of one core", &text, ">= 100 MB/s");
    report.number("  a parser of every line", &format!("{:.0} MB/s", megabytes / floor), "");
    report.number("  ratio", &format!("{:.2}", floor / cpu), "");
    report.number("  on the clock", &format!("{:.1} s", wall.as_secs_f64()), "");
    report.number("  resident at its highest", &format!("{:.1} MiB", daemon.memory().peak), "");
    watched(&daemon, &mut report);
    daemon.restart(without_host);
    sleep(SETTLED);
    let cpu = daemon.ticks() * 10;
    report.number("started again, nothing new", &format!("{cpu} ms"), "");
    assert_eq!(daemon.events() - 1, made.calls, "a daemon that starts again reads nothing again");
    report.print();
}

/// What was made.
struct Made {
    paths: Vec<PathBuf>,
    bytes: u64,
    calls: u64,
}

fn make(home: &Path, files: usize) -> Made {
    let mut random = fastrand::Rng::with_seed(7);
    let mut made = Made { paths: Vec::new(), bytes: 0, calls: 0 };
    for number in 0..files {
        let session = format!("00000000-0000-4000-8000-{number:012}");
        let (tool, path) = if number % 2 == 0 {
            let project = format!(".claude/projects/-work-shop-{}", number / 2 % 100);
            (Tool::Claude, home.join(project).join(format!("{session}.jsonl")))
        } else {
            let name = format!("rollout-2026-03-01T10-00-00-{session}.jsonl");
            (Tool::Codex, home.join(".codex/sessions/2026/03/01").join(name))
        };
        let (lines, calls) = transcript(tool, &session, FILE_BYTES, &mut random);
        let text = lines.join("\n") + "\n";
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a transcript");
        made.paths.push(path);
        made.bytes += text.len() as u64;
        made.calls += calls as u64;
    }
    made
}

fn parse_all(path: &Path) {
    for line in BufReader::with_capacity(1 << 20, File::open(path).expect("a transcript")).lines() {
        let _: IgnoredAny = serde_json::from_str(&line.expect("a line")).expect("JSON");
    }
}

/// Seconds of CPU time of this process.
fn cpu_of(work: impl FnOnce()) -> f64 {
    let own = || fleet::ticks(std::process::id()).expect("this process");
    let before = own();
    work();
    (own() - before) as f64 / 100.0
}

fn start(home: TempDir) -> Daemon {
    Daemon::start(home, env!("CARGO_BIN_EXE_tailwater").into(), without_host)
}

fn without_host(command: &mut Command) {
    command.env("TAILWATER_HOST_ENABLED", "false");
}

/// Waits until the log has all calls.
fn until_read(daemon: &Daemon, calls: u64) -> Duration {
    let began = Instant::now();
    while daemon.events() <= calls {
        sleep(Duration::from_secs(1));
    }
    began.elapsed()
}

/// What it costs when nothing changes.
fn watched(daemon: &Daemon, report: &mut Report) {
    sleep(SETTLED);
    let (began, before) = (Instant::now(), daemon.ticks());
    sleep(WATCHED);
    let percent = (daemon.ticks() - before) as f64 / began.elapsed().as_secs_f64();
    report.number("watched, nothing new", &format!("{percent:.2} %"), "");
    report.number("  resident", &format!("{:.1} MiB", daemon.memory().resident), "");
}
