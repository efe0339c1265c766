//! A machine of a test's own: a home, a tmux server, and the daemon that samples it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::daemon::Daemon;
use super::tmux::Tmux;
use super::{eventually, json, stderr, stdout, tailwater};

/// A daemon that samples one tmux server each second.
pub struct Host {
    pub home: TempDir,
    pub tmux: Tmux,
}

impl Host {
    pub fn new(configuration: &str) -> Self {
        let home = tempdir().unwrap();
        let tmux = Tmux::new(home.path());
        let host = Self { home, tmux };
        host.configure(configuration);
        host
    }

    /// Writes the configuration that the next command reads.
    pub fn configure(&self, configuration: &str) {
        fs::write(self.home.path().join("tailwater.toml"), configuration).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn command(&self) -> Command {
        let mut command = tailwater(&self.data());
        command.env("TAILWATER_CONFIG", self.home.path().join("tailwater.toml"));
        command.env("TAILWATER_TMUX_SOCKET", self.tmux.socket()).env("TAILWATER_TMUX_INTERVAL", "1s");
        command.env("TAILWATER_HOST_ENABLED", "false");
        command
    }

    pub fn start(&self) -> Daemon {
        Daemon::start_command(&self.data(), self.command().arg("run"))
    }

    pub fn ask(&self, arguments: &[&str]) -> Value {
        json(&self.command().args(arguments).output().unwrap())
    }

    pub fn say(&self, agent: &str, state: &str) {
        let answer = self.ask(&["record", "state", "--agent", agent, "--state", state]);
        assert_eq!(answer["accepted"], 1);
    }

    /// The last sample of an agent.
    pub fn sample(&self, agent: &str) -> Option<Value> {
        let output = self.command().args(["log", "export", "--kind", "agent_sample"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        let mut events = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["agent_name"] == agent)
    }

    /// Waits for a sample of this agent in this state.
    pub fn wait_for(&self, agent: &str, state: &str) -> Value {
        eventually(&format!("{agent} is {state:?}"), || {
            self.sample(agent).filter(|sample| sample["state"].as_str().unwrap_or_default() == state)
        })
    }

    /// The state of each agent in the statistics, and the object of all numbers.
    pub fn stats(&self) -> (BTreeMap<String, String>, Value) {
        let stats = self.ask(&["stats", "--format", "json"]);
        let word = |agent: &Value, field: &str| agent[field].as_str().unwrap().to_owned();
        let agents = stats["agents"]["agent_stats"].as_array().unwrap();
        (agents.iter().map(|agent| (word(agent, "name"), word(agent, "state"))).collect(), stats)
    }
}
