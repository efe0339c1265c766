//! What comes back from a backup: a database from a dump, a log from a copy of its files, or both, of any age. Each ends in
//! the right tables by itself, or in the halt that names its way out, which works.
#![cfg(test)]

mod database;
mod log;
#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::database::Database;
use support::ledger::CONTENT;
use support::log::Log;
use support::scene::{check_counts, is_bad};
use support::{eventually, json, stderr, tailwater};

/// A command on this log and this database.
fn command(log: &Log, database: &Database, arguments: &[&str]) -> Command {
    let mut command = tailwater(&log.data());
    command.args(arguments).args(["--database-url", &database.url()]);
    command
}

fn run(log: &Log, database: &Database, arguments: &[&str]) -> Output {
    command(log, database, arguments).output().unwrap()
}

/// Imports; how many events the log did not know already.
fn import(log: &Log, lines: &str) -> u64 {
    let answer = json(&log.import(lines.as_bytes()));
    let [imported, known] = ["imported", "known"].map(|field| answer[field].as_u64().unwrap_or_default());
    assert_eq!(imported + known, lines.lines().count() as u64, "{answer}");
    imported
}

/// Projects; the numbers of these names, of which there must be so many.
fn project(log: &Log, database: &Database, expected: &[(&str, u64)]) {
    let answer = log.project(&database.url());
    check_counts(&answer);
    for (name, number) in expected {
        assert_eq!(answer[name], *number, "{name} of {answer}");
    }
}

/// What `verify` finds: rows of their own, present, missing, extra, rows of positions that the log no longer has.
fn verify(log: &Log, database: &Database, code: i32, expected: [u64; 5]) {
    let output = run(log, database, &["verify", "--format", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let names = ["rows", "present", "missing", "extra", "unavailable"];
    let found = names.map(|name| answer[name].as_u64().unwrap_or_else(|| panic!("{name} of {answer}")));
    assert_eq!((found, output.status.code()), (expected, Some(code)), "{answer}");
}

/// How many rows each agent has, in the order of their names.
fn agents(database: &Database) -> Vec<String> {
    database.values(AGENTS)
}

const AGENTS: &str = "SELECT agent_name || ' ' || count(*) FROM agent_metrics GROUP BY agent_name ORDER BY 1";

/// The tables are those that a replay makes in a fresh database.
fn check_as_replayed(log: &Log, database: &Database) {
    let fresh = Database::create().expect("there was one before");
    check_counts(&json(&run(log, &fresh, &["replay", "--json"])));
    assert_eq!(database.value::<String>(CONTENT), fresh.value::<String>(CONTENT));
}

fn start_daemon(log: &mut Log, database: &Database) {
    log.start_daemon_with(&["--database-url", &database.url()]);
}

fn eventually_live(log: &Log) -> Value {
    eventually("the projection is live", || {
        let projection = log.status()["projection"].clone();
        (projection["state"] == "live" && projection["lag_events"] == 0).then_some(projection)
    })
}

/// The lines of a daemon that are worth a look.
fn bad(output: &str) -> Vec<&str> {
    output.lines().filter(|line| is_bad(line)).collect()
}

/// Leaves a replay of the whole log that was stopped somewhere in the middle.
fn interrupted_replay(log: &Log, database: &Database) {
    let mut replay = command(log, database, &["replay", "--rate", "4000", "--lanes", "1"]);
    let child = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_there = "SELECT to_regclass('tailwater_replay_ranges') IS NOT NULL";
    let is_begun = "SELECT EXISTS (SELECT FROM tailwater_replay_ranges WHERE next > lo + 2000)";
    eventually("some of it is there", || {
        (database.value::<bool>(is_there) && database.value::<bool>(is_begun)).then_some(())
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
