//! Appends and reads of the log, each beside its floor: raw fjall in the same run, on the same disk.
//!
//! Every measurement of ours follows one of the floor at once, so that whatever else the machine does falls on
//! both. The table at the end compares with the targets; nothing is asserted. The log lies in cargo's target
//! directory: its disk is what is measured.
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

use std::cell::RefCell;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use event::{Event, HostName, Position, Stretch};
use eventlog::{EventLog, ReadLimits, Settings, Sync};
use fjall::PersistMode;
use floor::Floor;
use report::{Pairs, Report, percentile};
use samples::Passes;
use tempfile::TempDir;

/// Agents, and so the events of one pass and of one batch.
const AGENTS: usize = 100;
/// One measurement: large enough for several flushes of the log's memtable.
const RUN_EVENTS: usize = 200_000;
/// The log that is read and compacted.
const LOG_EVENTS: usize = 1_000_000;
const WRITERS: usize = 64;
const WRITER_BATCH: usize = 10;
const WRITER_APPENDS: usize = 100;

type Batches = Vec<Vec<Event>>;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Report::default();
    append(&mut criterion, &mut report);
    append_synced(&mut criterion, &mut report);
    read(&mut criterion, &mut report);
    criterion.final_summary();
    report.print();
}

fn batches(events: usize) -> Batches {
    Passes::new(AGENTS, 1).take(events / AGENTS).collect()
}

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn open(dir: &Path, sync: Sync, queue_appends_max: usize) -> EventLog {
    let host = HostName::new("bench").expect("a host name");
    EventLog::open(dir, &host, Settings { sync, queue_appends_max, ..Settings::default() }).expect("a log")
}

fn per_second(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}

/// One criterion benchmark; each run of ours follows one of the floor. Both give the time that they took.
fn compare(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    events: usize,
    mut floor: impl FnMut() -> Duration,
    mut ours: impl FnMut() -> Duration,
) -> Pairs {
    let pairs = RefCell::new(Pairs::default());
    group.throughput(Throughput::Elements(events as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                let floor = floor();
                let ours = ours();
                pairs.borrow_mut().add(per_second(events, ours), per_second(events, floor));
                ours
            };
            (0..times).map(once).sum()
        });
    });
    pairs.into_inner()
}

fn configure<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(500));
    group
}

/// Batches of 100, buffered: an acknowledgement means that the kernel has it.
fn append(criterion: &mut Criterion, report: &mut Report) {
    let batches = batches(RUN_EVENTS);
    let interval = Sync::default();
    let raw = || Floor::create(directory().path()).append(&batches, PersistMode::Buffer);
    let with_defaults =
        || Floor::create_with_defaults(directory().path()).append(&batches, PersistMode::Buffer);
    let mut group = configure(criterion, "append, batches of 100");
    let mut ours = |what: &str, target: &str, run: &dyn Fn(&EventLog, Batches), sync: Sync| {
        let ours = || timed_append(&batches, sync, run);
        let pairs = compare(&mut group, what, RUN_EVENTS, raw, ours);
        report.rate(&format!("append, {what}"), &pairs, target);
    };
    ours("offered, os", ">= 0.9", &offer, Sync::Os);
    ours("offered, interval:200ms", ">= 0.9", &offer, interval);
    ours("1 thread, 8 tasks waiting, interval:200ms", ">= 0.9", &append_from_tasks, interval);
    ours("4 threads waiting, interval:200ms", ">= 0.9", &append_from_threads, interval);
    ours("1 thread waiting, interval:200ms", "", &append_one_by_one, interval);
    let pairs = compare(&mut group, "fjall's defaults", RUN_EVENTS, raw, with_defaults);
    report.rate("fjall with its own defaults", &pairs, "");
}

/// The time of `run` with a fresh log, until everything is acknowledged.
fn timed_append(batches: &Batches, sync: Sync, run: &dyn Fn(&EventLog, Batches)) -> Duration {
    let dir = directory();
    // NOTE: what is offered must not be refused here, so the queue holds all of it.
    let log = open(dir.path(), sync, batches.len() + 1);
    let batches = batches.clone();
    let begin = Instant::now();
    run(&log, batches);
    // NOTE: the queue is in order, so this is acknowledged after all that was offered.
    log.append(Vec::new()).expect("an append");
    let time = begin.elapsed();
    assert_eq!(log.ends().next.before(), Position(RUN_EVENTS as u64));
    time
}

fn offer(log: &EventLog, batches: Batches) {
    for batch in batches {
        log.offer(batch).expect("an offer");
    }
}

fn append_one_by_one(log: &EventLog, batches: Batches) {
    for batch in batches {
        log.append(batch).expect("an append");
    }
}

fn append_from_threads(log: &EventLog, mut batches: Batches) {
    let share = batches.len() / 4;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let own = batches.split_off(batches.len() - share);
            scope.spawn(move || append_one_by_one(log, own));
        }
    });
}

fn append_from_tasks(log: &EventLog, batches: Batches) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let batches = std::rc::Rc::new(RefCell::new(batches.into_iter()));
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..8 {
        let (log, batches) = (log.clone(), std::rc::Rc::clone(&batches));
        tasks.spawn_local(async move {
            loop {
                let Some(batch) = batches.borrow_mut().next() else { return };
                log.append_async(batch).await.expect("an append");
            }
        });
    }
    runtime.block_on(tasks);
}

/// 64 writers of 10 events, each of which waits until an fsync has its events.
fn append_synced(criterion: &mut Criterion, report: &mut Report) {
    const EVENTS: usize = WRITERS * WRITER_APPENDS * WRITER_BATCH;
    let together: Batches =
        batches(EVENTS).concat().chunks(WRITERS * WRITER_BATCH).map(<[_]>::to_vec).collect();
    let raw = || Floor::create(directory().path()).append(&together, PersistMode::SyncData);
    let small: Batches = batches(EVENTS).concat().chunks(WRITER_BATCH).map(<[_]>::to_vec).collect();
    let mut group = configure(criterion, "append, 64 writers of 10, sync=always");
    for (what, run) in [("threads", write_from_threads as Writers), ("tasks", write_from_tasks)] {
        let latencies = Mutex::new(Vec::new());
        let ours = || {
            let dir = directory();
            let log = open(dir.path(), Sync::Always, 1_024);
            let small = small.clone();
            let begin = Instant::now();
            latencies.lock().expect("no panic").extend(run(&log, small));
            begin.elapsed()
        };
        let pairs = compare(&mut group, what, EVENTS, raw, ours);
        let latencies = latencies.into_inner().expect("no panic");
        if !latencies.is_empty() {
            report.rate(&format!("append, 64 {what} of 10, sync=always"), &pairs, ">= 300000/s");
            let ms = |percent| percentile(&latencies, percent) * 1e3;
            report.number("  ack p50", &format!("{:.1} ms", ms(50)), "");
            report.number("  ack p99", &format!("{:.1} ms", ms(99)), "<= 10 ms");
        }
    }
}

/// Appends everything from 64 writers, and gives the seconds that each acknowledgement took.
type Writers = fn(&EventLog, Batches) -> Vec<f64>;

fn write_from_threads(log: &EventLog, mut batches: Batches) -> Vec<f64> {
    let write = |own: Batches| {
        let one = |batch| {
            let begin = Instant::now();
            log.append(batch).expect("an append");
            begin.elapsed().as_secs_f64()
        };
        own.into_iter().map(one).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let spawn = |_| {
            let own = batches.split_off(batches.len() - WRITER_APPENDS);
            scope.spawn(move || write(own))
        };
        let threads: Vec<_> = (0..WRITERS).map(spawn).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a writer")).collect()
    })
}

fn write_from_tasks(log: &EventLog, mut batches: Batches) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (log, own) = (log.clone(), batches.split_off(batches.len() - WRITER_APPENDS));
        let write = async move {
            let mut latencies = Vec::with_capacity(own.len());
            for batch in own {
                let begin = Instant::now();
                log.append_async(batch).await.expect("an append");
                latencies.push(begin.elapsed().as_secs_f64());
            }
            latencies
        };
        tasks.spawn_on(write, runtime.handle());
    }
    runtime.block_on(tasks.join_all()).into_iter().flatten().collect()
}

/// A whole log, compacted: its size, and how fast it is read and decoded.
fn read(criterion: &mut Criterion, report: &mut Report) {
    let dir = directory();
    let log = open(dir.path(), Sync::Os, LOG_EVENTS / AGENTS);
    offer(&log, batches(LOG_EVENTS));
    log.close().expect("closed");
    drop(log);
    let bytes = Floor::open(dir.path()).compact();
    let bytes_per_event = format!("{:.1} bytes", bytes as f64 / LOG_EVENTS as f64);
    report.number("on disk per agent_sample, compacted", &bytes_per_event, "<= 45");

    let mut group = configure(criterion, "tail and decode");
    for events_max in [1_000, 10_000] {
        let raw = || {
            let (time, events) = Floor::open(dir.path()).read();
            assert_eq!(events, LOG_EVENTS as u64);
            time
        };
        let ours = || timed_read(&open(dir.path(), Sync::Os, 1), events_max);
        let what = format!("{events_max} at a time");
        let pairs = compare(&mut group, &what, LOG_EVENTS, raw, ours);
        report.rate(&format!("tail and decode, {what}"), &pairs, ">= 0.9");
    }
}

fn timed_read(log: &EventLog, events_max: usize) -> Duration {
    let begin = Instant::now();
    let mut next = Position::FIRST;
    while next < log.ends().next {
        let limits = ReadLimits { events_max, bytes_max: usize::MAX };
        let Stretch::Events(entries) = log.read(next, limits).expect("a read") else { unreachable!() };
        next = next.plus(std::hint::black_box(entries).len() as u64);
    }
    begin.elapsed()
}
