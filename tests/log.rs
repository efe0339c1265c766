//! `log tail`, `log export` and `log import`, with the daemon and without.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::log::{Log, both, check_error, lines};
use support::{agent_line, eventually, json, record, stdout};

#[test]
fn what_is_exported_can_be_imported_elsewhere_and_is_the_same() {
    both(|log| {
        let mut input: String =
            (0..2_000).map(|second| agent_line("zen", second, 0.1 * second as f64)).collect();
        input += &agent_line("yen", 7, 1.0).replace("\"agent_name\"", "\"host\":\"afar\",\"agent_name\"");
        json(&record(&log.data(), &input));
        let exported = log.log(&["export"]);
        let events = lines(&exported);
        assert_eq!(events.len(), 2_001);
        assert!(events.iter().take(2_000).all(|event| event["host"].is_string() && event["host"] != "afar"));
        assert_eq!(events[2_000]["host"], "afar");
        let other = Log::new(log.daemon.is_some());
        let answer = json(&other.import(&exported.stdout));
        assert_eq!(answer, json!({"imported": 2_001, "first_position": 1, "last_position": 2_001}));
        assert_eq!(other.export(), events, "what comes out again is what went in");
    });
}

#[test]
fn a_selection_is_by_position_by_time_and_by_kind() {
    both(|log| {
        let state = r#"{"kind":"agent_state","time":"2026-01-02T00:00:02.5Z","agent_name":"zen"}"#;
        let input: String = (0..5).map(|second| agent_line("zen", second, 1.0)).collect();
        json(&record(&log.data(), &format!("{input}{state}\n")));
        let check = |arguments: &[&str], times: &[&str]| {
            let found = lines(&log.log(&[&["export"], arguments].concat()));
            let seconds: Vec<&str> = found.iter().map(|it| &it["time"].as_str().unwrap()[17..21]).collect();
            assert_eq!(seconds, times, "{arguments:?}");
        };
        check(&["--from", "2", "--to", "4"], &["01.0", "02.0"]);
        check(&["--from", "2026-01-02T00:00:02Z"], &["02.0", "03.0", "04.0", "02.5"]);
        check(&["--to", "2026-01-02T00:00:02Z", "--kind", "agent_sample"], &["00.0", "01.0"]);
        check(&["--kind", "agent_state,gap"], &["02.5"]);
        check(&["--from", "100"], &[]);
        check_error(&log.log(&["export", "--from", "lately"]), 2, &["--from", "lately", "RFC 3339"]);
        check_error(&log.log(&["tail", "--kind", "agents"]), 2, &["--kind", "agents", "agent_sample"]);
    });
}

#[test]
fn a_time_finds_its_events_wherever_they_lie() {
    both(|log| {
        let day = |day: &str| -> String {
            (0..50).map(|second| agent_line(day, second, 1.0).replace("2026-01-02", day)).collect()
        };
        for times in ["2026-01-02", "2025-06-01", "2026-01-03"] {
            json(&log.import(day(times).as_bytes()));
        }
        let found = |arguments: &[&str]| {
            let events = lines(&log.log(&[arguments, &["--from", "2025-06-01T00:00:45Z"]].concat()));
            events.iter().map(|event| event["time"].as_str().unwrap()[..19].to_owned()).collect::<Vec<_>>()
        };
        let seconds = ["45", "46", "47", "48", "49"].map(|second| format!("2025-06-01T00:00:{second}"));
        assert_eq!(found(&["export", "--to", "2025-06-02T00:00:00Z"]), seconds);
        assert_eq!(found(&["export"]).len(), 50 + 5 + 50);
        let tailed = found(&["tail", "--format", "json"]);
        assert_eq!((tailed.len(), tailed[50].as_str()), (105, "2025-06-01T00:00:45"));
        let last = log.log(&["tail", "-n", "3", "--kind", "agent_sample", "--format", "json"]);
        assert_eq!(lines(&last)[0]["position"], 148);
        check_error(&log.log(&["tail", "--from", "2027-01-01T00:00:00Z"]), 1, &["nothing found"]);
        assert_eq!(lines(&log.log(&["export", "--to", "2020-01-01T00:00:00Z"])), [] as [Value; 0]);
    });
}

#[test]
fn a_tail_is_the_last_events_in_three_formats() {
    both(|log| {
        let input: String = (0..30).map(|second| agent_line("zen", second, 1.5)).collect();
        json(&record(&log.data(), &input));
        let table = stdout(&log.log(&["tail"]));
        assert_eq!(table.lines().count(), 10, "{table}");
        assert!(table.starts_with("       21  2026-01-02T00:00:20.000001Z  agent_sample    zen"), "{table}");
        assert!(table.contains("cpu 1.5%  mem 1.0 MiB"), "{table}");
        let events = lines(&log.log(&["tail", "-n", "2", "--format", "json"]));
        assert_eq!(events.iter().map(|it| it["position"].as_u64()).collect::<Vec<_>>(), [Some(29), Some(30)]);
        let csv = stdout(&log.log(&["tail", "--from", "28", "--format", "csv"]));
        assert!(csv.starts_with("position,kind,time,host,") && csv.lines().count() == 4, "{csv}");
        check_error(&log.log(&["tail", "--kind", "gap"]), 1, &["nothing found"]);
    });
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    both(|log| {
        let input: String = (0..30_000).map(|second| agent_line("zen", second, 1.0)).collect();
        json(&record(&log.data(), &input));
        let mut child = log.spawn(&["export"]);
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!((child.wait().unwrap().code(), error.as_str()), (Some(0), ""));
        assert_eq!(json(&record(&log.data(), &agent_line("zen", 1, 1.0)))["accepted"], 1, "the log is free");
    });
}

#[test]
fn following_shows_what_comes_and_outlives_the_daemon() {
    let mut log = Log::new(false);
    json(&record(&log.data(), &agent_line("a", 1, 1.0)));
    let mut child = log.spawn(&["tail", "-f", "--format", "json"]);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        (event["position"].as_u64().unwrap(), event["agent_name"].as_str().unwrap().to_owned())
    };
    assert_eq!(next(), (1, "a".to_owned()));
    // Without a daemon it does not keep the log to itself.
    json(&record(&log.data(), &agent_line("b", 1, 1.0)));
    log.start_daemon();
    assert_eq!(next(), (2, "b".to_owned()));
    json(&record(&log.data(), &agent_line("c", 1, 1.0)));
    assert_eq!(next(), (3, "c".to_owned()));
    let (status, output) = log.daemon.take().unwrap().stop();
    assert!(status.success(), "{output}");
    log.start_daemon();
    json(&record(&log.data(), &agent_line("d", 1, 1.0)));
    assert_eq!(next(), (4, "d".to_owned()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success(), "Ctrl-C is how it ends");
}

#[test]
fn a_bad_line_refuses_the_whole_import() {
    both(|log| {
        let good = agent_line("a", 1, 1.0);
        let many = good.repeat(50_000);
        check_error(
            &log.import(format!("{many}{{\"kind\":\"agent_sample\"}}\n").as_bytes()),
            2,
            &["line 50001: field time: is missing", "nothing was imported"],
        );
        let file = log.home.path().join("events");
        fs::write(&file, format!("{good}nonsense\n")).unwrap();
        let file = file.to_str().unwrap();
        check_error(&log.log(&["import", file]), 2, &["line 2:", "nothing was imported"]);
        let skipping = log.log(&["import", "--skip-invalid", file]);
        assert_eq!(
            json(&skipping),
            json!({"imported": 1, "first_position": 1, "last_position": 1, "skipped": 1})
        );
        check_error(&log.log(&["import", "/no/such/file"]), 2, &["/no/such/file", "No such file"]);
        check_error(&log.log(&["import", "/"]), 2, &["is a directory"]);
        let nothing = json!({"imported": 0, "first_position": null, "last_position": null});
        assert_eq!(json(&log.import(b"")), nothing);
    });
}

#[test]
fn an_import_of_many_chunks_is_whole_and_in_order() {
    both(|log| {
        const EVENTS: u64 = 6_000;
        let role = format!("\"role\":\"{}\",\"agent_name\"", "x".repeat(3_000));
        let line = |second: u64| {
            agent_line(&format!("agent-{second}"), second, 1.0).replace("\"agent_name\"", &role)
        };
        let input: String = (0..EVENTS).map(line).collect();
        assert!(input.len() > 16 * 1024 * 1024, "three chunks");
        let file = log.home.path().join("events");
        fs::write(&file, &input).unwrap();
        let answer = json(&log.log(&["import", file.to_str().unwrap()]));
        assert_eq!(answer, json!({"imported": EVENTS, "first_position": 1, "last_position": EVENTS}));
        let events = log.export();
        assert_eq!(events.len() as u64, EVENTS);
        let is_in_order = |(event, second): (&Value, u64)| event["agent_name"] == format!("agent-{second}");
        assert!(events.iter().zip(0..).all(is_in_order));
        assert_eq!(json(&log.import(input.as_bytes()))["last_position"], 2 * EVENTS);
        assert!(no_leftovers(&log.data()), "what was kept of the pipe is gone");
    });
}

fn no_leftovers(data: &Path) -> bool {
    let known = ["log", "lock", "mark", "tailwater.sock"];
    fs::read_dir(data).unwrap().all(|entry| known.contains(&entry.unwrap().file_name().to_str().unwrap()))
}

#[test]
fn an_import_that_fails_in_the_middle_says_how_far_it_came() {
    let log = Log::new(true);
    let input: String = (0..86_400).map(|second| agent_line("a", second, 1.0)).collect();
    let fifo = log.home.path().join("events");
    fs::write(&fifo, &input).unwrap();
    let child = log.spawn(&["import", fifo.to_str().unwrap()]);
    let pid = log.daemon.as_ref().unwrap().pid();
    // The daemon is stopped in the middle by the sight of the first chunk in the log.
    eventually("the first chunk", || {
        let stat = json(&log.log(&["stat", "--format", "json"]));
        (stat["events"].as_u64() > Some(0)).then_some(())
    });
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        check_error(&output, 2, &["events were imported before that, up to line", "again"]);
    }
}

#[test]
fn an_export_is_refused_without_a_log_and_stops_with_the_daemon() {
    let mut log = Log::new(false);
    check_error(&log.log(&["export"]), 1, &["there is no log in"]);
    check_error(&log.log(&["tail"]), 1, &["there is no log in"]);
    let input: String = (0..60_000).map(|second| agent_line("a", second, 1.0)).collect();
    json(&record(&log.data(), &input));
    log.start_daemon();
    let mut child = log.spawn(&["export"]);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let (status, output) = log.daemon.take().unwrap().stop();
    assert!(status.success() && !output.contains("deadline"), "{output}");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with('\n'), "whole lines");
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("the daemon ended before") || error.contains("stopped before the end"), "{error}");
}
