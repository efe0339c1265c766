//! `status`: what the daemon knows of its own projection, for people, programs and Prometheus; and halts that heal.
#![cfg(test)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::daemon::Daemon;
use support::database::Database;
use support::{agent_line, eventually, json, record, stderr, stdout, tailwater};
use tempfile::tempdir;

/// A daemon that samples nothing, and tries again often what has halted.
fn quiet_daemon(data: &Path, url: &str) -> Daemon {
    let mut command = tailwater(data);
    command
        .args(["run", "--database-url", url])
        .env("TAILWATER_HOST_ENABLED", "false")
        .env("TAILWATER_TMUX_ENABLED", "false")
        .env("TAILWATER_DATABASE_HALT_RETRY", "100ms");
    Daemon::start_command(data, &mut command)
}

fn samples(agent: &str, count: u64) -> String {
    (0..count).map(|second| agent_line(agent, second, 1.0)).collect()
}

fn is_live_at(status: &Value, next: u64) -> bool {
    status["projection"]["state"] == "live" && status["projection"]["next_position"] == next
}

#[test]
fn everything_that_the_projection_knows_is_told() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &(samples("a", 30) + &samples("a", 10))));
    let daemon = quiet_daemon(&data, &database.url());
    let status = eventually("live", || Some(daemon.status()).filter(|status| is_live_at(status, 41)));
    let projection = &status["projection"];
    for (field, expected) in [
        ("live_next_position", 41),
        ("lag_events", 0),
        ("backlog_events", 0),
        ("retries", 0),
        ("read", 40),
        ("sent", 40),
        ("inserted", 30),
        ("present", 10),
        ("conflicting", 0),
        ("quarantined", 0),
        ("expired", 0),
        ("unavailable", 0),
    ] {
        assert_eq!(projection[field], expected, "{field} of {projection}");
    }
    assert_eq!(projection["ranges"], serde_json::json!([{ "lo": 1, "next": 41, "hi": null }]));
    assert_eq!(projection["lag_seconds"], 0.0);
    for field in ["error", "outage_since", "halt_retry_seconds"] {
        assert!(projection[field].is_null(), "{field} of {projection}");
    }
    let table = tailwater(&data).arg("status").output().unwrap();
    assert!(table.status.success(), "{}", stderr(&table));
    let table = stdout(&table);
    assert!(table.contains("1.. at 41") && table.contains("30 new, 10 present"), "{table}");
    assert!(table.lines().count() < 20, "short: {table}");
    let csv = stdout(&tailwater(&data).args(["status", "--format", "csv"]).output().unwrap());
    assert!(csv.contains("projection.inserted,30\n") && csv.contains("log.next_position,41\n"), "{csv}");
}

#[test]
fn metrics_are_what_status_tells() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &samples("a", 3)));
    let metrics = || tailwater(&data).args(["status", "--format", "prometheus"]).output().unwrap();
    let check = || {
        let output = metrics();
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        for line in [
            "# TYPE tailwater_log_next_position gauge",
            "tailwater_log_next_position 4",
            r#"tailwater_projection_state{state="disabled"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        assert!(!text.contains("tailwater_projection_lag"), "not known: {text}");
    };
    check();
    let daemon = quiet_daemon(&data, "");
    check();
    drop(daemon);
    let daemon = quiet_daemon(&data, "postgres://nobody:sekret@127.0.0.1:9/nothing");
    let text = eventually("the outage is a metric", || {
        let output = metrics();
        let text = stdout(&output);
        let is_told = text.contains("tailwater_projection_outage_start_timestamp_seconds 1");
        assert_eq!(output.status.code(), Some(1), "unhealthy: {}", stderr(&output));
        is_told.then_some(text)
    });
    assert!(text.contains(r#"tailwater_projection_state{state="waiting"} 1"#), "{text}");
    assert!(!text.contains("sekret"), "{text}");
    assert!(daemon.status()["projection"]["outage_since"].is_string());
}

/// A role of the test's own, which only exists while it runs.
struct Role<'a> {
    database: &'a Database,
    name: String,
}

impl<'a> Role<'a> {
    /// A role that may do everything in this database that projecting needs.
    fn create(database: &'a Database) -> Self {
        let name: String =
            database.value("SELECT 'tailwater_role_' || replace(gen_random_uuid()::text, '-', '')");
        database.execute(&format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'pass';
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"
        ));
        Self { database, name }
    }

    fn url(&self) -> String {
        let url = self.database.url();
        let (_, address) = url.split_once('@').unwrap();
        format!("postgres://{}:pass@{address}", self.name)
    }

    fn execute(&self, statement: &str) {
        self.database.execute(&statement.replace("{role}", &self.name));
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        self.execute("DROP OWNED BY {role}; DROP ROLE {role}");
    }
}

#[test]
fn a_halt_that_the_database_can_heal_ends_by_itself() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &samples("a", 5)));
    let project = |url: &str| {
        tailwater(&data).args(["project", "--until-head", "--database-url", url]).output().unwrap()
    };
    assert!(project(&database.url()).status.success());
    let role = Role::create(&database);
    role.execute("REVOKE INSERT ON agent_metrics FROM {role}");
    let daemon = quiet_daemon(&data, &role.url());
    json(&record(&data, &samples("b", 5)));
    let status = eventually("halted, and it will be tried again", || {
        Some(daemon.status()).filter(|status| !status["projection"]["halt_retry_seconds"].is_null())
    });
    assert_eq!(status["projection"]["state"], "halted");
    assert_eq!(status["projection"]["halt_retry_seconds"], 0.1);
    assert!(status["projection"]["error"].as_str().unwrap().contains("42501"), "{status}");
    let output = tailwater(&data).arg("status").output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("tries again every 100ms") && error.contains("42501"), "{error}");
    assert_eq!(project(&role.url()).status.code(), Some(1), "a command ends with any halt");
    // NOTE: each try is a new session. The server counts them, so that this sees tries and not time; one is ours.
    let sessions =
        || database.value::<i64>("SELECT sessions FROM pg_stat_database WHERE datname = current_database()");
    let mut enough = sessions() + 5;
    eventually("several more tries", || {
        enough += 1;
        (sessions() >= enough).then_some(())
    });
    assert_eq!(daemon.status()["projection"]["state"], "halted", "it says so all the while");
    role.execute("GRANT INSERT ON agent_metrics TO {role}");
    eventually("live again", || is_live_at(&daemon.status(), 11).then_some(()));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 10);
    let status = daemon.status();
    assert!(status["projection"]["halt_retry_seconds"].is_null() && status["projection"]["error"].is_null());
    let (exit, output) = daemon.stop();
    assert!(exit.success(), "{output}");
    assert_eq!(output.matches(" ERROR tailwater").count(), 1, "told once: {output}");
    assert_eq!(output.matches("projecting goes on").count(), 1, "and its end: {output}");
}
