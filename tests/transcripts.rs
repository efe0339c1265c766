//! Transcripts of coding tools, from the lines that a tool writes to the totals in the database.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use support::daemon::Daemon;
use support::database::Database;
use support::log::lines;
use support::{eventually, tailwater};

/// What a call used as its tool told it last: input, output, cache read, cache written.
type Counts = [u64; 4];

/// Each call by its message, as it must be in the end.
type Oracle = BTreeMap<String, Counts>;

/// One snapshot of a call as Claude Code writes it.
fn line(session: &str, message: &str, millis: u64, counts: Counts, stop: Option<&str>) -> String {
    let [input, output, read, written] = counts;
    let (second, millis) = (millis / 1_000, millis % 1_000);
    let time =
        format!("2026-01-02T{:02}:{:02}:{:02}.{millis:03}Z", second / 3_600, second / 60 % 60, second % 60);
    let usage = json!({
        "input_tokens": input, "output_tokens": output,
        "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
        "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": written },
    });
    let content = json!([{ "type": "text", "text": "words that nobody keeps" }]);
    let line = json!({
        "type": "assistant", "timestamp": time, "sessionId": session, "cwd": "/work/zen", "version": "2.1.0",
        "uuid": format!("{message}-{millis}"), "requestId": format!("req_{message}"), "isSidechain": false,
        "message": {
            "id": message, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": content, "stop_reason": stop, "usage": usage,
        },
    });
    format!("{line}\n")
}

/// A coding tool that works: it writes each line in two pieces, and each call several times as it grows.
fn write_live(path: &Path, session: &str, calls: u64, seed: u64) -> Oracle {
    fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut oracle = Oracle::new();
    for call in 0..calls {
        let message = format!("msg_{session}_{call}");
        let mut counts = [random.u64(1..50), random.u64(1..10), random.u64(0..90_000), random.u64(0..9_000)];
        let snapshots = random.u64(1..5);
        for snapshot in 1..=snapshots {
            let stop = (snapshot == snapshots && random.u32(0..8) > 0).then_some("end_turn");
            let text = line(session, &message, call * 1_000 + snapshot * 7, counts, stop);
            let user = json!({ "type": "user", "sessionId": session, "message": { "content": "a prompt" } });
            let text = format!("{user}\n{text}");
            let (first, second) = text.split_at(random.usize(0..text.len()));
            file.write_all(first.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(random.u64(0..8)));
            file.write_all(second.as_bytes()).unwrap();
            oracle.insert(message.clone(), counts);
            counts[1] += random.u64(0..200);
        }
    }
    oracle
}

struct Scene {
    home: TempDir,
    url: Option<String>,
}

impl Scene {
    fn new(url: Option<String>) -> Self {
        Self { home: tempdir().unwrap(), url }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn transcript(&self, name: &str) -> PathBuf {
        self.home.path().join(".claude/projects/-work-zen").join(name)
    }

    fn start(&self) -> Daemon {
        let mut command = tailwater(&self.data());
        command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false").arg("run");
        if let Some(url) = &self.url {
            command.args(["--database-url", url]);
        }
        Daemon::start_command(&self.data(), &mut command)
    }

    /// The largest that the log knows of each call.
    fn logged(&self) -> Oracle {
        let output = tailwater(&self.data()).args(["log", "export"]).output().unwrap();
        let mut calls = Oracle::new();
        for event in lines(&output) {
            assert_eq!(event["kind"], "token_usage", "{event}");
            assert!(!event.to_string().contains("words that nobody keeps"), "{event}");
            let count = |field: &str| event[field].as_u64().unwrap_or(0);
            let counts = ["input_tokens", "output_tokens", "cache_read", "cache_create"].map(count);
            let message = event["message_id"].as_str().expect("a message").to_owned();
            let call = calls.entry(message).or_insert(counts);
            *call = counts.max(*call);
        }
        calls
    }
}

fn writers(scene: &Scene) -> Vec<JoinHandle<Oracle>> {
    let names = ["one", "two", "three"];
    let writer = |(seed, name): (usize, &&'static str)| {
        let (path, name) = (scene.transcript(&format!("{name}.jsonl")), *name);
        std::thread::spawn(move || write_live(&path, name, 150, seed as u64))
    };
    names.iter().enumerate().map(writer).collect()
}

/// Kills the daemon at random instants while tools write; gives what they have written, and the last daemon.
fn kill_while_written(scene: &Scene) -> (Oracle, Daemon) {
    let writers = writers(scene);
    let mut random = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    while kills < 5 || !writers.iter().all(JoinHandle::is_finished) {
        let daemon = scene.start();
        std::thread::sleep(Duration::from_millis(random.u64(0..400)));
        daemon.kill();
        kills += 1;
    }
    let oracle = writers.into_iter().flat_map(|writer| writer.join().expect("it writes")).collect();
    (oracle, scene.start())
}

#[test]
fn a_transcript_that_is_written_while_the_daemon_is_killed_is_counted_exactly() {
    let scene = Scene::new(None);
    let (oracle, daemon) = kill_while_written(&scene);
    eventually("every call is in the log as it was told last", || (scene.logged() == oracle).then_some(()));
    drop(daemon);
}

#[test]
fn totals_in_the_database_are_exact_after_kills() {
    let Some(database) = Database::create() else { return };
    let scene = Scene::new(Some(database.url()));
    let (oracle, daemon) = kill_while_written(&scene);
    let sum = |index: usize| oracle.values().map(|counts| counts[index]).sum::<u64>();
    let rows = oracle.len() as u64;
    let expected = format!("{rows} {} {} {} {} zen", sum(0), sum(1), sum(2), sum(3));
    let totals = "SELECT concat_ws(' ', count(*), sum(input_tokens), sum(output_tokens), sum(cache_read), \
                  sum(cache_create), string_agg(DISTINCT agent_name, ',')) FROM token_metrics";
    let mut last = String::new();
    let began = std::time::Instant::now();
    while last != expected && began.elapsed() < Duration::from_secs(60) {
        last = database.value::<String>(totals);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(last, expected, "{}", daemon.output());
    drop(daemon);
}

#[test]
fn a_line_is_soon_in_the_log_and_the_status_tells_what_cannot_be_read() {
    let scene = Scene::new(None);
    let path = scene.transcript("s.jsonl");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    let daemon = scene.start();
    let sampler = || {
        let samplers = daemon.status()["samplers"].take();
        samplers.as_array().unwrap().iter().find(|sampler| sampler["name"] == "transcripts").unwrap().clone()
    };
    eventually("the transcript is known", || (sampler()["state"] == "ok").then_some(()));
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(line("s", "msg_1", 5, [1, 2, 3, 4], Some("end_turn")).as_bytes()).unwrap();
    // NOTE: the next look at everything is a minute away, and this patience is a minute: it must have been heard of.
    eventually("the call is there", || (scene.logged().get("msg_1") == Some(&[1, 2, 3, 4])).then_some(()));
    assert_eq!(sampler()["error"], Value::Null);
    file.write_all(b"{\"type\":\"assistant\",\"message\":{\"usage\":{\n").unwrap();
    let told = eventually("the line is told", || sampler()["error"].as_str().map(str::to_owned));
    assert!(told.contains("s.jsonl") && !told.contains('\n'), "{told}");
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
}
