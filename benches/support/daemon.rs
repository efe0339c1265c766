//! A real daemon with a home of its own: what it costs, and what it knows.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::fleet::ticks;

/// What of a process is resident, in MiB: with its code and mapped files, without them, and the most ever.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    pub heap: f64,
    pub peak: f64,
}

/// It ends with this value, its home as well.
pub struct Daemon {
    home: TempDir,
    binary: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts this program; `configure` gives it more of an environment.
    pub fn start(home: TempDir, binary: PathBuf, configure: impl FnOnce(&mut Command)) -> Self {
        let child = spawn(&home, &binary, configure);
        Self { home, binary, child }
    }

    /// Ends it and starts it again.
    pub fn restart(&mut self, configure: impl FnOnce(&mut Command)) {
        self.stop();
        self.child = spawn(&self.home, &self.binary, configure);
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its CPU time and that of what it has started and seen end.
    pub fn ticks(&self) -> u64 {
        ticks(self.pid()).expect("the daemon is there")
    }

    pub fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the daemon is there");
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
            kib.expect("a number") / 1_024.0
        };
        Memory { resident: mib("VmRSS:"), heap: mib("RssAnon:"), peak: mib("VmHWM:") }
    }

    /// Begins the peak of its memory anew.
    pub fn forget_peak(&self) {
        // NOTE: 5 begins it anew (proc_pid_clear_refs(5)).
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("a daemon of ours");
    }

    pub fn status(&self) -> Value {
        let output = command(&self.binary, &self.home).args(["status", "--format", "json"]).output();
        serde_json::from_slice(&output.expect("a status").stdout).expect("JSON")
    }

    /// How many events its log has had.
    pub fn events(&self) -> u64 {
        self.status().pointer("/log/next_position").and_then(Value::as_u64).expect("a position")
    }

    pub fn record(&self, lines: &str) {
        let mut command = command(&self.binary, &self.home);
        let mut child =
            command.arg("record").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a command");
        child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
        assert!(child.wait().expect("an end").success(), "what is recorded is acknowledged");
    }

    fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts it and waits until it answers; where nothing is named it looks at nothing of the machine's own.
fn spawn(home: &TempDir, binary: &PathBuf, configure: impl FnOnce(&mut Command)) -> Child {
    let nothing = |name: &str| home.path().join(name);
    let mut command = command(binary, home);
    command.arg("run").env("TAILWATER_SERVER_LISTEN", "127.0.0.1:0");
    command.env("TAILWATER_TMUX_SOCKET", nothing("no-tmux"));
    command.env("DOCKER_HOST", format!("unix://{}", nothing("no-docker").display()));
    configure(&mut command);
    let child = command.stderr(Stdio::inherit()).spawn().expect("the daemon starts");
    let socket = home.path().join("data/tailwater.sock");
    while UnixStream::connect(&socket).is_err() {
        sleep(Duration::from_millis(20));
    }
    child
}

fn command(binary: &PathBuf, home: &TempDir) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
    command.env("TAILWATER_DATA_DIR", home.path().join("data"));
    command
}
