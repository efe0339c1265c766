//! What a person sees: tables that fit a real terminal, sparklines, colours; and what a pipe gets instead.
#![cfg(test)]

mod support;

use serde_json::json;
use support::log::Log;
use support::tmux::Tmux;
use support::{eventually, json as answer_of, record, stdout, tailwater};
use tempfile::tempdir;
use unicode_width::UnicodeWidthStr;

const TIMES: [&str; 4] = ["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T01:00:00Z"];
const ESCAPE: char = '\u{1b}';

/// Two agents for an hour: one is away for ten minutes, one has a long name with wide letters.
fn events() -> String {
    let sample = |minute: u64, name: &str, cpu: u64| {
        let time = format!("2026-01-02T00:{minute:02}:00Z");
        json!({"kind": "agent_sample", "time": time, "agent_name": name, "role": "worker", "tool": "claude",
            "state": if name == "zen" { "working" } else { "error" }, "cpu_percent": cpu,
            "mem_used_bytes": cpu << 24, "mem_limit_bytes": 8_u64 << 30, "net_rx_bytes": minute * 100_000})
    };
    let minutes = (0..60).step_by(5);
    let lines = minutes.flat_map(|minute| {
        let zen = (!(20..30).contains(&minute)).then(|| sample(minute, "zen", minute));
        zen.into_iter().chain([sample(
            minute,
            "an-agent-with-a-long-name-of-wide-letters-代理代理",
            60 - minute,
        )])
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn log() -> Log {
    let log = Log::new(false);
    answer_of(&record(&log.data(), &events()));
    log
}

/// What a terminal of this width shows of a command; lines that it has broken are whole again.
fn at_a_terminal(log: &Log, width: usize, variables: &[&str], arguments: &[&str], escapes: bool) -> String {
    let folder = tempdir().unwrap();
    let tmux = Tmux::new(folder.path());
    let quoted: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let command = format!(
        "env -i TERM=screen PATH=\"$PATH\" HOME='{home}' TAILWATER_DATA_DIR='{data}' {variables} '{binary}' {}; echo THE END; sleep 600",
        quoted.join(" "),
        home = log.home.path().display(),
        data = log.data().display(),
        variables = variables.join(" "),
        binary = env!("CARGO_BIN_EXE_tailwater"),
    );
    let columns = width.to_string();
    tmux.run(&["-u", "new-session", "-d", "-s", "s", "-x", &columns, "-y", "50", &command]);
    let shown = eventually("the command ends", || {
        let text = tmux.shown("s", escapes);
        text.contains("THE END").then_some(text)
    });
    shown.split("THE END").next().unwrap().to_owned()
}

const QUESTIONS: [&[&str]; 6] = [
    &["query", "agents", "cpu"],
    &["query", "agents", "mem", "--interval", "10m"],
    &["query", "agents", "net"],
    &["query", "agents", "latest"],
    &["query", "agents", "summary", "zen"],
    &["query", "agents", "net", "--fill", "--interval", "1m"],
];

#[test]
fn tables_fit_the_terminal() {
    let log = log();
    for question in QUESTIONS {
        for width in [70, 100, 200] {
            let text = at_a_terminal(&log, width, &[], &[question, &TIMES].concat(), false);
            assert!(text.lines().count() > 2, "{question:?}: {text}");
            for line in text.lines() {
                assert!(line.trim_end().width() <= width, "{question:?} at {width}: {line:?}\n{text}");
            }
        }
    }
    let status = at_a_terminal(&log, 60, &[], &["status"], false);
    assert!(status.lines().all(|line| line.trim_end().width() <= 60), "{status}");
}

#[test]
fn columns_go_and_a_line_says_which() {
    let log = log();
    let asked = [&["query", "agents", "mem"][..], &TIMES].concat();
    let wide = at_a_terminal(&log, 200, &[], &asked, false);
    assert!(wide.contains("host") && wide.contains("8.0 GiB") && !wide.contains("not shown"), "{wide}");
    let narrow = at_a_terminal(&log, 90, &[], &asked, false);
    let head = narrow.lines().next().unwrap();
    assert!(
        !head.contains("host") && head.contains("agent_name") && head.contains("mem_used_bytes"),
        "{narrow}"
    );
    assert!(
        narrow.contains("not shown: mem_percent (empty)") && narrow.contains("mem_limit_bytes (8.0"),
        "{narrow}"
    );
    let narrower = at_a_terminal(&log, 60, &[], &asked, false);
    assert!(narrower.contains("an-agent-with-a-long…"), "{narrower}");
}

#[test]
fn a_pipe_gets_everything_as_it_is() {
    let log = log();
    let mut command = tailwater(&log.data());
    let output = command.env("COLUMNS", "40").args(["query", "agents", "mem"]).args(TIMES).output().unwrap();
    let text = stdout(&output);
    for part in [
        "an-agent-with-a-long-name-of-wide-letters-代理代理",
        "2026-01-02T00:00:00.000000Z",
        "8589934592",
        "host",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(text.lines().count(), 1 + 10 + 12, "a head, and a row of each: {text}");
    assert!(!text.contains(ESCAPE) && !text.contains('█'), "{text}");
}

#[test]
fn a_series_has_a_sparkline_and_a_gap_is_a_space() {
    let log = log();
    let asked = [&["query", "agents", "cpu"][..], &TIMES].concat();
    let text = at_a_terminal(&log, 120, &[], &asked, false);
    let line = |name: &str| text.lines().rfind(|line| line.trim_start().starts_with(name)).unwrap();
    assert!(line("zen").contains("  ▁▁▂▂  ▄▅▆▆▇█  max 55 %, last 55 %"), "{text}");
    assert!(line("an-agent").contains("  ██▇▆▆▅▄▄▃▂▂▁  max 60 %, last 5 %"), "{text}");
    assert!(text.contains("CPU, 100 % is one core, from 0 to 60 %"), "{text}");
    let latest = at_a_terminal(&log, 120, &[], &[&["query", "agents", "latest"][..], &TIMES].concat(), false);
    assert!(!latest.contains('█'), "it is no series: {latest}");
    let single = at_a_terminal(&log, 120, &[], &[&asked[..], &["--interval", "1h"]].concat(), false);
    assert!(!single.contains('█'), "one bucket is no series: {single}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let log = log();
    let asked = [&["query", "agents", "latest"][..], &TIMES].concat();
    let seen = |variables: &[&str]| at_a_terminal(&log, 150, variables, &asked, true).contains(ESCAPE);
    assert!(seen(&[]));
    assert!(!seen(&["NO_COLOR=1"]));
    assert!(!seen(&["TERM=dumb"]));
    let piped = |variable: &str| {
        let output = tailwater(&log.data()).env(variable, "1").args(&asked).output().unwrap();
        stdout(&output).contains(ESCAPE)
    };
    assert!(piped("CLICOLOR_FORCE"));
    assert!(!piped("NO_COLOR"));
}

#[test]
fn each_reading_command_has_examples_in_its_help() {
    let log = Log::new(false);
    for question in [
        &["query"][..],
        &["query", "agents", "cpu"],
        &["query", "agents", "mem"],
        &["query", "agents", "net"],
        &["query", "agents", "disk"],
        &["query", "agents", "latest"],
        &["query", "agents", "summary"],
        &["query", "agents", "states"],
        &["query", "system"],
        &["query", "channels"],
        &["query", "tokens"],
        &["query", "gaps"],
        &["stats"],
        &["status"],
    ] {
        let help = stdout(&tailwater(&log.data()).args(question).arg("--help").output().unwrap());
        let example = format!("\n  tailwater {}", question.join(" "));
        assert!(help.contains("Examples:") && help.contains(&example), "{example} is not in {help}");
    }
}
