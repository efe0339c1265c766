//! What was sent, what was acknowledged, what the log has of it, and what the tables must therefore hold.
//!
//! Every event carries the tag `<request>.<index>.<count>` in a field that is in no key: the role of a sample and of a
//! state, the session of a usage; a channel sample's tag is its channel's name. So events may share keys and can
//! still be told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::random::Random;

/// An event of the log, as far as the tables depend on it.
#[derive(Debug)]
pub struct Logged {
    pub position: u64,
    pub kind: String,
    tag: String,
    /// The table's key, but for the host, which is one.
    key: String,
    /// How complete a snapshot of usage is: final, output, the sum of the others.
    rank: (bool, u64, u64),
}

/// What the writers know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Events of each request that was ever sent.
    sent: Mutex<BTreeMap<String, u64>>,
    /// First position and number of each request that was acknowledged.
    acknowledged: Mutex<BTreeMap<String, u64>>,
}

/// The rows that the tables must hold: `<table> <position> <tag>`; in the quarantine, the kind for the tag.
pub type Rows = BTreeSet<String>;

/// All rows of the four tables and of the quarantine, in the form of [`Rows`].
pub const ROWS: &str = "SELECT 'agent_metrics ' || position || ' ' || role FROM agent_metrics
    UNION ALL SELECT 'agent_states ' || position || ' ' || role FROM agent_states
    UNION ALL SELECT 'channel_metrics ' || position || ' ' || channel_name FROM channel_metrics
    UNION ALL SELECT 'token_metrics ' || position || ' ' || session_id FROM token_metrics
    UNION ALL SELECT 'tailwater_quarantine ' || position || ' ' || kind FROM tailwater_quarantine";

/// Has a database refuse what a [`Mix`] poisons.
pub const REFUSE_POISON: &str =
    "ALTER TABLE agent_metrics ADD CONSTRAINT no_poison CHECK (agent_name NOT LIKE 'poison-%')";

/// What a log's tables hold: every column but the log's number, which is a matter of what came first into a database.
pub const CONTENT: &str = "SELECT md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")) FROM (
    SELECT concat('agent_metrics ', to_jsonb(t) - 'log_no') AS line FROM agent_metrics t
    UNION ALL SELECT concat('system_metrics ', to_jsonb(t) - 'log_no') FROM system_metrics t
    UNION ALL SELECT concat('channel_metrics ', to_jsonb(t) - 'log_no') FROM channel_metrics t
    UNION ALL SELECT concat('token_metrics ', to_jsonb(t) - 'log_no') FROM token_metrics t
    UNION ALL SELECT concat('agent_states ', to_jsonb(t) - 'log_no') FROM agent_states t
    UNION ALL SELECT concat('gaps ', to_jsonb(t) - 'log_no') FROM gaps t
    UNION ALL SELECT concat_ws(' ', 'quarantine', position, kind, sqlstate, record) FROM tailwater_quarantine
) AS lines";

impl Ledger {
    /// A request is about to be sent.
    pub fn send(&self, request: &str, count: u64) {
        self.sent.lock().expect("no panic").insert(request.to_owned(), count);
    }

    /// It was acknowledged, with this answer.
    pub fn acknowledge(&self, request: &str, count: u64, answer: &Value) {
        let accepted = answer.get("accepted").or_else(|| answer.get("imported"));
        assert_eq!(accepted.and_then(Value::as_u64), Some(count), "{request}: {answer}");
        let first = answer["first_position"].as_u64().expect("a position");
        assert_eq!(answer["last_position"], first + count - 1, "{request}: {answer}");
        self.acknowledged.lock().expect("no panic").insert(request.to_owned(), first);
    }

    /// How many requests and events were acknowledged.
    pub fn acknowledged(&self) -> (usize, u64) {
        let (acknowledged, sent) =
            (self.acknowledged.lock().expect("no panic"), self.sent.lock().expect("no panic"));
        (acknowledged.len(), acknowledged.keys().map(|request| sent[request]).sum())
    }

    /// How many requests were sent and never answered.
    pub fn unknown(&self) -> usize {
        self.sent.lock().expect("no panic").len() - self.acknowledged.lock().expect("no panic").len()
    }

    /// Holds the log (as `log tail --from 1 --format json` shows it) against what was sent and acknowledged; gives the
    /// number of its events and the rows that they make.
    pub fn expected(&self, tail: &str) -> (u64, Rows) {
        let log = logged(tail);
        self.check(&log);
        (log.len() as u64, rows(&log))
    }

    /// Holds all events that were ever in the log against what was sent and acknowledged.
    pub fn check(&self, log: &[Logged]) {
        for (event, position) in log.iter().zip(1..) {
            assert_eq!(event.position, position, "positions are dense: {event:?}");
        }
        self.check_requests(log);
    }

    /// Each request is in the log whole, once and in order; each acknowledged one at its positions.
    fn check_requests(&self, log: &[Logged]) {
        let (sent, acknowledged) =
            (self.sent.lock().expect("no panic"), self.acknowledged.lock().expect("no panic"));
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        let mut rest = log;
        while let Some(first) = rest.first() {
            let (request, _) = first.tag.split_once('.').expect("a tag");
            let count = *sent.get(request).unwrap_or_else(|| panic!("{first:?} was never sent"));
            let whole =
                rest.iter().zip(0..count).all(|(event, index)| event.tag == tag(request, index, count));
            assert!(whole && rest.len() as u64 >= count, "{request} is not whole from {first:?} on");
            let before = found.insert(request, first.position);
            assert_eq!(before, None, "{request} is there twice: {first:?}");
            rest = &rest[usize::try_from(count).expect("a few")..];
        }
        for (request, first) in acknowledged.iter() {
            assert_eq!(found.get(request.as_str()), Some(first), "{request} was acknowledged there");
        }
    }
}

fn tag(request: &str, index: u64, count: u64) -> String {
    format!("{request}.{index}.{count}")
}

/// The events that `log tail --format json` shows.
pub fn logged(tail: &str) -> Vec<Logged> {
    tail.lines().map(logged_line).collect()
}

fn logged_line(line: &str) -> Logged {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = |field: &str| event[field].as_str().unwrap_or_else(|| panic!("{field}: {line}")).to_owned();
    let count = |field: &str| event[field].as_u64().unwrap_or_default();
    let kind = text("kind");
    let (tag, key) = match kind.as_str() {
        "agent_sample" | "agent_state" => (text("role"), text("agent_name")),
        "channel_sample" => (text("channel_name"), text("channel_name")),
        "token_usage" => {
            let names = ["agent_name", "model", "message_id"].map(text);
            (text("session_id"), names.join(" "))
        }
        // NOTE: no sampler runs, and a kill loses nothing: neither a hole nor a gap may be there.
        _ => panic!("nobody sent this: {line}"),
    };
    let others = count("input_tokens") + count("cache_read") + count("cache_create");
    let rank = (event["final"] == true, count("output_tokens"), others);
    let position = event["position"].as_u64().unwrap_or_else(|| panic!("a position: {line}"));
    Logged { position, key: format!("{kind} {key} {}", text("time")), kind, tag, rank }
}

/// One row for each key: the largest snapshot of usage, the smallest position of all else and among equals.
pub fn rows<'a>(log: impl IntoIterator<Item = &'a Logged>) -> Rows {
    let mut winners: BTreeMap<&str, &Logged> = BTreeMap::new();
    for event in log {
        let there = winners.entry(&event.key).or_insert(event);
        if event.kind == "token_usage" && event.rank > there.rank {
            *there = event;
        }
    }
    let table = |kind: &str| match kind {
        "agent_sample" => "agent_metrics",
        "agent_state" => "agent_states",
        "channel_sample" => "channel_metrics",
        _ => "token_metrics",
    };
    let row = |it: &&Logged| match it.key.contains(" poison-") {
        true => format!("tailwater_quarantine {} {}", it.position, it.kind),
        false => format!("{} {} {}", table(&it.kind), it.position, it.tag),
    };
    winners.values().map(row).collect()
}

/// Makes the events of one writer.
#[derive(Debug)]
pub struct Mix {
    writer: String,
    random: Random,
    /// The number of the answer whose usage grows, and of its snapshots so far.
    message: (u64, u64),
    made: u64,
    /// How many events it may yet poison.
    poison: u64,
}

impl Mix {
    pub fn new(writer: &str, random: Random) -> Self {
        Self { writer: writer.to_owned(), random, message: (0, 0), made: 0, poison: 0 }
    }

    /// The same that poisons now and then, and never more events than these: see [`REFUSE_POISON`].
    pub fn with_poison(mut self, events_max: u64) -> Self {
        self.poison = events_max;
        self
    }

    /// A number of the writer's own chance.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.random.between(least, most)
    }

    /// The lines of a request.
    pub fn lines(&mut self, request: &str, count: u64) -> String {
        (0..count).map(|index| self.event(&tag(request, index, count)).to_string() + "\n").collect()
    }

    fn event(&mut self, tag: &str) -> Value {
        self.made += 1;
        let time = time(self.random.between(0, 3), self.made);
        if self.poison > 0 && self.random.between(0, 1_999) == 0 {
            self.poison -= 1;
            return json!({ "kind": "agent_sample", "time": time, "role": tag,
                "agent_name": format!("poison-{}", self.writer) });
        }
        match self.random.between(0, 99) {
            0..50 => json!({ "kind": "agent_sample", "time": time, "agent_name": self.writer, "role": tag,
                "cpu_percent": 1.5, "mem_used_bytes": self.made }),
            // Keys that come again, from this writer and from the others, each time with another content.
            50..65 => json!({ "kind": "agent_sample", "time": shared_time(self.random.between(0, 30)),
                "agent_name": "shared", "role": tag, "mem_used_bytes": self.made }),
            65..75 => json!({ "kind": "agent_state", "time": time, "agent_name": self.writer, "role": tag,
                "state": "working" }),
            75..85 => json!({ "kind": "channel_sample", "time": time, "channel_name": tag,
                "message_count": 1, "reaction_count": 0 }),
            _ => self.usage(tag),
        }
    }

    /// The next snapshot of an answer: it grows, and the sixth is the last.
    fn usage(&mut self, tag: &str) -> Value {
        let (message, snapshot) = self.message;
        let is_last = snapshot == 5;
        self.message = if is_last { (message + 1, 0) } else { (message, snapshot + 1) };
        json!({ "kind": "token_usage", "time": time(message % 3, message), "agent_name": self.writer, "model": "m",
            "session_id": tag, "message_id": format!("msg_{}_{message}", self.writer),
            "input_tokens": 10, "output_tokens": snapshot * 7 + 1, "final": is_last })
    }
}

/// One time for each number, on a day of a few: chunks are a day long.
fn time(day: u64, number: u64) -> String {
    let (hours, minutes, seconds) = (number / 3_600 % 24, number / 60 % 60, number % 60);
    format!("2026-01-{:02}T{hours:02}:{minutes:02}:{seconds:02}.{:06}Z", day + 2, number / 86_400)
}

fn shared_time(number: u64) -> String {
    time(number % 2, number)
}
