//! `tailwater replay`: any part of the log, again, into any database, and what is so whatever happens meanwhile: the tables
//! are those of the live projection, nothing is lost, nothing is there twice, and recording and projecting go on.
#![cfg(test)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::database::{Database, PrivateServer, with_database};
use support::ledger::{CONTENT, Mix};
use support::log::{Log, check_error};
use support::random::Random;
use support::scene::{check_counts, is_bad};
use support::{agent_line, eventually, json, stderr, stdout, tailwater};

/// The projection's own progress.
const RANGES: &str = "SELECT concat_ws(' ', lo, next, hi, digest, writer) FROM tailwater_ranges ORDER BY lo";

fn replay_command(data: &Path, url: &str, more: &[&str]) -> Command {
    let mut command = tailwater(data);
    command.args(["replay", "--json", "--database-url", url]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn replay(log: &Log, url: &str, more: &[&str]) -> Output {
    replay_command(&log.data(), url, more).output().unwrap()
}

/// The answer of a replay that must end well.
fn replayed(log: &Log, url: &str, more: &[&str]) -> Value {
    let answer = json(&replay(log, url, more));
    check_counts(&answer);
    answer
}

/// Many samples of one agent, each with a second of its own.
fn import_agents(log: &Log, agent: &str, count: u64) {
    let lines: String = (0..count).map(|second| agent_line(agent, second, 1.0)).collect();
    assert_eq!(json(&log.import(lines.as_bytes()))["imported"], count);
}

fn import_mix(log: &Log, mix: &mut Mix, request: &str, count: u64) {
    assert_eq!(json(&log.import(mix.lines(request, count).as_bytes()))["imported"], count);
}

/// How many rows agents have; none while there is no table.
fn agents(database: &Database) -> i64 {
    if database.value("SELECT to_regclass('agent_metrics') IS NULL") {
        return 0;
    }
    database.value("SELECT count(*) FROM agent_metrics")
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn eventually_live(log: &Log) {
    eventually("the projection is live", || {
        let projection = log.status()["projection"].clone();
        (projection["state"] == "live" && projection["lag_events"] == 0).then_some(())
    });
}

/// Runs the body with a daemon and without, which has no database of its own.
fn both(body: impl Fn(Log, bool)) {
    for with_daemon in [false, true] {
        body(Log::new(with_daemon), with_daemon);
    }
}

/// A history with a trimmed beginning, outages, a kill, and events that every database refuses; then replays with one lane
/// and with four.
#[test]
fn a_fresh_database_gets_the_tables_of_the_live_one_whatever_has_happened() {
    let Some(server) = PrivateServer::up() else { return };
    let mut log = Log::new(false);
    let mut mix = Mix::new("m", Random::new(7));
    import_agents(&log, "trimmed", 100);
    eventually("the first segment is old", || {
        let mut trim = tailwater(&log.data());
        let trim = trim.env("TAILWATER_LOG_KEEP", "1s").args(["log", "trim", "--format", "json"]);
        (json(&trim.output().unwrap())["events"] == 100).then_some(())
    });
    let url = |name: &str| {
        server.execute(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        let url = with_database(server.url(), name);
        let migrated = tailwater(&log.data()).args(["migrate", "--database-url", &url]).output().unwrap();
        assert!(migrated.status.success(), "{}", stderr(&migrated));
        server.execute_in(name, "ALTER TABLE agent_metrics ADD CHECK (agent_name <> 'bad')");
        url
    };
    let live = url("live");
    let fresh = [("one", "1"), ("four", "4")].map(|(name, lanes)| (name, url(name), lanes));

    log.start_daemon_with(&["--database-url", &live]);
    import_mix(&log, &mut mix, "before", 2_000);
    import_agents(&log, "bad", 3);
    eventually_live(&log);
    server.kill();
    import_agents(&log, "during", 45_000);
    import_mix(&log, &mut mix, "during", 7_000);
    server.start();
    eventually("some of the backlog is there", || {
        (log.status()["projection"]["next_position"].as_u64() > Some(2_104)).then_some(())
    });
    log.daemon.take().unwrap().kill();
    import_mix(&log, &mut mix, "between", 3_000);
    import_agents(&log, "bad", 2);
    log.start_daemon_with(&["--database-url", &live]);
    server.stop_immediately();
    import_mix(&log, &mut mix, "after", 1_000);
    server.start();
    eventually_live(&log);
    let content: Vec<String> = server.values_of("live", CONTENT);
    for (name, url, lanes) in fresh {
        let answer = replayed(&log, &url, &["--lanes", lanes]);
        let counts = ["sent", "quarantined", "unavailable"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!(counts, [58_005, 5, 100], "{answer}");
        assert_eq!(server.values_of::<String>(name, CONTENT), content, "{lanes} lanes");
        let ranges: Vec<i64> = server.values_of(name, "SELECT count(*) FROM tailwater_ranges");
        assert_eq!(ranges, [0], "a replay makes no range of the projection's");
    }
}

/// With a daemon that is killed, and without: then the command itself.
#[test]
fn killed_in_the_middle_the_same_command_goes_on() {
    both(|mut log, with_daemon| {
        let Some(database) = Database::create() else { return };
        let url = database.url();
        import_agents(&log, "a", 40_000);
        let mut child = replay_command(&log.data(), &url, &["--rate", "4000"]).spawn().unwrap();
        eventually("some of it is there", || (agents(&database) >= 4_000).then_some(()));
        if with_daemon {
            log.daemon.take().unwrap().kill();
            let output = child.wait_with_output().unwrap();
            check_error_last(&output, 2, "without --restart, go on from there");
            log.start_daemon();
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        eventually("its sessions have ended", || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name LIKE 'tailwater/%/replay-%'";
            (database.value::<i64>(sql) == 0).then_some(())
        });
        let there = agents(&database);
        assert!((4_000..40_000).contains(&there), "{there}");
        let dry = json(&replay(&log, &url, &["--dry-run"]));
        assert_eq!((&dry["events"], &dry["begun"]), (&json!(40_000 - there), &json!("resumed")), "{dry}");
        let output = replay(&log, &url, &["--lanes", "3"]);
        assert!(stderr(&output).contains("what is left of the replay that was begun at"), "{output:?}");
        let answer = json(&output);
        check_counts(&answer);
        assert_eq!((&answer["sent"], &answer["present"]), (&json!(40_000 - there), &json!(0)), "{answer}");
        let positions: i64 = database.value("SELECT count(DISTINCT position) FROM agent_metrics");
        assert_eq!((agents(&database), positions), (40_000, 40_000));
        // The next one is a new one, and finds everything there.
        let again = replayed(&log, &url, &[]);
        assert_eq!((&again["sent"], &again["present"]), (&json!(40_000), &json!(40_000)), "{again}");
    });
}

/// An exit code, and what the last line says.
fn check_error_last(output: &Output, code: i32, words: &str) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.trim_end().lines().last().unwrap_or_default().contains(words), "{error}");
}

#[test]
fn stopped_by_a_signal_it_ends_in_order_and_says_how_it_goes_on() {
    both(|log, with_daemon| {
        let Some(database) = Database::create() else { return };
        let url = database.url();
        import_agents(&log, "a", 20_000);
        let more = ["--to", "2026-01-03T00:00:00Z", "--rate", "2000"];
        let child = replay_command(&log.data(), &url, &more).spawn().unwrap();
        eventually("some of it is there", || (agents(&database) > 0).then_some(()));
        if let Some(daemon) = &log.daemon {
            let jobs = daemon.status()["jobs"].take();
            assert_eq!(jobs[0]["selection"], "--to 2026-01-03T00:00:00.000000Z", "{jobs}");
            assert!(jobs[0]["left_positions"].as_u64() > Some(0), "{jobs}");
        }
        signal(&child, Signal::INT);
        let output = child.wait_with_output().unwrap();
        let way =
            "`tailwater replay --to 2026-01-03T00:00:00.000000Z`, into the same database, goes on from there";
        check_error_last(&output, 2, way);
        if let Some(daemon) = &log.daemon {
            eventually("the daemon has stopped it", || {
                daemon.output().contains("a replay was stopped").then_some(())
            });
        }
        let there = agents(&database);
        assert!(there < 20_000, "the rate held it back");
        let answer = replayed(&log, &url, &more[..2]);
        assert_eq!(answer["sent"], json!(20_000 - there), "{with_daemon}: {answer}");
        assert_eq!(agents(&database), 20_000);
    });
}

#[test]
fn a_database_that_is_killed_in_the_middle_is_waited_for() {
    let Some(server) = PrivateServer::up() else { return };
    let mut log = Log::new(true);
    import_agents(&log, "a", 30_000);
    let child = replay_command(&log.data(), server.url(), &["--rate", "5000"]).spawn().unwrap();
    let there = "SELECT count(*) FROM agent_metrics WHERE position > 0";
    eventually("some of it is there", || {
        let is_made: bool = server.value("SELECT to_regclass('agent_metrics') IS NOT NULL");
        (is_made && server.value::<i64>(there) > 0).then_some(())
    });
    server.kill();
    let daemon = log.daemon.as_ref().unwrap();
    eventually("the outage is told", || daemon.output().contains("the database is away").then_some(()));
    server.start();
    let output = child.wait_with_output().unwrap();
    let answer = json(&output);
    check_counts(&answer);
    assert!(stderr(&output).contains("waiting for the database"), "{output:?}");
    assert_eq!(server.value::<i64>(there), 30_000, "{answer}");
    // What the server had not flushed when it was killed, its rows and its progress, was sent again.
    assert!(answer["sent"].as_u64() >= Some(30_000), "{answer}");
    let told = log.stop_daemon();
    let bad: Vec<_> = told.lines().filter(|line| is_bad(line)).collect();
    assert_eq!(bad.len(), 1, "one outage, told once: {bad:#?}");
}

/// Into the daemon's own database, over what it has: what is new arrives meanwhile, and its progress is its own.
#[test]
fn beside_the_projection_into_the_same_database_what_is_new_still_arrives() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &url]);
    import_agents(&log, "old", 30_000);
    eventually_live(&log);
    let content: String = database.value(CONTENT);
    let mut child = replay_command(&log.data(), &url, &["--rate", "3000"]).spawn().unwrap();
    let is_applied = "SELECT EXISTS (SELECT FROM tailwater_replay_ranges WHERE next > lo)";
    eventually("it has begun", || database.value::<bool>(is_applied).then_some(()));
    // The same one a second time is refused, another one is not.
    check_error(&replay(&log, &url, &[]), 2, &["the same replay into", "runs already"]);
    let other = replayed(&log, &url, &["--to", "1001"]);
    assert_eq!((&other["sent"], &other["present"]), (&json!(1_000), &json!(1_000)), "{other}");
    log.record_agents("new", 10);
    let new = "SELECT count(*) FROM agent_metrics WHERE agent_name = 'new'";
    eventually("what is new arrives", || (database.value::<i64>(new) == 10).then_some(()));
    assert!(child.try_wait().unwrap().is_none(), "it is still replaying");
    let ranges: Vec<String> = database.values(RANGES);
    let output = child.wait_with_output().unwrap();
    let answer = json(&output);
    check_counts(&answer);
    let counts = ["sent", "present", "inserted"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!(counts, [30_000, 30_000, 0], "what came later is not in it: {answer}");
    assert_eq!(database.values::<String>(RANGES), ranges, "the projection's progress is its own");
    database.execute("DELETE FROM agent_metrics WHERE agent_name = 'new'");
    assert_eq!(database.value::<String>(CONTENT), content);
    eventually_live(&log);
    let told = log.stop_daemon();
    assert!(!told.lines().any(is_bad), "{told}");
}

/// Positions, times and kinds, as `log export` chooses them.
#[test]
fn what_was_chosen_is_sent_and_nothing_else() {
    both(|log, _| {
        let Some(database) = Database::create() else { return };
        let mut mix = Mix::new("m", Random::new(3));
        import_mix(&log, &mut mix, "x", 9_000);
        let check = |more: &[&str], positions: &str| {
            let dry = json(&replay(&log, &database.url(), &[more, &["--dry-run"]].concat()));
            let exported = support::log::lines(&log.log(&[&["export"], more].concat()));
            assert_eq!(dry["events"], exported.len(), "{more:?}: {dry}");
            let kinds = dry["kinds"].as_object().unwrap();
            for (kind, events) in kinds {
                let of_kind = exported.iter().filter(|event| event["kind"] == kind.as_str()).count();
                assert_eq!(events, of_kind, "{kind} of {more:?}");
            }
            let answer = replayed(&log, &database.url(), more);
            assert_eq!(answer["sent"], exported.len(), "{more:?}: {answer}");
            let found: i64 = database.value(positions);
            assert!(found > 0 && answer["inserted"] == found, "{more:?}: {found} {answer}");
            let other = "TRUNCATE agent_metrics, agent_states, channel_metrics, token_metrics";
            database.execute(other);
        };
        check(
            &["--kind", "agent_state,channel_sample"],
            "SELECT (SELECT count(*) FROM agent_states)
            + (SELECT count(*) FROM channel_metrics) - (SELECT count(*) FROM agent_metrics)",
        );
        check(
            &["--from", "1001", "--to", "4001"],
            "SELECT (sum(count) FILTER (WHERE is_in))::bigint FROM (
            SELECT position >= 1001 AND position < 4001 AS is_in, count(*) FROM (
                SELECT position FROM agent_metrics UNION ALL SELECT position FROM agent_states UNION ALL
                SELECT position FROM channel_metrics UNION ALL SELECT position FROM token_metrics) AS p
            GROUP BY 1) AS q",
        );
        check(
            &["--from", "2026-01-02T00:10:00Z", "--to", "2026-01-02T00:50:00Z", "--kind", "channel_sample"],
            "SELECT count(*) FROM channel_metrics
             WHERE time >= '2026-01-02T00:10:00Z' AND time < '2026-01-02T00:50:00Z'",
        );
    });
}

#[test]
fn a_dry_run_changes_nothing_and_needs_no_database() {
    both(|log, _| {
        let Some(database) = Database::create() else { return };
        import_agents(&log, "a", 1_000);
        let away = "postgres://me:sekret@127.0.0.1:9/nowhere";
        let dry = replay(&log, away, &["--dry-run"]);
        let answer = json(&dry);
        assert_eq!((&answer["events"], &answer["begun"]), (&json!(1_000), &json!("unknown")), "{answer}");
        assert!(!stdout(&dry).contains("sekret"), "{dry:?}");
        let answer = json(&replay(&log, &database.url(), &["--dry-run"]));
        assert_eq!((&answer["kinds"], &answer["begun"]), (&json!({"agent_sample": 1_000}), &json!("new")));
        let tables: i64 = database.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'tailwater%'");
        assert_eq!(tables, 0);
        let words = tailwater(&log.data())
            .args(["replay", "--dry-run", "--to", "11", "--database-url", &database.url()])
            .output()
            .unwrap();
        let line = stdout(&words);
        assert!(line.starts_with("would replay 10 events (10 agent_sample) into postgres://"), "{line}");
        let nowhere = tailwater(&log.data()).args(["replay", "--dry-run", "--to", "11"]).output().unwrap();
        let line = stdout(&nowhere);
        assert!(line.starts_with("would replay 10 events (10 agent_sample), from position 1"), "{nowhere:?}");
        check_error(&replay(&log, &database.url(), &["--kind", "gap"]), 1, &["nothing to replay"]);
        check_error(&replay(&log, &database.url(), &["--from", "yesterday"]), 2, &["--from", "yesterday"]);
    });
}

/// A copy of the log that went another way cannot go on with the replay of the other; begun anew it can.
#[test]
fn a_log_that_went_another_way_begins_its_replay_anew() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let log = Log::new(false);
    import_agents(&log, "both", 100);
    let copy = Log::copy_of(&log);
    import_agents(&log, "one", 30_000);
    import_agents(&copy, "other", 30_000);
    let child = replay_command(&log.data(), &url, &["--rate", "4000", "--lanes", "1"]).spawn().unwrap();
    eventually("some of it is there", || (agents(&database) >= 4_000).then_some(()));
    signal(&child, Signal::TERM);
    check_error_last(&child.wait_with_output().unwrap(), 2, "goes on from there");
    check_error_last(&replay(&copy, &url, &[]), 1, "`tailwater replay --restart` begins this replay anew");
    let answer = replayed(&copy, &url, &["--restart"]);
    assert_eq!(answer["sent"], 30_100, "{answer}");
    let replays: i64 = database.value("SELECT count(*) FROM tailwater_replays");
    assert_eq!(replays, 1, "the other one is forgotten");
}
