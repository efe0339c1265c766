//! `log tail` and `log export`, with the daemon and without.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::daemon::Daemon;
use support::{agent_line, json, record, stderr, stdout, tailwater};
use tempfile::{TempDir, tempdir};

/// A data directory, and maybe a daemon that has it; its samplers are off, so that it appends nothing itself.
struct Log {
    home: TempDir,
    daemon: Option<Daemon>,
}

impl Log {
    fn new(with_daemon: bool) -> Self {
        let mut log = Self { home: tempdir().unwrap(), daemon: None };
        if with_daemon {
            log.start_daemon();
        }
        log
    }

    fn start_daemon(&mut self) {
        let data = self.data();
        let mut command = tailwater(&data);
        command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false").arg("run");
        self.daemon = Some(Daemon::start_command(&data, &mut command));
    }

    fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    fn log(&self, arguments: &[&str]) -> Output {
        tailwater(&self.data()).arg("log").args(arguments).output().unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = tailwater(&self.data());
        command.arg("log").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_error(output: &Output, code: i32, words: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
}

/// Runs the body with a daemon and without: it must mean the same.
fn both(body: impl Fn(&Log)) {
    for with_daemon in [false, true] {
        body(&Log::new(with_daemon));
    }
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
