//! A log that came back from a copy of its files: the halt names both ways out, and both work.

use serde_json::json;

use crate::support::database::Database;
use crate::support::dump::Dump;
use crate::support::ledger::Mix;
use crate::support::log::{Log, check_error};
use crate::support::random::Random;
use crate::support::{eventually, json, stderr, tailwater};
use crate::{
    agents, bad, check_as_replayed, eventually_live, import, interrupted_replay, project, run, start_daemon,
    verify,
};

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

/// Every kind, and snapshots of the same calls on both ways: each event of the adopted copy is in the database, or has lost there.
#[test]
fn what_is_adopted_is_verified_whatever_the_database_had() {
    let Some(database) = Database::create() else { return };
    let (log, mut mix) = (Log::new(false), Mix::new("m", Random::new(11)));
    import(&log, &mix.lines("before", 800));
    let older = Log::copy_of(&log);
    import(&log, &mix.lines("lost", 600));
    project(&log, &database, &[("read", 1_400)]);
    let mut other_way = Mix::new("m", Random::new(12));
    let anew = import(&older, &other_way.lines("anew", 1_000));
    assert!((500..1_000).contains(&anew), "some of it tells of the calls that were told before: {anew}");
    older.ask(&["adopt"]);
    project(&older, &database, &[("read", 800 + anew)]);
    let verified = run(&older, &database, &["verify"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert_eq!(
        json(&run(&older, &database, &["verify", "--mend", "--format", "json"]))["mended"]["replayed"],
        0
    );
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
    let words = ["log behind database", "`tailwater log adopt`", "`tailwater replay`"];
    check_error(&run(&older, &database, &["project", "--until-head"]), 1, &words);
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
    // What it had sent of the lost events stays, and is told.
    let rows: i64 = begun.value("SELECT count(*) FROM agent_metrics WHERE agent_name <> 'lost'");
    let lost: i64 = begun.value("SELECT count(*) FROM agent_metrics WHERE agent_name = 'lost'");
    assert_eq!(rows, 70);
    verify(&older, &begun, 1, [70, 0, 0, lost.unsigned_abs(), 0]);
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
