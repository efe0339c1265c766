//! After an outage: what is new arrives at once, what was missed is filled behind it, at the rate that was asked for,
//! and a kill in the middle of that loses nothing and doubles nothing.
#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::database::Database;
use support::eventually;
use support::log::Log;

/// More than the live lane works off by itself, and fewer than a day has seconds: each has a time of its own.
const MISSED: u64 = 80_000;

fn projection(log: &Log) -> Value {
    log.status()["projection"].clone()
}

/// How many events of an agent there are; none while the daemon has not made the tables yet.
fn count(database: &Database, agent: &str) -> u64 {
    if database.value("SELECT to_regclass('agent_metrics') IS NULL") {
        return 0;
    }
    let count: i64 =
        database.value(&format!("SELECT count(*) FROM agent_metrics WHERE agent_name = '{agent}'"));
    u64::try_from(count).unwrap()
}

#[test]
fn what_is_new_arrives_while_what_was_missed_is_filled_behind_it() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let mut log = Log::new(false);
    log.record_agents("before", 10);
    log.start_daemon_with(&["--database-url", &url]);
    eventually("the database has what there is", || (count(&database, "before") == 10).then_some(()));
    log.stop_daemon();

    log.record_agents("missed", MISSED);
    // NOTE: slow enough that the backlog is there for as long as anybody needs to look.
    log.start_daemon_with(&["--database-url", &url, "--backlog-rate", "2000"]);
    // NOTE: new is what comes after the live lane has gone to the head.
    eventually("the backlog is known", || {
        (projection(&log)["backlog_events"].as_u64() > Some(0)).then_some(())
    });
    log.record_agents("new", 10);
    eventually("what is new arrives", || (count(&database, "new") == 10).then_some(()));
    let seen = projection(&log);
    assert!(seen["backlog_events"].as_u64().unwrap() > 0, "{seen}");
    assert_eq!(seen["state"], "catching_up");
    assert!(seen["live_next_position"].as_u64() > Some(MISSED), "{seen}");
    assert!(seen["next_position"].as_u64() < Some(MISSED), "it tells the lowest that is missing: {seen}");
    let ranges = seen["ranges"].as_array().unwrap();
    assert!(ranges.len() >= 2 && ranges.last().unwrap()["hi"] == Value::Null, "{seen}");

    eventually("some of the backlog is filled", || (count(&database, "missed") > 0).then_some(()));
    log.daemon.take().unwrap().kill();
    let filled = count(&database, "missed");
    assert!(filled < MISSED, "the rate held it back");
    log.start_daemon_with(&["--database-url", &url]);
    eventually("everything is there, in one range", || {
        let ranges: Vec<i64> =
            database.values("SELECT next - lo FROM tailwater_ranges WHERE hi IS NULL OR next < hi");
        let all = i64::try_from(MISSED).unwrap() + 20;
        (ranges == [all]).then_some(())
    });
    for (agent, expected) in [("before", 10), ("missed", MISSED), ("new", 10)] {
        assert_eq!(count(&database, agent), expected, "{agent}");
    }
    let positions: i64 = database.value("SELECT count(DISTINCT position) FROM agent_metrics");
    assert_eq!(u64::try_from(positions), Ok(MISSED + 20));
    let done = eventually("it is live again", || {
        let seen = projection(&log);
        (seen["state"] == "live").then_some(seen)
    });
    assert_eq!((&done["backlog_events"], &done["lag_events"]), (&json!(0), &json!(0)), "{done}");
}
