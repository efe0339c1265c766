//! `log verify`, `repair`, `trim` and `adopt`, with the daemon and without, and the settings of the bounds.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::files::{LARGE, break_journal, damage, files, fill, is_journal, is_table};
use support::log::{Log, both, check_error, lines};
use support::{agent_line, eventually, json, record, stderr, stdout, tailwater};

/// An address where nobody answers.
const AWAY: &str = "postgres://nobody@127.0.0.1:9/nothing";

fn agents(seconds: std::ops::Range<u64>) -> String {
    seconds.map(|second| agent_line("zen", second, 1.0)).collect()
}

/// Records some events in commits of their own, the daemon's if there is one.
fn record_each(log: &Log, commits: u64, events: u64) {
    for commit in 0..commits {
        json(&record(&log.data(), &agents(commit * events..(commit + 1) * events)));
    }
}

/// The folders that repairs have left.
fn old_logs(log: &Log) -> Vec<PathBuf> {
    let entries = fs::read_dir(log.data()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().contains("log.damaged-")).collect()
}

#[test]
fn a_good_log_verifies_in_three_formats_and_a_repair_leaves_it_alone() {
    both(|log| {
        record_each(log, 3, 100);
        let table = stdout(&log.log(&["verify"]));
        assert!(table.starts_with("300 events are good, in 0."), "{table}");
        let answer = log.ask(&["verify"]);
        assert_eq!((&answer["events"], &answer["wrong_blocks"]), (&json!(300), &json!(0)));
        assert_eq!(
            [&answer["holes"], &answer["damaged"], &answer["beside"]],
            [&json!([]), &json!([]), &Value::Null]
        );
        let csv = log.log(&["verify", "--format", "csv"]);
        assert_eq!((csv.status.code(), stdout(&csv).as_str()), (Some(0), "from,to,bytes,reason\n"));
        let repaired = log.ask(&["repair"]);
        assert_eq!(repaired, json!({"events": 300, "holes": [], "damaged_bytes": 0, "kept_in": null}));
        let words = stdout(&log.log(&["repair"]));
        assert_eq!(words, "nothing to repair: 300 events are good, and the log was left as it is\n");
        assert_eq!(old_logs(log), [] as [PathBuf; 0]);
        assert_eq!(json(&record(&log.data(), &agents(0..1)))["first_position"], 301);
    });
}

#[test]
fn nothing_is_kept_well_where_there_is_no_log() {
    let log = Log::new(false);
    for command in ["verify", "repair", "trim", "adopt"] {
        check_error(&log.log(&[command]), 1, &["there is no log in", "`tailwater run`"]);
    }
    assert!(!log.data().exists(), "and nothing was made");
    fs::create_dir(log.data()).unwrap();
    check_error(&log.log(&["repair"]), 1, &["there is no log in"]);
    assert_eq!(fs::read_dir(log.data()).unwrap().count(), 0);
}

/// What everybody sees of a log of `events` positions with one hole that a repair has made.
fn check_hole(log: &Log, repaired: &Value, events: u64) {
    let hole = &repaired["holes"][0];
    let count = hole["events"].as_u64().unwrap();
    let (from, to) = (hole["from"].as_u64().unwrap(), hole["to"].as_u64().unwrap());
    assert_eq!((&hole["cause"], to - from + 1), (&json!("damaged"), count), "{repaired}");
    assert_eq!(repaired["holes"].as_array().unwrap().len(), 1, "{repaired}");
    assert_eq!(repaired["events"], events - count, "{repaired}");
    assert!(repaired["damaged_bytes"].as_u64() > Some(0), "{repaired}");
    let kept_in = PathBuf::from(repaired["kept_in"].as_str().unwrap());
    assert!(files(&kept_in).iter().any(|path| is_journal(path)), "the old files are there");

    let stat = log.ask(&["stat"]);
    assert_eq!(stat["holes"], repaired["holes"]);
    assert_eq!(stat["next_position"], events + 2, "a gap event tells it");
    let table = stdout(&log.log(&["stat"]));
    assert!(table.contains(&format!("1 ({count} damaged)")), "{table}");
    let status = log.status();
    assert_eq!(
        (&status["recording"]["hole_events"], &status["gaps"]["events"]),
        (&json!(count), &json!(count))
    );
    let tail = lines(&log.log(&["tail", "--from", &from.to_string(), "--format", "json"]));
    assert_eq!(tail[0], json!({"hole": {"from": from, "to": to, "cause": "damaged"}}));
    let export = log.log(&["export"]);
    assert_eq!(
        stderr(&export),
        format!("positions {from} to {to}: {count} events no longer there (damaged)\n")
    );
    let exported = lines(&export);
    assert_eq!(exported.len() as u64, events - count + 1);
    let gap = exported.last().unwrap();
    assert_eq!([&gap["kind"], &gap["what"], &gap["reason"]], ["gap", "log", "damaged"]);
    assert_eq!(gap["events"], count);
    // The times of its neighbours say which time is lost.
    assert!(gap["from"].as_str() < gap["to"].as_str(), "{gap}");
    let verified = log.log(&["verify"]);
    assert!(verified.status.success() && stdout(&verified).contains(&format!("{count} positions in holes")));
    let next = json(&record(&log.data(), &agents(0..1)));
    assert_eq!(next["first_position"], events + 2, "recording goes on behind it");
    assert_eq!(log.ask(&["repair"])["kept_in"], Value::Null, "once is enough");
    assert_eq!(old_logs(log), [kept_in]);
}

#[test]
fn a_broken_journal_is_refused_with_the_way_out_and_repaired() {
    let mut log = Log::new(false);
    record_each(&log, 5, 100);
    break_journal(&log);
    for command in [&["log", "stat"][..], &["log", "verify"], &["status"], &["run"], &["log", "trim"]] {
        let output = tailwater(&log.data()).args(command).output().unwrap();
        check_error(&output, 2, &["is damaged", "200 events stand behind it", "`tailwater log repair`"]);
    }
    check_error(&record(&log.data(), &agents(0..1)), 2, &["is damaged", "`tailwater log repair`"]);
    let words = log.log(&["repair", "--format", "csv"]);
    assert_eq!(stdout(&words), "from,to,events,cause\n201,300,100,damaged\n");
    let kept_in = old_logs(&log).pop().unwrap();
    let repaired = json!({
        "events": 400, "damaged_bytes": 1, "kept_in": kept_in,
        "holes": [{"from": 201, "to": 300, "events": 100, "cause": "damaged"}],
    });
    log.start_daemon();
    check_hole(&log, &repaired, 500);
}

#[test]
fn events_that_are_damaged_in_every_file_become_a_hole() {
    for with_daemon in [false, true] {
        let mut log = Log::new(false);
        fill(&log);
        if with_daemon {
            log.start_daemon();
        }
        assert_eq!(damage(&log, is_table, 1_000), 1, "a table has it");
        assert_eq!(damage(&log, is_journal, 1_000), 1, "the journal, too");
        let repaired = log.ask(&["repair"]);
        let hole = &repaired["holes"][0];
        assert!(hole["from"].as_u64() <= Some(1_001) && hole["to"].as_u64() >= Some(1_001), "{repaired}");
        assert!(hole["events"].as_u64() < Some(100), "a block of the table, not more: {repaired}");
        check_hole(&log, &repaired, LARGE);
    }
}

#[test]
fn a_damaged_table_is_told_by_whoever_reads_it_and_mended_from_the_journal() {
    for with_daemon in [false, true] {
        let mut log = Log::new(false);
        fill(&log);
        assert_eq!(damage(&log, is_table, 1_000), 1, "a table has it");
        if with_daemon {
            log.start_daemon();
        }
        let verified = log.log(&["verify", "--format", "json"]);
        check_error(&verified, 1, &["positions cannot be read", "`tailwater log repair`"]);
        let answer: Value = serde_json::from_slice(&verified.stdout).unwrap();
        let damage = &answer["damaged"][0];
        assert!(damage["from"].as_u64() <= Some(1_001) && damage["to"].as_u64() >= Some(1_001), "{answer}");
        let reason = damage["reason"].as_str().unwrap();
        assert!(reason.starts_with("a block of a table has the checksum "), "{reason}");
        let csv = log.log(&["verify", "--format", "csv"]);
        assert_eq!((csv.status.code(), stdout(&csv).lines().count()), (Some(1), 2));
        let table = stdout(&log.log(&["verify"]));
        assert!(
            table.contains("a block of a table has the checksum") && table.contains(" events are good, in "),
            "{table}"
        );
        let exported = log.log(&["export"]);
        let words = ["cannot read the log at position", "`tailwater log verify`", "`tailwater log repair`"];
        check_error(&exported, 2, &words);
        assert_eq!(stdout(&exported).lines().count() as u64 + 1, damage["from"].as_u64().unwrap());

        let words = stdout(&log.log(&["repair"]));
        let saved = "9,000 events saved, nothing is missing, though ";
        assert!(
            words.starts_with(saved) && words.contains(" of the old files could not be read; "),
            "{words}"
        );
        let old = old_logs(&log);
        assert!(old.len() == 1 && words.contains(old[0].to_str().unwrap()), "{words}");
        assert_eq!(log.ask(&["verify"])["events"], LARGE);
        assert_eq!(log.export().len() as u64, LARGE);
        assert_eq!(json(&record(&log.data(), &agents(0..1)))["first_position"], LARGE + 1);
    }
}

#[test]
fn a_repair_waits_for_a_command_that_holds_the_log_and_then_says_which() {
    let log = Log::new(false);
    json(&record(&log.data(), &agents(0..30_000)));
    // An export that nobody reads keeps the log.
    let mut export = log.spawn(&["export"]);
    let holder = format!("process {} (tailwater log)", export.id());
    eventually("the export has the log", || {
        let lock = fs::read_to_string(log.data().join("lock")).unwrap();
        lock.contains(&export.id().to_string()).then_some(())
    });
    check_error(&log.log(&["repair"]), 2, &["is held by", &holder]);
    let waiting = log.spawn(&["repair"]);
    let mut text = String::new();
    export.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(export.wait().unwrap().success());
    let output = waiting.wait_with_output().unwrap();
    assert!(stdout(&output).starts_with("nothing to repair: 30,000 events are good"), "{}", stderr(&output));
}

#[test]
fn trimming_to_a_position_or_a_time_does_what_its_dry_run_says() {
    both(|log| {
        record_each(log, 10, 100);
        let dry = log.ask(&["trim", "--before", "501", "--dry-run"]);
        assert_eq!(dry["events"], 0, "the active segment goes only as a whole: {dry}");
        let words = stdout(&log.log(&["trim", "--before", "501"]));
        assert!(words.starts_with("nothing to trim: events go by whole segments"), "{words}");
        let words = stdout(&log.log(&["trim"]));
        assert!(
            words.starts_with("nothing to trim: the log is within log.keep and log.max_bytes;"),
            "{words}"
        );
        let noon = ["trim", "--before", "2026-01-02T12:00:00Z"];
        let dry = log.ask(&[&noon[..], &["--dry-run"]].concat());
        assert_eq!(log.ask(&["stat"])["events"], 1_000, "a dry run does nothing");
        let real = log.ask(&noon);
        let expected = json!({
            "dry_run": false, "events": 1_000, "dropped": 0, "segments": 1, "first_position": 1_001,
            "held_back_at": null,
        });
        assert_eq!(real, expected);
        assert_eq!((&dry["events"], &dry["segments"]), (&real["events"], &real["segments"]));
        let stat = log.ask(&["stat"]);
        assert_eq!([&stat["first_position"], &stat["next_position"], &stat["events"]], [1_001, 1_001, 0]);
        check_error(&log.log(&["tail"]), 1, &["the log has no events now"]);
        assert_eq!(json(&record(&log.data(), &agents(2_000..2_010)))["first_position"], 1_001);
        let early = log.ask(&["trim", "--before", "2026-01-02T00:33:20Z"]);
        assert_eq!(early["events"], 0, "nothing there is older: {early}");
        let table = stdout(&log.log(&["trim", "--before", "999999999"]));
        assert_eq!(table, "10 events in 1 segment are gone; the log begins at position 1011\n");
        let export = log.log(&["export"]);
        assert_eq!(stderr(&export), "positions 1 to 1010: 1,010 events no longer there (trimmed)\n");
        assert!(log.log(&["verify"]).status.success());
        check_error(&log.log(&["trim", "--before", "lately"]), 2, &["--before", "lately", "-1h"]);
        check_error(&log.log(&["trim", "--before", "0"]), 2, &["positions begin at 1"]);
    });
}

#[test]
fn a_log_keeps_events_for_as_long_as_it_is_told() {
    let log = Log::new(false);
    json(&record(&log.data(), &agents(0..100)));
    // Each command begins a segment when the active one is old, so that there is something whole to let go of.
    let gone = eventually("the first segment is older than a second", || {
        let mut trim = tailwater(&log.data());
        let trim = trim.env("TAILWATER_LOG_KEEP", "1s").args(["log", "trim", "--format", "json"]);
        let answer = json(&trim.output().unwrap());
        (answer["events"] != 0).then_some(answer)
    });
    assert_eq!((&gone["events"], &gone["first_position"]), (&json!(100), &json!(101)), "{gone}");
}

#[test]
fn what_a_database_that_is_away_has_not_got_is_held_back() {
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", AWAY]);
    record_each(&log, 2, 100);
    let words = "nothing goes; the log begins at position 1; the database of the last `tailwater run` has nothing \
                 from position 1 on, so that stays\n";
    let check = |log: &Log| {
        let dry = log.ask(&["trim", "--before", "201", "--dry-run"]);
        assert_eq!((&dry["events"], &dry["held_back_at"]), (&json!(0), &json!(1)), "{dry}");
        assert_eq!(stdout(&log.log(&["trim", "--before", "201"])), words);
    };
    check(&log);
    log.stop_daemon();
    check(&log);
    eventually("so it is when an age would let it go", || {
        let mut trim = tailwater(&log.data());
        let output = trim.env("TAILWATER_LOG_KEEP", "1s").args(["log", "trim"]).output().unwrap();
        (stdout(&output) == words).then_some(())
    });
    // Without a database in the last run it is plain retention.
    log.start_daemon();
    assert_eq!(log.ask(&["trim", "--before", "201"])["events"], 200);
}

#[test]
fn a_log_is_adopted_with_a_daemon_and_without() {
    both(|log| {
        record_each(log, 1, 10);
        let before = log.ask(&["stat"]);
        let adopted = log.ask(&["adopt"]);
        assert_eq!(adopted["previous_id"], before["id"]);
        let after = log.ask(&["stat"]);
        assert_eq!(after["id"], adopted["id"]);
        assert_ne!(after["id"], before["id"]);
        assert_eq!(after["events"], 10);
        assert!(log.log(&["verify"]).status.success(), "the records stay right");
        let words = stdout(&log.log(&["adopt"]));
        assert!(words.contains(adopted["id"].as_str().unwrap()) && words.lines().count() == 1, "{words}");
        assert_eq!(json(&record(&log.data(), &agents(0..1)))["first_position"], 11);
    });
}

#[test]
fn the_bounds_are_settings() {
    let log = Log::new(false);
    let bounds =
        [("KEEP", "30d"), ("MAX_BYTES", "256MiB"), ("WHEN_FULL", "drop_oldest"), ("BACKPRESSURE", "wait:5s")];
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = tailwater(&log.data());
        command.envs(variables.iter().map(|(name, value)| (format!("TAILWATER_LOG_{name}"), value)));
        command.args(arguments).output().unwrap()
    };
    let shown = json(&with(&bounds, &["config", "show", "--format", "json"]));
    for (name, value) in bounds {
        let key = format!("log.{}", name.to_lowercase());
        let setting = shown.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
        assert_eq!(setting["value"], value);
        assert_eq!(setting["origin"], format!("variable TAILWATER_LOG_{name}"));
    }
    assert!(with(&bounds, &["config", "check"]).status.success());
    for (name, value, says) in [
        ("KEEP", "30", "from 1s to 36500d"),
        ("MAX_BYTES", "255MiB", "from 256MiB on"),
        ("WHEN_FULL", "drop", "refuse"),
        ("BACKPRESSURE", "wait", "wait:10s"),
    ] {
        let variable = format!("TAILWATER_LOG_{name}");
        check_error(&with(&[(name, value)], &["log", "trim"]), 2, &[&variable, value, says]);
    }
}
