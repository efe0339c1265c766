//! The same calls told by a transcript and by telemetry, in any order, while the daemon is killed: each is one row.

#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use event::Time;
use serde_json::{Value, json};
use support::daemon::Daemon;
use support::database::Database;
use support::log::lines;
use support::{eventually, tailwater};
use tempfile::{TempDir, tempdir};

const CALLS: u64 = 60;
const COST: f64 = 0.25;

/// A call that has ended: input, output, cache read, cache written.
#[derive(Clone, Debug)]
struct Call {
    session: String,
    number: u64,
    time: Time,
    counts: [u64; 4],
}

impl Call {
    /// A snapshot of it as Claude Code writes it; the last one says why it stopped.
    fn line(&self, output: u64) -> String {
        let [input, last, read, written] = self.counts;
        let usage = json!({
            "input_tokens": input, "output_tokens": output,
            "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
        });
        let stop = (output == last).then_some("end_turn");
        let id = format!("msg_{}_{}", self.session, self.number);
        let message = json!({ "id": id, "model": "claude-opus-4-5", "stop_reason": stop, "usage": usage });
        let line = json!({ "type": "assistant", "timestamp": self.time.to_string(), "sessionId": self.session,
            "cwd": "/work/zen", "requestId": "r", "message": message });
        format!("{line}\n")
    }

    /// The call as Claude Code's telemetry tells it.
    fn telemetry(&self) -> String {
        let [input, output, read, written] = self.counts;
        let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let count = |key: &str, value: u64| json!({ "key": key, "value": { "intValue": value.to_string() } });
        let attributes = json!([
            text("event.name", "api_request"), text("session.id", &self.session), text("model", "claude-opus-4-5"),
            count("event.sequence", self.number), count("input_tokens", input), count("output_tokens", output),
            count("cache_read_tokens", read), count("cache_creation_tokens", written),
            { "key": "cost_usd", "value": { "doubleValue": COST } },
        ]);
        let record = json!({ "timeUnixNano": (self.time.micros() * 1_000).to_string(),
            "body": { "stringValue": "claude_code.api_request" }, "attributes": attributes });
        let resource = json!({ "attributes": [text("service.name", "claude-code")] });
        json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [record] }] }] })
            .to_string()
    }
}

/// Where the daemon listens now, if it does.
type Address = Arc<Mutex<Option<String>>>;

/// A tool that works: it writes each call several times as it grows, in two pieces, and tells its exporter before or after.
fn work(path: &Path, session: &str, seed: u64, exporter: &Sender<Call>) -> Vec<Call> {
    fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut calls = Vec::new();
    for number in 0..CALLS {
        let counts = [random.u64(1..50), random.u64(10..900), random.u64(0..90_000), random.u64(0..9_000)];
        let time = Time::from(SystemTime::now());
        let call = Call { session: session.to_owned(), number, time, counts };
        let is_told_first = random.bool();
        if is_told_first {
            exporter.send(call.clone()).unwrap();
        }
        let [_, last, ..] = counts;
        for output in [random.u64(0..last), last] {
            let line = call.line(output);
            let (first, second) = line.split_at(random.usize(0..line.len()));
            file.write_all(first.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(0..12)));
            file.write_all(second.as_bytes()).unwrap();
        }
        if !is_told_first {
            exporter.send(call.clone()).unwrap();
        }
        calls.push(call);
    }
    calls
}

/// An exporter: it sends each record until it is answered well, and now and then once more.
fn export(calls: &Receiver<Call>, address: &Address) {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5)));
    let client: ureq::Agent = config.build().into();
    for call in calls {
        let body = call.telemetry();
        let mut answers = 0;
        while answers < 1 + usize::from(call.number.is_multiple_of(5)) {
            let at = address.lock().unwrap().clone();
            let request = at.map(|at| client.post(format!("http://{at}/v1/logs")));
            let sent = request.map(|it| it.header("content-type", "application/json").send(&body));
            match sent {
                Some(Ok(_)) => answers += 1,
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

struct Scene {
    home: TempDir,
    /// The database's; empty without one.
    url: String,
    address: Address,
}

impl Scene {
    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn start(&self) -> Daemon {
        let mut command = tailwater(&self.data());
        command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
        command.arg("run");
        if !self.url.is_empty() {
            command.args(["--database-url", &self.url]);
        }
        let daemon = Daemon::start_command(&self.data(), &mut command);
        let address = daemon.status()["ingest"]["address"].as_str().map(str::to_owned);
        *self.address.lock().unwrap() = address;
        daemon
    }
}

#[test]
fn a_call_that_a_transcript_and_telemetry_tell_is_one_row_after_kills() {
    let Some(database) = Database::create() else { return };
    let scene = Scene { home: tempdir().unwrap(), url: database.url(), address: Address::default() };
    let (exporter, records) = channel();
    let tools: Vec<JoinHandle<Vec<Call>>> = (0..3_u64)
        .map(|seed| {
            let session = format!("session-{seed}");
            let path = scene.home.path().join(format!(".claude/projects/-work-zen/{session}.jsonl"));
            let exporter = exporter.clone();
            std::thread::spawn(move || work(&path, &session, seed, &exporter))
        })
        .collect();
    drop(exporter);
    let address = Arc::clone(&scene.address);
    let exporting = std::thread::spawn(move || export(&records, &address));
    let mut random = fastrand::Rng::with_seed(11);
    let mut kills = 0;
    while kills < 5 || !tools.iter().all(JoinHandle::is_finished) {
        let daemon = scene.start();
        std::thread::sleep(Duration::from_millis(random.u64(50..500)));
        daemon.kill();
        kills += 1;
    }
    let calls: Vec<Call> = tools.into_iter().flat_map(|tool| tool.join().expect("it works")).collect();
    let daemon = scene.start();
    exporting.join().expect("everything is exported");

    let sum = |index: usize| calls.iter().map(|call| call.counts[index]).sum::<u64>();
    let rows = calls.len();
    let expected = format!("{rows} {} {} {} {} {rows} zen", sum(0), sum(1), sum(2), sum(3));
    let totals = "SELECT concat_ws(' ', count(*), sum(input_tokens), sum(output_tokens), sum(cache_read), \
                  sum(cache_create), count(*) FILTER (WHERE final AND cost_usd = 0.25), \
                  string_agg(DISTINCT agent_name, ',')) FROM token_metrics";
    // NOTE: compared at the end, so that a failure shows what is there.
    let mut found = String::new();
    let began = Instant::now();
    while found != expected && began.elapsed() < Duration::from_secs(60) {
        found = database.value(totals);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(found, expected, "{}", daemon.status()["usage"]);
    let usage = daemon.status()["usage"].take();
    let number = |field: &str| usage[field].as_u64().unwrap();
    assert_eq!((number("waiting"), number("superseded"), number("unmatched")), (0, 0, 0), "{usage}");
    assert_eq!(usage["late"], Value::from(0), "{usage}");
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
}

/// A call of Codex: input with what came from the cache, that, output.
type CodexCall = [u64; 3];

/// The line of the rollout that ends a call: the totals so far, and the call's own counts.
fn rollout_line(total: CodexCall, own: CodexCall) -> Value {
    let counts = |[input, cached, output]: CodexCall| json!({ "input_tokens": input, "cached_input_tokens": cached, "output_tokens": output, "total_tokens": input + output });
    let info = json!({ "total_token_usage": counts(total), "last_token_usage": counts(own) });
    codex_line("event_msg", &json!({ "type": "token_count", "info": info }))
}

fn codex_line(kind: &str, payload: &Value) -> Value {
    json!({ "timestamp": Time::from(SystemTime::now()).to_string(), "type": kind, "payload": payload })
}

/// The same call as Codex's telemetry tells it.
fn codex_record(session: &str, [input, cached, output]: CodexCall) -> String {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let attributes = json!([
        text("event.name", "codex.sse_event"),
        text("event.kind", "response.completed"),
        text("event.timestamp", &Time::from(SystemTime::now()).to_string()),
        text("conversation.id", session),
        text("model", "gpt-5-codex"),
        text("input_token_count", &input.to_string()),
        text("cached_token_count", &cached.to_string()),
        text("output_token_count", &output.to_string()),
    ]);
    let resource = json!({ "attributes": [text("service.name", "codex_cli_rs")] });
    let records = json!([{ "attributes": attributes }]);
    json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": records }] }] })
        .to_string()
}

#[test]
fn a_call_of_codex_that_its_rollout_and_telemetry_tell_is_one_event() {
    let scene = Scene { home: tempdir().unwrap(), url: String::new(), address: Address::default() };
    let session = "0199c0de-7a3b-7000-8000-000000000001";
    let path = scene
        .home
        .path()
        .join(format!(".codex/sessions/2026/01/02/rollout-2026-01-02T03-04-05-{session}.jsonl"));
    fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    let mut rollout = File::options().create(true).append(true).open(&path).unwrap();
    let mut write = |line: Value| writeln!(rollout, "{line}").unwrap();
    write(codex_line("session_meta", &json!({ "id": session, "cwd": "/work/zen" })));
    write(codex_line("turn_context", &json!({ "cwd": "/work/zen", "model": "gpt-5-codex" })));

    let mut daemon = scene.start();
    let calls: Vec<CodexCall> =
        (1..=6).map(|call| [10_000 + call * 100, 9_000 + call * 7, 40 + call]).collect();
    let mut total = [0; 3];
    for (number, call) in calls.iter().enumerate() {
        total = std::array::from_fn(|index| total[index] + call[index]);
        let record = codex_record(session, *call);
        let post = || {
            let at = scene.address.lock().unwrap().clone().expect("it listens");
            let request =
                ureq::post(format!("http://{at}/v1/logs")).header("content-type", "application/json");
            request.send(&record).expect("it is acknowledged");
        };
        // Before the rollout and after it, once and twice, and with a kill between.
        if number % 2 == 0 {
            post();
        }
        if number % 3 == 2 {
            daemon.kill();
            daemon = scene.start();
        }
        write(rollout_line(total, *call));
        if number > 2 {
            post();
        }
    }
    let told = eventually("every call is in the log, and nothing waits", || {
        let usage = daemon.status()["usage"].take();
        let export =
            tailwater(&scene.data()).args(["log", "export", "--kind", "token_usage"]).output().unwrap();
        let events = lines(&export);
        (events.len() >= calls.len() && usage["waiting"] == 0).then_some(events)
    });
    let mut found: Vec<CodexCall> = told
        .iter()
        .map(|event| {
            let count = |field: &str| event[field].as_u64().unwrap_or(0);
            [count("input_tokens") + count("cache_read"), count("cache_read"), count("output_tokens")]
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, calls, "{told:?}");
    assert!(
        told.iter().all(|event| event["agent_name"] == "zen" && event["session_id"] == session),
        "{told:?}"
    );
}
