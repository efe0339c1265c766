//! Events as they come: how long from an append until another session sees the row.

use std::time::{Duration, Instant};

use event::Position;
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
    let polling = tokio::spawn(poll(client, last));
    let appending = log.clone();
    let appending = tokio::task::spawn_blocking(move || append(&appending, batches));
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

/// Appends small batches on schedule; gives when each was due. One that comes late counts from when it was due.
fn append(log: &EventLog, batches: u64) -> Vec<Reached> {
    let mut events = passes().flatten();
    let mut due = Instant::now();
    let append_one = |_| {
        due += BATCH_PAUSE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let batch: Vec<_> = events.by_ref().take(BATCH_EVENTS).collect();
        (due, log.append(batch).expect("an append").last())
    };
    (0..batches).map(append_one).collect()
}

/// Looks every few milliseconds until `last` is there.
async fn poll(client: Client, last: Position) -> Vec<Reached> {
    let sql = "SELECT coalesce(max(position), 0) FROM agent_metrics";
    let statement = client.prepare(sql).await.expect("a statement");
    let mut seen: Vec<Reached> = Vec::new();
    while seen.last().is_none_or(|(_, position)| *position < last) {
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
