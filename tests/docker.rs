//! Containers through the real binary: from a real engine into the log, the status and the doctor.
#![cfg(test)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::daemon::Daemon;
use support::{eventually, json, tailwater};
use tempfile::tempdir;

/// Containers of this test alone; they end with this value.
struct Docker {
    socket: PathBuf,
    prefix: String,
}

impl Docker {
    fn find() -> Option<Self> {
        let Some(socket) = std::env::var_os("TAILWATER_TEST_DOCKER") else {
            println!("SKIPPED: containers: TAILWATER_TEST_DOCKER names no engine (scripts/dockerd)");
            return None;
        };
        // NOTE: an odd number keeps the containers of two runs apart.
        let prefix = format!("bc-{:08x}{:04x}", std::process::id(), fastrand::u16(..));
        Some(Self { socket: socket.into(), prefix })
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).args(args);
        let output = command.output().expect("the docker command line, which scripts/dockerd installs");
        assert!(output.status.success(), "{args:?}: {}", support::stderr(&output));
        support::stdout(&output)
    }

    fn start(&self, name: &str, script: &str) {
        let name = format!("{}-{name}", self.prefix);
        self.run(&["run", "--detach", "--name", &name, "tailwater-busybox", "/bin/sh", "-c", script]);
    }

    /// The settings that take this test's containers and no others.
    fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("TAILWATER_DOCKER_SOCKET", &self.socket)
            .env("TAILWATER_DOCKER_INTERVAL", "1s")
            .env("TAILWATER_DOCKER_AGENTS", format!("{}-(?<agent>.+)", self.prefix))
            .env("TAILWATER_DOCKER_SYSTEMS", format!("{}-(?<system>db)", self.prefix))
            .env("TAILWATER_HOST_ENABLED", "false")
            .env("TAILWATER_TMUX_ENABLED", "false")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let ids = self.run(&["ps", "--all", "--quiet", "--filter", &format!("name={}", self.prefix)]);
        let mut args = vec!["rm", "--force"];
        args.extend(ids.lines());
        if args.len() > 2 {
            self.run(&args);
        }
    }
}

/// The last sample of this agent or system in the log.
fn latest(data: &Path, name: &str) -> Option<Value> {
    let output = tailwater(data).args(["log", "export"]).output().expect("the binary starts");
    assert!(output.status.success(), "{}", support::stderr(&output));
    let lines = support::stdout(&output);
    let event = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let is_it = |event: &Value| event["agent_name"] == name || event["system_name"] == name;
    lines.lines().rev().map(event).find(is_it)
}

/// The number that stands before this word. NOTE: a container that another test has labelled is everybody's.
fn told(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
    let number = words
        .windows(2)
        .find(|pair| pair[1].trim_end_matches('s') == word)
        .and_then(|pair| pair[0].parse().ok());
    number.unwrap_or_else(|| panic!("no number of {word}s in {text}"))
}

#[test]
fn containers_are_recorded_told_and_examined() {
    let Some(docker) = Docker::find() else { return };
    docker.start("a1", "while :; do :; done");
    docker.start("a10", "exec sleep 100000");
    docker.start("db", "exec sleep 100000");
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let daemon = Daemon::start_command(&data, docker.configure(&mut tailwater(&data)).arg("run"));
    let said = eventually("the summary", || {
        let output = daemon.output();
        output.contains("ask it").then_some(output)
    });
    assert!(told(&said, "agent") >= 2 && told(&said, "system") >= 1, "{said}");

    let burner =
        eventually("CPU of a1", || latest(&data, "a1").filter(|row| row["cpu_percent"].as_f64() > Some(0.0)));
    assert_eq!(burner["runtime"], "docker");
    assert!(burner["cpu_percent"].as_f64() <= Some(110.0), "one loop is one core: {burner}");
    let sleeper =
        eventually("CPU of a10", || latest(&data, "a10").filter(|row| row["cpu_percent"].is_number()));
    assert!(sleeper["cpu_percent"].as_f64() < Some(1.0), "{sleeper}");
    let system = eventually("the system", || latest(&data, "db"));
    assert!(system["mem_used_bytes"].as_u64() > Some(0), "{system}");
    let sampler = daemon.status()["samplers"][0].clone();
    assert_eq!((&sampler["name"], &sampler["state"]), (&"docker".into(), &"ok".into()), "{sampler}");

    docker.run(&["rm", "--force", &format!("{}-a10", docker.prefix)]);
    eventually("a10 to be told as stopped", || latest(&data, "a10").filter(|row| row["state"] == "stopped"));
    let findings =
        json(&docker.configure(&mut tailwater(&data)).args(["doctor", "--format", "json"]).output().unwrap());
    let finding =
        findings.as_array().unwrap().iter().find(|it| it["check"] == "source.docker").cloned().unwrap();
    assert_eq!(finding["sign"], "ok", "{finding}");
    let found = finding["found"].as_str().unwrap();
    assert!(
        found.contains("of which run ") && told(found, "agent") >= 1 && told(found, "system") >= 1,
        "{finding}"
    );
    let (status, output) = daemon.stop();
    assert!(status.success() && !output.contains("WARN"), "{output}");
}
