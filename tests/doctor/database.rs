//! The database's side: reached or not, ours or not, and which logs it knows.

use std::process::Output;

use crate::support::database::Database;
use crate::support::log::Log;
use crate::support::{stderr, stdout};
use crate::{Report, doctor};

fn of(log: &Log, url: &str) -> Report {
    Report::of(doctor(&log.data()).args(["--database-url", url]))
}

/// How many relations there are, of whatever sort.
const RELATIONS: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";

#[test]
fn an_empty_database_is_told_and_stays_empty() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("a", 3);
    let report = of(&log, &database.url());
    report.is_good();
    report.has("database", "ok", "reached directly");
    report.has("database.tls", "ok", "the bytes stay on this machine");
    report.has("database.edition", "ok", "PostgreSQL");
    report.has("database.server", "ok", "takes rows");
    report.has("database.schema", "note", "no tables of tailwater's yet");
    report.has("clock.database", "ok", "clock");
    assert_eq!(database.value::<i64>(RELATIONS), 0);
    let strict = Report::of(
        doctor(&log.data())
            .args(["--database-url", &database.url()])
            .env("TAILWATER_DATABASE_MIGRATE", "false"),
    );
    strict.has("database.schema", "failure", "tailwater migrate");
}

#[test]
fn a_projected_log_is_told_with_a_daemon_and_without() {
    let Some(database) = Database::create() else { return };
    let mut log = Log::new(false);
    log.record_agents("a", 7);
    let url = database.url();
    log.project(&url);
    let check = |log: &Log| {
        let report = of(log, &url);
        report.is_good();
        report.has("database.edition", "ok", "TimescaleDB");
        report.has("database.schema", "ok", "complete");
        report.has("database.tables", "ok", "public");
        report.has("database.permissions", "ok", "everything");
        report.has("database.progress", "ok", "everything up to position 7");
        report.has("database.quarantine", "ok", "no event");
        report.has("host.clash", "ok", "no other log");
    };
    check(&log);
    log.start_daemon_with(&["--database-url", &url]);
    check(&log);
    log.stop_daemon();
    log.record_agents("b", 2);
    of(&log, &url).has("database.progress", "note", "2 positions of 9 to come");
    database.execute("UPDATE tailwater_ranges SET next = 12 WHERE hi IS NULL");
    of(&log, &url).has("database.progress", "failure", "log adopt");
}

#[test]
fn tables_that_are_not_ours_or_newer_are_told() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("a", 1);
    database.execute("CREATE TABLE agent_metrics (time timestamptz, agent_name text)");
    of(&log, &database.url()).has("database.schema", "failure", "migrate --adopt-bc");
    database.execute("DROP TABLE agent_metrics");
    log.project(&database.url());
    database.execute(
        "INSERT INTO tailwater_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', true, '', 0)",
    );
    of(&log, &database.url()).has("database.schema", "failure", "9999");
}

#[test]
fn what_waits_in_quarantine_and_what_the_server_is_set_to_are_told() {
    let Some(database) = Database::create() else { return };
    let log = Log::new(false);
    log.record_agents("a", 3);
    log.project(&database.url());
    database.execute("ALTER TABLE agent_metrics ADD CONSTRAINT no_b CHECK (agent_name <> 'b')");
    log.record_agents("b", 2);
    log.project(&database.url());
    let name: String = database.value("SELECT current_database()::text");
    database.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    database.execute(&format!("ALTER DATABASE {name} SET statement_timeout = '5s'"));
    let report = of(&log, &database.url());
    report.is_good();
    report.has("database.quarantine", "warning", "2 events");
    report.has("database.durability", "note", "synchronous_commit is off");
    report.has("database.deadlines", "warning", "statement_timeout is 5s");
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    of(&log, &database.url()).has("database.server", "failure", "transactions are read-only");
}

#[test]
fn machines_of_one_name_are_told_and_a_predecessor_is_not_taken_for_one() {
    let Some(database) = Database::create() else { return };
    let (one, other) = (Log::new(false), Log::new(false));
    for log in [&one, &other] {
        log.record_agents("a", 1);
    }
    one.project(&database.url());
    let unknown = of(&other, &database.url());
    unknown.is_good();
    unknown.has("host.clash", "warning", "their series mix");
    other.project(&database.url());
    let successor = of(&other, &database.url());
    successor.is_good();
    successor.has("host.clash", "note", "this machine's log before this one");
    // Both have been at work for an hour.
    database.execute("UPDATE tailwater_logs SET first_seen = first_seen - interval '1 hour'");
    for log in [&one, &other] {
        of(log, &database.url()).has("host.clash", "failure", "hostnamectl set-hostname");
    }
    database.execute("UPDATE tailwater_ranges SET applied_at = applied_at - interval '8 days'");
    of(&other, &database.url()).has("host.clash", "note", "applied last at");
}

#[test]
fn a_server_that_says_nothing_holds_up_nothing_else() {
    let log = Log::new(false);
    log.record_agents("a", 1);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/x?connect_timeout=2", silent.local_addr().unwrap());
    let report = of(&log, &url);
    report.has("database", "failure", "no answer within 2 s");
    report.has("log", "ok", "durable to position 1");
}

#[test]
fn no_password_is_told_and_a_database_that_is_away_is_a_failure() {
    let log = Log::new(false);
    log.record_agents("a", 1);
    let check = |url: &str| {
        let run = |format: &str| -> Output {
            let arguments = ["--database-url", url, "--format", format];
            doctor(&log.data()).args(arguments).output().unwrap()
        };
        for format in ["table", "json", "csv"] {
            let output = run(format);
            let text = stdout(&output) + &stderr(&output);
            assert!(!text.contains("sekret") && text.contains("database"), "{text}");
            assert_eq!(output.status.code(), Some(1), "{text}");
        }
    };
    check("postgres://me:sekret@127.0.0.1:9/x");
    check("postgres://me:sekret@:bad/x");
    let report = of(&log, "postgres://me:sekret@127.0.0.1:9/x");
    report.has("database", "failure", "postgres://me:***@127.0.0.1:9/x");
    report.has("log", "ok", "durable to position 1");
}
