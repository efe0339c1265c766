//! A log of a test's own, with a daemon or without: what a command means must not depend on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::daemon::Daemon;
use super::{agent_lines, json, record, run_with, stderr, stdout, tailwater};

/// A data directory, and maybe a daemon that has it; its samplers are off, so that it appends nothing itself.
pub struct Log {
    pub home: TempDir,
    pub daemon: Option<Daemon>,
}

impl Log {
    pub fn new(with_daemon: bool) -> Self {
        let mut log = Self { home: tempdir().unwrap(), daemon: None };
        if with_daemon {
            log.start_daemon();
        }
        log
    }

    /// What a copy of a stopped log's data directory is.
    pub fn copy_of(other: &Self) -> Self {
        let log = Self::new(false);
        copy_tree(&other.data(), &log.data());
        log
    }

    pub fn start_daemon(&mut self) {
        self.start_daemon_with(&[]);
    }

    pub fn start_daemon_with(&mut self, arguments: &[&str]) {
        let data = self.data();
        let mut command = tailwater(&data);
        command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
        self.daemon = Some(Daemon::start_command(&data, command.arg("run").args(arguments)));
    }

    /// Ends the daemon in order; gives what it has said.
    pub fn stop_daemon(&mut self) -> String {
        let (status, output) = self.daemon.take().expect("a daemon").stop();
        assert!(status.success(), "{output}");
        output
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn log(&self, arguments: &[&str]) -> Output {
        tailwater(&self.data()).arg("log").args(arguments).output().unwrap()
    }

    /// The answer of a command that must end well.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        json(&self.log(&[arguments, &["--format", "json"]].concat()))
    }

    pub fn import(&self, input: &[u8]) -> Output {
        run_with(tailwater(&self.data()).args(["log", "import"]), input)
    }

    pub fn export(&self) -> Vec<Value> {
        lines(&self.log(&["export"]))
    }

    pub fn status(&self) -> Value {
        let output = tailwater(&self.data()).args(["status", "--format", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
    }

    /// Records so many samples of one agent, a second apart.
    pub fn record_agents(&self, name: &str, count: u64) {
        assert_eq!(json(&record(&self.data(), &agent_lines(name, count)))["accepted"], count);
    }

    /// Projects everything; gives the report.
    pub fn project(&self, url: &str) -> Value {
        let arguments = ["project", "--until-head", "--json", "--database-url", url];
        json(&tailwater(&self.data()).args(arguments).output().unwrap())
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = tailwater(&self.data());
        command.arg("log").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

/// The lines of a command that must end well, each as JSON.
pub fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An exit code, and one line with these words.
pub fn check_error(output: &Output, code: i32, words: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
}

/// Runs the body with a daemon and without: it must mean the same.
pub fn both(body: impl Fn(&Log)) {
    for with_daemon in [false, true] {
        body(&Log::new(with_daemon));
    }
}
