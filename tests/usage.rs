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
use support::tailwater;
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
        command.args(["run", "--database-url", &self.url]);
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
