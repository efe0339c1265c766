//! What was recorded, read by HTTP: from the log without a database, and while one is away; from the database while it is there.
#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::Daemon;
use support::database::Database;
use support::log::Log;
use support::relay::Relay;
use support::{agent_lines, eventually, json as answer_of, record};

const PATHS: [&str; 9] = [
    "/api/system/stats/cpu?",
    "/api/agents/stats/cpu?interval=1m&",
    "/api/agents/stats/latest?",
    "/api/agents/stats/states?",
    "/api/agents/stats/summary/zen?",
    "/api/agents/stats/tokens?day=true&",
    "/api/agents/stats/cost?interval=all&by=model&",
    "/api/channels/stats/messages?",
    "/api/gaps?",
];
const DAY: &str = "from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z";

/// Asks the daemon; gives status, source and answer.
fn get(daemon: &Daemon, path: &str) -> (u16, String, Value) {
    let ingest = daemon.status()["ingest"].take();
    let address = ingest["address"].as_str().expect("it listens").to_owned();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)));
    let client: ureq::Agent = config.build().into();
    let mut response = client.get(format!("http://{address}{path}")).call().expect("an answer");
    let source = response.headers().get("tailwater-source").map(|it| it.to_str().unwrap().to_owned());
    let text = response.body_mut().read_to_string().unwrap();
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (response.status().as_u16(), source.unwrap_or_default(), answer)
}

fn fill(log: &Log) {
    let others = [
        json!({"kind": "system_sample", "time": "2026-01-02T00:00:05Z", "system_name": "db", "cpu_percent": 1.5}),
        json!({"kind": "channel_sample", "time": "2026-01-02T00:00:05Z", "channel_name": "c", "message_count": 3,
            "reaction_count": 1}),
        json!({"kind": "agent_state", "time": "2026-01-02T00:00:05Z", "agent_name": "zen", "state": "stuck"}),
        json!({"kind": "token_usage", "time": "2026-01-02T00:00:05Z", "agent_name": "zen", "model": "claude-opus-4-5",
            "message_id": "msg_1", "input_tokens": 10, "output_tokens": 20, "final": true}),
        json!({"kind": "gap", "time": "2026-01-02T00:00:05Z", "from": "2026-01-02T00:00:01Z",
            "to": "2026-01-02T00:00:02Z", "events": 7, "what": "tmux", "reason": "full"}),
    ];
    let others: String = others.iter().map(|line| format!("{line}\n")).collect();
    answer_of(&record(&log.data(), &(agent_lines("zen", 20) + &others)));
}

#[test]
fn without_a_database_the_log_answers() {
    let log = Log::new(true);
    let daemon = log.daemon.as_ref().unwrap();
    fill(&log);
    for path in PATHS {
        let (status, source, answer) = get(daemon, &format!("{path}{DAY}"));
        assert_eq!((status, source.as_str()), (200, "log"), "{path} {answer}");
        assert_ne!(answer, json!([]), "{path}");
    }
    let (status, _, problem) = get(daemon, "/api/agents/stats/summary/nobody");
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
    assert_eq!(get(daemon, "/api/agents/stats/cpu?interval=0s").2["field"], "interval");
    let (status, _, told) = get(daemon, "/api/status");
    assert_eq!((status, &told["recording"]["state"]), (200, &json!("ok")));
    let workspace = get(daemon, "/api/stats/summary").2;
    assert_eq!(workspace["agents"]["total_agents"], 0, "nobody was seen in the last 24 hours: {workspace}");
    assert!(get(daemon, "/metrics").2.as_str().unwrap().contains("\ntailwater_log_next_position 26\n"));
    assert_eq!((get(daemon, "/readyz").0, get(daemon, "/healthz").0), (200, 200));
}

#[test]
fn the_database_answers_while_it_is_there_and_the_log_alike_while_it_is_not() {
    let Some(database) = Database::create() else { return };
    let relay = Relay::to(&database.url());
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", relay.url()]);
    fill(&log);
    let daemon = log.daemon.as_ref().unwrap();
    eventually("everything is projected", || {
        (daemon.status()["projection"]["lag_events"] == 0).then_some(())
    });
    let ask = |path: &str| get(daemon, &format!("{path}{DAY}"));
    let until_from = |wanted: &str| {
        eventually(&format!("the {wanted} answers"), || (ask(PATHS[2]).1 == wanted).then_some(()));
    };
    until_from("database");
    let by_database =
        PATHS.map(|path| eventually("it answers", || Some(ask(path)).filter(|it| it.1 == "database")));
    relay.silence();
    until_from("log");
    for (path, (status, _, answer)) in PATHS.iter().zip(&by_database) {
        assert_eq!(ask(path), (*status, "log".to_owned(), answer.clone()), "{path}");
    }
    relay.thaw();
    until_from("database");
}
