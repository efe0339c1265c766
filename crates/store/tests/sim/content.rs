//! What a real database holds, as the simulated one has it.

use event::{Event, LogId, Position, json};
use projector::{Cursor, Digest, LogIdentity, WriterId};
use sim::database::{Commit, Data, Range};
use sim::log::HOST;
use sim::rows::{Key, Row};
use tokio_postgres::Client;
use uuid::Uuid;

/// For each table its kind, and what in its rows is called otherwise than in an event.
const TABLES: [(&str, &str, &str); 6] = [
    ("agent_metrics", "agent_sample", "to_jsonb(t)"),
    ("system_metrics", "system_sample", "to_jsonb(t)"),
    ("channel_metrics", "channel_sample", "to_jsonb(t)"),
    ("token_metrics", "token_usage", "to_jsonb(t)"),
    ("agent_states", "agent_state", "to_jsonb(t)"),
    (
        "gaps",
        "gap",
        "to_jsonb(t) - 'from_time' - 'to_time' || jsonb_build_object('from', from_time, 'to', to_time)",
    ),
];

const RANGES: &str = "SELECT log_id, lo, next, hi, digest, digest_at, writer
    FROM tailwater_ranges JOIN tailwater_logs USING (log_no)";
const PASSED: &str = "SELECT log_id, writer, first, next, is_hole, is_current
    FROM sim_passed JOIN tailwater_logs USING (log_no) ORDER BY number";
const QUARANTINE: &str =
    "SELECT log_id, position FROM tailwater_quarantine JOIN tailwater_logs USING (log_no)";

/// Reads everything.
pub(crate) async fn read(client: &Client) -> Data {
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    let mut data = Data { ranges: ranges(client).await, ..Data::default() };
    for row in client.query(PASSED, &[]).await.unwrap() {
        let (log, writer): (Uuid, Uuid) = (row.get(0), row.get(1));
        let (log, is_hole) = (LogId(log), row.get(4));
        let (from, to) = (position(row.get(2)), position(row.get(3)));
        if row.get(5) {
            let commit = Commit { writer: WriterId(writer), from, to, is_hole };
            data.passed.entry(log).or_default().push(commit);
        }
        if !is_hole {
            data.applied.entry(log).or_default().extend((from.0..to.0).map(Position));
        }
    }
    for row in client.query(QUARANTINE, &[]).await.unwrap() {
        data.quarantine.entry(LogId(row.get(0))).or_default().insert(position(row.get(1)));
    }
    for (table, kind, fields) in TABLES {
        let sql = format!(
            "SELECT log_id, position,
                (jsonb_strip_nulls({fields}) - 'log_no' - 'position' || '{{\"kind\": \"{kind}\"}}')::text
             FROM {table} AS t JOIN tailwater_logs USING (log_no)"
        );
        for row in client.query(&sql, &[]).await.unwrap() {
            let (key, row) = read_row(LogId(row.get(0)), position(row.get(1)), row.get(2));
            assert!(data.rows.insert(key.clone(), row).is_none(), "{key:?} twice");
        }
    }
    data
}

/// The ranges of every log.
pub(crate) async fn ranges(client: &Client) -> std::collections::BTreeMap<(LogId, Position), Range> {
    let rows = client.query(RANGES, &[]).await.unwrap();
    let range = |row: &tokio_postgres::Row| {
        let (hi, checksum): (Option<i64>, Option<i64>) = (row.get(3), row.get(4));
        let (at, writer): (Option<i64>, Option<Uuid>) = (row.get(5), row.get(6));
        let digest = checksum
            .zip(at)
            .map(|(checksum, at)| Digest { checksum: u32::try_from(checksum).unwrap(), at: position(at) });
        let cursor = Cursor { next: position(row.get(2)), digest };
        let range = Range { cursor, hi: hi.map(position), writer: writer.map(WriterId) };
        ((LogId(row.get(0)), position(row.get(1))), range)
    };
    rows.iter().map(range).collect()
}

fn read_row(log: LogId, position: Position, line: &str) -> (Key, Row) {
    let event: Event =
        json::parse_line(line.as_bytes()).unwrap_or_else(|problem| panic!("{line}: {problem}"));
    let identity = LogIdentity { log_id: log, host: event::HostName::new(HOST).unwrap() };
    (Key::of(&event, &identity), Row { log, position, event })
}

fn position(number: i64) -> Position {
    Position(u64::try_from(number).unwrap())
}
