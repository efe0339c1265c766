//! `tailwater run` as a child that is killed when a test ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{eventually, json, tailwater};

/// A running daemon.
pub struct Daemon {
    child: Child,
    data_dir: PathBuf,
    output: Arc<Mutex<String>>,
    collectors: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_command(data_dir, tailwater(data_dir).args(["run"]).args(arguments))
    }

    /// Starts this command as a daemon and waits until it answers.
    pub fn start_command(data_dir: &Path, command: &mut Command) -> Self {
        Self::start_with_stderr(data_dir, command, Stdio::piped())
    }

    /// The same for who has reason to think that it may end at once: then it is what it has printed.
    pub fn try_start_command(data_dir: &Path, command: &mut Command) -> Result<Self, String> {
        let mut daemon = Self::spawn(data_dir, command, Stdio::piped());
        let has_ended = eventually("the daemon answers or ends", || {
            let has_ended = daemon.child.try_wait().expect("a child").is_some();
            (has_ended || daemon.answers()).then_some(has_ended)
        });
        if has_ended { Err(daemon.wait().1) } else { Ok(daemon) }
    }

    /// The same with a standard error of the test's.
    pub fn start_with_stderr(data_dir: &Path, command: &mut Command, stderr: Stdio) -> Self {
        let mut daemon = Self::spawn(data_dir, command, stderr);
        eventually("the daemon answers", || daemon.is_up().then_some(()));
        daemon
    }

    /// Starts this command as a daemon and does not wait for anything.
    pub fn spawn(data_dir: &Path, command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the binary starts");
        let output = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().expect("a pipe");
        let mut collectors = vec![collect(BufReader::new(stdout), &output)];
        collectors.extend(child.stderr.take().map(|stderr| collect(BufReader::new(stderr), &output)));
        Self { child, data_dir: data_dir.to_owned(), output, collectors }
    }

    fn is_up(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().expect("a child") {
            panic!("the daemon ended with {status}: {}", self.output());
        }
        self.answers()
    }

    fn answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.data_dir.join("tailwater.sock")).is_ok()
    }

    /// Everything it has printed so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }

    /// What `tailwater status` says through it.
    pub fn status(&self) -> Value {
        let output = tailwater(&self.data_dir).args(["status", "--format", "json"]).output().unwrap();
        assert!(!output.stdout.is_empty(), "{}", super::stderr(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The answer of another command, as JSON.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        json(&tailwater(&self.data_dir).args(arguments).output().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the daemon is there");
    }

    /// SIGKILL: no chance to tidy up. Gives all that it has printed.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("the daemon is there");
        self.end().1
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end and for its last words.
    pub fn wait(mut self) -> (ExitStatus, String) {
        self.end()
    }

    fn end(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("a child");
        for collector in self.collectors.drain(..) {
            collector.join().expect("a collector ends with its pipe");
        }
        (status, self.output())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(reader: impl BufRead + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let mut output = output.lock().expect("no panic");
            output.push_str(&line);
            output.push('\n');
        }
    })
}
