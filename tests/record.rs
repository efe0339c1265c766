//! `record`: what is acknowledged, and what bad input gets.
#![cfg(test)]

mod support;

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use support::daemon::Daemon;
use support::{agent_line, json, record, run_with, stderr, stdout, tailwater};
use tempfile::tempdir;

#[test]
fn an_acknowledgement_says_where_the_events_lie() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let two = agent_line("a", 1, 1.0) + &agent_line("b", 1, 2.0);
    assert_eq!(json(&record(&data, &two)), json!({"accepted": 2, "first_position": 1, "last_position": 2}));
    assert_eq!(
        json(&record(&data, &agent_line("a", 2, 1.0))),
        json!({"accepted": 1, "first_position": 3, "last_position": 3})
    );
    let nothing = record(&data, "\n");
    assert_eq!(json(&nothing), json!({"accepted": 0, "first_position": null, "last_position": null}));
}

/// By flags and as a line an event is the same, and judged by the same reader.
#[test]
fn one_event_can_be_spelled_out_by_flags() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let by_flags = |flags: &[&str]| tailwater(&data).arg("record").args(flags).output().unwrap();
    let time = ["--time", "2026-01-02T03:04:05Z", "--host", "h"];
    let numbers =
        ["--cpu-percent", "12.5", "--mem-used-bytes", "7", "--mem-limit-bytes", "8", "--mem-percent", "9"];
    let counters =
        ["--net-rx-bytes", "1", "--net-tx-bytes", "2", "--disk-read-bytes", "3", "--disk-write-bytes", "4"];
    let agent =
        ["--agent", "zen", "--role", "worker", "--tool", "codex", "--runtime", "tmux", "--state", "idle"];
    let tokens = [
        "--agent",
        "zen",
        "--model",
        "m",
        "--input-tokens",
        "1",
        "--output-tokens",
        "2",
        "--cache-read",
        "3",
        "--cache-create",
        "4",
        "--cache-create-1h",
        "1",
        "--reasoning-tokens",
        "2",
        "--cost-usd",
        "0.5",
        "--tool",
        "codex",
        "--session-id",
        "s",
        "--message-id",
        "msg_1",
        "--final",
    ];
    let resources = r#""cpu_percent":12.5,"mem_used_bytes":7,"mem_limit_bytes":8,"mem_percent":9.0,"net_rx_bytes":1,"net_tx_bytes":2,"disk_read_bytes":3,"disk_write_bytes":4"#;
    let who = r#""agent_name":"zen","role":"worker","tool":"codex","runtime":"tmux","state":"idle""#;
    let cases: [(Vec<&str>, String); 5] = [
        ([&["agent"], &agent[..], &numbers, &counters].concat(), format!("agent_sample {who},{resources}")),
        (
            [&["system", "--system", "db"], &numbers[..], &counters].concat(),
            format!(r#"system_sample "system_name":"db",{resources}"#),
        ),
        (
            vec!["channel", "--channel", "c", "--messages", "4", "--reactions", "1", "--members", "12"],
            r#"channel_sample "channel_name":"c","message_count":4,"member_count":12,"reaction_count":1"#.to_owned(),
        ),
        (
            [&["token"], &tokens[..]].concat(),
            r#"token_usage "agent_name":"zen","model":"m","tool":"codex","session_id":"s","message_id":"msg_1","input_tokens":1,"output_tokens":2,"cache_read":3,"cache_create":4,"cache_create_1h":1,"reasoning_tokens":2,"cost_usd":0.5,"final":true"#
                .to_owned(),
        ),
        (
            [&["state"], &agent[..], &["--started-at", "2026-01-01T00:00:00Z"]].concat(),
            format!(r#"agent_state {who},"started_at":"2026-01-01T00:00:00.000000Z""#),
        ),
    ];
    for (flags, expected) in &cases {
        let answer = json(&by_flags(&[flags, &time[..]].concat()));
        assert_eq!(answer["accepted"], 1, "{flags:?}: {answer}");
        let tail = tailwater(&data).args(["log", "tail", "-n", "1", "--format", "json"]).output().unwrap();
        let (kind, fields) = expected.split_once(' ').unwrap();
        let line = format!(r#","kind":"{kind}","time":"2026-01-02T03:04:05.000000Z","host":"h",{fields}}}"#);
        assert!(stdout(&tail).trim_end().ends_with(&line), "{}\n{line}", stdout(&tail));
    }
    let now = json(&by_flags(&["state", "--agent", "zen", "--state", "working"]));
    assert_eq!(now["first_position"], 6);

    let check = |flags: &[&str], says: &str| {
        let output = by_flags(flags);
        let error = stderr(&output);
        assert!(output.status.code() == Some(2) && error.contains(says), "{flags:?}: {error}");
        assert!(!error.contains("line 1"), "nobody wrote a line: {error}");
    };
    check(&["state", "--agent", "zen", "--state", "sleeping"], "field state");
    check(&["state", "--agent", "zen"], "--state");
    check(&["agent", "--agent", ""], "field agent_name");
    check(&["agent", "--agent", "zen", "--cpu-percent", "NaN"], "no finite number");
    check(&["agent", "--agent", "zen", "--time", "today"], "field time");
    check(&["--skip-invalid", "agent", "--agent", "zen"], "standard input");
    assert_eq!(json(&record(&data, "\n"))["accepted"], 0);
    assert_eq!(
        json(&record(&data, &agent_line("a", 1, 1.0)))["first_position"],
        7,
        "nothing else was recorded"
    );
}

#[test]
fn bad_input_gets_one_line_and_nothing_is_recorded() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let good = agent_line("a", 1, 1.0);
    let with = |field: &str| good.trim_end().trim_end_matches('}').to_owned() + "," + field + "}\n";
    let check = |bad: &[u8], says: &[&str]| {
        let input = [good.as_bytes(), bad].concat();
        let output = run_with(tailwater(&data).arg("record"), &input);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(stdout(&output), "", "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        for word in ["line 2", "nothing was recorded"].iter().chain(says) {
            assert!(error.contains(word), "{word:?} is not in {error}");
        }
    };
    check(br#"{"kind":"agent_sampel","time":"2026-01-02T03:04:05Z"}"#, &["field kind"]);
    check(with(r#""colour":"red""#).as_bytes(), &["field colour", "unknown"]);
    check(br#"{"kind":"agent_sample","time":"2026-01-02T03:04:05Z"}"#, &["field agent_name", "missing"]);
    check(with(r#""mem_limit_bytes":"much""#).as_bytes(), &["field mem_limit_bytes", "not text"]);
    check(with(r#""role":"a\u0000b""#).as_bytes(), &["field role", "NUL"]);
    check(
        br#"{"kind":"gap","time":"300000-01-01T00:00:00Z","from":"","to":"","events":1,"what":"x","reason":"y"}"#,
        &["field time"],
    );
    check(with(r#""mem_percent":NaN"#).as_bytes(), &["field mem_percent"]);
    check(with(r#""net_rx_bytes":-1"#).as_bytes(), &["field net_rx_bytes", "-1"]);
    let long = with(&format!(r#""role":"{}""#, "x".repeat(5 * 1024 * 1024)));
    check(long.as_bytes(), &["field role", "5243", "1048576"]);
    check(b"{\"kind\":\"agent_sample\",\"role\":\"\xff\"}\n", &["field role", "UTF-8", "byte"]);
    check(&good.as_bytes()[..40], &["field time", "EOF"]);
    let after = json(&record(&data, &good));
    assert_eq!(after["first_position"], 1, "nothing was recorded before");
}

#[test]
fn invalid_lines_can_be_skipped_and_are_counted() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let input = format!("nonsense\n{}{{}}\n", agent_line("a", 1, 1.0));
    let output = run_with(tailwater(&data).args(["record", "--skip-invalid"]), input.as_bytes());
    assert_eq!(json(&output), json!({"accepted": 1, "first_position": 1, "last_position": 1, "skipped": 2}));
}

#[test]
fn a_running_daemon_records_for_the_command() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    let before = daemon.ask(&["log", "stat", "--format", "json"])["next_position"].as_u64().unwrap();
    let answer = json(&record(&data, &agent_line("zen", 1, 1.0)));
    assert_eq!(answer["accepted"], 1);
    assert!(answer["first_position"].as_u64().unwrap() >= before);
    let bad = record(&data, "{\n");
    assert_eq!(bad.status.code(), Some(2));
    assert!(stderr(&bad).contains("line 1"), "{}", stderr(&bad));
}

#[test]
fn two_holders_are_told_who_has_the_log() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    let second = tailwater(&data).arg("run").output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let error = stderr(&second);
    assert!(
        error.contains(&format!("process {}", daemon.pid())) && error.contains("tailwater run"),
        "{error}"
    );
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
}

#[test]
fn a_command_waits_for_a_holder_that_is_about_to_end() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let held = std::fs::File::open(data.join("lock")).unwrap();
    held.lock().unwrap();
    let releaser = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    assert_eq!(json(&record(&data, &agent_line("a", 2, 1.0)))["first_position"], 2);
    releaser.join().unwrap();
}

#[test]
fn a_log_that_cannot_be_written_refuses_and_keeps_what_it_has() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    // A file may not grow beyond 512 KiB, as if the disk were full there; the signal for it is ignored.
    let binary = env!("CARGO_BIN_EXE_tailwater");
    let script = format!("trap '' XFSZ; ulimit -f 1024; exec {binary} record");
    let mut limited = tailwater(&data);
    let environment: Vec<_> =
        limited.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    limited = std::process::Command::new("sh");
    limited.env_clear().envs(environment).args(["-c", &script]);
    let many: String = (0..20_000).map(|second| agent_line("b", second, 1.0)).collect();
    let refused = run_with(&mut limited, many.as_bytes());
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    let error = stderr(&refused);
    assert!(
        error.contains("File too large")
            && error.contains("not acknowledged")
            && error.trim_end().lines().count() == 1,
        "{error}"
    );
    let after = json(&record(&data, &agent_line("a", 2, 1.0)));
    assert_eq!(after["first_position"], 2, "what was there is there, nothing of the refused request is");
}

#[test]
fn commands_that_read_make_no_log() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    for arguments in [&["status"][..], &["log", "stat"]] {
        let output = tailwater(&data).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is no log in"), "{}", stderr(&output));
    }
    assert!(!data.exists());
}

/// What was not taken is not taken later either.
#[test]
fn a_daemon_that_does_not_answer_is_told_and_gets_nothing() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let mut command = tailwater(&data);
    command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false").arg("run");
    let daemon = Daemon::start_command(&data, &mut command);
    daemon.signal(Signal::STOP);
    let refused = record(&data, &agent_line("a", 1, 1.0));
    daemon.signal(Signal::CONT);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(stderr(&refused).contains("did not answer within"), "{refused:?}");
    assert_eq!(json(&record(&data, &agent_line("b", 1, 1.0)))["first_position"], 1);
    daemon.stop();
}

/// A call that is told again is not kept again, whoever tells it and whenever; more of it is, as the same call.
#[test]
fn a_call_is_kept_once_and_grows() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let told = |agent: &str, second: u32, output: u32| {
        let time = format!("2026-01-02T03:04:{second:02}Z");
        let call = json!({"kind": "token_usage", "time": time, "agent_name": agent, "model": "m",
            "message_id": "msg_1", "input_tokens": 1, "output_tokens": output});
        format!("{call}\n")
    };
    let first = record(&data, &(told("zen", 1, 5) + &told("zen", 2, 5)));
    assert_eq!(json(&first), json!({"accepted": 2, "first_position": 1, "last_position": 1, "known": 1}));
    let daemon = Daemon::start(&data, &[]);
    let again = record(&data, &told("ada", 3, 4));
    assert_eq!(
        json(&again),
        json!({"accepted": 1, "first_position": null, "last_position": null, "known": 1})
    );
    daemon.kill();
    let more = json(&record(&data, &told("ada", 4, 6)));
    assert!(more["first_position"].is_u64() && more["known"].is_null(), "{more}");
    let export = tailwater(&data).args(["log", "export", "--kind", "token_usage"]).output().unwrap();
    let calls: Vec<serde_json::Value> =
        stdout(&export).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (&call["agent_name"], &call["time"], &call["output_tokens"]))
        .map(|(agent, time, output)| format!("{agent} {time} {output}"))
        .collect();
    let line = |output| format!("\"zen\" \"2026-01-02T03:04:01.000000Z\" {output}");
    assert_eq!(seen, [line(5), line(6)]);
}
