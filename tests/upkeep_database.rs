//! The log's upkeep in front of a real database: holes, trims, copies and adoptions, and what becomes of each event.
#![cfg(test)]

mod support;

use event::HostName;
use eventlog::{EventLog, Settings};
use serde_json::{Value, json};
use support::database::Database;
use support::files::{LARGE, break_journal, damage, fill, is_table};
use support::log::{Log, both};
use support::{agent_lines, eventually, json, stderr, stdout, tailwater};

fn rows(database: &Database) -> i64 {
    database.value("SELECT count(*) FROM agent_metrics")
}

fn logs(database: &Database) -> i64 {
    database.value("SELECT count(*) FROM tailwater_logs")
}

/// Waits until the daemon has projected everything.
fn eventually_live(log: &Log) -> Value {
    eventually("the database has everything", || {
        let status = log.status();
        let projection = &status["projection"];
        (projection["state"] == "live" && projection["lag_events"] == 0).then_some(status)
    })
}

fn eventually_halted(log: &Log) -> String {
    eventually("the projection has halted", || {
        let projection = &log.status()["projection"];
        (projection["state"] == "halted").then(|| projection["error"].as_str().unwrap().to_owned())
    })
}

/// 300 events of which a repair has made the 100 in the middle a hole; a gap event tells it.
fn log_with_a_hole() -> Log {
    let log = Log::new(false);
    for name in ["first", "second", "third"] {
        log.record_agents(name, 100);
    }
    break_journal(&log);
    let repaired = log.ask(&["repair"]);
    assert_eq!(repaired["holes"], json!([{"from": 101, "to": 200, "events": 100, "cause": "damaged"}]));
    log
}

#[test]
fn a_hole_in_front_of_the_projector_is_counted_and_gone_over() {
    let (Some(database), Some(other)) = (Database::create(), Database::create()) else { return };
    let mut log = log_with_a_hole();
    let done = log.project(&database.url());
    for (count, expected) in
        [("read", 301), ("sent", 201), ("inserted", 201), ("unavailable", 100), ("expired", 0)]
    {
        assert_eq!(done[count], expected, "{count} of {done}");
    }
    assert_eq!(rows(&database), 200);
    let gap: i64 = database.value("SELECT events FROM gaps WHERE what = 'log' AND reason = 'damaged'");
    assert_eq!(gap, 100);
    let words = tailwater(&log.data())
        .args(["project", "--until-head", "--database-url", &other.url()])
        .output()
        .unwrap();
    assert!(stdout(&words).contains(", 100 gone from the log, "), "{}", stdout(&words));
    other.drop_and_create();

    log.start_daemon_with(&["--database-url", &other.url()]);
    let status = eventually_live(&log);
    assert_eq!(status["projection"]["unavailable_events"], 100, "{status}");
    assert_eq!((status["projection"]["next_position"].as_u64(), rows(&other)), (Some(302), 200));
    let output = log.stop_daemon();
    assert_eq!(output.matches("the log has a hole").count(), 1, "{output}");
}

#[test]
fn what_is_imported_twice_is_in_the_database_once() {
    let Some(database) = Database::create() else { return };
    both(|log| {
        let name = if log.daemon.is_some() { "daemon" } else { "alone" };
        let before = logs(database_with_schema(&database));
        for _ in 0..2 {
            assert_eq!(json(&log.import(agent_lines(name, 500).as_bytes()))["imported"], 500);
        }
        let done = log.project(&database.url());
        assert_eq!(
            (&done["read"], &done["inserted"], &done["present"]),
            (&json!(1_000), &json!(500), &json!(500))
        );
        let exported = log.log(&["export"]);
        assert_eq!(logs(&database), before + 1);

        // A log of another host: its events say whose they are.
        let other = Log::new(false);
        let elsewhere = HostName::new("elsewhere").unwrap();
        EventLog::open(&other.data(), &elsewhere, Settings::default()).unwrap().close().unwrap();
        assert_eq!(json(&other.import(&exported.stdout))["imported"], 1_000);
        let done = other.project(&database.url());
        assert_eq!((&done["inserted"], &done["present"]), (&json!(0), &json!(1_000)), "{done}");
        assert_eq!(other.export(), log.export());
        other.record_agents(name, 1);
        assert_eq!(other.project(&database.url())["inserted"], 1, "its own event is another one");
        let hosts: i64 = database.value("SELECT count(*) FROM agent_metrics WHERE host = 'elsewhere'");
        assert!(hosts > 0);
    });
}

/// The database, once it has its tables.
fn database_with_schema(database: &Database) -> &Database {
    let home = tempfile::tempdir().unwrap();
    let output = tailwater(&home.path().join("data"))
        .args(["migrate", "--database-url", &database.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    database
}

#[test]
fn what_the_database_has_can_be_trimmed_and_nothing_else() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &database.url()]);
    log.record_agents("zen", 200);
    eventually_live(&log);
    // The log is told within a second how far the database is.
    let trimmed = eventually("the database has it", || {
        let answer = log.ask(&["trim", "--before", "201"]);
        (answer["events"] != 0).then_some(answer)
    });
    assert_eq!(
        (&trimmed["first_position"], &trimmed["held_back_at"]),
        (&json!(201), &Value::Null),
        "{trimmed}"
    );
    log.record_agents("yen", 10);
    let status = eventually_live(&log);
    assert_eq!(status["log"]["first_position"], 201);
    assert_eq!((status["projection"]["unavailable_events"].as_u64(), rows(&database)), (Some(0), 210));
    log.stop_daemon();

    // Another database has nothing: it is what the log is held back by from now on.
    log.start_daemon_with(&["--database-url", "postgres://nobody@127.0.0.1:9/nothing"]);
    log.record_agents("xen", 10);
    let held = log.ask(&["trim", "--before", "1000"]);
    assert_eq!((&held["events"], &held["held_back_at"]), (&json!(0), &json!(1)), "{held}");
    log.stop_daemon();
    log.start_daemon_with(&["--database-url", &database.url()]);
    eventually_live(&log);
    assert_eq!(rows(&database), 220);
}

#[test]
fn an_adopted_log_is_a_new_one_to_the_database_and_what_is_there_stays() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &url]);
    log.record_agents("zen", 100);
    eventually_live(&log);
    let adopted = log.ask(&["adopt"]);
    log.record_agents("yen", 10);
    eventually("the daemon has claimed the new log", || {
        let next: Vec<i64> = database.values("SELECT next FROM tailwater_ranges ORDER BY log_no");
        (next == [101, 111]).then_some(())
    });
    let ids: Vec<String> = database.values("SELECT log_id::text FROM tailwater_logs ORDER BY log_no");
    assert_eq!([&json!(ids[0]), &json!(ids[1])], [&adopted["previous_id"], &adopted["id"]]);
    assert_eq!(rows(&database), 110);
    let status = eventually_live(&log);
    assert_eq!(status["log"]["id"], adopted["id"]);
    assert!(!log.stop_daemon().contains("WARN"), "nothing of it is a reason to worry");

    log.ask(&["adopt"]);
    let held = log.ask(&["trim", "--before", "111"]);
    assert_eq!(
        (&held["events"], &held["held_back_at"]),
        (&json!(0), &json!(1)),
        "it has nothing of the new one"
    );
    let done = log.project(&url);
    assert_eq!((&done["inserted"], &done["present"]), (&json!(0), &json!(110)), "{done}");
    assert_eq!((logs(&database), rows(&database)), (3, 110));
}

#[test]
fn an_adoption_while_the_database_is_away_forgets_what_it_had() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &database.url()]);
    log.record_agents("zen", 100);
    eventually_live(&log);
    // It lets itself be reached no more, and the daemon has known for a moment only how far it was.
    database.lock_out();
    log.ask(&["adopt"]);
    let held = || log.ask(&["trim", "--before", "101"]);
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(3) {
        let held = held();
        assert_eq!((&held["events"], &held["held_back_at"]), (&json!(0), &json!(1)), "{held}");
    }
}

#[test]
fn a_copy_that_went_its_own_way_halts_and_an_adoption_lets_it_go_on() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let original = Log::new(false);
    original.record_agents("both", 50);
    original.project(&url);
    let mut copy = Log::copy_of(&original);
    original.record_agents("original", 20);
    original.project(&url);

    copy.record_agents("copy", 30);
    copy.start_daemon_with(&["--database-url", &url]);
    let error = eventually_halted(&copy);
    assert!(error.starts_with("diverged: ") && error.contains("`tailwater log adopt`"), "{error}");
    copy.record_agents("copy again", 5);
    assert_eq!(rows(&database), 70, "nothing of the copy is there");
    copy.ask(&["adopt"]);
    eventually_live(&copy);
    assert_eq!((logs(&database), rows(&database)), (2, 105));
    assert_eq!(copy.status()["projection"]["error"], Value::Null);
    original.record_agents("original again", 5);
    assert_eq!(original.project(&url)["inserted"], 5, "and the original goes on");
}

#[test]
fn a_projection_that_halted_at_a_damaged_event_goes_on_after_a_repair() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    fill(&log);
    assert_eq!(damage(&log, is_table, 1_000), 1, "a table has it");
    log.start_daemon_with(&["--database-url", &database.url()]);
    let error = eventually_halted(&log);
    assert!(error.contains("cannot be read") && error.contains("`tailwater log repair`"), "{error}");
    let before = rows(&database);
    assert!((1..=1_000).contains(&before), "what lies before it is there: {before}");
    let repaired = log.ask(&["repair"]);
    assert_eq!(repaired["holes"], json!([]), "the journal had it");
    eventually_live(&log);
    assert_eq!(u64::try_from(rows(&database)), Ok(LARGE));
}
