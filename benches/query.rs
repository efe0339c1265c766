//! Questions about a day, asked of TimescaleDB and of the log; beside the series of all agents the Go package's SQL, and
//! its floor: reading as many finished rows.
//!
//! ```text
//! scripts/timescaledb up
//! TAILWATER_TEST_DATABASE_URL=$(scripts/timescaledb url) cargo bench --bench query
//! ```
//!
//! Without that variable only the log is asked.
//!
//! | variable | what | unless set |
//! | --- | --- | --- |
//! | `BENCH_EVENTS` | samples in the log and the database, of 100 agents, 30 s apart | 1,000,000 |
//! | `BENCH_ROUNDS` | how often each question is asked | 21 |
//!
//! The day is the last one: 288,000 samples, 28,900 buckets of 5 minutes. A round asks everything once, in another
//! order each time, so that whatever else the machine does falls on all. A time ends with the rows in memory, by the
//! reader's own hand: no HTTP and no JSON. That both backends answer alike is asserted, times never are.
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

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use event::{Event, HostName, Time};
use eventlog::{EventLog, Settings, Sync};
use projector::{Projector, Until};
use query::{Answer, Question, Reader, Topic};
use report::{Report, median, percentile};
use samples::Passes;
use store::read::{ReadOptions, TimescaleReader};
use store::testing::{SERVER_VARIABLE, TestDatabase};
use store::{Extension, StoreOptions, TimescaleTarget};
use tailwater::{LogReader, LogSource};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use usage::prices::Prices;

const AGENTS: u64 = 100;
const STEP_MICROS: i64 = 30_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// As the Go package asked for a metric of all agents: the largest text, the largest counter, no rate, no host.
const GO_SERIES: &str = "
SELECT time_bucket('5 minutes', time) AS bucket, agent_name, max(role), max(tool), max(runtime), max(state),
       avg(cpu_percent) AS cpu_percent, avg(mem_used_bytes)::float8, max(mem_limit_bytes), avg(mem_percent),
       max(net_rx_bytes), max(net_tx_bytes), max(disk_read_bytes), max(disk_write_bytes)
FROM agent_metrics
WHERE time >= $1::text::timestamptz AND time < $2::text::timestamptz
GROUP BY bucket, agent_name
ORDER BY bucket, agent_name";

/// The floor: as many rows of the answer's shape, finished beforehand. Their numbers need not be right.
const FINISHED: &str = "
CREATE TABLE finished AS
SELECT time_bucket('5 minutes', time) AS bucket, agent_name, max(role) AS role, max(tool) AS tool,
       max(runtime) AS runtime, max(state) AS state, host, avg(cpu_percent) AS cpu_percent,
       avg(mem_used_bytes)::float8 AS mem_used_bytes, max(mem_limit_bytes) AS mem_limit_bytes,
       avg(mem_percent) AS mem_percent, max(net_rx_bytes) AS net_rx_bytes, max(net_tx_bytes) AS net_tx_bytes,
       max(disk_read_bytes) AS disk_read_bytes, max(disk_write_bytes) AS disk_write_bytes,
       avg(net_rx_bytes)::float8 AS net_rx_per_second, avg(net_tx_bytes)::float8 AS net_tx_per_second,
       avg(disk_read_bytes)::float8 AS disk_read_per_second, avg(disk_write_bytes)::float8 AS disk_write_per_second
FROM agent_metrics
GROUP BY bucket, agent_name, host;
CREATE INDEX ON finished (bucket)";
const FINISHED_SERIES: &str =
    "SELECT * FROM finished WHERE bucket >= $1::text::timestamptz AND bucket < $2::text::timestamptz";

fn main() {
    // NOTE: only `cargo bench` says this; `cargo test --benches` wants to see that the program starts.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (log, last) = fill(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let report = runtime.expect("a runtime").block_on(async {
        let database = if env::var(SERVER_VARIABLE).is_ok() {
            Some(projected(&log).await)
        } else {
            println!("SKIPPED: the database: no {SERVER_VARIABLE}; scripts/timescaledb up makes a server");
            None
        };
        let report = measure(&log, database.as_ref(), last).await;
        if let Some(database) = database {
            database.drop().await;
        }
        report
    });
    log.close().expect("closed");
    report.print();
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// The log, and the time of its last sample.
fn fill(dir: &Path) -> (EventLog, Time) {
    let settings = Settings { sync: Sync::Os, ..Settings::default() };
    let log = EventLog::open(dir, &HostName::new("bench").expect("a host name"), settings).expect("a log");
    let passes = Passes::new(AGENTS.try_into().expect("a few agents"), 1);
    let count = number("BENCH_EVENTS", 1_000_000) / AGENTS;
    let begin = "2026-01-02T00:00:00Z".parse::<Time>().expect("a time");
    let mut time = begin;
    for (number, mut pass) in (0..).zip(passes.take(count.try_into().expect("a number of passes"))) {
        time = begin.plus_micros(number * STEP_MICROS);
        for event in &mut pass {
            if let Event::AgentSample(sample) = event {
                sample.time = time;
            }
        }
        log.append(pass).expect("an append");
    }
    (log, time)
}

/// A database with all of the log.
async fn projected(log: &EventLog) -> TestDatabase {
    let database = TestDatabase::create().await.expect("a server");
    store::migrate(database.url(), Extension::Create).await.expect("the schema");
    let target = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
    let source = Arc::new(LogSource::new(log.clone()));
    let projector = Projector::new(source, Arc::new(target), projector::Settings::default());
    let head = log.ends().next.before();
    log.wait_durable(head).await.expect("durable");
    projector.run(Until::Applied(head), &CancellationToken::new()).await.expect("projected");
    let client = database.client().await;
    client.batch_execute(FINISHED).await.expect("finished rows");
    client.batch_execute("VACUUM ANALYZE").await.expect("settled");
    database
}

/// A question, and how long its answers took in milliseconds.
struct Asked {
    name: &'static str,
    target: &'static str,
    question: Question,
    log: Vec<f64>,
    database: Vec<f64>,
}

/// SQL that is asked just after the series of all agents, in milliseconds, and ours by theirs.
struct Beside {
    name: &'static str,
    sql: &'static str,
    millis: Vec<f64>,
    ratios: Vec<f64>,
}

fn others() -> [Beside; 2] {
    [("the Go package's SQL: all agents", GO_SERIES), ("finished rows: all agents", FINISHED_SERIES)]
        .map(|(name, sql)| Beside { name, sql, millis: Vec::new(), ratios: Vec::new() })
}

fn questions(last: Time) -> Vec<Asked> {
    let to = last.plus_micros(1);
    let from = to.plus_micros(-DAY_MICROS);
    let ask = |name, target, topic, more: &[(&str, &str)]| {
        let parameters = [("from", from.to_string()), ("to", to.to_string())];
        let more = more.iter().map(|(name, text)| (*name, (*text).to_owned()));
        let parameters: Vec<(String, String)> =
            parameters.into_iter().chain(more).map(|(name, text)| (name.to_owned(), text)).collect();
        let question = Question::parse(topic, &parameters, last).expect("a question");
        Asked { name, target, question, log: Vec::new(), database: Vec::new() }
    };
    vec![
        ask("all agents, 5 min buckets", "p95 <= 80 ms / 150 ms", Topic::Agents, &[]),
        ask("one agent, 5 min buckets", "", Topic::Agents, &[("agent", "agent-007")]),
        ask("all agents, the newest", "", Topic::Latest, &[]),
        ask("summary of one agent", "", Topic::Summary, &[("agent", "agent-007")]),
    ]
}

async fn measure(log: &EventLog, database: Option<&TestDatabase>, last: Time) -> Report {
    let from_log = LogReader::new(log.clone(), Arc::new(Prices::embedded().expect("prices")));
    let from_database = database.map(|it| TimescaleReader::new(it.url(), ReadOptions::default()));
    let client = match database {
        Some(database) => Some(database.client().await),
        None => None,
    };
    let mut asked = questions(last);
    let mut others = others();
    let rounds = usize::try_from(number("BENCH_ROUNDS", 21)).expect("a number of rounds");
    for round in 0..=rounds {
        let kept = asked.len();
        asked.rotate_left(round % kept);
        for it in &mut asked {
            let (answer, millis) = timed(&from_log, &it.question).await;
            let pair = match &from_database {
                Some(reader) => Some(timed(reader, &it.question).await),
                None => None,
            };
            // NOTE: the first round warms up.
            if round == 0 {
                check(it.name, &answer, pair.as_ref().map(|(answer, _)| answer));
                continue;
            }
            it.log.push(millis);
            it.database.extend(pair.map(|(_, millis)| millis));
            if let (Some(client), Some(ours)) = (&client, it.database.last())
                && it.name.starts_with("all agents, 5 min")
            {
                for other in &mut others {
                    let theirs = series(client, other.sql, last).await;
                    other.millis.push(theirs);
                    other.ratios.push(ours / theirs);
                }
            }
        }
    }
    asked.sort_by_key(|it| it.name);
    let mut report = Report::default();
    for it in asked {
        if !it.database.is_empty() {
            report.number(&format!("TimescaleDB: {}", it.name), &times(&it.database), it.target);
        }
        report.number(&format!("log: {}", it.name), &times(&it.log), it.target);
    }
    for other in others.iter().filter(|it| !it.millis.is_empty()) {
        report.number(other.name, &times(&other.millis), "");
        let [least, ratio, most] = [0, 50, 100].map(|percent| percentile(&other.ratios, percent));
        report.number("  ours by theirs", &format!("{ratio:.2} ({least:.2}-{most:.2})"), "");
    }
    report
}

async fn timed(reader: &impl Reader, question: &Question) -> (Answer, f64) {
    let begin = Instant::now();
    let answer = question.ask(reader).await.expect("an answer");
    (answer, begin.elapsed().as_secs_f64() * 1e3)
}

/// Two ways to the same answer: as many rows, from the first to the last one.
fn check(name: &str, log: &Answer, database: Option<&Answer>) {
    let text = |answer: &Answer| serde_json::to_value(answer).expect("JSON");
    let log = text(log);
    assert!(log.as_array().is_none_or(|rows| rows.len() >= 100), "{name}");
    if let Some(database) = database.map(text) {
        let ends = |answer: &serde_json::Value| {
            let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            let name = |row: Option<&serde_json::Value>| {
                row.map(|row| (row["time"].clone(), row["agent_name"].clone()))
            };
            (rows.len(), name(rows.first()), name(rows.last()))
        };
        assert_eq!(ends(&log), ends(&database), "{name}");
    }
}

async fn series(client: &Client, sql: &str, last: Time) -> f64 {
    let to = last.plus_micros(1);
    let (from, to) = (to.plus_micros(-DAY_MICROS).to_string(), to.to_string());
    let begin = Instant::now();
    let rows = client.query(sql, &[&from, &to]).await.expect("rows");
    let read: f64 = rows.iter().filter_map(|row| row.get::<_, Option<f64>>("cpu_percent")).sum();
    assert!(rows.len() > 1_000 && read > 0.0, "it had something to read");
    begin.elapsed().as_secs_f64() * 1e3
}

fn times(millis: &[f64]) -> String {
    format!("{:.0} ms, p95 {:.0}", median(millis), percentile(millis, 95))
}
