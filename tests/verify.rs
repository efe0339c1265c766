//! `verify` against a real database: what it lacks and what it has too much is found by kind and hour, and mended; with the
//! daemon and without.
#![cfg(test)]

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::database::Database;
use support::log::{Log, check_error};
use support::{agent_line, eventually, json as answer_of, record, stderr, stdout, tailwater};

/// Every table that events go to.
const TABLES: [&str; 6] =
    ["agent_metrics", "system_metrics", "channel_metrics", "token_metrics", "agent_states", "gaps"];

/// Samples of two agents each minute of three hours, and a few of every other kind.
const EVENTS: u64 = 2 * 180 + 18 + 3 + 4 + 2 + 1;
/// Of those: snapshots of a message that a larger one beats.
const LOSERS: u64 = 2;

/// 2026-01-02, so many minutes after three o'clock.
fn at(minute: u64) -> String {
    format!("2026-01-02T{:02}:{:02}:00Z", 3 + minute / 60, minute % 60)
}

fn usage(message: &str, output: u64) -> String {
    let time = at(61);
    format!(
        r#"{{"kind":"token_usage","time":"{time}","agent_name":"a","model":"m","message_id":"{message}","input_tokens":1,"output_tokens":{output}}}"#
    ) + "\n"
}

fn events() -> String {
    let mut lines = String::new();
    let mut add = |kind: &str, minute: u64, rest: &str| {
        lines += &format!(r#"{{"kind":"{kind}","time":"{}",{rest}}}"#, at(minute));
        lines.push('\n');
    };
    for minute in 0..180 {
        add("agent_sample", minute, r#""agent_name":"a","cpu_percent":1.5"#);
        add("agent_sample", minute, r#""agent_name":"b","cpu_percent":2.5"#);
        if minute % 10 == 0 {
            add("system_sample", minute, r#""system_name":"s","cpu_percent":3.5"#);
        }
        if minute % 60 == 0 {
            add("channel_sample", minute, r##""channel_name":"#c","message_count":1,"reaction_count":0"##);
        }
    }
    add("agent_state", 5, r#""agent_name":"a","state":"working""#);
    add("agent_state", 65, r#""agent_name":"a","state":"done""#);
    add(
        "gap",
        65,
        r#""from":"2026-01-02T03:00:00Z","to":"2026-01-02T03:01:00Z","events":1,"what":"w","reason":"r""#,
    );
    // One message that grows, and another one; that it comes smaller again, the log knows by itself.
    for (message, output) in [("msg_1", 10), ("msg_1", 20), ("msg_1", 30), ("msg_2", 5), ("msg_1", 20)] {
        lines += &usage(message, output);
    }
    lines
}

/// A log, and a database that has all of it.
struct Scene {
    log: Log,
    database: Database,
}

impl Scene {
    /// `None` where there is no server.
    fn new() -> Option<Self> {
        let scene = Self { database: Database::create()?, log: Log::new(false) };
        let answer = answer_of(&scene.log.import(events().as_bytes()));
        assert_eq!((&answer["imported"], &answer["known"]), (&EVENTS.into(), &1.into()), "{answer}");
        scene.project();
        Some(scene)
    }

    fn project(&self) -> Value {
        self.log.project(&self.database.url())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let url = self.database.url();
        let mut command = tailwater(&self.log.data());
        command.arg("verify").args(arguments).args(["--database-url", &url]).output().unwrap()
    }

    /// The answer, whose numbers add up, and the exit code.
    fn verify(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let answer: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        let number = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("{name} of {answer}"));
        let sum: u64 =
            ["rows", "present", "quarantined", "pending", "expired", "missing"].map(number).iter().sum();
        assert_eq!(number("events"), sum, "{answer}");
        (answer, output.status.code())
    }

    /// Nothing is wrong; these numbers are so.
    fn check_clean(&self, numbers: &[(&str, u64)]) {
        let (answer, code) = self.verify(&[]);
        assert_eq!((&answer["missing"], &answer["extra"], code), (&json!(0), &json!(0), Some(0)), "{answer}");
        assert_eq!(answer["hours"], json!([]));
        for (name, number) in numbers {
            assert_eq!(answer[name], *number, "{name} of {answer}");
        }
    }

    /// These hours are wrong, and nothing else: time, kind, log, database, missing, extra.
    fn check_hours(&self, expected: &[(&str, &str, [u64; 4])]) {
        let (answer, code) = self.verify(&[]);
        assert_eq!(code, Some(1), "{answer}");
        let hour = |(time, kind, [log, database, missing, extra]): &(&str, &str, [u64; 4])| {
            json!({
                "time": format!("2026-01-02T{time}:00:00.000000Z"), "kind": kind, "log": log,
                "database": database, "missing": missing, "extra": extra,
            })
        };
        assert_eq!(answer["hours"], Value::Array(expected.iter().map(hour).collect()), "{answer}");
    }

    /// Mends, sees that these numbers were replayed, and that the tables are as they were.
    fn check_mended(&self, before: &[String], replayed: u64, inserted: u64) {
        let (dry, code) = self.verify(&["--mend", "--dry-run"]);
        assert_eq!((&dry["mended"]["replayed"], code), (&json!(replayed), Some(1)), "{dry}");
        let output = self.run(&["--mend", "--format", "json"]);
        assert!(stderr(&output).starts_with(&format!("replaying {replayed} event")), "{}", stderr(&output));
        let mended = &answer_of(&output)["mended"];
        let expected = json!({
            "dry_run": false, "replayed": replayed, "inserted": inserted,
            "present": replayed - inserted, "quarantined": 0, "still_missing": 0,
        });
        assert_eq!(mended, &expected);
        assert_eq!(self.tables(), before, "the tables are what they were");
        self.check_clean(&[("rows", EVENTS - LOSERS), ("present", LOSERS)]);
        assert_eq!(self.verify(&["--mend"]).0["mended"]["replayed"], 0);
    }

    /// The content of every table.
    fn tables(&self) -> Vec<String> {
        let checksum = |table: &str| {
            let sql = format!(
                "SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM {table} AS t"
            );
            self.database.value::<String>(&sql)
        };
        TABLES.iter().copied().map(checksum).collect()
    }

    fn ranges(&self) -> Vec<String> {
        self.database.values("SELECT concat_ws(' ', lo, next, hi, digest) FROM tailwater_ranges ORDER BY 1")
    }

    fn start_daemon(&mut self) {
        self.log.start_daemon_with(&["--database-url", &self.database.url()]);
    }
}

#[test]
fn a_projected_log_is_verified_in_one_line() {
    let Some(mut scene) = Scene::new() else { return };
    scene.check_clean(&[("events", EVENTS), ("rows", EVENTS - LOSERS), ("present", LOSERS), ("pending", 0)]);
    let check = |scene: &Scene| {
        let output = scene.run(&[]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
        let (line, url) = (stdout(&output), scene.database.url());
        assert!(line.starts_with(&format!("verified: {EVENTS} events of log ")), "{line}");
        let end = format!(
            " are in {url} ({} rows of their own, {LOSERS} present, 0 quarantined, 0 pending, 0 expired)\n",
            EVENTS - LOSERS
        );
        assert!(line.ends_with(&end) && line.lines().count() == 1, "{line}");
    };
    check(&scene);
    scene.start_daemon();
    check(&scene);
    // The daemon knows its own database.
    let own = tailwater(&scene.log.data()).args(["verify", "--format", "csv"]).output().unwrap();
    assert!(own.status.success(), "{}", stderr(&own));
    assert_eq!(stdout(&own), "time,kind,log,database,missing,extra\n");
}

#[test]
fn rows_that_are_gone_are_found_by_kind_and_hour_and_mended() {
    let Some(mut scene) = Scene::new() else { return };
    let (before, ranges) = (scene.tables(), scene.ranges());
    // An hour of one agent, a system sample, and the row of a message of which four snapshots were recorded.
    let delete = |scene: &Scene| {
        scene.database.execute(
            "DELETE FROM agent_metrics WHERE agent_name = 'b' AND time >= '2026-01-02T04:00Z' AND time < '2026-01-02T05:00Z';
             DELETE FROM system_metrics WHERE time = '2026-01-02T05:30Z';
             DELETE FROM token_metrics WHERE message_id = 'msg_1'",
        );
    };
    delete(&scene);
    scene.check_hours(&[
        ("04", "agent_sample", [120, 60, 60, 0]),
        ("04", "token_usage", [4, 1, 3, 0]),
        ("05", "system_sample", [6, 5, 1, 0]),
    ]);
    let output = scene.run(&[]);
    let table = stdout(&output);
    assert!(table.lines().count() == 5 && table.contains("2026-01-02T04:00:00.000000Z"), "{table}");
    check_error(&output, 1, &["64 events are missing", "`tailwater verify --mend`"]);
    scene.check_mended(&before, 64, 62);

    scene.database.execute("TRUNCATE agent_metrics");
    scene.check_mended(&before, 360, 360);
    assert_eq!(scene.ranges(), ranges, "no range was moved");

    scene.start_daemon();
    delete(&scene);
    scene.check_mended(&before, 64, 62);
}

/// The smaller position must win again, though the larger one has a row of its own.
#[test]
fn a_row_that_another_event_has_taken_over_is_mended() {
    let Some(scene) = Scene::new() else { return };
    let again = agent_line("twice", 1, 1.0);
    for _ in 0..2 {
        answer_of(&record(&scene.log.data(), &again));
    }
    scene.project();
    let (first, second) = (EVENTS + 1, EVENTS + 2);
    scene.check_clean(&[("present", LOSERS + 1)]);
    let position =
        || scene.database.value::<i64>("SELECT position FROM agent_metrics WHERE agent_name = 'twice'");
    assert_eq!(position(), i64::try_from(first).unwrap());
    scene
        .database
        .execute(&format!("UPDATE agent_metrics SET position = {second} WHERE agent_name = 'twice'"));
    let (answer, code) = scene.verify(&["--mend"]);
    assert_eq!((&answer["missing"], &answer["extra"], code), (&json!(1), &json!(0), Some(0)), "{answer}");
    assert_eq!(position(), i64::try_from(first).unwrap());
    scene.check_clean(&[("present", LOSERS + 1)]);
}

#[test]
fn rows_of_another_log_make_events_present_and_are_left_alone() {
    let Some(scene) = Scene::new() else { return };
    let other = Log::new(false);
    other.import(events().as_bytes());
    let other = Scene { log: other, database: scene.database };
    check_error(&other.run(&[]), 1, &["has never seen log", "tailwater project"]);
    check_error(&other.run(&["--mend"]), 1, &["has never seen log"]);
    other.project();
    other.check_clean(&[("rows", 0), ("present", EVENTS)]);
    let before = other.tables();
    assert_eq!(other.verify(&["--mend"]).0["mended"]["replayed"], 0);
    assert_eq!(other.tables(), before);
    Scene { log: scene.log, database: other.database }.check_clean(&[("rows", EVENTS - LOSERS)]);
}

#[test]
fn rows_that_no_event_explains_are_extra_and_never_deleted() {
    let Some(scene) = Scene::new() else { return };
    let before = scene.tables();
    // Beyond the head, no position at all, another hour than the event's, another table than its kind's.
    scene.database.execute(
        "INSERT INTO agent_metrics (time, agent_name, host, log_no, position)
             VALUES ('2026-01-02T03:30Z', 'x', 'h', 1, 100000), ('2026-01-02T03:31Z', 'y', 'h', 1, -5);
         UPDATE system_metrics SET time = time + interval '2 hours 1 minute' WHERE time = '2026-01-02T03:10Z';
         INSERT INTO agent_states (time, agent_name, host, log_no, position)
             SELECT time, agent_name, host, log_no, position FROM agent_metrics ORDER BY position LIMIT 1 OFFSET 1;
         INSERT INTO gaps SELECT time, from_time, to_time, events, 'another log', reason, host, 77, position FROM gaps",
    );
    let extra: Vec<String> = scene.database.values(
        "SELECT position::text FROM agent_metrics WHERE agent_name = 'x' UNION ALL
         SELECT position::text FROM system_metrics WHERE time = '2026-01-02T05:11Z' UNION ALL
         SELECT min(position)::text FROM agent_states",
    );
    scene.check_hours(&[
        ("03", "agent_sample", [120, 122, 0, 2]),
        ("03", "system_sample", [6, 5, 1, 0]),
        ("03", "agent_state", [1, 2, 0, 1]),
        ("05", "system_sample", [6, 7, 0, 1]),
    ]);
    let output = scene.run(&[]);
    let words = ["1 event is missing", "4 rows are extra", "DELETE FROM agent_metrics WHERE log_no = 1"];
    check_error(&output, 1, &words);
    let table = stdout(&output);
    assert!(table.contains("4 of 4 extra rows:") && extra.iter().all(|it| table.contains(it)), "{table}");

    let (answer, code) = scene.verify(&["--mend"]);
    assert_eq!((&answer["mended"]["inserted"], code), (&json!(1), Some(1)), "{answer}");
    let (answer, _) = scene.verify(&[]);
    assert_eq!(
        (&answer["missing"], &answer["extra"]),
        (&json!(0), &json!(4)),
        "what was extra is there: {answer}"
    );
    for row in answer["extra_rows"].as_array().unwrap() {
        let (table, position, time) =
            (row["table"].as_str().unwrap(), &row["position"], row["time"].as_str().unwrap());
        let one = format!("log_no = {} AND position = {position} AND time = '{time}'", answer["log_no"]);
        scene.database.execute(&format!("DELETE FROM {table} WHERE {one}"));
    }
    scene.check_clean(&[("rows", EVENTS - LOSERS)]);
    scene.database.execute("DELETE FROM gaps WHERE log_no = 77");
    assert_eq!(scene.tables(), before);
}

#[test]
fn what_is_in_quarantine_is_no_finding_and_what_is_refused_goes_there() {
    let Some(scene) = Scene::new() else { return };
    scene.database.execute("ALTER TABLE agent_metrics ADD CONSTRAINT fussy CHECK (agent_name <> 'bad')");
    let lines: String =
        (0..3).map(|second| agent_line(if second == 1 { "bad" } else { "good" }, second, 1.0)).collect();
    answer_of(&record(&scene.log.data(), &lines));
    assert_eq!(scene.project()["quarantined"], 1);
    scene.check_clean(&[("quarantined", 1)]);
    scene
        .database
        .execute("DELETE FROM tailwater_quarantine; DELETE FROM agent_metrics WHERE agent_name = 'good'");
    let (answer, code) = scene.verify(&["--mend"]);
    let mended = &answer["mended"];
    assert_eq!(
        (&mended["replayed"], &mended["inserted"], &mended["quarantined"], &mended["still_missing"], code),
        (&json!(3), &json!(2), &json!(1), &json!(0), Some(0)),
        "{answer}"
    );
    scene.check_clean(&[("quarantined", 1)]);
    // What was given up is missing again: the log keeps it.
    scene
        .database
        .execute("ALTER TABLE agent_metrics DROP CONSTRAINT fussy; DELETE FROM tailwater_quarantine");
    assert_eq!(scene.verify(&["--mend"]).0["mended"]["inserted"], 1);
    scene.check_clean(&[("quarantined", 0), ("rows", EVENTS - LOSERS + 3)]);
}

#[test]
fn what_a_range_has_yet_to_apply_is_pending() {
    let Some(mut scene) = Scene::new() else { return };
    answer_of(&record(&scene.log.data(), &support::agent_lines("late", 50)));
    scene.check_clean(&[("events", EVENTS + 50), ("pending", 50)]);
    scene.database.execute("DELETE FROM agent_metrics WHERE time = '2026-01-02T03:10Z'");
    let (answer, code) = scene.verify(&["--mend"]);
    assert_eq!((&answer["mended"]["replayed"], code), (&json!(2), Some(0)), "pending ones are not: {answer}");
    scene.check_clean(&[("pending", 50)]);

    // While a daemon records and projects, no finding is false.
    scene.start_daemon();
    for round in 0..5 {
        answer_of(&record(&scene.log.data(), &support::agent_lines(&format!("round-{round}"), 500)));
        let (answer, code) = scene.verify(&[]);
        assert_eq!((&answer["missing"], &answer["extra"], code), (&json!(0), &json!(0), Some(0)), "{answer}");
    }
    let all = EVENTS - LOSERS + 50 + 2_500;
    eventually("everything is there", || (scene.verify(&[]).0["rows"] == all).then_some(()));

    // Without a range nothing is to come: what is not there is missing.
    scene.log.stop_daemon();
    answer_of(&record(&scene.log.data(), &support::agent_lines("later", 3)));
    scene.database.execute("DELETE FROM tailwater_ranges");
    let (answer, code) = scene.verify(&["--mend"]);
    assert_eq!((&answer["mended"]["inserted"], code), (&json!(3), Some(0)), "{answer}");
    let ranges: i64 = scene.database.value("SELECT count(*) FROM tailwater_ranges");
    assert_eq!(ranges, 0, "no range was made");
}

#[test]
fn rows_of_events_that_the_log_no_longer_has_cannot_be_compared() {
    let Some(scene) = Scene::new() else { return };
    let head = (EVENTS + 1).to_string();
    assert_eq!(scene.log.ask(&["trim", "--before", &head])["events"], EVENTS);
    answer_of(&record(&scene.log.data(), &support::agent_lines("new", 10)));
    scene.project();
    scene.check_clean(&[("events", 10), ("rows", 10), ("unavailable", EVENTS - LOSERS)]);
    let line = stdout(&scene.run(&[]));
    assert!(
        line.contains(&format!("; {} rows of events that the log no longer has)", EVENTS - LOSERS)),
        "{line}"
    );
}

#[test]
fn a_database_that_is_none_of_the_logs_is_told_in_one_line() {
    let Some(scene) = Scene::new() else { return };
    let verify =
        |arguments: &[&str]| tailwater(&scene.log.data()).arg("verify").args(arguments).output().unwrap();
    check_error(&verify(&[]), 2, &["no database is set"]);
    let away = verify(&["--database-url", "postgres://me:sekret@127.0.0.1:9/x"]);
    check_error(&away, 2, &["connecting to postgres://me:***@127.0.0.1:9/x", "refused"]);
    assert_eq!(verify(&["--dry-run"]).status.code(), Some(2), "a dry run of what?");
    scene.database.execute("INSERT INTO tailwater_migrations SELECT 9999, description, installed_on, success, checksum, execution_time FROM tailwater_migrations LIMIT 1");
    check_error(&scene.run(&[]), 2, &["migration 9999", "newer"]);
    scene.database.drop_and_create();
    check_error(&scene.run(&[]), 2, &["tailwater migrate"]);
}
