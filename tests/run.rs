//! `run`: what it says, what it samples, and how it ends.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use support::daemon::Daemon;
use support::database::Database;
use support::tmux::Tmux;
use support::{agent_line, eventually, json, record, stderr, stdout, tailwater};
use tempfile::tempdir;

#[test]
fn with_nothing_configured_it_says_what_it_found_and_what_is_missing() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    let output = eventually("the summary", || {
        let output = daemon.output();
        output.contains("ask it").then_some(output)
    });
    let log = data.join("log").display().to_string();
    for words in [log.as_str(), "sync interval:200ms", "host:", "tmux:", "none set", "--database-url"] {
        assert!(output.contains(words), "{words:?} is not in {output}");
    }
    assert!(output.lines().count() <= 10, "a few lines: {output}");
}

#[test]
fn it_ends_well_on_sigterm_and_on_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = tempdir().unwrap();
        let data = home.path().join("data");
        let daemon = Daemon::start(&data, &[]);
        json(&record(&data, &agent_line("a", 1, 1.0)));
        daemon.signal(signal);
        let (status, output) = daemon.wait();
        assert!(status.success(), "{signal:?}: {output}");
        assert!(!data.join("tailwater.sock").exists());
        let stat = json(&tailwater(&data).args(["log", "stat", "--format", "json"]).output().unwrap());
        assert_eq!(stat["durable_position"].as_u64(), stat["next_position"].as_u64().map(|next| next - 1));
    }
}

#[test]
fn an_echo_of_a_signal_is_no_second_one() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    let (status, output) = daemon.wait();
    assert!(status.success() && output.contains("everything recorded is on the disk"), "{output}");
}

#[test]
fn a_bad_setting_ends_it_with_one_line_before_anything_is_made() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let check = |arguments: &[&str], variable: (&str, &str), says: &str| {
        let output = tailwater(&data).args(arguments).env(variable.0, variable.1).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says) && error.trim_end().lines().count() == 1, "{error}");
        assert!(!data.exists());
    };
    check(&["run", "--listen", "everywhere"], ("X", ""), "server.listen (flag --listen)");
    check(&["run"], ("TAILWATER_LOG_SYNC", "never"), "log.sync (variable TAILWATER_LOG_SYNC)");
    check(&["run"], ("TAILWATER_HOST_INTERVAL", "1ms"), "from 1s to 1h");
    check(&["run"], ("TAILWATER_TMUX_PATTERN", "a.*"), "agent");
    let url = "postgres://me:sekret@db/x?sslmode=verify-ca";
    check(&["run", "--database-url", url], ("X", ""), "sslmode=verify-ca needs sslrootcert");
    let output = tailwater(&data).args(["run", "--database-url", url]).output().unwrap();
    assert!(!stderr(&output).contains("sekret"));
}

#[test]
fn it_listens_where_it_says_and_not_at_all_when_told_so() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &["--listen", "127.0.0.1:0"]);
    let summary = eventually("the summary", || {
        let output = daemon.output();
        let line = output.lines().find(|line| line.starts_with("  listen "))?;
        Some(line.trim_start_matches("  listen ").trim().to_owned())
    });
    let address = summary.strip_prefix("http://").expect("an address");
    assert_eq!(daemon.status()["ingest"]["address"], address);
    assert!(!address.ends_with(":0") && std::net::TcpStream::connect(address).is_ok(), "{address}");
    drop(daemon);
    let daemon =
        Daemon::start_command(&data, tailwater(&data).env("TAILWATER_SERVER_ENABLED", "false").arg("run"));
    eventually("the summary", || daemon.output().contains("listen    nothing: server.enabled").then_some(()));
    let ingest = daemon.status()["ingest"].clone();
    assert_eq!((&ingest["state"], &ingest["address"]), (&"disabled".into(), &Value::Null));
}

#[test]
fn a_full_disk_is_told_and_survived_and_what_was_lost_is_a_gap() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let plain = tailwater(&data);
    let environment: Vec<_> =
        plain.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    // A file may not grow beyond 512 KiB, as if the disk were full there.
    let script = format!("ulimit -S -f 1024; exec {} run", env!("CARGO_BIN_EXE_tailwater"));
    let mut limited = Command::new("sh");
    limited.env_clear().envs(environment).env("TAILWATER_HOST_INTERVAL", "1s");
    limited.args(["-c", &script]).stdin(Stdio::null());
    let daemon = Daemon::start_command(&data, &mut limited);
    let many: String = (0..20_000).map(|second| agent_line("b", second, 1.0)).collect();
    let refused = record(&data, &many);
    assert_eq!(refused.status.code(), Some(2));
    let error = stderr(&refused);
    assert!(error.contains("File too large") && error.trim_end().lines().count() == 1, "{error}");
    let recording = daemon.status()["recording"].clone();
    assert_eq!(recording["state"], "failed");
    assert!(recording["error"].as_str().unwrap().contains("it goes on by itself when it can"), "{recording}");
    assert_eq!(record(&data, &agent_line("a", 2, 1.0)).status.code(), Some(2));
    eventually("the sampler's events are refused", || {
        (daemon.output().contains("the log refuses the sampler's events")).then_some(())
    });

    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(pid, Resource::Fsize, unlimited).unwrap();
    eventually("recording goes on", || (daemon.status()["recording"]["state"] == "ok").then_some(()));
    json(&record(&data, &agent_line("a", 3, 1.0)));
    eventually("the loss is told", || (daemon.status()["gaps"]["events"].as_u64() > Some(0)).then_some(()));
    let export = tailwater(&data).args(["log", "export"]).output().unwrap();
    let events: Vec<Value> =
        stdout(&export).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let agents = |name: &str| events.iter().filter(|event| event["agent_name"] == name).count();
    assert_eq!((agents("a"), agents("b")), (2, 0), "what was acknowledged, and nothing of what was not");
    assert!(events.iter().any(|event| event["kind"] == "gap" && event["reason"] == "log_failed"));
    let (status, output) = daemon.stop();
    assert!(status.success(), "{output}");
    let told = |text: &str| output.lines().filter(|line| line.contains(text)).count();
    assert_eq!(
        (told("watch: the log takes no events"), told("watch: the log takes events again")),
        (1, 1),
        "{output}"
    );
}

#[test]
fn a_standard_error_that_cannot_be_written_stops_nothing() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = tailwater(&data);
    command.args(["run", "--database-url", "postgres://nobody@127.0.0.1:9/nothing"]);
    let daemon = Daemon::start_with_stderr(&data, &mut command, full.into());
    let projection = |status: Value| status["projection"].clone();
    let told = eventually("the outage is in the status", || {
        let projection = projection(daemon.status());
        projection["error"].is_string().then_some(projection)
    });
    assert_eq!(told["state"], "waiting", "the projector is alive: {told}");
    let (status, output) = daemon.stop();
    assert!(status.success(), "an orderly end: {output}");
}

#[test]
fn a_client_that_says_nothing_does_not_hold_up_the_end() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start(&data, &[]);
    let silent = std::os::unix::net::UnixStream::connect(data.join("tailwater.sock")).unwrap();
    let (status, output) = daemon.stop();
    assert!(status.success() && !output.contains("still under way"), "{output}");
    drop(silent);
}

#[test]
fn being_stopped_before_the_head_is_no_good_end() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    json(&record(&data, &agent_line("a", 1, 1.0)));
    let url = "postgres://nobody@127.0.0.1:9/nothing";
    let mut project = tailwater(&data)
        .args(["project", "--until-head", "--database-url", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(project.stderr.take().unwrap()).lines();
    let warned = lines.next().unwrap().unwrap();
    assert!(warned.contains("waiting for the database"), "{warned}");
    kill_process(Pid::from_child(&project), Signal::TERM).unwrap();
    assert_eq!(project.wait().unwrap().code(), Some(2));
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains("stopped before the head: nothing is in the database"), "{last}");
}

#[test]
fn tmux_sessions_are_agents_from_the_first_sample_to_the_answer_of_a_query() {
    let Some(database) = Database::create() else { return };
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let tmux = Tmux::new(home.path());
    tmux.session("a1", "exec sh -c 'while :; do :; done'");
    tmux.session("a10", "exec sleep 600");
    let mut command = tailwater(&data);
    command.env("TAILWATER_TMUX_SOCKET", tmux.socket()).env("TAILWATER_TMUX_INTERVAL", "1s").args([
        "run",
        "--database-url",
        &database.url(),
    ]);
    let daemon = Daemon::start_command(&data, &mut command);
    let query = |arguments: &[&str]| {
        let output = tailwater(&data)
            .arg("query")
            .args(arguments)
            .args(["--format", "json"])
            .args(["--database-url", &database.url()])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    let (busy, idle) = eventually("both agents have a CPU reading", || {
        let rows = query(&["agents", "latest"]);
        let cpu = |name: &str| {
            rows.as_array()?.iter().find(|row| row["agent_name"] == name)?["cpu_percent"].as_f64()
        };
        Some((cpu("a1")?, cpu("a10")?)).filter(|(busy, _)| *busy > 0.0)
    });
    assert!(busy > 5.0 * idle + 1.0, "a1 burns, a10 sleeps: {busy} and {idle}");
    let series = query(&["agents", "cpu", "--agent", "a1", "--interval", "1h"]);
    assert!(series.as_array().unwrap().iter().all(|row| row["agent_name"] == "a1"), "{series}");
    let summary = query(&["agents", "summary", "a10"]);
    assert_eq!(summary["agent_name"], "a10");
    assert_eq!(summary["network"]["rx_bytes"], Value::Null, "{summary}");
    assert_eq!(summary["cost"], Value::Null, "until prices come: {summary}");
    let hosts = query(&["system", "mem"]);
    assert!(hosts[0]["mem_used_bytes"].as_u64().unwrap() > 0, "{hosts}");
    let samplers = daemon.status()["samplers"].clone();
    // NOTE: there are no transcripts here, and not everywhere is a Docker engine.
    let named = |name: &str| samplers.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    assert!(["host", "tmux"].iter().all(|name| named(name)["state"] == "ok"), "{samplers}");
    assert_eq!(named("transcripts")["state"], "idle", "{samplers}");
}
