//! The whole path with the real binary and a real TimescaleDB: nothing acknowledged is lost, nothing arrives twice.
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use support::daemon::Daemon;
use support::database::{Database, PrivateServer};
use support::{agent_line, eventually, json, record, stderr, stdout, tailwater};
use tempfile::{TempDir, tempdir};

/// The daemon without samplers: only what the test records.
const QUIET: [(&str, &str); 2] = [("TAILWATER_HOST_ENABLED", "false"), ("TAILWATER_TMUX_ENABLED", "false")];

fn quiet_daemon(data: &Path, url: &str) -> Daemon {
    let mut command = tailwater(data);
    command.envs(QUIET).args(["run", "--database-url", url]);
    Daemon::start_command(data, &mut command)
}

fn project(data: &Path, url: &str) -> serde_json::Value {
    let output =
        tailwater(data).args(["project", "--until-head", "--json", "--database-url", url]).output().unwrap();
    json(&output)
}

#[test]
fn this_hosts_metrics_reach_the_database_within_a_second() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let mut command = tailwater(&data);
    command.env("TAILWATER_HOST_INTERVAL", "1s").args(["run", "--database-url", &database.url()]);
    let daemon = Daemon::start_command(&data, &mut command);
    let rows = || -> i64 {
        match database.value::<bool>("SELECT to_regclass('system_metrics') IS NOT NULL") {
            true => database.value("SELECT count(*) FROM system_metrics WHERE cpu_percent IS NOT NULL"),
            false => 0,
        }
    };
    eventually("rows with a CPU reading", || (rows() >= 5).then_some(()));
    let plausible: bool = database.value(
        "SELECT bool_and(cpu_percent >= 0 AND mem_used_bytes > 0 AND mem_used_bytes < mem_limit_bytes
                         AND mem_percent BETWEEN 0 AND 100 AND host = system_name)
         FROM system_metrics WHERE cpu_percent IS NOT NULL",
    );
    assert!(plausible);
    let hypertables: i64 = database.value("SELECT count(*) FROM timescaledb_information.hypertables");
    assert_eq!(hypertables, 6);
    eventually("status says live", || (daemon.status()["projection"]["state"] == "live").then_some(()));
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
    assert!(output.contains("everything recorded is on the disk"), "{output}");
}

#[test]
fn projecting_twice_adds_nothing_and_says_so() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let lines: String = (0..100).map(|second| agent_line("a", second, 1.5)).collect();
    json(&record(&data, &lines));
    json(&record(&data, &lines));
    let first = project(&data, &database.url());
    for (count, expected) in [("read", 200), ("sent", 200), ("inserted", 100), ("present", 100)] {
        assert_eq!(first[count], expected, "{count} of {first}");
    }
    let again = project(&data, &database.url());
    assert_eq!((again["read"].as_u64(), again["sent"].as_u64()), (Some(0), Some(0)), "{again}");
    let winners: i64 = database.value("SELECT count(*) FROM agent_metrics WHERE position <= 100");
    assert_eq!(winners, 100, "the smaller position wins");
    database.execute("DELETE FROM tailwater_ranges");
    let replayed = project(&data, &database.url());
    assert_eq!((replayed["inserted"].as_u64(), replayed["present"].as_u64()), (Some(0), Some(200)));
}

#[test]
fn a_database_that_is_dropped_and_created_empty_fills_again_by_itself() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = quiet_daemon(&data, &database.url());
    let lines: String = (0..50).map(|second| agent_line("a", second, 1.0)).collect();
    json(&record(&data, &lines));
    assert_eq!(project(&data, &database.url())["quarantined"], 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 50);
    database.drop_and_create();
    eventually("everything is there again", || {
        let there: bool = database.value("SELECT to_regclass('agent_metrics') IS NOT NULL");
        (there && database.value::<i64>("SELECT count(*) FROM agent_metrics") == 50).then_some(())
    });
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
    database.drop_and_create();
    let again = project(&data, &database.url());
    assert_eq!(again["inserted"], 50, "and by `project` alone: {again}");
}

/// A log whose one event is in the database, which from then on refuses whatever is bad.
fn log_before_a_check(database: &Database) -> TempDir {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("good", 1, 1.0)));
    project(&data, &database.url());
    database.execute("ALTER TABLE agent_metrics ADD CHECK (agent_name <> 'bad')");
    home
}

#[test]
fn an_event_that_the_database_refuses_is_kept_in_it_and_the_others_land() {
    let Some(database) = Database::create() else { return };
    let home = log_before_a_check(&database);
    let data = home.path().join("data");
    let lines = agent_line("good", 2, 1.0) + &agent_line("bad", 2, 1.0) + &agent_line("good", 3, 1.0);
    json(&record(&data, &lines));
    let report = project(&data, &database.url());
    assert_eq!(
        (&report["sent"], &report["inserted"], &report["quarantined"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 3);
    let kept = "SELECT position || ' ' || kind || ' ' || sqlstate FROM tailwater_quarantine";
    assert_eq!(database.value::<String>(kept), "3 agent_sample 23514");
}

/// So many of them mean that the schema is wrong.
#[test]
fn many_events_that_the_database_refuses_halt_the_projection_and_not_the_recording() {
    let Some(database) = Database::create() else { return };
    let home = log_before_a_check(&database);
    let data = home.path().join("data");
    let daemon = quiet_daemon(&data, &database.url());
    let bad: String = (2..302).map(|second| agent_line("bad", second, 1.0)).collect();
    let lines = agent_line("good", 2, 1.0) + &bad + &agent_line("good", 3, 1.0);
    json(&record(&data, &lines));
    let status = eventually("halted", || {
        let status = daemon.status();
        (status["projection"]["state"] == "halted").then_some(status)
    });
    let error = status["projection"]["error"].as_str().unwrap();
    assert!(error.contains("position 3") && error.contains("23514"), "{error}");
    assert_eq!(json(&record(&data, &agent_line("good", 4, 1.0)))["accepted"], 1, "recording goes on");
    let output = tailwater(&data).arg("status").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "unhealthy");
    assert!(stderr(&output).contains("projecting has halted"), "{}", stderr(&output));
    drop(daemon);
    let output = tailwater(&data)
        .args(["project", "--until-head", "--database-url", &database.url()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 1, "nothing half done");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tailwater_quarantine"), 0, "the schema is wrong");
}

#[test]
fn tables_of_our_names_that_are_not_ours_are_left_alone() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    database.execute("CREATE TABLE agent_metrics (time timestamptz, agent_name text)");
    let output = tailwater(&data)
        .args(["project", "--until-head", "--database-url", &database.url()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    let last = error.trim_end().lines().last().unwrap();
    assert!(last.contains("agent_metrics"), "{error}");
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"),
        1
    );
}

#[test]
fn a_daemon_whose_database_is_away_records_and_says_so() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = quiet_daemon(&data, "postgres://nobody:sekret@127.0.0.1:9/nothing");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let status = eventually("an error in the status", || {
        let status = daemon.status();
        status["projection"]["error"].is_string().then_some(status)
    });
    assert_eq!(status["projection"]["state"], "waiting");
    assert_eq!(status["projection"]["next_position"], serde_json::Value::Null);
    let (exit, output) = daemon.stop();
    assert!(exit.success(), "{output}");
    assert_eq!(output.matches("WARN").count(), 1, "one warning an outage: {output}");
    assert!(!output.contains("sekret") && !status.to_string().contains("sekret"), "{output}");
}

/// Records events one request after the other through outages and kills of the daemon, and keeps what was
/// acknowledged: the oracle.
fn record_until(data: &Path, stop: &AtomicBool, worker: u64, acknowledged: &AtomicU64) -> BTreeSet<String> {
    let mut oracle = BTreeSet::new();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let names: Vec<String> = (0..20).map(|index| format!("w{worker}-{turn}-{index}")).collect();
        turn += 1;
        let lines: String = names.iter().map(|name| agent_line(name, turn, 1.0)).collect();
        let output = record(data, &lines);
        if output.status.success() && stdout(&output).contains("\"accepted\":20") {
            oracle.extend(names);
            acknowledged.fetch_add(20, Ordering::Relaxed);
        }
    }
    oracle
}

#[test]
fn every_acknowledged_event_is_in_the_database_once_after_crashes_of_both() {
    let Some(server) = PrivateServer::up() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let stop = AtomicBool::new(false);
    let acknowledged = AtomicU64::new(0);
    let oracle = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                scope.spawn({
                    let (data, stop, acknowledged) = (&data, &stop, &acknowledged);
                    move || record_until(data, stop, worker, acknowledged)
                })
            })
            .collect();
        let progress = |by: u64| {
            let target = acknowledged.load(Ordering::Relaxed) + by;
            eventually("recording goes on", || {
                (acknowledged.load(Ordering::Relaxed) >= target).then_some(())
            });
        };
        for round in 0..3 {
            let daemon = quiet_daemon(&data, server.url());
            progress(200);
            server.stop_immediately();
            progress(100);
            daemon.kill();
            let daemon = quiet_daemon(&data, server.url());
            progress(100);
            server.start();
            std::thread::sleep(Duration::from_millis(150 * round));
            daemon.kill();
        }
        stop.store(true, Ordering::Relaxed);
        let sets = workers.into_iter().map(|worker| worker.join().unwrap());
        sets.fold(BTreeSet::new(), |mut all, set| {
            all.extend(set);
            all
        })
    });
    project(&data, server.url());
    let found: Vec<String> = server.values("SELECT agent_name FROM agent_metrics");
    let unique: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "nothing arrives twice");
    let lost: Vec<_> = oracle.difference(&unique).collect();
    assert!(lost.is_empty(), "{} acknowledged events are lost: {lost:?}", lost.len());
    assert!(oracle.len() >= 1_000, "the test did its work: {}", oracle.len());
    let positions: i64 = server.value("SELECT count(DISTINCT position) FROM agent_metrics");
    let stat = json(&tailwater(&data).args(["log", "stat", "--format", "json"]).output().unwrap());
    assert_eq!(stat["events"].as_i64().unwrap(), positions, "the table is the log, position by position");
}
