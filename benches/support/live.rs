//! Events as they come: how long from an append until another session sees the row; alone, and while a backlog drains.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event::{AgentSample, Event, Position, Time};
use eventlog::{EventLog, Settings};
use projector::Until;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::report::{Report, percentile};
use crate::{LANES, assert_rows, directory, fresh, host, passes, projector};

/// Ten events every ten milliseconds: 1,000 a second.
const BATCH_EVENTS: usize = 10;
const BATCH_PAUSE: Duration = Duration::from_millis(10);
const BATCHES_PER_SECOND: u64 = 100;
/// While connections are made, statements prepared and the first chunk created.
const WARM_UP_SECONDS: u64 = 2;
const POLL_PAUSE: Duration = Duration::from_millis(2);

/// The one agent that is sampled while a backlog drains, and when its samples begin, far from the backlog's.
const LIVE_AGENT: &str = "live";
const LIVE_BEGIN: Time = Time::from_micros(1_800_000_000_000_000);

/// A moment, and the last position that was there by then.
type Reached = (Instant, Position);

/// Appends for some seconds while a projector runs and another session looks.
pub async fn measure(seconds: u64, report: &mut Report) {
    let database = fresh().await;
    let client = database.client().await;
    // For the poll alone; at this rate an index more costs the projector nothing that could be seen.
    client.batch_execute("CREATE INDEX ON agent_metrics (position)").await.expect("an index");
    let dir = directory();
    let log = EventLog::open(dir.path(), &host(), Settings::default()).expect("a log");
    let (projector, stop) = (projector(&log, database.url(), LANES), CancellationToken::new());
    let stopped = stop.clone();
    let projecting = tokio::spawn(async move { projector.run(Until::Stopped, &stopped).await });

    let batches = (WARM_UP_SECONDS + seconds) * BATCHES_PER_SECOND;
    let last = Position(batches * BATCH_EVENTS as u64);
    let polling = tokio::spawn(poll(client, NEWEST.to_owned(), move |seen| seen >= last));
    let appending = log.clone();
    let appending =
        tokio::task::spawn_blocking(move || append(&appending, passes().flatten(), |n| n < batches));
    let appended = appending.await.expect("no panic");
    let seen = polling.await.expect("no panic");
    stop.cancel();
    let totals = projecting.await.expect("no panic").expect("no halt");
    assert_eq!(totals.inserted, last.0);
    assert_rows(&database, last.0).await;
    tokio::task::spawn_blocking(move || log.close()).await.expect("no panic").expect("closed");
    database.drop().await;

    let warm_up = usize::try_from(WARM_UP_SECONDS * BATCHES_PER_SECOND).expect("a number of batches");
    let latencies = latencies(appended.get(warm_up..).unwrap_or_default(), &seen);
    let ms = |percent| format!("{:.0} ms", percentile(&latencies, percent) * 1e3);
    report.number("append to visible, 1,000 events/s, p50", &ms(50), "");
    report.number("append to visible, 1,000 events/s, p99", &ms(99), "<= 300 ms");
}

/// Appends for as long as the backlog in this directory drains, and looks when each event is there.
pub async fn measure_behind(dir: &Path, backlog: u64, report: &mut Report) {
    let database = fresh().await;
    let client = database.client().await;
    let log = EventLog::open(dir, &host(), Settings::default()).expect("a log");
    let (projector, stop) = (projector(&log, database.url(), LANES), CancellationToken::new());
    let (stopped, mut status) = (stop.clone(), projector.status());
    let begin = Instant::now();
    let projecting = tokio::spawn(async move { projector.run(Until::Stopped, &stopped).await });
    status.wait_for(|status| status.backlog_events > 0).await.expect("a backlog");

    let is_drained = Arc::new(AtomicBool::new(false));
    let (until, appending) = (Arc::clone(&is_drained), log.clone());
    let appending = tokio::task::spawn_blocking(move || {
        append(&appending, live_samples(), |_| !until.load(Ordering::Relaxed))
    });
    // By the primary key: the last of the live agent's rows, however many there are.
    let newest = format!(
        "SELECT coalesce((SELECT position FROM agent_metrics WHERE agent_name = '{LIVE_AGENT}' AND host = 'bench'
             AND time >= '{LIVE_BEGIN}' ORDER BY time DESC LIMIT 1), 0)"
    );
    let (head, until) = (log.clone(), Arc::clone(&is_drained));
    let is_last = move |seen| until.load(Ordering::Relaxed) && seen >= head.ends().next.before();
    let polling = tokio::spawn(poll(client, newest, is_last));
    status.wait_for(|status| status.backlog_events == 0).await.expect("a drain");
    let took = begin.elapsed();
    is_drained.store(true, Ordering::Relaxed);
    let appended = appending.await.expect("no panic");
    let seen = polling.await.expect("no panic");
    stop.cancel();
    let totals = projecting.await.expect("no panic").expect("no halt");
    let last = log.ends().next.before();
    assert_eq!((totals.inserted, last.0), (last.0, backlog + (appended.len() * BATCH_EVENTS) as u64));
    tokio::task::spawn_blocking(move || log.close()).await.expect("no panic").expect("closed");
    database.drop().await;

    let latencies = latencies(&appended, &seen);
    let seconds = |percent| format!("{:.2} s", percentile(&latencies, percent));
    let rate = format!("{:.0}/s", backlog as f64 / took.as_secs_f64());
    report.number(&format!("a backlog of {backlog} beside 1,000 events/s"), &rate, "");
    report.number("  live lag meanwhile, p50", &seconds(50), "");
    report.number("  live lag meanwhile, p99", &seconds(99), "<= 2 s");
}

/// Samples of one agent, a millisecond apart.
fn live_samples() -> impl Iterator<Item = Event> {
    (0..).map(|millisecond: i64| {
        let time = LIVE_BEGIN.plus_micros(millisecond * 1_000);
        Event::AgentSample(AgentSample { time, agent_name: LIVE_AGENT.into(), ..AgentSample::default() })
    })
}

/// Appends small batches on schedule, for as long as there shall be another one; gives when each was due. One that comes
/// late counts from when it was due.
fn append(
    log: &EventLog,
    mut events: impl Iterator<Item = Event>,
    more: impl Fn(u64) -> bool,
) -> Vec<Reached> {
    let mut due = Instant::now();
    let append_one = |_| {
        due += BATCH_PAUSE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let batch: Vec<_> = events.by_ref().take(BATCH_EVENTS).collect();
        (due, log.append(batch).expect("an append").last())
    };
    (0..).take_while(|batch| more(*batch)).map(append_one).collect()
}

/// The last position that is there.
const NEWEST: &str = "SELECT coalesce(max(position), 0) FROM agent_metrics";

/// Looks every few milliseconds until that is the last one.
async fn poll(client: Client, newest: String, is_last: impl Fn(Position) -> bool) -> Vec<Reached> {
    let statement = client.prepare(&newest).await.expect("a statement");
    let mut seen: Vec<Reached> = Vec::new();
    while seen.last().is_none_or(|(_, position)| !is_last(*position)) {
        let row = client.query_one(&statement, &[]).await.expect("a position");
        let position = Position(row.get::<_, i64>(0).cast_unsigned());
        if seen.last().is_none_or(|(_, before)| *before < position) {
            seen.push((Instant::now(), position));
        }
        tokio::time::sleep(POLL_PAUSE).await;
    }
    seen
}

/// Seconds from each of `appended` until it was seen.
fn latencies(appended: &[Reached], seen: &[Reached]) -> Vec<f64> {
    let latency = |(due, position): &Reached| {
        let first = seen.partition_point(|(_, reached)| reached < position);
        let (at, _) = seen.get(first).expect("the poll went on until the last");
        at.duration_since(*due).as_secs_f64()
    };
    appended.iter().map(latency).collect()
}
