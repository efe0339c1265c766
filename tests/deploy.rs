//! What `deploy/` has: each query of the Grafana dashboards runs, with what Grafana puts in for its macros, and gives what its
//! panel draws; the systemd unit is as tight as it says; files that name others name ones that are there.
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use store::testing::TestEdition;
use support::database::Database;
use support::log::Log;
use support::{json as answer_of, record, tailwater};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = fs::read_dir(deploy().join("grafana/dashboards")).unwrap();
    let mut dashboards: Vec<(String, Value)> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    dashboards.sort_by(|a, b| a.0.cmp(&b.0));
    dashboards
}

/// As Grafana does, for a day of which there are events.
fn expanded(sql: &str) -> String {
    let sql = sql
        .replace("$__timeFilter(time)", "time BETWEEN '2026-01-02T00:00:00Z' AND '2026-01-03T00:00:00Z'")
        .replace("$__interval_ms", "300000")
        .replace("${agent:sqlstring}", "'zen','ada'")
        .replace("${host:sqlstring}", "'h'");
    assert!(!sql.contains('$'), "a macro that this test does not know: {sql}");
    sql
}

fn database(edition: TestEdition) -> Option<Database> {
    let database = Database::create_in(edition)?;
    let log = Log::new(false);
    let at = |minute: u64| format!("2026-01-02T03:{minute:02}:00Z");
    let mut events = vec![
        json!({"kind": "agent_state", "time": at(0), "host": "h", "agent_name": "zen", "state": "working"}),
        json!({"kind": "gap", "time": at(0), "host": "h", "from": at(0), "to": at(1), "events": 7, "what": "tmux", "reason": "x"}),
    ];
    for minute in 0..30_u64 {
        for name in ["zen", "ada"] {
            events.push(json!({"kind": "agent_sample", "time": at(minute), "host": "h", "agent_name": name, "state": "working",
                "cpu_percent": 50, "mem_used_bytes": 1 << 20, "net_rx_bytes": 600 * minute, "net_tx_bytes": minute % 7,
                "disk_read_bytes": minute * 60, "disk_write_bytes": minute}));
            events.push(json!({"kind": "token_usage", "time": at(minute), "host": "h", "agent_name": name, "final": true,
                "model": if name == "zen" { "claude-opus-4-5" } else { "nobody-knows" }, "message_id": format!("{name}{minute}"),
                "input_tokens": 10, "output_tokens": 5}));
        }
        events.push(json!({"kind": "system_sample", "time": at(minute), "host": "h", "system_name": "s", "cpu_percent": 1,
            "mem_used_bytes": 5}));
    }
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    answer_of(&record(&log.data(), &lines));
    let mut project = tailwater(&log.data());
    answer_of(
        &project
            .args(["project", "--until-head", "--json", "--database-url", &database.url()])
            .output()
            .unwrap(),
    );
    Some(database)
}

fn run_every_query(database: &Database) {
    let mut count = 0;
    for (name, dashboard) in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
        for variable in variables.filter(|it| it["type"] == "query") {
            let values: Vec<String> = database.values(&expanded(variable["query"].as_str().unwrap()));
            assert!(!values.is_empty(), "{name}: {variable}");
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            let (title, target) = (panel["title"].as_str().unwrap(), &panel["targets"][0]);
            let sql = expanded(target["rawSql"].as_str().unwrap());
            let rows: Vec<Value> = database
                .try_values::<String>(&format!("SELECT row_to_json(asked)::text FROM ({sql}) asked"))
                .unwrap_or_else(|error| panic!("{name}: {title}: {error:?}\n{sql}"))
                .iter()
                .map(|row| serde_json::from_str(row).unwrap())
                .collect();
            // NOTE: nothing was refused.
            assert_eq!(rows.is_empty(), title.starts_with("Quarantine"), "{name}: {title}: {sql}");
            if target["format"] == "time_series" {
                check_series(title, &rows);
            }
            count += 1;
        }
    }
    assert!(count >= 25, "{count}");
}

/// A time, a name or none, and numbers.
fn check_series(title: &str, rows: &[Value]) {
    for row in rows {
        let row = row.as_object().unwrap();
        assert!(row["time"].as_str().unwrap().starts_with("2026-01-02T"), "{title}: {row:?}");
        for (column, value) in row.iter().filter(|(column, _)| *column != "time") {
            assert!(
                if column == "metric" { value.is_string() } else { value.is_number() },
                "{title}: {row:?}"
            );
        }
    }
    if title == "Network received" {
        assert!(rows.iter().all(|row| row["value"] == 10.0), "600 bytes a minute are 10 a second: {rows:?}");
    }
}

#[test]
fn every_query_of_the_dashboards_runs_on_timescaledb() {
    if let Some(database) = database(TestEdition::Apache) {
        run_every_query(&database);
    }
}

#[test]
fn every_query_of_the_dashboards_runs_on_plain_postgresql() {
    if let Some(database) = database(TestEdition::Plain) {
        run_every_query(&database);
    }
}

#[test]
fn dashboards_are_well_formed() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], format!("tailwater-{name}"));
        assert!(uids.insert(dashboard["uid"].to_string()));
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: an id is one panel's");
        let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        for (number, panel) in panels.iter().enumerate() {
            let [x, y, w, h] = place(panel);
            assert!(x + w <= 24, "{name}: {}", panel["title"]);
            for other in &panels[number + 1..] {
                let [ox, oy, ow, oh] = place(other);
                let is_apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
                assert!(is_apart, "{name}: {} and {}", panel["title"], other["title"]);
            }
        }
    }
    assert!(uids.len() >= 3);
}

#[test]
fn the_unit_is_tight() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: the systemd unit: no systemd-analyze (Debian: systemd)");
        return;
    }
    let unit = deploy().join("tailwater@.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=25"])
        .arg(&unit)
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("Overall exposure level"), "{told}");
    for wrong in ["Unknown key", "Failed to parse", "Invalid", "ignoring"] {
        assert!(!told.contains(wrong), "{told}");
    }
}

#[test]
fn what_the_files_name_is_there() {
    let read = |name: &str| fs::read_to_string(deploy().join(name)).unwrap();
    let compose = read("compose.yaml");
    for line in compose.lines().map(str::trim).filter(|line| line.starts_with("- ./")) {
        let path = line.trim_start_matches("- ").split(':').next().unwrap();
        assert!(deploy().join(path).exists(), "{line}");
    }
    let dashboards = read("grafana/provisioning/dashboards/tailwater.yaml");
    assert!(
        compose.contains(":/var/lib/tailwater/dashboards:")
            && dashboards.contains("path: /var/lib/tailwater/dashboards")
    );
    // Every secret that is asked for stands in the example, and the other way round.
    let wanted: BTreeSet<&str> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split([':', '}']).next())
        .filter(|name| *name != "DOCKER_GROUP")
        .collect();
    let example = read("example.env");
    let given: BTreeSet<&str> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(wanted, given);
    // What is set is a setting, and the toolchain is the one that the project is built with.
    let known: BTreeSet<&str> =
        tailwater::config::CATALOGUE.iter().flat_map(|it| it.variables).copied().collect();
    let (docker, unit) = (read("Dockerfile"), read("tailwater@.service"));
    for text in [&compose, &docker, &unit] {
        for (at, _) in text.match_indices("TAILWATER_") {
            let name = text[at..]
                .split(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
                .next()
                .unwrap();
            let is_ours = ["TAILWATER_HOST", "TAILWATER_DATABASE_PASSWORD"].contains(&name);
            assert!(known.contains(name) || is_ours, "{name}");
        }
    }
    let toolchain = fs::read_to_string(deploy().join("../rust-toolchain.toml")).unwrap();
    let version = docker.split("rust:").nth(1).unwrap().split('-').next().unwrap();
    assert!(toolchain.contains(&format!("\"{version}.")), "{version}");
}
