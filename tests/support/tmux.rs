//! A tmux server of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server; it ends with this value.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// A server with a socket in this folder; it starts with its first session.
    pub fn new(folder: &Path) -> Self {
        Self { socket: folder.join("tmux") }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes a session that runs this command.
    pub fn session(&self, name: &str, command: &str) {
        self.run(&["new-session", "-d", "-s", name, command]);
    }

    /// Makes a session that runs this command in this folder.
    pub fn session_in(&self, name: &str, folder: &Path, command: &str) {
        let folder = folder.to_str().expect("a path in UTF-8");
        self.run(&["new-session", "-d", "-s", name, "-c", folder, command]);
    }

    /// What its terminal has shown; lines that it has broken are whole.
    pub fn shown(&self, name: &str, with_escapes: bool) -> String {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").arg("-u").arg("-S").arg(&self.socket);
        command.args(["capture-pane", "-p", "-J", "-S", "-", "-t", name]);
        let output = command.args(with_escapes.then_some("-e")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn run(&self, arguments: &[&str]) {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(arguments);
        assert!(command.status().unwrap().success(), "tmux {arguments:?}");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}
