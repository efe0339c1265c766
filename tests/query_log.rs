//! Questions without a database: the log answers the same, with a daemon and without, and says so when it stands in.
#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::database::Database;
use support::log::{Log, both, check_error};
use support::{json as answer_of, record, stderr, stdout, tailwater};

/// Where nobody answers.
const AWAY: &str = "postgres://nobody@127.0.0.1:9/nothing";

const TIMES: [&str; 4] = ["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-03T00:00:00Z"];

/// Events of every kind, on one day.
fn events() -> String {
    let agent = |second: u64, bytes: u64| {
        json!({"kind": "agent_sample", "time": format!("2026-01-02T03:04:{second:02}Z"), "agent_name": "zen",
            "role": "worker", "cpu_percent": 50.5, "net_rx_bytes": bytes, "state": "working"})
    };
    let call = |message: &str, model: &str, cost: Option<f64>| {
        json!({"kind": "token_usage", "time": "2026-01-02T23:30:00Z", "agent_name": "zen", "model": model,
            "message_id": message, "input_tokens": 100_000, "output_tokens": 0, "final": true, "cost_usd": cost})
    };
    let lines = [
        agent(0, 100),
        agent(10, 400),
        call("msg_1", "claude-sonnet-4-5", None),
        call("msg_2", "claude-sonnet-4-5", Some(0.5)),
        call("msg_3", "nobody-knows-this", None),
        json!({"kind": "channel_sample", "time": "2026-01-02T03:04:05Z", "channel_name": "general", "message_count": 3,
            "reaction_count": 1}),
        json!({"kind": "system_sample", "time": "2026-01-02T03:04:05Z", "system_name": "db", "cpu_percent": 1.5}),
        json!({"kind": "agent_state", "time": "2026-01-02T03:04:05Z", "agent_name": "zen", "state": "stuck"}),
        json!({"kind": "gap", "time": "2026-01-02T03:04:05Z", "from": "2026-01-02T03:00:00Z",
            "to": "2026-01-02T03:01:00Z", "events": 7, "what": "tmux", "reason": "full"}),
    ];
    lines.iter().map(|line| format!("{line}\n")).collect()
}

const QUESTIONS: [&[&str]; 11] = [
    &["agents", "cpu"],
    &["agents", "net", "--interval", "1h", "--agent", "zen,other", "--fill"],
    &["agents", "latest"],
    &["agents", "summary", "zen"],
    &["agents", "states"],
    &["system", "mem"],
    &["channels"],
    &["tokens"],
    &["tokens", "--day", "--tz", "Europe/Berlin", "--by", "model"],
    &["tokens", "--interval", "all", "--by", "none"],
    &["gaps"],
];

fn ask(log: &Log, question: &[&str], more: &[&str]) -> std::process::Output {
    tailwater(&log.data()).arg("query").args(question).args(TIMES).args(more).output().unwrap()
}

#[test]
fn the_log_answers_with_a_daemon_and_without() {
    both(|log| {
        answer_of(&record(&log.data(), &events()));
        let json = |question: &[&str]| answer_of(&ask(log, question, &["--format", "json"]));
        let cpu = json(&["agents", "cpu"]);
        assert_eq!(
            (&cpu[0]["cpu_percent"], &cpu[0]["net_rx_per_second"]),
            (&json!(50.5), &json!(30.0)),
            "{cpu}"
        );
        let summary = json(&["agents", "summary", "zen"]);
        assert_eq!(summary["tokens"]["input"], 300_000);
        assert_eq!(summary["cost"]["total_usd"], 0.8, "0.3 by the price, 0.5 as reported: {summary}");
        assert_eq!(
            summary["models"][1],
            json!({"model": "nobody-knows-this", "cost_usd": null,
            "input_tokens": 100_000, "output_tokens": 0})
        );
        let days = json(&["tokens", "--day", "--tz", "Europe/Berlin", "--by", "none"]);
        assert_eq!(
            (&days[0]["time"], &days[0]["unpriced_events"]),
            (&json!("2026-01-02T23:00:00.000000Z"), &json!(1))
        );
        for question in QUESTIONS {
            let table = ask(log, question, &[]);
            assert!(
                table.status.success() && stdout(&table).lines().count() > 1,
                "{question:?} {}",
                stderr(&table)
            );
            let csv = stdout(&ask(log, question, &["--format", "csv"]));
            let columns = |line: &str| line.split(',').count();
            let widths: Vec<usize> = csv.lines().map(columns).collect();
            assert!(widths.len() > 1 && widths.iter().all(|width| *width == widths[0]), "{csv}");
        }
        let nothing = ask(log, &["agents", "cpu", "--agent", "nobody"], &["--format", "json"]);
        assert_eq!((nothing.status.code(), stdout(&nothing).as_str()), (Some(1), "[]\n"));
        check_error(
            &ask(log, &["agents", "summary", "nobody"], &[]),
            1,
            &["no sample and no call", "nobody"],
        );
        check_error(&ask(log, &["tokens", "--by", "day"], &[]), 2, &["--by", "agent, model, host"]);
        check_error(&ask(log, &["tokens", "--day", "--tz", "Mars"], &[]), 2, &["--tz", "no time zone"]);
        check_error(&ask(log, &["gaps", "--limit", "0"], &[]), 2, &["--limit", "1 to 10000"]);
    });
}

#[test]
fn the_database_and_the_log_answer_alike_and_the_log_stands_in() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    answer_of(&record(&log.data(), &events()));
    let url = database.url();
    let projected =
        tailwater(&log.data()).args(["project", "--until-head", "--database-url", &url]).output().unwrap();
    assert!(projected.status.success(), "{}", stderr(&projected));
    for question in QUESTIONS {
        let told = |more: &[&str]| {
            let output = ask(&log, question, &[&["--format", "json"], more].concat());
            (answer_of(&output), stderr(&output))
        };
        let (by_log, by_database, instead) =
            (told(&[]), told(&["--database-url", &url]), told(&["--database-url", AWAY]));
        assert_ne!(by_log.0, Value::Array(Vec::new()), "{question:?}");
        assert_eq!(by_log, by_database, "{question:?}");
        assert_eq!(instead.0, by_log.0, "{question:?}");
        assert!(instead.1.contains("the log answers") && instead.1.lines().count() == 1, "{}", instead.1);
    }
}
