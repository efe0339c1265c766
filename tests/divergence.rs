//! Logs that a database knows already, and that are not what they were: copies that run beside their original, older
//! copies, copies whose files were trimmed. Each is told with its way out, and nothing that was recorded is lost.
#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::database::Database;
use support::log::{Log, check_error};
use support::{eventually, tailwater};

/// How many rows each agent has, in the order of their names.
fn agents(database: &Database) -> Vec<String> {
    database.values("SELECT agent_name || ' ' || count(*) FROM agent_metrics GROUP BY agent_name ORDER BY 1")
}

fn eventually_state(log: &Log, state: &str) -> Value {
    eventually(state, || {
        let projection = log.status()["projection"].clone();
        let is_done = state != "live" || projection["lag_events"] == 0;
        (projection["state"] == state && is_done).then_some(projection)
    })
}

/// Which one halts is a matter of chance; the other one goes on, both record, and an adoption brings all together.
#[test]
fn a_copy_that_runs_beside_its_original_is_told_and_nothing_is_lost() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let mut original = Log::new(false);
    original.record_agents("both", 30);
    original.project(&url);
    let mut copy = Log::copy_of(&original);
    for log in [&mut original, &mut copy] {
        log.start_daemon_with(&["--database-url", &url]);
    }
    let mut number = 0;
    let (halted, running) = eventually("one of them halts", || {
        number += 1;
        for (log, name) in [(&original, "original"), (&copy, "copy")] {
            log.record_agents(&format!("{name}-{number}"), 5);
        }
        let is_halted = |log: &Log| log.status()["projection"]["state"] == "halted";
        match (is_halted(&original), is_halted(&copy)) {
            (false, false) => None,
            (true, false) => Some((&original, &copy)),
            (false, true) => Some((&copy, &original)),
            (true, true) => panic!("nobody projects any more"),
        }
    });
    let error = halted.status()["projection"]["error"].as_str().unwrap().to_owned();
    let is_named =
        ["two writers: ", "diverged: ", "log behind database: "].iter().any(|name| error.starts_with(name));
    assert!(is_named && error.contains("`tailwater log adopt`") && !error.contains('\n'), "{error}");
    let status = tailwater(&halted.data()).args(["status", "--format", "json"]).output().unwrap();
    check_error(&status, 1, &["projecting has halted", "`tailwater log adopt`"]);
    halted.record_agents("after the halt", 5);
    eventually_state(running, "live");

    halted.ask(&["adopt"]);
    eventually_state(halted, "live");
    eventually_state(running, "live");
    let mut expected: Vec<String> = (1..=number)
        .flat_map(|number| [format!("copy-{number} 5"), format!("original-{number} 5")])
        .chain(["after the halt 5", "both 30"].map(str::to_owned))
        .collect();
    expected.sort_unstable();
    let mut found = agents(&database);
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_log_that_was_restored_from_an_older_copy_is_behind_its_database() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let log = Log::new(false);
    log.record_agents("kept", 30);
    let older = Log::copy_of(&log);
    log.record_agents("lost", 20);
    log.project(&url);

    let refused =
        tailwater(&older.data()).args(["project", "--until-head", "--database-url", &url]).output().unwrap();
    let words = ["log behind database", "position 51", "position is 31", "`tailwater log adopt`"];
    check_error(&refused, 1, &words);
    // As far as the database and beyond, with other events.
    older.record_agents("anew", 40);
    let refused =
        tailwater(&older.data()).args(["project", "--until-head", "--database-url", &url]).output().unwrap();
    check_error(&refused, 1, &["diverged: ", "position 50", "`tailwater log adopt`"]);

    older.ask(&["adopt"]);
    let done = older.project(&url);
    assert_eq!((&done["inserted"], &done["present"]), (&json!(40), &json!(30)), "{done}");
    assert_eq!(agents(&database), ["anew 40", "kept 30", "lost 20"]);
}

/// The rows were restored from an older dump: what it lacks is sent again, in order.
#[test]
fn a_database_that_was_restored_from_an_older_dump_is_brought_up_again() {
    let Some(database) = Database::create() else { return };
    let url = database.url();
    let log = Log::new(false);
    log.record_agents("first", 30);
    log.project(&url);
    database.execute(
        "CREATE TABLE dump_of_ranges AS TABLE tailwater_ranges; CREATE TABLE dump_of_rows AS TABLE agent_metrics",
    );
    log.record_agents("second", 30);
    log.project(&url);
    database.execute(
        "TRUNCATE tailwater_ranges, agent_metrics; INSERT INTO tailwater_ranges TABLE dump_of_ranges;
         INSERT INTO agent_metrics TABLE dump_of_rows",
    );
    let done = log.project(&url);
    assert_eq!((&done["read"], &done["inserted"]), (&json!(30), &json!(30)), "{done}");
    assert_eq!(agents(&database), ["first 30", "second 30"]);
    // And one that has its rows but no progress: everything there is compared, nothing comes twice.
    database.execute("TRUNCATE tailwater_ranges");
    let done = log.project(&url);
    assert_eq!((&done["inserted"], &done["present"]), (&json!(0), &json!(60)), "{done}");
    assert_eq!(agents(&database), ["first 30", "second 30"]);
}
