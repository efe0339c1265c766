//! A database that came back from a dump: it is brought up by the projection itself.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::database::{Database, PrivateServer, with_database, with_user};
use crate::support::dump::Dump;
use crate::support::ledger::{CONTENT, Mix};
use crate::support::log::{Log, check_error};
use crate::support::random::Random;
use crate::support::scene::{AWAY, RANGES, check_counts};
use crate::support::{aged, agent_lines, eventually, json, stderr, tailwater};
use crate::{
    AGENTS, agents, bad, check_as_replayed, command, eventually_live, import, interrupted_replay, project,
    run, start_daemon, verify,
};

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

/// The dump was made in the middle of a backlog, with a lane at work: it has several ranges, and sessions that are gone.
#[test]
fn a_dump_from_the_middle_of_a_backlog_is_brought_up() {
    const EVENTS: u64 = 60_000;
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    import(&log, &agent_lines("a", EVENTS));
    let mut projecting = command(&log, &database, &["project", "--until-head", "--rate", "8000"]);
    let mut child = projecting.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_made = "SELECT to_regclass('tailwater_ranges') IS NOT NULL";
    let is_worked = "SELECT count(*) FROM tailwater_ranges WHERE hi IS NOT NULL AND next > lo";
    eventually("a backlog lane is at work", || {
        (database.value::<bool>(is_made) && database.value::<i64>(is_worked) > 0).then_some(())
    });
    let dump = Dump::of(&database);
    child.kill().unwrap();
    child.wait().unwrap();
    let Some(dump) = dump else { return };
    dump.restore_into(&database);
    let there = database.value::<i64>("SELECT count(*) FROM agent_metrics").unsigned_abs();
    let ranges = database.values::<String>(RANGES);
    assert!((1..EVENTS).contains(&there) && ranges.len() > 1, "{there} {ranges:?}");
    project(&log, &database, &[("inserted", EVENTS - there), ("present", 0), ("unavailable", 0)]);
    assert_eq!(database.values::<String>(RANGES), [format!("1 {}", EVENTS + 1)]);
    verify(&log, &database, 0, [EVENTS, 0, 0, 0, 0]);
}

/// By the daemon and by `project`.
#[test]
fn a_dump_from_before_the_trimmed_head_goes_on_behind_it_with_one_warning() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("kept", 30);
    project(&log, &database, &[("inserted", 30)]);
    let Some(dump) = Dump::of(&database) else { return };
    log.record_agents("gone", 30);
    project(&log, &database, &[("inserted", 30)]);
    assert_eq!(log.ask(&["trim", "--before", "61"])["first_position"], 61);
    log.record_agents("new", 10);
    let check = |told: &[&str]| {
        assert_eq!(told.len(), 1, "{told:#?}");
        for word in
            ["WARN", "the log has a hole", "from=31", "to=60", "events=30", "before=\"2026-01-02T00:00:00"]
        {
            assert!(told[0].contains(word), "{word} is not in {}", told[0]);
        }
        assert!(!told[0].contains("unknown"), "since when they are gone is told: {}", told[0]);
        assert_eq!(agents(&database), ["kept 30", "new 10"]);
        verify(&log, &database, 0, [10, 0, 0, 0, 30]);
        project(&log, &database, &[("read", 0)]);
    };
    dump.restore_into(&database);
    let output = run(&log, &database, &["project", "--until-head", "--json"]);
    let answer = json(&output);
    check_counts(&answer);
    assert_eq!((&answer["inserted"], &answer["unavailable"]), (&json!(10), &json!(30)), "{answer}");
    check(&bad(&stderr(&output)));

    dump.restore_into(&database);
    let mut daemon = Log::copy_of(&log);
    start_daemon(&mut daemon, &database);
    let projection = eventually_live(&daemon);
    check_counts(&projection);
    assert_eq!(
        (&projection["inserted"], &projection["unavailable"]),
        (&json!(10), &json!(30)),
        "{projection}"
    );
    check(&bad(&daemon.stop_daemon()));
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
        let mut replay = command(&log, &database, &["replay", "--json", "--lanes", "1"]);
        let output = replay.env("TAILWATER_TRACE", "warn").output().unwrap();
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
    // The next replay is a new one, of the whole log, which begins with a hole.
    let (answer, warnings) = replay();
    assert_eq!((&answer["inserted"], warnings.len()), (&json!(10), 1), "{answer}");
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
        eventually("what is old is dropped", || {
            let left = database.try_values::<String>(AGENTS).ok()?;
            (left == ["d1 1", "d80 1"]).then_some(())
        });
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

/// TimescaleDB says that a dump comes back: nothing is made or changed there, recording goes on, and all does afterwards.
#[test]
fn a_daemon_that_comes_into_a_restore_waits_for_its_end() {
    let Some(database) = Database::create() else { return };
    database.execute("CREATE EXTENSION timescaledb; SELECT timescaledb_pre_restore()");
    let mut log = Log::new(false);
    start_daemon(&mut log, &database);
    let projection = eventually("it waits", || {
        let projection = log.status()["projection"].clone();
        (projection["state"] == "waiting" && !projection["error"].is_null()).then_some(projection)
    });
    let words = "a dump is being restored into the database";
    assert!(projection["error"].as_str().unwrap().contains(words), "{projection}");
    log.record_agents("meanwhile", 20);
    check_error(&run(&log, &database, &["migrate"]), 2, &[words, "timescaledb_post_restore()"]);
    check_error(&run(&log, &database, &["verify"]), 2, &[words]);
    let made = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.value::<i64>(made), 0);

    database.execute("SELECT timescaledb_post_restore()");
    eventually_live(&log);
    let output = log.stop_daemon();
    let told = bad(&output);
    assert!(told.len() == 1 && told[0].contains(AWAY) && told[0].contains(words), "{output}");
    verify(&log, &database, 0, [20, 0, 0, 0, 0]);
}

/// As the manual has it: nobody but a superuser gets in while the dump comes back, and the daemon records on.
#[test]
fn a_database_that_only_a_superuser_may_enter_yet_is_waited_for() {
    let Some(server) = PrivateServer::up() else { return };
    server.execute("CREATE ROLE me LOGIN");
    server.execute("CREATE DATABASE stats OWNER me CONNECTION LIMIT 0");
    let url = with_user(&with_database(server.url(), "stats"), "me");
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &url]);
    let wait_for = |error: &str| {
        eventually(error, || {
            let projection = log.status()["projection"].clone();
            let is_told = projection["error"].as_str().is_some_and(|told| told.contains(error));
            (projection["state"] == "waiting" && is_told).then_some(())
        });
    };
    wait_for("too many connections for database");
    server.execute_in("stats", "CREATE EXTENSION timescaledb; SELECT timescaledb_pre_restore()");
    log.record_agents("meanwhile", 20);
    server.execute("ALTER DATABASE stats CONNECTION LIMIT -1");
    wait_for("a dump is being restored");
    server.execute_in("stats", "SELECT timescaledb_post_restore()");
    eventually_live(&log);
    assert_eq!(server.values_of::<i64>("stats", "SELECT count(*) FROM agent_metrics"), [20]);
    let output = log.stop_daemon();
    let told = bad(&output);
    assert!(told.len() == 1 && told[0].contains(AWAY), "one outage: {output}");
}
