//! A database that keeps events for a time: older ones are not sent there, and the daemon drops what has aged there;
//! the log, and every other database, have them all.
#![cfg(test)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::database::Database;
use support::log::{Log, both, check_error};
use support::scene::{check_counts, is_bad};
use support::{aged, eventually, json, stdout, tailwater};

/// How many days old the events are: two halves around 90 days, neither near it.
const AGES: [i64; 6] = [400, 100, 93, 80, 1, 0];

fn import(log: &Log, ages: &[i64]) {
    let output = log.import(aged(ages).as_bytes());
    assert!(output.status.success(), "{}", support::stderr(&output));
}

/// The agents that the database has, the oldest first.
fn agents(database: &Database) -> Vec<String> {
    if database.value("SELECT to_regclass('agent_metrics') IS NULL") {
        return Vec::new();
    }
    database.values("SELECT agent_name FROM agent_metrics ORDER BY time")
}

const ALL: [&str; 6] = ["d400", "d100", "d93", "d80", "d1", "d0"];
const YOUNG: [&str; 3] = ["d80", "d1", "d0"];

/// The numbers of an answer that are not about time.
fn counts(answer: &Value) -> [u64; 5] {
    check_counts(answer);
    ["read", "sent", "inserted", "expired", "unavailable"].map(|name| answer[name].as_u64().unwrap())
}

fn project(log: &Log) -> Command {
    let mut command = tailwater(&log.data());
    command.args(["project", "--until-head"]);
    command
}

/// With a daemon and without: what is older than the database keeps is counted, and only there.
#[test]
fn events_that_a_database_does_not_keep_are_not_sent_to_it() {
    both(|log| {
        let (Some(ours), Some(other)) = (Database::create(), Database::create()) else { return };
        import(log, &AGES);
        let configured = |arguments: &[&str]| {
            let mut command = project(log);
            command.env("TAILWATER_DATABASE_URL", ours.url()).env("TAILWATER_DATABASE_RETENTION", "90d");
            command.args(arguments).output().unwrap()
        };
        assert_eq!(counts(&json(&configured(&["--json"]))), [6, 3, 3, 3, 0]);
        assert_eq!(agents(&ours), YOUNG);
        // The setting is about the other database.
        let all = json(&configured(&["--json", "--database-url", &other.url()]));
        assert_eq!(counts(&all), [6, 6, 6, 0, 0]);
        assert_eq!(agents(&other), ALL);
        // The log has them all, and they have passed.
        assert_eq!(log.export().len(), 6);
        assert_eq!(counts(&json(&configured(&["--json"]))), [0; 5]);
        import(log, &[200, 2]);
        let said = stdout(&configured(&[]));
        assert!(said.contains("1 new") && said.contains("1 older than the database keeps"), "{said}");
        // A command can say so of any.
        let named = configured(&["--json", "--database-url", &other.url(), "--retention", "150d"]);
        assert_eq!(counts(&json(&named)), [2, 1, 1, 1, 0]);
    });
}

#[test]
fn a_retention_that_means_nothing_is_refused() {
    let log = Log::new(false);
    import(&log, &[0]);
    for bad in ["59m", "90", "for ever"] {
        let output = project(&log).args(["--retention", bad]).output().unwrap();
        check_error(&output, 2, &["database.retention", bad, "from 1h to 36500d"]);
    }
}

#[test]
fn the_daemon_drops_what_has_aged_and_tells_what_expires() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let mut log = Log::new(false);
    import(&log, &AGES);
    assert_eq!(counts(&log.project(&url)), [6, 6, 6, 0, 0]);
    assert_eq!(agents(&database), ALL);

    log.start_daemon_with(&["--database-url", &url, "--retention", "90d"]);
    eventually("what is old is dropped", || (agents(&database) == YOUNG).then_some(()));
    import(&log, &[300, 3]);
    let status = eventually("the new events have passed", || {
        let status = log.status();
        (status["projection"]["next_position"] == 9).then_some(status)
    });
    let projection = &status["projection"];
    assert_eq!(counts(projection), [2, 1, 1, 1, 0]);
    assert_eq!((&projection["state"], &projection["error"]), (&"live".into(), &Value::Null));
    assert_eq!(projection["retention_seconds"], 90.0 * 86_400.0);
    assert_eq!(agents(&database), ["d80", "d3", "d1", "d0"]);
    let told =
        |format: &str| stdout(&tailwater(&log.data()).args(["status", "--format", format]).output().unwrap());
    let table = told("table");
    assert!(table.contains("1 expired") && table.contains("90d"), "{table}");
    let metrics = told("prometheus");
    assert!(metrics.contains("tailwater_projection_expired_events_total 1"), "{metrics}");

    // Its own database keeps so long whoever projects; the log trims as if all were there.
    let followed = json(&project(&log).args(["--json", "--database-url", &url]).output().unwrap());
    assert_eq!(counts(&followed), [0; 5]);
    let output = log.stop_daemon();
    let dropped: Vec<&str> = output.lines().filter(|line| line.contains("expired was dropped")).collect();
    assert_eq!(dropped.len(), 1, "{output}");
    assert!(dropped[0].contains("INFO") && dropped[0].contains("agent_metrics 3 chunks"), "{output}");
    assert!(!output.lines().any(is_bad), "{output}");
}

/// Two copies of a log have gone apart: nothing is dropped for one that does not fit.
#[test]
fn a_daemon_that_has_halted_drops_nothing() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let first = Log::new(false);
    import(&first, &AGES);
    let mut second = Log::copy_of(&first);
    import(&first, &[0, 1]);
    assert_eq!(counts(&first.project(&url)), [8, 8, 8, 0, 0]);
    import(&second, &[2, 3, 4]);
    second.start_daemon_with(&["--database-url", &url, "--retention", "90d"]);
    eventually("it has halted", || (second.status()["projection"]["state"] == "halted").then_some(()));
    let output = second.stop_daemon();
    assert!(output.contains("diverged") && !output.contains("dropped"), "{output}");
    assert!(agents(&database).starts_with(&ALL.map(str::to_owned)[..3]));
}
