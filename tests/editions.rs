//! What holds in every edition of the database: TimescaleDB under the Apache licence and under the Timescale licence, and
//! plain PostgreSQL 15. Whoever adds a command that works on a database adds its check to the list at the end.
#![cfg(test)]

mod support;

use serde_json::{Value, json as value};
use store::testing::TestEdition;
use support::database::Database;
use support::log::Log;
use support::scene::{RANGES, check_counts, is_bad};
use support::{aged, agent_lines, eventually, json, record, stderr, stdout, tailwater};

/// How many events of every kind but gaps, which nobody records by hand, [`lines`] has.
const EVENTS: u64 = 600 + 60 + 60 + 60 + 60;

/// Ten minutes of two agents, and a minute of everything else.
fn lines(output_tokens: u64) -> String {
    let at = |second: u64| format!("2026-01-02T00:{:02}:{:02}.000001Z", second / 60, second % 60);
    let mut lines = agent_lines("a", 300) + &agent_lines("b", 300);
    for second in 0..60 {
        let time = at(second);
        for event in [
            value!({"kind": "system_sample", "time": time, "system_name": "s", "cpu_percent": 50.0}),
            value!({"kind": "channel_sample", "time": time, "channel_name": "c", "message_count": second, "reaction_count": 0}),
            value!({"kind": "agent_state", "time": time, "agent_name": "a", "state": "working"}),
            value!({"kind": "token_usage", "time": time, "agent_name": "a", "model": "m", "message_id": format!("msg_{second}"),
                "input_tokens": 1, "output_tokens": output_tokens}),
        ] {
            lines += &format!("{event}\n");
        }
    }
    lines
}

/// Runs a command on this log and this database.
fn run(log: &Log, database: &Database, arguments: &[&str]) -> std::process::Output {
    tailwater(&log.data()).args(arguments).args(["--database-url", &database.url()]).output().unwrap()
}

fn project(log: &Log, database: &Database) -> Value {
    let answer = log.project(&database.url());
    check_counts(&answer);
    answer
}

/// The numbers of rows, table by table, and what the usage says.
fn rows(database: &Database) -> String {
    database.value(
        "SELECT concat_ws(' ', (SELECT count(*) FROM agent_metrics), (SELECT count(*) FROM system_metrics),
            (SELECT count(*) FROM channel_metrics), (SELECT count(*) FROM agent_states),
            (SELECT concat_ws(' ', count(*), sum(output_tokens)) FROM token_metrics))",
    )
}

fn migrating_twice_does_it_once(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    let name = match edition {
        TestEdition::Apache => "(Apache licence)",
        TestEdition::Plain => "(PostgreSQL 15.",
        TestEdition::Licensed => "(Timescale licence)",
    };
    for wanted in ["applied 0001 tables", "the tables are up to date"] {
        let output = run(&log, &database, &["migrate"]);
        let told = stdout(&output);
        assert!(
            output.status.success() && told.contains(wanted) && told.contains(name),
            "{told}{}",
            stderr(&output)
        );
        assert_eq!(
            told.contains("hypertables"),
            wanted.starts_with("applied") && edition != TestEdition::Plain
        );
    }
}

/// By progress that is lost, and by another log that has the same events.
fn what_is_there_is_found_and_stays(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    assert_eq!(json(&record(&log.data(), &lines(5)))["accepted"], EVENTS);
    let first = project(&log, &database);
    assert_eq!((&first["read"], &first["inserted"]), (&value!(EVENTS), &value!(EVENTS)), "{first}");
    assert_eq!(rows(&database), "600 60 60 60 60 300");
    assert_eq!(project(&log, &database)["read"], 0);

    database.execute("DELETE FROM tailwater_ranges");
    let again = project(&log, &database);
    assert_eq!((&again["inserted"], &again["present"]), (&value!(0), &value!(EVENTS)), "{again}");

    // Its snapshots are larger, and so take the place of those that are there.
    let other = Log::new(false);
    json(&record(&other.data(), &lines(7)));
    let answer = project(&other, &database);
    assert_eq!((&answer["inserted"], &answer["present"]), (&value!(0), &value!(EVENTS)), "{answer}");
    assert_eq!(rows(&database), "600 60 60 60 60 420");
    let logs: i64 = database.value("SELECT count(DISTINCT log_no) FROM agent_metrics");
    assert_eq!(logs, 1);
}

fn every_query_is_answered(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    json(&record(&log.data(), &lines(5)));
    project(&log, &database);
    let query = |arguments: &[&str]| {
        let times = ["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T00:10:00Z", "--format", "json"];
        json(&run(&log, &database, &[&["query"], arguments, &times].concat()))
    };
    for metric in ["cpu", "mem", "net", "disk"] {
        let series = query(&["agents", metric, "--interval", "2m"]);
        let series = series.as_array().unwrap();
        assert_eq!(series.len(), 2 * 3, "{series:?}");
        assert_eq!(
            (&series[2]["time"], &series[2]["cpu_percent"]),
            (&value!("2026-01-02T00:02:00.000000Z"), &value!(1.0))
        );
    }
    // A week has no grid of its own: it begins where TimescaleDB's does, on a Monday.
    let week = query(&["system", "cpu", "--interval", "7d"]);
    assert_eq!(
        (&week[0]["time"], &week[0]["cpu_percent"]),
        (&value!("2025-12-29T00:00:00.000000Z"), &value!(50.0))
    );
    let latest = query(&["agents", "latest"]);
    let names: Vec<&Value> = latest.as_array().unwrap().iter().map(|row| &row["agent_name"]).collect();
    assert_eq!(names, ["a", "b"]);
    let summary = query(&["agents", "summary", "a"]);
    assert_eq!(
        (&summary["agent_name"], &summary["cpu"]["max_percent"]),
        (&value!("a"), &value!(1.0)),
        "{summary}"
    );
}

fn lanes_beside_each_other_fill_it(edition: TestEdition) {
    const MANY: u64 = 30_000;
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    log.record_agents("a", MANY);
    let answer = json(&run(&log, &database, &["project", "--until-head", "--lanes", "3", "--json"]));
    check_counts(&answer);
    assert_eq!(answer["inserted"], MANY, "{answer}");
    let landed: String = database
        .value("SELECT concat_ws(' ', count(*), count(DISTINCT position), max(position)) FROM agent_metrics");
    assert_eq!(landed, format!("{MANY} {MANY} {MANY}"));
    assert_eq!(database.values::<String>(RANGES), [format!("1 {}", MANY + 1)]);
}

fn what_is_refused_waits_in_quarantine(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    log.record_agents("good", 5);
    project(&log, &database);
    database.execute("ALTER TABLE agent_metrics ADD CONSTRAINT fussy CHECK (agent_name <> 'bad')");
    log.record_agents("bad", 3);
    log.record_agents("fine", 5);
    let answer = project(&log, &database);
    assert_eq!((&answer["inserted"], &answer["quarantined"]), (&value!(5), &value!(3)), "{answer}");
    let quarantine = |command: &str| run(&log, &database, &["quarantine", command, "--format", "json"]);
    let listed = json(&quarantine("list"));
    let positions: Vec<&Value> = listed.as_array().unwrap().iter().map(|row| &row["position"]).collect();
    assert_eq!(positions, [6, 7, 8]);
    assert_eq!(quarantine("retry").status.code(), Some(1), "they are refused again");
    database.execute("ALTER TABLE agent_metrics DROP CONSTRAINT fussy");
    json(&quarantine("retry"));
    assert_eq!(json(&quarantine("list")), value!([]));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 13);
}

/// A replay fills it; what somebody has deleted there is found, told and sent again, and nothing else is.
fn it_is_filled_by_a_replay_verified_and_mended(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let log = Log::new(false);
    assert_eq!(json(&record(&log.data(), &lines(5)))["accepted"], EVENTS);
    let answer = json(&run(&log, &database, &["replay", "--json"]));
    check_counts(&answer);
    assert_eq!((&answer["read"], &answer["inserted"]), (&value!(EVENTS), &value!(EVENTS)), "{answer}");
    let all = rows(&database);
    assert_eq!(all, "600 60 60 60 60 300");
    // The progress was the replay's: the projection finds everything there.
    assert_eq!(project(&log, &database)["present"], EVENTS);
    let verify = |arguments: &[&str], code: i32, expected: [u64; 3]| {
        let output = run(&log, &database, &[&["verify", "--format", "json"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = ["events", "missing", "extra"].map(|name| answer[name].as_u64().unwrap());
        assert_eq!(found, expected, "{answer}");
        answer["mended"]["inserted"].as_u64()
    };
    verify(&[], 0, [EVENTS, 0, 0]);
    database.execute(
        "DELETE FROM agent_metrics WHERE agent_name = 'b' AND time >= '2026-01-02T00:02:00Z';
         DELETE FROM token_metrics WHERE message_id = 'msg_7'",
    );
    verify(&[], 1, [EVENTS, 181, 0]);
    assert_eq!(verify(&["--mend"], 0, [EVENTS, 181, 0]), Some(181));
    assert_eq!(rows(&database), all);
    assert_eq!(verify(&["--mend"], 0, [EVENTS, 0, 0]), Some(0));
}

/// An idle lane confirms its range: that leaves a sign of life, and a lost range is found out without an event.
fn a_daemon_lives_with_it(edition: TestEdition) {
    let Some(database) = Database::create_in(edition) else { return };
    let mut log = Log::new(false);
    log.start_daemon_with(&["--database-url", &database.url()]);
    log.record_agents("a", 100);
    let settled = || {
        eventually("it is live, with everything there", || {
            let projection = log.status()["projection"].clone();
            let is_done = projection["state"] == "live" && projection["lag_events"] == 0;
            (is_done && projection["next_position"] == 101).then_some(())
        });
    };
    settled();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 100);
    let applied_at = || database.value::<String>("SELECT applied_at::text FROM tailwater_ranges");
    let before = applied_at();
    eventually("the idle lane confirms", || (applied_at() != before).then_some(()));

    database.execute("DELETE FROM tailwater_ranges");
    eventually("the range is there again", || (database.values::<String>(RANGES) == ["1 101"]).then_some(()));
    settled();
    log.record_agents("b", 10);
    eventually("what is new arrives", || {
        (database.value::<i64>("SELECT count(*) FROM agent_metrics") == 110).then_some(())
    });
    let output = log.stop_daemon();
    let bad: Vec<&str> = output.lines().filter(|line| is_bad(line)).collect();
    let is_told = |line: &&str| line.contains("WARN") && line.contains("claiming it back once");
    assert!(bad.len() == 1 && bad.iter().all(is_told), "{bad:#?}");
}

/// Under the Timescale licence only: what its owner has compressed is replayed over, and added to.
#[test]
fn chunks_that_the_owner_compressed_are_written_as_any_others() {
    let Some(database) = Database::create_in(TestEdition::Licensed) else { return };
    let mut log = Log::new(false);
    json(&record(&log.data(), &lines(5)));
    project(&log, &database);
    for (table, settings) in [
        (
            "agent_metrics",
            "timescaledb.compress_segmentby = 'agent_name, host', timescaledb.compress_orderby = 'time'",
        ),
        (
            "token_metrics",
            "timescaledb.compress_segmentby = 'agent_name', timescaledb.compress_orderby = 'time, message_id'",
        ),
        ("system_metrics", "timescaledb.compress_orderby = 'time DESC'"),
    ] {
        database.execute(&format!("ALTER TABLE {table} SET (timescaledb.compress, {settings})"));
        let compressed: i64 = database
            .value(&format!("SELECT count(compress_chunk(chunk)) FROM show_chunks('{table}') AS chunk"));
        assert_eq!(compressed, 1, "{table}");
    }
    database.execute("DELETE FROM tailwater_ranges");
    let again = project(&log, &database);
    assert_eq!((&again["inserted"], &again["present"]), (&value!(0), &value!(EVENTS)), "{again}");
    json(&record(&log.data(), &(lines(9) + &agent_lines("late", 300))));
    let answer = project(&log, &database);
    assert_eq!((&answer["inserted"], &answer["present"]), (&value!(300), &value!(EVENTS)), "{answer}");
    assert_eq!(rows(&database), "900 60 60 60 60 540");

    log.start_daemon_with(&["--database-url", &database.url()]);
    log.record_agents("later", 100);
    eventually("the daemon adds to them", || rows(&database).starts_with("1000 ").then_some(()));
    let output = log.stop_daemon();
    assert!(!output.lines().any(is_bad), "{output}");
}

/// Under the Timescale licence only: a chunk goes by the retention as any other, compressed or not.
#[test]
fn chunks_that_the_owner_compressed_are_dropped_when_they_expire() {
    let Some(database) = Database::create_in(TestEdition::Licensed) else { return };
    let mut log = Log::new(false);
    json(&record(&log.data(), &aged(&[400, 100, 80, 1])));
    project(&log, &database);
    let settings =
        "timescaledb.compress_segmentby = 'agent_name, host', timescaledb.compress_orderby = 'time'";
    database.execute(&format!("ALTER TABLE agent_metrics SET (timescaledb.compress, {settings})"));
    let compressed: i64 =
        database.value("SELECT count(compress_chunk(chunk)) FROM show_chunks('agent_metrics') AS chunk");
    assert_eq!(compressed, 4);
    log.start_daemon_with(&["--database-url", &database.url(), "--retention", "90d"]);
    let agents = || database.values::<String>("SELECT agent_name FROM agent_metrics ORDER BY time");
    eventually("what is old is dropped", || (agents() == ["d80", "d1"]).then_some(()));
    let daemon = log.daemon.as_ref().unwrap();
    eventually("the pass has ended", || daemon.output().contains("expired was dropped").then_some(()));
    let output = log.stop_daemon();
    let dropped: Vec<&str> = output.lines().filter(|line| line.contains("expired was dropped")).collect();
    assert!(dropped.len() == 1 && dropped[0].contains("agent_metrics 2 chunks"), "{output}");
    assert!(!output.lines().any(is_bad), "{output}");
    let left: i64 = database.value("SELECT count(*) FROM show_chunks('agent_metrics')");
    assert_eq!(left, 2);
}

/// Makes the tests. The server of the Timescale licence takes seconds to start: its checks share it, one after the other.
macro_rules! in_every_edition {
    ($($check:ident),+ $(,)?) => {
        mod timescaledb_apache {
            $(
                #[test]
                fn $check() {
                    super::$check(super::TestEdition::Apache);
                }
            )+
        }
        mod postgresql_15 {
            $(
                #[test]
                fn $check() {
                    super::$check(super::TestEdition::Plain);
                }
            )+
        }
        #[test]
        fn all_in_the_licensed_edition() {
            $(
                println!(stringify!($check));
                $check(TestEdition::Licensed);
            )+
        }
    };
}

in_every_edition!(
    migrating_twice_does_it_once,
    what_is_there_is_found_and_stays,
    every_query_is_answered,
    lanes_beside_each_other_fill_it,
    what_is_refused_waits_in_quarantine,
    it_is_filled_by_a_replay_verified_and_mended,
    a_daemon_lives_with_it,
);
