//! fjall's settings, one at a time: what each does to appending, reading, size and memory.
//!
//! The first line is the log's choice; every other one differs from it in the setting that it names. All of them are
//! fjall alone, with the records of a log. The ratio is to the first line, measured right before it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark stops at the first error"
)]

#[path = "support/report.rs"]
mod report;
#[path = "support/samples.rs"]
mod samples;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use event::{Event, wire};
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};
use samples::Passes;

const AGENTS: usize = 100;
const EVENTS: usize = 1_000_000;
const KIB: u32 = 1024;
const MIB: u64 = 1024 * 1024;

/// What is chosen.
#[derive(Clone, Copy)]
struct Settings {
    block_bytes: u32,
    compression: CompressionType,
    memtable_bytes: u64,
    journals_bytes: u64,
    workers: usize,
}

/// What the log has (crates/eventlog/src/layout.rs).
const OURS: Settings = Settings {
    block_bytes: 64 * KIB,
    compression: CompressionType::Lz4,
    memtable_bytes: 6 * MIB,
    journals_bytes: 128 * MIB,
    workers: 2,
};

/// What came of it.
struct Outcome {
    append: Duration,
    read: Duration,
    bytes_per_event: f64,
    journals_bytes: u64,
    resident: String,
}

fn main() {
    // NOTE: `cargo bench` hands its own flags over.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let batches: Vec<Vec<Event>> = Passes::new(AGENTS, 1).take(EVENTS / AGENTS).collect();
    println!(
        "{:<28} {:>12} {:>7} {:>12} {:>7} {:>8} {:>10} {:>14}",
        "setting", "append/s", "ratio", "read/s", "ratio", "bytes", "journals", "resident peak"
    );
    for (name, settings) in variations() {
        let floor = measure(&OURS, &batches);
        let it = measure(&settings, &batches);
        let rate = |time: Duration| EVENTS as f64 / time.as_secs_f64();
        println!(
            "{name:<28} {:>12.0} {:>7.2} {:>12.0} {:>7.2} {:>8.1} {:>6} MiB {:>14}",
            rate(it.append),
            floor.append.as_secs_f64() / it.append.as_secs_f64(),
            rate(it.read),
            floor.read.as_secs_f64() / it.read.as_secs_f64(),
            it.bytes_per_event,
            it.journals_bytes / MIB,
            it.resident,
        );
    }
}

fn variations() -> Vec<(String, Settings)> {
    let mut all = vec![("the log's own".to_owned(), OURS)];
    for kib in [4, 16, 32, 128] {
        all.push((format!("blocks of {kib} KiB"), Settings { block_bytes: kib * KIB, ..OURS }));
    }
    all.push(("no compression".to_owned(), Settings { compression: CompressionType::None, ..OURS }));
    for mib in [4, 8, 16, 32, 64] {
        all.push((format!("memtable of {mib} MiB"), Settings { memtable_bytes: mib * MIB, ..OURS }));
    }
    for mib in [64, 192, 512] {
        all.push((format!("journals up to {mib} MiB"), Settings { journals_bytes: mib * MIB, ..OURS }));
    }
    // NOTE: not one: the worker that flushes and the one that compacts can wait for each other.
    all.push(("4 workers".to_owned(), Settings { workers: 4, ..OURS }));
    all
}

fn measure(settings: &Settings, batches: &[Vec<Event>]) -> Outcome {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    report::resident_peak();
    let (database, events) = open(dir.path(), settings);
    let append = append(&database, &events, batches);
    let resident = report::resident_peak();
    let journals_bytes = journals(dir.path());
    events.rotate_memtable_and_wait().expect("a flush");
    events.major_compact().expect("a compaction");
    let bytes_per_event = events.disk_space() as f64 / EVENTS as f64;
    let begin = Instant::now();
    let mut read = 0;
    for guard in events.iter() {
        let (_, record) = guard.into_inner().expect("a record");
        std::hint::black_box(wire::decode(&record).expect("an event"));
        read += 1;
    }
    assert_eq!(read, EVENTS);
    Outcome { append, read: begin.elapsed(), bytes_per_event, journals_bytes, resident }
}

fn open(dir: &Path, settings: &Settings) -> (Database, Keyspace) {
    let database = Database::builder(dir)
        .cache_size(8 * MIB)
        .worker_threads(settings.workers)
        .max_journaling_size(settings.journals_bytes)
        .open()
        .expect("a new database");
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(settings.memtable_bytes)
            .data_block_size_policy(BlockSizePolicy::all(settings.block_bytes))
            .data_block_compression_policy(CompressionPolicy::all(settings.compression))
            .filter_policy(FilterPolicy::disabled())
            .expect_point_read_hits(true)
    };
    let events = database.keyspace("events", options).expect("a new keyspace");
    (database, events)
}

fn append(database: &Database, events: &Keyspace, batches: &[Vec<Event>]) -> Duration {
    let begin = Instant::now();
    let (mut position, mut payload) = (0_u64, Vec::new());
    for batch in batches {
        let mut write = database.batch();
        for event in batch {
            position += 1;
            payload.clear();
            wire::encode(event, &mut payload).expect("a valid event");
            write.insert(events, position.to_be_bytes(), &*payload);
        }
        write.commit().expect("a commit");
    }
    begin.elapsed()
}

/// Bytes that the journals take on the disk.
fn journals(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    let journals = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "jnl"));
    journals.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}
