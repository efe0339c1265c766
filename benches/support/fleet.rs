//! A tmux server of a benchmark's own with agents in it, and the way in which the Go package sampled them.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sampler::proc::pid_stat;
use tempfile::TempDir;

/// The server; it ends with this value, and its agents with it.
pub struct Fleet {
    folder: TempDir,
}

impl Fleet {
    /// Agents that sleep: each a shell and its children, so many processes together.
    pub fn start(agents: u32, processes_each: u32) -> Self {
        let sleeping = sleeping(processes_each - 1);
        Self::start_with(agents, processes_each, &format!("{sleeping}wait"))
    }

    /// Agents that work a little: each second the shell counts for a few milliseconds, and forks one short child.
    pub fn start_at_work(agents: u32, processes_each: u32) -> Self {
        let sleeping = sleeping(processes_each - 2);
        let count = "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done";
        Self::start_with(agents, processes_each, &format!("{sleeping}while :; do {count}; sleep 1; done"))
    }

    fn start_with(agents: u32, processes_each: u32, script: &str) -> Self {
        let fleet = Self { folder: tempfile::tempdir().expect("a folder") };
        for agent in 0..agents {
            let name = format!("agent-{agent}");
            assert!(fleet.tmux(&["new-session", "-d", "-s", &name, "--", "sh", "-c", script]).0, "{name}");
        }
        let all = (agents * processes_each) as usize;
        while fleet.processes(&fleet.panes()).len() < all {
            std::thread::sleep(Duration::from_millis(100));
        }
        fleet
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn tmux(&self, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.socket()).args(["-f", "/dev/null"]).args(args).env_remove("TMUX");
        let output = command.output().expect("tmux");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The process of each agent's pane.
    pub fn panes(&self) -> Vec<String> {
        self.tmux(&["list-panes", "-a", "-F", "#{pane_pid}"]).1.lines().map(str::to_owned).collect()
    }

    /// The process of the server.
    pub fn pid(&self) -> u32 {
        self.tmux(&["display-message", "-p", "#{pid}"]).1.parse().expect("a process id")
    }

    /// The panes' processes and their children, for the set-up only.
    fn processes(&self, panes: &[String]) -> Vec<String> {
        let children = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let below = panes.iter().filter_map(|pid| children(pid).ok());
        let below: Vec<String> =
            below.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        panes.iter().cloned().chain(below).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn sleeping(children: u32) -> String {
    "sleep 86400 & ".repeat(children as usize)
}

/// Whether a program is there.
pub fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

/// CPU time of a process and of the children that it has waited for, in ticks of 10 ms; `None` once it has ended.
pub fn ticks(pid: u32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    pid_stat::parse(&text).ok().map(|stat| stat.ticks())
}

/// Samples these panes once as the Go package did: `pgrep -P` down the tree, and `ps` for each process. Gives how
/// many processes they were.
pub fn old_way(panes: &[String]) -> usize {
    let mut pids: Vec<String> = panes.to_vec();
    let mut next = 0;
    while let Some(pid) = pids.get(next).cloned() {
        pids.extend(run("pgrep", &["-P", &pid]).lines().map(str::to_owned));
        run("ps", &["-o", "%cpu,rss", "-p", &pid]);
        next += 1;
    }
    pids.len()
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("a program that is there");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
