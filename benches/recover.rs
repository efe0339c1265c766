//! A log of ten million events: opened after a kill, verified, read by time, trimmed; each beside fjall alone.
//!
//! The killed log is a copy of the files of one that is still open. One run of it costs a minute, so nothing is
//! repeated often; the table at the end compares with the targets, and nothing is asserted.
//! `TAILWATER_BENCH_EVENTS` makes the log smaller or larger.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark stops at the first error"
)]

#[path = "support/floor.rs"]
mod floor;
#[path = "support/report.rs"]
mod report;
#[path = "support/samples.rs"]
mod samples;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use event::{Event, HostName, Kind, Position, Stretch};
use eventlog::{EventLog, ReadLimits, Settings, TimeRange, TrimTo};
use floor::Floor;
use report::{Pairs, Report, median, resident_peak};
use samples::Passes;
use tempfile::TempDir;

const AGENTS: usize = 100;
/// How often the log is opened.
const OPENINGS: usize = 5;
/// How often all of it is read.
const READS: usize = 3;
const LIMITS: ReadLimits = ReadLimits { events_max: 1_000, bytes_max: usize::MAX };

fn main() {
    // NOTE: `cargo bench` hands its own flags over.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let events = std::env::var("TAILWATER_BENCH_EVENTS").ok().and_then(|text| text.parse().ok());
    let events = events.unwrap_or(10_000_000);
    let mut report = Report::default();
    let dir = directory();
    let log = open(dir.path());
    let appended = timed(|| fill(&log, events));
    report.number("append, until acknowledged", &rate(events, appended), "");
    report.number("  resident at its highest", &resident_peak(), "");
    let killed = copy(dir.path());
    log.close().expect("closed");
    drop(log);
    reopen(killed.path(), &mut report);
    let log = open(killed.path());
    read_all(&log, killed.path(), events, &mut report);
    read_an_hour(&log, &mut report);
    let verified = timed(|| {
        assert!(log.verify(|_, _| ControlFlow::Continue(())).expect("verified").is_clean());
    });
    report.number("verify", &rate(events, verified), "");
    report.number("  resident at its highest", &resident_peak(), "");
    trim(&log, &mut report);
    report.print();
}

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn open(dir: &Path) -> EventLog {
    EventLog::open(dir, &HostName::new("bench").expect("a host name"), Settings::default()).expect("a log")
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn rate(events: usize, time: Duration) -> String {
    format!("{:.0}/s", events as f64 / time.as_secs_f64())
}

fn fill(log: &EventLog, events: usize) {
    for pass in Passes::new(AGENTS, 1).take(events / AGENTS) {
        log.append(pass).expect("an append");
    }
}

/// The files as a kill would leave them: the mark first, so that it is not ahead of its log.
fn copy(dir: &Path) -> TempDir {
    let target = directory();
    fs::copy(dir.join("mark"), target.path().join("mark")).expect("a copy");
    copy_tree(&dir.join("log"), &target.path().join("log"));
    target
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else if let Err(error) = fs::copy(&path, target) {
            // NOTE: fjall removes journals and tables that it needs no more while we copy.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// Each opening of ours follows one of fjall alone, on a copy of its own: fjall flushes what it recovers.
fn reopen(killed: &Path, report: &mut Report) {
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let [one, other] = [copy(killed), copy(killed)];
        floors.push(timed(|| drop(std::hint::black_box(Floor::open(one.path())))).as_secs_f64());
        let begin = Instant::now();
        let log = open(other.path());
        ours.push(begin.elapsed().as_secs_f64());
        log.close().expect("closed");
    }
    let (ours, floor) = (median(&ours), median(&floors));
    let text = format!("{ours:.2} s, fjall alone {floor:.2} s");
    report.number("reopen after a kill", &text, "<= 2 s");
}

/// Everything, each time after fjall alone has read a copy of it.
fn read_all(log: &EventLog, killed: &Path, events: usize, report: &mut Report) {
    let copied = copy(killed);
    let mut pairs = Pairs::default();
    let mut peak = String::new();
    for _ in 0..READS {
        let (floor, read) = Floor::open(copied.path()).read();
        assert_eq!(read, events as u64);
        resident_peak();
        let ours = timed(|| {
            let mut next = Position::FIRST;
            while next < log.ends().next {
                let Stretch::Events(entries) = log.read(next, LIMITS).expect("a read") else {
                    unreachable!()
                };
                next = next.plus(std::hint::black_box(entries).len() as u64);
            }
        });
        peak = resident_peak();
        pairs.add(events as f64 / ours.as_secs_f64(), events as f64 / floor.as_secs_f64());
    }
    report.rate("tail and decode, 1,000 at a time", &pairs, ">= 0.9");
    report.number("  resident at its highest", &peak, "");
    let bytes = log.stat().expect("a stat").bytes as f64 / events as f64;
    report.number("on disk per event, journals included", &format!("{bytes:.1} bytes"), "");
}

/// An hour in the middle: how much is decoded for it.
fn read_an_hour(log: &EventLog, report: &mut Report) {
    let middle = Position(log.ends().next.0 / 2);
    let Stretch::Events(entries) = log.read(middle, LIMITS).expect("a read") else { unreachable!() };
    let event::wire::Decoded::Event(event) = &entries.first().expect("an event").event else {
        unreachable!()
    };
    let from = event.time();
    let times = TimeRange { from, to: from.plus_micros(3_600_000_000) };
    let (mut decoded, mut within) = (0_u64, 0_u64);
    let time = timed(|| {
        for (lo, hi) in log.runs_between(times, &Kind::ALL).expect("the index") {
            let mut next = lo;
            while next <= hi {
                let left = usize::try_from(hi.next().since(next)).unwrap_or(usize::MAX);
                let limits = ReadLimits { events_max: left.min(LIMITS.events_max), ..LIMITS };
                let Stretch::Events(entries) = log.read(next, limits).expect("a read") else {
                    unreachable!()
                };
                decoded += entries.len() as u64;
                next = next.plus(entries.len() as u64);
                let in_hour = |event: &Event| (times.from..=times.to).contains(&event.time());
                within += entries
                    .iter()
                    .filter(
                        |entry| matches!(&entry.event, event::wire::Decoded::Event(event) if in_hour(event)),
                    )
                    .count() as u64;
            }
        }
    });
    let text = format!("{decoded} decoded for {within} in {:.0} ms", time.as_secs_f64() * 1e3);
    report.number("an hour by time", &text, "about that hour");
}

fn trim(log: &EventLog, report: &mut Report) {
    let before = log.stat().expect("a stat").bytes;
    let to = TrimTo::Before { position: log.ends().next, dry_run: false };
    let time = timed(|| _ = log.trim(to).expect("a trim"));
    report.number("trim everything", &format!("{:.2} s", time.as_secs_f64()), "< 1 s");
    std::thread::sleep(Duration::from_secs(1));
    let after = log.stat().expect("a stat").bytes;
    let text = format!("{} to {} MiB", before >> 20, after >> 20);
    report.number("  on the disk, before and a second after", &text, "");
}
