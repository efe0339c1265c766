//! Projecting into TimescaleDB: a backlog drained, the same backlog again, and events as they come; beside what
//! psql's `\copy` and the single INSERTs of the Go package do with the same rows.
//!
//! ```text
//! scripts/timescaledb up
//! TAILWATER_TEST_DATABASE_URL=$(scripts/timescaledb url) cargo bench --bench project
//! ```
//!
//! Without that variable it says so and ends. A word as argument, `drain`, `live` or `backlog`, leaves the others out.
//!
//! | variable | what | unless set |
//! | --- | --- | --- |
//! | `BENCH_EVENTS` | events of the backlog | 500,000 |
//! | `BENCH_ROUNDS` | how often everything about the backlog is measured | 5 |
//! | `BENCH_BATCH_EVENTS` | most events of a transaction | the projector's own |
//! | `BENCH_BACKLOG_EVENTS` | events of the large backlog | 10,000,000 |
//! | `BENCH_LIVE_SECONDS` | how long live events come | 10 |
//!
//! criterion is not used: it wants ten samples and more of one thing after the other, and here one sample takes
//! seconds and a database of its own. A round measures every way once, each in a fresh database with the same
//! schema and after a checkpoint, so that whatever else the machine does falls on all; the next round turns the
//! order round. A ratio is the median of the rounds' own ratios, with the least and the greatest.
//!
//! The projector runs in a process of its own, which opens the log and drains it and does nothing else: its CPU
//! time and its peak of resident memory are those of the log, the projector and the connection. The clock runs
//! from the claim to the last COMMIT: connecting is in none of the numbers. That the work was done is asserted,
//! times never are.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark stops at the first error"
)]

#[path = "support/copy.rs"]
mod copy;
#[path = "support/live.rs"]
mod live;
#[path = "support/report.rs"]
mod report;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/single.rs"]
mod single;
#[path = "support/usage.rs"]
mod usage;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use copy::Rows;
use event::HostName;
use eventlog::{EventLog, Settings, Sync};
use projector::{Projector, ReadLimits, Until};
use report::{Pairs, Report, median};
use samples::Passes;
use store::testing::{SERVER_VARIABLE, TestDatabase};
use store::{DatabaseUrl, Extension, StoreOptions, TimescaleTarget};
use tailwater::LogSource;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

/// Agents, and so the events of one pass and of one append.
const AGENTS: u64 = 100;
/// The floor with a COMMIT as often as the projector has one.
const FLOOR_BATCH_ROWS: usize = 20_000;
/// Backlog lanes, where there are any: one for each core of the machine that the floors were seen on.
const LANES: u32 = 2;
/// Rows that are written one by one: enough for most of a second.
const SINGLE_ROWS: u64 = 3_000;
/// The first argument of the process that drains; the log's directory, the database's name and the number of backlog
/// lanes follow.
const CHILD: &str = "drain-in-a-process-of-its-own";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, dir, database, lanes] = arguments.as_slice()
        && first == CHILD
    {
        return drain_here(Path::new(dir), database, lanes.parse().expect("a number of lanes"));
    }
    // NOTE: only `cargo bench` says this; `cargo test --benches` wants to see that the program starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    if env::var(SERVER_VARIABLE).is_err() {
        println!("SKIPPED: project: no {SERVER_VARIABLE}; scripts/timescaledb up makes a server");
        return;
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let mut report = Report::default();
    if is_wanted("drain") {
        drain(&mut report);
    }
    if is_wanted("live") {
        runtime().block_on(live::measure(number("BENCH_LIVE_SECONDS", 10), &mut report));
    }
    if is_wanted("backlog") {
        backlog(&mut report);
    }
    report.print();
}

/// A backlog that is not small: what it needs of memory, and what the live lane feels of it.
fn backlog(report: &mut Report) {
    let events = number("BENCH_BACKLOG_EVENTS", 10_000_000).next_multiple_of(AGENTS);
    let dir = directory();
    fill(dir.path(), events);
    runtime().block_on(async {
        let database = fresh().await;
        let drained = drain_elsewhere(dir.path(), &database, LANES).await;
        assert_eq!((drained.inserted, drained.present), (events, 0), "a drain makes every row");
        database.drop().await;
        let rate = format!("{:.0}/s", events as f64 / drained.seconds);
        report.number(&format!("drain {events}, {LANES} lanes"), &rate, "");
        report.number("  our peak resident memory", &format!("{:.0} MiB", drained.peak_mib), "<= 96 MiB");
        live::measure_behind(dir.path(), events, report).await;
    });
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// As the program makes it.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn host() -> HostName {
    HostName::new("bench").expect("a host name")
}

/// In cargo's target directory: its disk is what is measured.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// A database with the schema and nothing in it.
async fn fresh() -> TestDatabase {
    let database = TestDatabase::create().await.expect("a server");
    store::migrate(database.url(), Extension::Create).await.expect("the schema");
    settle(&database).await;
    database
}

/// Lets the server write what others have left it, so that it does not do so while it is measured.
async fn settle(database: &TestDatabase) {
    // A user who may not do this measures with a little more noise.
    let _ = database.client().await.batch_execute("CHECKPOINT").await;
}

fn settings() -> projector::Settings {
    let mut settings = projector::Settings::default();
    if let Ok(most) = env::var("BENCH_BATCH_EVENTS") {
        let events_max = most.parse().expect("a number");
        settings.batch = ReadLimits { events_max, bytes_max: usize::MAX };
    }
    settings
}

fn projector(log: &EventLog, database: &DatabaseUrl, lanes: u32) -> Projector<LogSource, TimescaleTarget> {
    let target = TimescaleTarget::new(database.clone(), StoreOptions::default());
    let settings = projector::Settings { backlog_lanes: lanes, ..settings() };
    Projector::new(Arc::new(LogSource::new(log.clone())), Arc::new(target), settings)
}

/// What the rounds have found: pairs of events per second, and what the drains have used.
#[derive(Default)]
struct Findings {
    batched: Pairs,
    drain: Pairs,
    lanes: Pairs,
    again: Pairs,
    single: Pairs,
    cpu_microseconds: Vec<f64>,
    peak_mib: Vec<f64>,
    lanes_peak_mib: Vec<f64>,
}

/// The backlog, drained and drained again.
fn drain(report: &mut Report) {
    let events = number("BENCH_EVENTS", 500_000).next_multiple_of(AGENTS);
    let dir = directory();
    fill(dir.path(), events);
    let mut findings = Findings::default();
    runtime().block_on(async {
        let rows = warm_up(dir.path(), events).await;
        for round in 0..number("BENCH_ROUNDS", 5) {
            measure(round, dir.path(), events, &rows, &mut findings).await;
        }
    });
    let Findings { batched, drain, lanes, again, single, cpu_microseconds, peak_mib, lanes_peak_mib } =
        findings;
    report.rate("\\copy by 20,000, beside \\copy at once", &batched, "");
    report.rate(&format!("drain {events}, one lane, beside \\copy"), &drain, ">= 0.95");
    report.rate(&format!("drain {events}, {LANES} lanes, beside \\copy"), &lanes, ">= 1.4");
    report.rate("re-apply the same, beside \\copy", &again, ">= 0.5");
    report.rate("drain, beside single INSERTs", &single, "");
    report.number("  our CPU for an event", &format!("{:.2} us", median(&cpu_microseconds)), "");
    report.number("  our peak resident memory", &format!("{:.0} MiB", median(&peak_mib)), "<= 96 MiB");
    report.number("  the same with lanes", &format!("{:.0} MiB", median(&lanes_peak_mib)), "<= 96 MiB");
}

/// Writes the backlog.
fn fill(dir: &Path, events: u64) {
    let settings = Settings { sync: Sync::Os, ..Settings::default() };
    let log = EventLog::open(dir, &host(), settings).expect("a log");
    for pass in passes().take((events / AGENTS).try_into().expect("a number of passes")) {
        log.append(pass).expect("an append");
    }
    log.close().expect("closed");
}

fn passes() -> Passes {
    Passes::new(AGENTS.try_into().expect("a few agents"), 1)
}

/// Drains once for nobody, and takes the rows for the floor out of the database.
async fn warm_up(dir: &Path, events: u64) -> Rows {
    let database = fresh().await;
    let drained = drain_elsewhere(dir, &database, 0).await;
    assert_eq!((drained.inserted, drained.present), (events, 0), "a drain makes every row");
    let rows = Rows::take(&database.client().await, FLOOR_BATCH_ROWS).await;
    database.drop().await;
    rows
}

/// One round: every way once.
async fn measure(round: u64, dir: &Path, events: u64, rows: &Rows, findings: &mut Findings) {
    let floors_first = round.is_multiple_of(2);
    let mut floors = None;
    if floors_first {
        floors = Some(measure_floors(events, rows).await);
    }
    let database = fresh().await;
    let first = drain_elsewhere(dir, &database, 0).await;
    assert_eq!((first.inserted, first.present), (events, 0), "a drain makes every row");
    let again = drain_again(dir, &database).await;
    assert_eq!((again.inserted, again.present), (0, events), "every row is there already");
    assert_rows(&database, events).await;
    database.drop().await;
    let database = fresh().await;
    let beside = drain_elsewhere(dir, &database, LANES).await;
    assert_eq!((beside.inserted, beside.present), (events, 0), "a drain makes every row");
    assert_rows(&database, events).await;
    database.drop().await;
    let (at_once, batched) = match floors {
        Some(floors) => floors,
        None => measure_floors(events, rows).await,
    };
    let single = measure_single().await;

    let rate = |drained: &Drained| events as f64 / drained.seconds;
    let (drain, lanes, reapply) = (rate(&first), rate(&beside), rate(&again));
    println!(
        "round {round}: \\copy {at_once:.0}/s, by 20,000 {batched:.0}/s; drain {drain:.0}/s, with lanes {lanes:.0}/s, \
         again {reapply:.0}/s"
    );
    findings.batched.add(batched, at_once);
    findings.drain.add(drain, at_once);
    findings.lanes.add(lanes, at_once);
    findings.again.add(reapply, at_once);
    findings.single.add(drain, single);
    findings.cpu_microseconds.push(first.cpu_seconds * 1e6 / events as f64);
    findings.peak_mib.push(first.peak_mib);
    findings.lanes_peak_mib.push(beside.peak_mib);
}

/// Rows per second of `\copy`, at once and in batches.
async fn measure_floors(events: u64, rows: &Rows) -> (f64, f64) {
    let (database, client) = fresh_with_client().await;
    let begin = Instant::now();
    let copied = rows.copy_at_once(&client).await;
    let at_once = per_second(events, begin.elapsed());
    assert_eq!(copied, events);
    database.drop().await;

    let (database, client) = fresh_with_client().await;
    let begin = Instant::now();
    let copied = rows.copy_in_batches(&client).await;
    let batched = per_second(events, begin.elapsed());
    assert_eq!(copied, events);
    assert_rows(&database, events).await;
    database.drop().await;
    (at_once, batched)
}

/// Rows per second of single INSERTs.
async fn measure_single() -> f64 {
    let (database, client) = fresh_with_client().await;
    let rows = passes().flatten().take(SINGLE_ROWS.try_into().expect("a few rows"));
    let time = single::insert(&client, rows).await;
    assert_rows(&database, SINGLE_ROWS).await;
    database.drop().await;
    per_second(SINGLE_ROWS, time)
}

async fn fresh_with_client() -> (TestDatabase, Client) {
    let database = fresh().await;
    let client = database.client().await;
    (database, client)
}

fn per_second(events: u64, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}

async fn assert_rows(database: &TestDatabase, wanted: u64) {
    let sql = "SELECT count(*), count(DISTINCT position) FROM agent_metrics";
    let row = database.client().await.query_one(sql, &[]).await.expect("a count");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (wanted.cast_signed(), wanted.cast_signed()));
}

/// What the process that drained has to say.
struct Drained {
    inserted: u64,
    present: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
}

/// The whole backlog into tables that have it, from a database that does not know it.
async fn drain_again(dir: &Path, database: &TestDatabase) -> Drained {
    let client = database.client().await;
    client.batch_execute("DELETE FROM tailwater_ranges").await.expect("progress to forget");
    settle(database).await;
    drain_elsewhere(dir, database, 0).await
}

/// Drains in a process of its own.
async fn drain_elsewhere(dir: &Path, database: &TestDatabase, lanes: u32) -> Drained {
    let mut child = Command::new(env::current_exe().expect("a program"));
    child.arg(CHILD).arg(dir).arg(database.url().database()).arg(lanes.to_string()).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic");
    let output = output.expect("a process");
    assert!(output.status.success(), "the process that drains has failed");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut words = text.split_whitespace();
    let mut word = || words.next().expect("a number");
    Drained {
        inserted: word().parse().expect("a count"),
        present: word().parse().expect("a count"),
        seconds: word().parse().expect("seconds"),
        cpu_seconds: word().parse().expect("seconds"),
        peak_mib: word().parse().expect("a size"),
    }
}

/// The process that drains: opens the log, projects it until its head, and tells what that took.
fn drain_here(dir: &Path, database: &str, lanes: u32) {
    let server: DatabaseUrl = env::var(SERVER_VARIABLE).expect("a server").parse().expect(SERVER_VARIABLE);
    let log = EventLog::open(dir, &host(), Settings::default()).expect("a log");
    let last = log.ends().next.before();
    let projector = projector(&log, &server.with_database(database), lanes);
    runtime().block_on(async {
        let mut status = projector.status();
        let claimed = tokio::spawn(async move {
            let _ = status.wait_for(|status| status.next.is_some()).await;
            (Instant::now(), usage::cpu_seconds())
        });
        let totals = projector.run(Until::Applied(last), &CancellationToken::new()).await.expect("a drain");
        let end = Instant::now();
        let (begin, cpu_before) = claimed.await.expect("a claim");
        let (seconds, cpu) = (end.duration_since(begin).as_secs_f64(), usage::cpu_seconds() - cpu_before);
        println!("{} {} {seconds} {cpu} {}", totals.inserted, totals.present, usage::peak_resident_mib());
    });
    log.close().expect("closed");
}
