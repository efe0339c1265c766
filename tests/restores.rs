//! What comes back from a backup: a database from a dump, a log from a copy of its files, or both, of any age. Each ends in
//! the right tables by itself, or in the halt that names its way out, which works.
#![cfg(test)]

mod support;

use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::database::Database;
use support::dump::Dump;
use support::ledger::{CONTENT, Mix};
use support::log::{Log, check_error};
use support::random::Random;
use support::scene::{check_counts, is_bad};
use support::{aged, agent_lines, eventually, json, stderr, tailwater};

/// A command on this log and this database.
fn command(log: &Log, database: &Database, arguments: &[&str]) -> Command {
    let mut command = tailwater(&log.data());
    command.args(arguments).args(["--database-url", &database.url()]);
    command
}

fn run(log: &Log, database: &Database, arguments: &[&str]) -> Output {
    command(log, database, arguments).output().unwrap()
}

fn import(log: &Log, lines: &str) {
    let events = lines.lines().count();
    assert_eq!(json(&log.import(lines.as_bytes()))["imported"], events);
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
    database.values("SELECT agent_name || ' ' || count(*) FROM agent_metrics GROUP BY agent_name ORDER BY 1")
}

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

/// By the daemon and by `project`: what the dump lacks is sent, nothing else, and nobody has to do anything.
#[test]
fn an_older_dump_is_brought_up_without_a_word() {
    for with_daemon in [false, true] {
        let Some(database) = Database::create() else { return };
        let (mut log, mut mix) = (Log::new(false), Mix::new("m", Random::new(5)));
        import(&log, &mix.lines("before", 2_000));
        project(&log, &database, &[("read", 2_000)]);
        let Some(dump) = Dump::of(&database) else { return };
        import(&log, &mix.lines("after", 1_500));
        project(&log, &database, &[("read", 1_500)]);
        let content: String = database.value(CONTENT);
        dump.restore_into(&database);
        assert_ne!(database.value::<String>(CONTENT), content);
        if with_daemon {
            start_daemon(&mut log, &database);
            assert_eq!(eventually_live(&log)["read"], 1_500);
            let output = log.stop_daemon();
            assert!(bad(&output).is_empty(), "{output}");
        } else {
            project(&log, &database, &[("read", 1_500), ("unavailable", 0)]);
        }
        assert_eq!(database.value::<String>(CONTENT), content);
        let verified = run(&log, &database, &["verify"]);
        assert!(verified.status.success(), "{}", stderr(&verified));
        check_as_replayed(&log, &database);
    }
}

#[test]
fn a_dump_from_before_the_trimmed_head_goes_on_behind_it_with_one_warning() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    log.record_agents("kept", 30);
    project(&log, &database, &[("inserted", 30)]);
    let Some(dump) = Dump::of(&database) else { return };
    log.record_agents("gone", 30);
    project(&log, &database, &[("inserted", 30)]);
    assert_eq!(log.ask(&["trim", "--before", "61"])["first_position"], 61);
    log.record_agents("new", 10);
    dump.restore_into(&database);

    start_daemon(&mut log, &database);
    let projection = eventually_live(&log);
    check_counts(&projection);
    assert_eq!((&projection["read"], &projection["unavailable"]), (&json!(40), &json!(30)), "{projection}");
    let output = log.stop_daemon();
    let told = bad(&output);
    assert_eq!(told.len(), 1, "{output}");
    for word in
        ["WARN", "the log has a hole", "from=31", "to=60", "events=30", "before=\"2026-01-02T00:00:00"]
    {
        assert!(told[0].contains(word), "{word} is not in {}", told[0]);
    }
    assert!(!told[0].contains("unknown"), "since when they are gone is told: {}", told[0]);
    assert_eq!(agents(&database), ["kept 30", "new 10"]);
    verify(&log, &database, 0, [10, 0, 0, 0, 30]);
    project(&log, &database, &[("read", 0)]);
}

#[test]
fn another_hosts_dump_is_projected_beside_and_its_rows_stay() {
    let (Some(database), Some(others)) = (Database::create(), Database::create()) else { return };
    let (log, other) = (Log::new(false), Log::new(false));
    other.record_agents("theirs", 30);
    project(&other, &others, &[("inserted", 30)]);
    let Some(dump) = Dump::of(&others) else { return };
    other.record_agents("since", 5);
    log.record_agents("ours", 20);
    project(&log, &database, &[("inserted", 20)]);

    dump.restore_into(&database);
    check_error(&run(&log, &database, &["verify"]), 1, &["has never seen log", "tailwater project"]);
    project(&log, &database, &[("read", 20), ("inserted", 20)]);
    assert_eq!(agents(&database), ["ours 20", "theirs 30"]);
    verify(&log, &database, 0, [20, 0, 0, 0, 0]);
    // The other host may project there as well: to it this is an older dump.
    project(&other, &database, &[("read", 5), ("inserted", 5)]);
    verify(&other, &database, 0, [35, 0, 0, 0, 0]);
    assert_eq!(agents(&database), ["ours 20", "since 5", "theirs 30"]);
}

/// Told by the daemon, by `status`, by `project` and by `verify`; then adopted while the daemon runs.
#[test]
fn an_older_copy_of_the_log_halts_and_is_adopted() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("kept", 30);
    let mut older = Log::copy_of(&log);
    log.record_agents("lost", 20);
    project(&log, &database, &[("inserted", 50)]);

    let behind = [
        "log behind database",
        "position 51",
        "position is 31",
        "`tailwater log adopt`",
        "`tailwater replay`",
    ];
    check_error(&run(&older, &database, &["project", "--until-head"]), 1, &behind);
    verify(&older, &database, 1, [30, 0, 0, 20, 0]);
    start_daemon(&mut older, &database);
    eventually("it has halted", || (older.status()["projection"]["state"] == "halted").then_some(()));
    let status = tailwater(&older.data()).args(["status", "--format", "json"]).output().unwrap();
    check_error(&status, 1, &["projecting has halted", "`tailwater log adopt`"]);
    let error = older.status()["projection"]["error"].as_str().unwrap().to_owned();
    assert!(behind.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{error}");

    older.record_agents("anew", 40);
    older.ask(&["adopt"]);
    let projection = eventually_live(&older);
    assert_eq!((&projection["inserted"], &projection["present"]), (&json!(40), &json!(30)), "{projection}");
    verify(&older, &database, 0, [40, 30, 0, 0, 0]);
    assert_eq!(agents(&database), ["anew 40", "kept 30", "lost 20"]);
    let output = older.stop_daemon();
    let told = bad(&output);
    assert!(told.len() == 1 && told[0].contains("ERROR"), "the halt, once: {output}");
    project(&older, &database, &[("read", 0)]);
}

/// The other way out: what this copy has, and nothing else. An unfinished replay of the log as it was is in the way.
#[test]
fn an_older_copy_of_the_log_is_replayed_into_a_fresh_database() {
    let (Some(database), Some(fresh), Some(begun)) =
        (Database::create(), Database::create(), Database::create())
    else {
        return;
    };
    let log = Log::new(false);
    log.record_agents("kept", 30);
    let older = Log::copy_of(&log);
    log.record_agents("lost", 20_000);
    project(&log, &database, &[]);
    interrupted_replay(&log, &begun);

    older.record_agents("anew", 40);
    let diverged_or_behind = ["log behind database", "`tailwater log adopt`"];
    check_error(&run(&older, &database, &["project", "--until-head"]), 1, &diverged_or_behind);
    let answer = json(&run(&older, &fresh, &["replay", "--json"]));
    assert_eq!(answer["inserted"], 70, "{answer}");
    assert_eq!(agents(&fresh), ["anew 40", "kept 30"]);
    verify(&older, &fresh, 0, [70, 0, 0, 0, 0]);
    project(&older, &fresh, &[("inserted", 0), ("present", 70)]);

    let refused = run(&older, &begun, &["replay"]);
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("log behind database") && told.contains("`tailwater replay --restart`"), "{told}");
    let answer = json(&run(&older, &begun, &["replay", "--restart", "--json"]));
    assert_eq!(answer["sent"], 70, "{answer}");
    // Keys are other ones, and so the rows of the lost events stay, and are told.
    let rows: i64 = begun.value("SELECT count(*) FROM agent_metrics WHERE agent_name <> 'lost'");
    let lost: i64 = begun.value("SELECT count(*) FROM agent_metrics WHERE agent_name = 'lost'");
    assert_eq!(rows, 70);
    verify(&older, &begun, 1, [70, 0, 0, lost.unsigned_abs(), 0]);
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

/// The log's copy is the older one, or the database's dump is.
#[test]
fn a_log_and_a_database_of_different_days_come_together_again() {
    for database_is_older in [false, true] {
        let Some(database) = Database::create() else { return };
        let log = Log::new(false);
        log.record_agents("first", 30);
        let (copy, dump) = (Log::copy_of(&log), database_after(&log, &database));
        log.record_agents("second", 20);
        let (later_copy, later_dump) = (Log::copy_of(&log), database_after(&log, &database));
        let (Some(dump), Some(later_dump)) = (dump, later_dump) else { return };
        log.record_agents("third", 20);
        project(&log, &database, &[("inserted", 20)]);
        if database_is_older {
            dump.restore_into(&database);
            project(&later_copy, &database, &[("read", 20), ("inserted", 20)]);
            verify(&later_copy, &database, 0, [50, 0, 0, 0, 0]);
            assert_eq!(agents(&database), ["first 30", "second 20"]);
            check_as_replayed(&later_copy, &database);
        } else {
            later_dump.restore_into(&database);
            copy.record_agents("other", 45);
            let refused = run(&copy, &database, &["project", "--until-head"]);
            check_error(&refused, 1, &["diverged: ", "position 50", "`tailwater log adopt`"]);
            copy.ask(&["adopt"]);
            project(&copy, &database, &[("inserted", 45), ("present", 30)]);
            verify(&copy, &database, 0, [45, 30, 0, 0, 0]);
            assert_eq!(agents(&database), ["first 30", "other 45", "second 20"]);
        }
    }
}

/// Of the database that has all of the log.
fn database_after(log: &Log, database: &Database) -> Option<Dump> {
    project(log, database, &[]);
    Dump::of(database)
}

/// The older files of the log, with the newest `mark`: the log knows what it has lost, and the database is not ahead of it.
#[test]
fn an_older_log_with_the_newest_mark_goes_on_behind_what_it_lost() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("kept", 30);
    let older = Log::copy_of(&log);
    log.record_agents("lost", 20);
    project(&log, &database, &[("inserted", 50)]);
    std::fs::copy(log.data().join("mark"), older.data().join("mark")).unwrap();

    older.record_agents("new", 10);
    let holes = older.ask(&["stat"])["holes"].clone();
    assert_eq!(
        (&holes[0]["cause"], holes.as_array().map(Vec::len)),
        (&json!("lost_tail"), Some(1)),
        "{holes}"
    );
    // The gap that tells of it, and what is new.
    project(&older, &database, &[("read", 11), ("inserted", 11), ("unavailable", 0)]);
    verify(&older, &database, 0, [41, 0, 0, 0, 20]);
    assert_eq!(agents(&database), ["kept 30", "lost 20", "new 10"]);
}

/// The dump was made in the middle of a replay; then another one, whose rest the log has trimmed by now.
#[test]
fn a_replay_that_a_dump_has_unfinished_goes_on() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    import(&log, &agent_lines("a", 20_000));
    interrupted_replay(&log, &database);
    let Some(dump) = Dump::of(&database) else { return };
    let there: u64 = database.value::<i64>("SELECT count(*) FROM agent_metrics").unsigned_abs();
    let replay = || {
        let output = run(&log, &database, &["replay", "--json", "--lanes", "1"]);
        let answer = json(&output);
        check_counts(&answer);
        (answer, stderr(&output).lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect())
    };
    let (answer, warnings): (Value, Vec<String>) = replay();
    assert_eq!((answer["sent"].as_u64(), warnings.len()), (Some(20_000 - there), 0), "{answer}");
    let content: String = database.value(CONTENT);
    dump.restore_into(&database);
    let (answer, warnings) = replay();
    assert_eq!((answer["sent"].as_u64(), warnings.len()), (Some(20_000 - there), 0), "{answer}");
    assert_eq!(database.value::<String>(CONTENT), content);
    verify(&log, &database, 0, [20_000, 0, 0, 0, 0]);

    log.ask(&["trim", "--before", "20001"]);
    log.record_agents("new", 10);
    dump.restore_into(&database);
    let (answer, warnings) = replay();
    let counts = ["sent", "unavailable"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!((counts, warnings.len()), ([0, 20_000 - there], 1), "{answer} {warnings:?}");
    assert!(warnings[0].contains(&format!("events={}", 20_000 - there)), "{warnings:?}");
    // The next replay is a new one, of what the log has now.
    let (answer, warnings) = replay();
    assert_eq!((&answer["inserted"], warnings.len()), (&json!(10), 0), "{answer}");
    verify(&log, &database, 0, [10, 0, 0, 0, there]);
}

#[test]
fn expired_rows_of_a_dump_are_dropped_again() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    import(&log, &aged(&[400, 100, 80, 1]));
    project(&log, &database, &[("inserted", 4)]);
    let Some(dump) = Dump::of(&database) else { return };
    let all = ["d1 1", "d100 1", "d400 1", "d80 1"];
    for _ in 0..2 {
        assert_eq!(agents(&database), all);
        log.start_daemon_with(&["--database-url", &database.url(), "--retention", "90d"]);
        eventually("what is old is dropped", || (agents(&database) == ["d1 1", "d80 1"]).then_some(()));
        let output = log.stop_daemon();
        assert!(bad(&output).is_empty(), "{output}");
        let mut verify = tailwater(&log.data());
        verify.env("TAILWATER_DATABASE_URL", database.url()).env("TAILWATER_DATABASE_RETENTION", "90d");
        let verified = json(&verify.args(["verify", "--format", "json"]).output().unwrap());
        let numbers = ["events", "rows", "expired", "missing", "extra"].map(|name| verified[name].as_u64());
        assert_eq!(numbers, [4, 2, 2, 0, 0].map(Some), "{verified}");
        dump.restore_into(&database);
    }
}

/// While a dump is being restored, TimescaleDB refuses rows: recording goes on, and so does all when it is done.
#[test]
fn a_daemon_that_comes_into_a_restore_waits_for_its_end() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    log.record_agents("before", 30);
    project(&log, &database, &[("inserted", 30)]);
    database.execute("SELECT timescaledb_pre_restore()");
    log.record_agents("meanwhile", 20);
    start_daemon(&mut log, &database);
    let error = eventually("it is told", || log.status()["projection"]["error"].as_str().map(str::to_owned));
    println!("{error}");
    println!("{}", log.status()["projection"]);
    assert_eq!(agents(&database), ["before 30"]);
    database.execute("SELECT timescaledb_post_restore()");
    eventually_live(&log);
    println!("{}", log.stop_daemon());
    verify(&log, &database, 0, [50, 0, 0, 0, 0]);
}
