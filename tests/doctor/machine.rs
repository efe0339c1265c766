//! The machine's side: directories, locks, daemons, logs, disks, tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use store::testing::skip;
use tempfile::tempdir;

use crate::support::files::{break_journal, fill};
use crate::support::log::Log;
use crate::support::{stderr, stdout, tailwater};
use crate::{Report, doctor, snapshot};

#[test]
fn where_nothing_is_yet_nothing_is_made() {
    let home = tempdir().unwrap();
    let report = Report::of(&mut doctor(&home.path().join("data")));
    report.is_good();
    report.has("version", "ok", env!("CARGO_PKG_VERSION"));
    report.has("configuration", "ok", "no file");
    report.has("data_dir", "note", "tailwater run");
    report.has("log", "note", "there is none yet");
    report.has("sync.mode", "ok", "a power cut at most the last 200ms");
    report.has(
        "space.disk",
        report.of_check("space.disk")[0]["sign"].as_str().unwrap(),
        "may grow to 8.0 GiB",
    );
    report.has("source.host", "ok", "core");
    report.has("source.docker", "note", "no Docker engine");
    report.has("source.transcripts", "ok", "none");
    report.has("database", "note", "none is set");
    assert_eq!(snapshot(home.path()).len(), 0);
}

#[test]
fn each_finding_has_the_same_shape_in_every_format() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let report = Report::of(&mut doctor(&data));
    for finding in &report.findings {
        let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["sign", "check", "found", "advice"]);
        assert_eq!(finding["advice"].is_null(), finding["sign"] == "ok", "{finding}");
        assert!(!finding["found"].as_str().unwrap().is_empty(), "{finding}");
    }
    let csv = stdout(&doctor(&data).args(["--format", "csv"]).output().unwrap());
    assert_eq!(csv.lines().next(), Some("sign,check,found,what to do"));
    assert_eq!(csv.lines().count(), report.findings.len() + 1, "{csv}");
    let table = stdout(&doctor(&data).output().unwrap());
    assert_eq!(table.lines().count(), report.findings.len() + 1, "{table}");
    assert!(
        table.contains("ok") && table.contains("database") && table.contains("--database-url"),
        "{table}"
    );
}

#[test]
fn a_log_is_looked_at_and_left_as_it_is() {
    let log = Log::new(false);
    log.record_agents("a", 5);
    let before = snapshot(log.home.path());
    let report = Report::of(&mut doctor(&log.data()));
    report.is_good();
    report.has("lock", "ok", "nobody holds the log");
    report.has("log", "ok", "durable to position 5");
    report.has("log.host", "ok", "as this machine is called");
    report.has("data_dir.mode", "ok", "0700");
    report.has("data_dir.files", "ok", "nothing was left over");
    assert_eq!(report.of_check("sync.disk").len(), 1);
    assert_eq!(snapshot(log.home.path()), before);
}

#[test]
fn a_daemon_tells_of_itself_and_its_log() {
    let mut log = Log::new(true);
    log.record_agents("a", 5);
    let pid = log.daemon.as_ref().unwrap().pid();
    let report = Report::of(&mut doctor(&log.data()));
    report.is_good();
    report.has("lock", "ok", &format!("process {pid} (tailwater run)"));
    report.has("daemon", "ok", env!("CARGO_PKG_VERSION"));
    report.has("recording", "ok", "takes events");
    report.has("projection", "ok", "disabled");
    report.has("log", "ok", "5 events, next position 6");
    let output = log.stop_daemon();
    assert!(!output.contains("WARN"), "the daemon was not disturbed: {output}");
}

#[test]
fn a_daemon_that_does_not_answer_is_a_failure() {
    let log = Log::new(true);
    let daemon = log.daemon.as_ref().unwrap();
    daemon.signal(Signal::STOP);
    let report = Report::of(&mut doctor(&log.data()));
    daemon.signal(Signal::CONT);
    report.has("daemon", "failure", "did not answer within");
    report.has("lock", "ok", "holds the log");
    assert!(stderr(&report.output).contains("1 failure: daemon"), "{}", stderr(&report.output));
}

#[test]
fn what_is_odd_about_the_directory_is_told() {
    let log = Log::new(false);
    log.record_agents("a", 1);
    let data = log.data();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    drop(UnixListener::bind(data.join("tailwater.sock")).unwrap());
    fs::create_dir(data.join("log.damaged-1")).unwrap();
    fs::write(data.join("notes.txt"), "mine").unwrap();
    let report = Report::of(&mut doctor(&data));
    report.is_good();
    report.has("data_dir.mode", "warning", "chmod 700");
    report.has("socket", "note", "its daemon was killed");
    report.has("data_dir.files", "note", "log.damaged-1");
    report.has("data_dir.files", "note", "notes.txt");
    assert!(data.join("tailwater.sock").exists(), "not even that is removed");

    let link = log.home.path().join("link");
    symlink(&data, &link).unwrap();
    Report::of(&mut doctor(&link)).has("data_dir.link", "note", "is a link to");
    symlink(log.home.path().join("nowhere"), log.home.path().join("dangling")).unwrap();
    let dangling = Report::of(&mut doctor(&log.home.path().join("dangling")));
    dangling.has("data_dir.link", "failure", "which is not there");
    let long = log.home.path().join("x".repeat(100));
    Report::of(&mut doctor(&long)).has("socket.path", "failure", "at most 107 bytes");
}

#[test]
fn a_process_that_holds_the_log_without_a_daemon_is_told() {
    let log = Log::new(false);
    log.record_agents("a", 1);
    let lock = fs::File::open(log.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let report = Report::of(&mut doctor(&log.data()));
    report.is_good();
    report.has("lock", "warning", "no daemon answers");
}

#[test]
fn a_damaged_log_is_told_and_not_touched() {
    let log = Log::new(false);
    fill(&log);
    fs::remove_file(log.data().join("mark")).unwrap();
    Report::of(&mut doctor(&log.data())).has("log.mark", "warning", "is missing");
    break_journal(&log);
    let before = snapshot(&log.data());
    let report = Report::of(&mut doctor(&log.data()));
    report.has("log", "failure", "tailwater log repair");
    assert_eq!(snapshot(&log.data()), before);
}

#[test]
fn a_broken_configuration_is_told_whole_and_the_rest_is_checked() {
    let home = tempdir().unwrap();
    let (data, file) = (home.path().join("data"), home.path().join("tailwater.toml"));
    let text =
        "colour = 1\n[log]\nsync = \"never\"\nmax_bytes = \"1GiB\"\n[database]\nurl = \"sekret://x\"\n";
    fs::write(&file, text).unwrap();
    let config = format!("--config={}", file.display());
    let report = Report::of(doctor(&data).arg(&config));
    report.has("configuration", "failure", "unknown setting colour");
    report.has("configuration", "failure", "log.sync");
    report.has("configuration", "failure", "database.url");
    report.has("sync.mode", "ok", "interval:200ms");
    report.has(
        "space.disk",
        report.of_check("space.disk")[0]["sign"].as_str().unwrap(),
        "may grow to 1.0 GiB",
    );
    fs::write(&file, "[log").unwrap();
    Report::of(doctor(&data).arg(&config)).has("configuration", "failure", "is not TOML: line 1");
    fs::remove_file(&file).unwrap();
    Report::of(doctor(&data).arg(&config)).has("configuration", "failure", "cannot read");
    let homeless = Report::of(doctor(&data).env_remove("HOME").env_remove("TAILWATER_DATA_DIR"));
    homeless.has("configuration", "failure", "there is no data directory");
}

/// The command in a mount namespace of its own, after `mounting`; `None`, after saying so, where that is not permitted.
fn with_mounts(data: &Path, mounting: &str) -> Option<Command> {
    let permitted = Command::new("unshare").args(["--mount", "true"]).output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        skip("this user may not mount anything, or there is no `unshare` of util-linux");
        return None;
    }
    let plain = doctor(data);
    let mut command = Command::new("unshare");
    let script = format!("{mounting} && exec \"$0\" \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command)
}

#[test]
fn a_disk_that_is_small_or_takes_nothing_is_told() {
    let log = Log::new(false);
    log.record_agents("a", 1);
    let data = log.data().display().to_string();
    let small = format!("mount -t tmpfs -o size=24m,mode=0700 tmpfs {data}");
    let Some(mut command) = with_mounts(&log.data(), &small) else { return };
    let report = Report::of(&mut command);
    report.is_good();
    report.has("data_dir.file_system", "warning", "tmpfs");
    report.has("space.disk", "warning", "it does not fit");
    let tiny = small.replace("24m", "4m");
    let report = Report::of(&mut with_mounts(&log.data(), &tiny).unwrap());
    report.has("space.disk", "failure", "make room now");
    let full = format!("{tiny} && (cat /dev/zero > {data}/filler; true) 2>/dev/null");
    let report = Report::of(&mut with_mounts(&log.data(), &full).unwrap());
    report.has("sync.disk", "failure", "make room");
    let read_only = format!("mount --bind {data} {data} && mount -o remount,bind,ro {data}");
    let report = Report::of(&mut with_mounts(&log.data(), &read_only).unwrap());
    report.has("data_dir.file_system", "failure", "read-only");
    report.has("sync.disk", "failure", "nothing can be written");
    report.has("log", "ok", "durable to position 1");
}

#[test]
fn low_limits_are_told() {
    let home = tempdir().unwrap();
    let plain = doctor(&home.path().join("data"));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100; ulimit -f 1024; exec \"$0\" \"$@\""]);
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let report = Report::of(&mut command);
    report.is_good();
    report.has("limit.open_files", "warning", "100");
    report.has("limit.file_bytes", "warning", "LimitFSIZE");
}

#[test]
fn coding_tools_that_delete_their_transcripts_are_told() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let claude = home.path().join(".claude");
    fs::create_dir_all(claude.join("projects/slug")).unwrap();
    fs::write(claude.join("projects/slug/a.jsonl"), "{}\n").unwrap();
    fs::create_dir_all(home.path().join("codex/sessions")).unwrap();
    let with_codex = || {
        let mut command = doctor(&data);
        command.env("CODEX_HOME", home.path().join("codex"));
        command
    };
    let report = Report::of(&mut with_codex());
    report.is_good();
    report.has("source.transcripts", "ok", "1 transcript, 3 B");
    report.has("source.transcripts", "ok", "0 transcripts");
    report.has("tool.cleanup", "warning", "older than 30 days");
    report.has("tool.cleanup", "ok", "Codex");
    fs::write(claude.join("settings.json"), r#"{"env": {"KEY": "sekret"}, "cleanupPeriodDays": 3650}"#)
        .unwrap();
    let report = Report::of(&mut with_codex());
    report.has("tool.cleanup", "ok", "is 3650");
    fs::write(claude.join("settings.json"), r#"{"env": {"KEY": "sekret"#).unwrap();
    let report = Report::of(&mut with_codex());
    report.has("tool.cleanup", "warning", "is not JSON");
    assert!(!stdout(&report.output).contains("sekret"), "{}", stdout(&report.output));
    let elsewhere = Report::of(with_codex().env("CLAUDE_CONFIG_DIR", home.path().join("codex")));
    elsewhere.has("tool.cleanup", "warning", "codex/settings.json");
}

#[test]
fn what_hangs_is_a_finding_and_ends() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let claude = home.path().join(".claude");
    fs::create_dir(&claude).unwrap();
    // Nobody ever writes to it, and nobody ever answers.
    assert!(Command::new("mkfifo").arg(claude.join("settings.json")).status().unwrap().success());
    let socket = home.path().join("docker.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let report = Report::of(doctor(&data).env("DOCKER_HOST", format!("unix://{}", socket.display())));
    report.has("tool.cleanup", "failure", "did not end within");
    report.has("source.docker", "warning", "does not answer");
    report.has("log", "note", "there is none yet");
}

#[test]
fn the_version_of_the_daemon_can_be_asked() {
    let log = Log::new(true);
    let task = serde_json::json!({ "task": "version" });
    match crate::support::client::ask(&log.data(), task, "", |_| {}) {
        crate::support::client::Answer::Done(version) => assert_eq!(version, env!("CARGO_PKG_VERSION")),
        other => panic!("{other:?}"),
    }
    let help = stdout(&tailwater(&log.data()).args(["doctor", "--help"]).output().unwrap());
    assert!(help.contains("Exit code 0 when nothing fails"), "{help}");
}
