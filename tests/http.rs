//! The daemon's HTTP server: what is posted is in the log, and recording does not depend on it.
#![cfg(test)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::Daemon;
use support::log::{Log, lines};
use support::scene::is_bad;
use support::{agent_line, agent_lines, eventually, json as answer_of, record, tailwater};
use tempfile::tempdir;

fn client() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

/// The address that the daemon says it listens on.
fn address(daemon: &Daemon) -> String {
    let ingest = daemon.status()["ingest"].take();
    assert_eq!(ingest["state"], "listening", "{ingest}");
    ingest["address"].as_str().expect("an address").to_owned()
}

/// Posts a body; gives the status, the Retry-After and the answer.
fn post(daemon: &Daemon, path: &str, media_type: &str, body: &str) -> (u16, Option<String>, Value) {
    let request =
        client().post(format!("http://{}{path}", address(daemon))).header("content-type", media_type);
    let mut response = request.send(body).expect("an answer");
    let wait = response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), wait, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn what_is_posted_is_in_the_log() {
    let log = Log::new(true);
    let daemon = log.daemon.as_ref().unwrap();
    let ndjson = "application/x-ndjson";
    assert_eq!(answer_of(&record(&log.data(), &agent_lines("a", 3)))["first_position"], 1);
    let (status, _, answer) = post(daemon, "/api/events", ndjson, &agent_lines("b", 5));
    assert_eq!((status, &answer), (202, &json!({"accepted": 5, "first_position": 4, "last_position": 8})));
    let array = format!("[{},{}]", agent_line("c", 1, 2.0), agent_line("c", 2, 2.0));
    assert_eq!(post(daemon, "/api/events", "application/json", &array).2["first_position"], 9);
    let (status, _, problem) = post(daemon, "/api/events", ndjson, "{}");
    assert_eq!((status, &problem["line"], &problem["field"]), (400, &json!(1), &json!("kind")), "{problem}");
    let exported = lines(&log.log(&["export"]));
    let agents: Vec<&str> = exported.iter().map(|line| line["agent_name"].as_str().unwrap()).collect();
    assert_eq!(agents, ["a", "a", "a", "b", "b", "b", "b", "b", "c", "c"]);
    let ingest = log.status()["ingest"].clone();
    assert_eq!([&ingest["requests"], &ingest["events"], &ingest["rejected"]], [3, 7, 1], "{ingest}");
}

#[test]
fn usage_by_otlp_is_counted_and_metrics_are_not_kept() {
    let mut log = Log::new(true);
    let daemon = log.daemon.as_ref().unwrap();
    let codex = include_str!("../crates/server/tests/bodies/codex.json");
    assert_eq!(post(daemon, "/v1/logs", "application/json", codex), (200, None, json!({})));
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"x","gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":"1"}]}}]}]}]}"#;
    assert_eq!(post(daemon, "/v1/metrics", "application/json", metrics).0, 200);
    let ingest = log.status()["ingest"].clone();
    let counts = ["otlp_logs", "otlp_log_records", "otlp_usage_events", "otlp_metrics_ignored"];
    assert_eq!(counts.map(|name| ingest[name].as_u64()), [1, 2, 1, 1].map(Some), "{ingest}");
    let table = tailwater(&log.data()).arg("status").output().unwrap();
    let table = support::stdout(&table);
    assert!(
        table.contains("1 of 2 log records tell usage; 1 metric points acknowledged and not kept"),
        "{table}"
    );
    let output = log.stop_daemon();
    assert!(!output.lines().any(is_bad), "{output}");
}

#[test]
fn a_port_that_is_taken_is_told_once_and_tried_again_while_recording_goes_on() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    // Nobody else binds this address, so the port stays free between the two who want it.
    let taken = TcpListener::bind("127.94.70.1:0").unwrap();
    let wanted = taken.local_addr().unwrap().to_string();
    let daemon = Daemon::start(&data, &["--listen", &wanted]);
    let warning = |output: &str| output.lines().filter(|line| line.contains("WARN")).count();
    eventually("the warning", || (warning(&daemon.output()) == 1).then_some(()));
    assert!(daemon.output().contains(&format!("cannot listen on {wanted}: ")), "{}", daemon.output());
    let ingest = daemon.status()["ingest"].clone();
    assert_eq!([&ingest["state"], &ingest["address"]], ["waiting", &wanted], "{ingest}");
    assert!(ingest["error"].as_str().unwrap().contains("in use"), "{ingest}");
    assert_eq!(answer_of(&record(&data, &agent_line("a", 1, 1.0)))["accepted"], 1);
    drop(taken);
    let listens = format!("listens on http://{wanted} now");
    eventually("it listens", || daemon.output().contains(&listens).then_some(()));
    assert_eq!(post(&daemon, "/api/events", "application/json", &agent_line("b", 1, 1.0)).0, 202);
    let (status, output) = daemon.stop();
    assert!(status.success() && warning(&output) == 1, "{output}");
    assert!(TcpStream::connect(&wanted).is_err());
}

#[test]
fn a_log_that_takes_nothing_is_a_503_that_says_when_to_come_again() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    answer_of(&record(&data, &agent_line("a", 1, 1.0)));
    let plain = tailwater(&data);
    let environment: Vec<_> =
        plain.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    // A file may not grow beyond 512 KiB, as if the disk were full there.
    let script = format!("ulimit -S -f 1024; exec {} run", env!("CARGO_BIN_EXE_tailwater"));
    let mut limited = std::process::Command::new("sh");
    limited.env_clear().envs(environment).env("TAILWATER_HOST_ENABLED", "false");
    limited.args(["-c", &script]).stdin(Stdio::null());
    let daemon = Daemon::start_command(&data, &mut limited);
    let many: String = (0..20_000).map(|second| agent_line("b", second, 1.0)).collect();
    let (status, wait, problem) = post(&daemon, "/api/events", "application/x-ndjson", &many);
    assert_eq!((status, wait.as_deref()), (503, Some("10")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("File too large") && detail.contains("not acknowledged"), "{problem}");
    assert_eq!(daemon.status()["ingest"]["events"], 0);
}

#[test]
fn a_rate_holds_for_each_client() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let mut command = tailwater(&data);
    let daemon = Daemon::start_command(&data, command.env("TAILWATER_SERVER_RATE", "1").arg("run"));
    assert_eq!(post(&daemon, "/api/events", "application/x-ndjson", &agent_lines("a", 10)).0, 202);
    let (status, wait, problem) = post(&daemon, "/api/events", "application/x-ndjson", &agent_lines("a", 10));
    assert!(status == 429 && wait.is_some(), "{problem}");
}
