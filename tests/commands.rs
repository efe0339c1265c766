//! Commands beside `run` and `record`: shapes that other tools build on, and what people get wrong.
#![cfg(test)]

mod support;

use serde_json::Value;
use support::daemon::Daemon;
use support::database::Database;
use support::{agent_line, json, record, stderr, stdout, tailwater};
use tempfile::tempdir;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// What `status` tells of a projection beside what other tools build on.
const PROJECTION_FIELDS: [&str; 17] = [
    "halt_retry_seconds",
    "outage_since",
    "live_next_position",
    "live_lag_seconds",
    "backlog_events",
    "ranges",
    "events_per_second",
    "retries",
    "retention_seconds",
    "read",
    "sent",
    "inserted",
    "present",
    "conflicting",
    "quarantined",
    "expired",
    "unavailable",
];

#[test]
fn machine_readable_shapes_hold() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let ask = |arguments: &[&str]| json(&tailwater(&data).args(arguments).output().unwrap());
    let log = ["id", "host", "first_position", "next_position", "durable_position", "bytes"];
    let status = ask(&["status", "--format", "json"]);
    assert_eq!(
        keys(&status),
        [
            "log",
            "recording",
            "projection",
            "jobs",
            "quarantine",
            "gaps",
            "usage",
            "prices",
            "samplers",
            "ingest"
        ]
    );
    assert_eq!(keys(&status["recording"]), ["state", "refused_events", "hole_events", "error"]);
    assert_eq!(status["recording"]["state"], "ok");
    assert_eq!(keys(&status["log"]), log);
    let projection = keys(&status["projection"]);
    let (contract, ours) = projection.split_at(6);
    assert_eq!(
        contract,
        ["state", "next_position", "lag_events", "lag_seconds", "unavailable_events", "error"]
    );
    assert_eq!(ours, PROJECTION_FIELDS);
    assert_eq!(status["projection"]["state"], "disabled");
    assert_eq!(status["quarantine"]["events"], 0);
    let stat = ask(&["log", "stat", "--format", "json"]);
    assert_eq!(keys(&stat), [&log[..], &["events", "bytes_per_event", "segments", "holes"]].concat());
    assert_eq!((stat["events"].as_u64(), stat["next_position"].as_u64()), (Some(1), Some(2)));
    assert_eq!(stat["id"], status["log"]["id"], "one log");
}

#[test]
fn project_answers_in_its_shape() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let output = tailwater(&data)
        .args(["project", "--until-head", "--json", "--database-url", &database.url()])
        .output()
        .unwrap();
    assert_eq!(
        keys(&json(&output)),
        [
            "read",
            "sent",
            "inserted",
            "present",
            "quarantined",
            "expired",
            "unavailable",
            "seconds",
            "events_per_second"
        ]
    );
}

#[test]
fn a_second_spelling_of_the_daemons_database_is_known_as_the_same() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let url = database.url();
    let other = url.replace("127.0.0.1", "localhost");
    assert_ne!(url, other, "the tests' server is on 127.0.0.1");
    let mut command = tailwater(&data);
    command.args(["run", "--database-url", &url]).env("TAILWATER_HOST_ENABLED", "false");
    let daemon = Daemon::start_command(&data, command.env("TAILWATER_TMUX_ENABLED", "false"));
    for turn in 0..3 {
        json(&record(&data, &agent_line("a", turn, 1.0)));
        let project = ["project", "--until-head", "--database-url", &other];
        let output = tailwater(&data).args(project).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM agent_metrics"), 3);
    let slower = ["project", "--until-head", "--rate", "5", "--database-url", &other];
    let output = tailwater(&data).args(slower).output().unwrap();
    let told = stderr(&output);
    assert!(
        output.status.success() && told.contains("its own settings: backlog lanes 2, no limit"),
        "{told}"
    );
    let (status, output) = daemon.stop();
    assert!(status.success() && !output.contains("another writer"), "{output}");
    assert!(!output.contains("WARN") && !output.contains("ERROR"), "{output}");
}

#[test]
fn a_database_is_the_same_by_every_address_and_another_one_is_not() {
    let (Some(one), Some(two)) = (Database::create(), Database::create()) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let identify = |url: &str| runtime.block_on(store::identify(&url.parse().unwrap())).unwrap();
    let first = identify(&one.url());
    assert_eq!(first, identify(&one.url().replace("127.0.0.1", "localhost")));
    assert_ne!(first, identify(&two.url()), "another database of the same server");
}

#[test]
fn lanes_and_rates_are_checked_and_used() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let url = database.url();
    let project = |flags: &[&str]| {
        let arguments = ["project", "--until-head", "--json", "--database-url", &url];
        tailwater(&data).args(arguments).args(flags).output().unwrap()
    };
    for (flags, says) in [
        (["--lanes", "9"], "database.backlog_lanes (flag --lanes)"),
        (["--rate", "0"], "database.backlog_rate (flag --rate)"),
    ] {
        let output = project(&flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let run = tailwater(&data).args(["run", "--backlog-lanes", "two"]).output().unwrap();
    assert!(stderr(&run).contains("database.backlog_lanes (flag --backlog-lanes)"), "{}", stderr(&run));
    assert_eq!(json(&project(&["--lanes", "0", "--rate", "500"]))["inserted"], 1);
}

#[test]
fn gaps_are_counted_in_the_status() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let time = "2026-01-02T03:04:05Z";
    let line = format!(
        r#"{{"kind":"gap","time":"{time}","from":"{time}","to":"{time}","events":7,"what":"host","reason":"test"}}"#
    );
    json(&record(&data, &line));
    let status = json(&tailwater(&data).args(["status", "--format", "json"]).output().unwrap());
    assert_eq!(status["gaps"]["events"], 7);
}

#[test]
fn commands_that_need_a_database_say_how_to_set_one() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    for arguments in [&["project"][..], &["migrate"], &["query", "system", "cpu"]] {
        let output = tailwater(&data).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = stderr(&output);
        assert!(error.contains("--database-url") && error.trim_end().lines().count() == 1, "{error}");
    }
}

#[test]
fn migrate_says_what_it_did_and_does_nothing_twice() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let migrate = || {
        let output = tailwater(&data).args(["migrate", "--database-url", &database.url()]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let first = migrate();
    assert!(first.contains("applied 0001") && first.contains("hypertables of"), "{first}");
    let again = migrate();
    assert!(again.contains("up to date") && again.contains("TimescaleDB"), "{again}");
}

#[test]
fn queries_name_the_bad_parameter_and_tell_when_nothing_is_found() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let query = |arguments: &[&str]| {
        tailwater(&data)
            .arg("query")
            .args(arguments)
            .args(["--database-url", &database.url()])
            .output()
            .unwrap()
    };
    let missing = query(&["agents", "latest"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("tailwater migrate"), "{}", stderr(&missing));
    tailwater(&data).args(["migrate", "--database-url", &database.url()]).output().unwrap();
    for (arguments, parameter) in [
        (&["system", "cpu", "--interval", "5parsecs"][..], "interval"),
        (&["system", "cpu", "--from", "tomorrow"], "from"),
        (&["agents", "mem", "--state", "asleep"], "state"),
    ] {
        let output = query(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(&format!("--{parameter}")), "{}", stderr(&output));
    }
    let nothing = query(&["system", "cpu", "--format", "json"]);
    assert_eq!((nothing.status.code(), stdout(&nothing).trim()), (Some(1), "[]"));
}

#[test]
fn a_data_directory_is_a_whole_path_or_the_default() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let check = |data_dir: &std::ffi::OsStr| {
        tailwater(&data).args(["config", "check"]).env("TAILWATER_DATA_DIR", data_dir).output().unwrap()
    };
    let tilde = check("~/x".as_ref());
    assert_eq!(tilde.status.code(), Some(2));
    assert!(stderr(&tilde).contains("only a shell expands"), "{}", stderr(&tilde));
    let odd = check(std::os::unix::ffi::OsStrExt::from_bytes(b"/x\xff"));
    assert_eq!(odd.status.code(), Some(2));
    assert!(stderr(&odd).contains("TAILWATER_DATA_DIR is not UTF-8"), "{}", stderr(&odd));
    let empty = tailwater(&data).args(["config", "check", "--data-dir", ""]).output().unwrap();
    assert!(stdout(&empty).contains(".local/share/tailwater"), "{}", stdout(&empty));
}

#[test]
fn a_file_of_another_kind_is_refused_at_its_first_line() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let output = record(&data, &"x\n".repeat(20_000_000));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 1:"), "{}", stderr(&output));
}

#[test]
fn configuration_is_made_checked_and_shown_without_secrets() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let file = home.path().join(".config/tailwater/tailwater.toml");
    let config = |arguments: &[&str]| tailwater(&data).arg("config").args(arguments).output().unwrap();
    assert!(config(&["init"]).status.success());
    assert!(std::fs::read_to_string(&file).unwrap().contains("# sync = \"interval:200ms\""));
    let again = config(&["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
    std::fs::write(&file, "[log]\nsync = \"always\"\n[database]\nurl = \"postgres://me:sekret@db:5433/x\"\n")
        .unwrap();
    let check = config(&["check"]);
    assert!(check.status.success() && stdout(&check).contains("tailwater.toml"), "{}", stdout(&check));
    let shown = json(&config(&["show", "--format", "json"]));
    let setting =
        |key: &str| shown.as_array().unwrap().iter().find(|setting| setting["key"] == key).cloned().unwrap();
    assert_eq!(setting("log.sync")["value"], "always");
    assert!(setting("log.sync")["origin"].as_str().unwrap().ends_with("tailwater.toml"));
    assert_eq!(setting("data_dir")["origin"], "variable TAILWATER_DATA_DIR");
    assert_eq!(setting("tmux.interval")["origin"], "default");
    assert!(setting("database.url")["value"].as_str().unwrap().contains("db:5433/x"));
    for format in ["table", "json", "csv"] {
        assert!(!stdout(&config(&["show", "--format", format])).contains("sekret"));
    }
    for odd in ["[\"postgres://sekret\", 3]", "{ a = \"sekret\" }"] {
        std::fs::write(&file, format!("[database]\nurl = {odd}\n")).unwrap();
        let bad = config(&["check"]);
        assert_eq!(bad.status.code(), Some(2));
        let error = stderr(&bad);
        assert!(error.contains("database.url") && !error.contains("sekret"), "{error}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_configuration_is_told_at_once() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let file = home.path().join("tailwater.toml");
    std::fs::write(&file, "listen = \"[::1]:0\"\n[log]\nsnyc = \"always\"\nkeep = \"a while\"\n").unwrap();
    let config = || {
        let mut command = tailwater(&data);
        command.args(["config", "check", "--config"]).arg(&file);
        command
    };
    let bad = config().output().unwrap();
    let told = stderr(&bad);
    assert_eq!((bad.status.code(), told.lines().count()), (Some(2), 3), "{told}");
    for problem in [
        "unknown setting listen; did you mean server.listen?",
        "unknown setting log.snyc; did you mean log.sync?",
        "setting log.keep",
    ] {
        assert!(told.contains(problem), "{told}");
    }
    std::fs::write(&file, "").unwrap();
    let good = config().env("TAILWATER_LOG_SNYC", "sekret").output().unwrap();
    let told = stderr(&good);
    assert!(good.status.success() && told.contains("did you mean TAILWATER_LOG_SYNC?"), "{told}");
    assert!(!told.contains("sekret"), "{told}");
}
