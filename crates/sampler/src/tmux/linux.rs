//! The real tmux and the real /proc.
//!
//! How a pass reads was chosen by measurement: 1,000 processes on a 2-core machine, CPU time of one reading with
//! warm caches; with cold ones, between other work, each costs about twice as much.
//!
//! | reading | CPU time |
//! | --- | --- |
//! | open, read, close `PID/stat` | 2.6 us |
//! | open, read, close `PID/io` | 2.0 us |
//! | open, read, close `PID/task/PID/children` | 1.8 us, and again for every thread |
//! | one entry of the list of /proc | 0.17 us |
//! | read `PID/stat`, `PID/io` from files that are kept open | 1.3 us, 0.7 us |
//! | fork and run `tmux list-panes -a`, 100 panes | 1.7 ms, and 1.1 ms in the tmux server |
//!
//! So all of /proc is read, and not the `children` files: they cost less only while most processes belong to
//! nobody's tree, and the kernel warns that they can leave out a child when another one ends meanwhile, which
//! would look like a departure. `io` is read inside the trees only. Memory comes with `stat`; `statm` would be
//! one more file. Files are not kept open: 1,000 processes would need 2,000 of the usual 1,024.
//!
//! Where an agent works is asked of the kernel too: tmux's answer is one line for a pane, and a path may hold line
//! ends, with which an agent could make up panes of others.
//!
//! Running tmux is a quarter of what a pass each second costs, so an answer holds for
//! [`TmuxSettings::answer_age_max`] while its server
//! has the same children: a pane that begins or ends changes them. A session that was renamed, or a pane that moved to
//! another, cannot be seen in /proc and is told that much later. Passes that are further apart ask each time.

use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::command::{self, Answer};
use super::panes::{self, TmuxSession};
use super::probe::{IoReading, Machine, TmuxListing, TmuxProbe, Units};
use crate::ProbeError;
use crate::proc::pid_stat::PidStat;
use crate::proc::{Folder, ParseError, Parsed, Pid, Presence, cpu, meminfo, pid_io, pid_stat};

/// Which tmux server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TmuxServer {
    /// The one that tmux takes by itself: that of `$TMUX`, else the default one.
    #[default]
    Default,
    /// The one whose socket has this name in tmux's folder (`tmux -L`).
    Name(OsString),
    /// The one with this socket (`tmux -S`).
    Path(PathBuf),
}

/// How tmux is asked.
#[derive(Clone, Debug)]
pub struct TmuxSettings {
    /// The program.
    pub program: PathBuf,
    /// The server.
    pub server: TmuxServer,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long its answer holds while the server has the same children.
    pub answer_age_max: Duration,
}

impl Default for TmuxSettings {
    fn default() -> Self {
        let (timeout, answer_age_max) = (Duration::from_secs(2), Duration::from_secs(5));
        Self { program: "tmux".into(), server: TmuxServer::Default, timeout, answer_age_max }
    }
}

/// Runs tmux and reads /proc.
#[derive(Debug)]
pub struct ProcTmux {
    settings: TmuxSettings,
    proc: Folder,
    name: String,
    buffer: Vec<u8>,
    answer: Option<LastAnswer>,
}

/// The sessions as tmux has told them, and what its server's children were before that.
#[derive(Debug)]
struct LastAnswer {
    asked: Instant,
    server: Pid,
    /// What /proc tells; `None` when the server was not known before it answered, or this kernel does not tell.
    children: Option<Vec<u8>>,
    sessions: Parsed<TmuxSession>,
}

impl ProcTmux {
    /// A probe of this machine.
    ///
    /// # Errors
    /// When /proc cannot be opened.
    pub fn open(settings: TmuxSettings) -> Result<Self, ProbeError> {
        let proc = Folder::open(Path::new("/proc"))?;
        Ok(Self { settings, proc, name: String::new(), buffer: Vec::new(), answer: None })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.settings.program);
        match &self.settings.server {
            TmuxServer::Default => {}
            TmuxServer::Name(name) => drop(command.arg("-L").arg(name)),
            TmuxServer::Path(path) => drop(command.arg("-S").arg(path)),
        }
        // NOTE: without -u, a daemon without a UTF-8 locale is given names with their letters replaced.
        command.args(["-u", "list-panes", "-a", "-F", panes::FORMAT]);
        command
    }

    fn program(&self) -> String {
        self.settings.program.display().to_string()
    }

    fn failed_run(&self, source: io::Error) -> ProbeError {
        let program = self.program();
        match source.kind() {
            io::ErrorKind::TimedOut => {
                ProbeError::TimedOut { program, limit_ms: self.settings.timeout.as_millis() }
            }
            _ => ProbeError::Run { program, source },
        }
    }

    /// Reads a file of one process into the buffer.
    fn read(&mut self, pid: Pid, file: &str) -> Result<Presence, ProbeError> {
        self.name.clear();
        // NOTE: writing to a String cannot fail.
        let _ = write!(self.name, "{pid}/{file}");
        self.proc.read_if_there(&self.name, &mut self.buffer)
    }

    /// The children of a process, as /proc lists them.
    fn children(&mut self, pid: Pid) -> Option<Vec<u8>> {
        let read = self.read(pid, &format!("task/{pid}/children"));
        matches!(read, Ok(Presence::Read)).then(|| self.buffer.clone())
    }

    /// Runs tmux.
    fn ask(&self) -> Result<TmuxListing, ProbeError> {
        match command::run(&mut self.command(), self.settings.timeout) {
            Ok(answer) => listing(&answer, || self.program()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TmuxListing::NoTmux),
            Err(error) => Err(self.failed_run(error)),
        }
    }

    fn parsed<T>(&self, parsed: Result<T, ParseError>) -> Result<T, ProbeError> {
        parsed.map_err(|source| ProbeError::Parse { path: self.proc.path_of(&self.name), source })
    }
}

impl TmuxProbe for ProcTmux {
    fn sessions(&mut self) -> Result<TmuxListing, ProbeError> {
        let last = self.answer.take();
        // NOTE: read before tmux is asked: what changes meanwhile differs the next time.
        let children = last.as_ref().and_then(|last| self.children(last.server));
        let asked = Instant::now();
        if let Some(last) = last
            && children.is_some()
            && last.children == children
            && asked.duration_since(last.asked) < self.settings.answer_age_max
        {
            let sessions = last.sessions.clone();
            self.answer = Some(last);
            return Ok(TmuxListing::Sessions(sessions));
        }
        let listing = self.ask()?;
        if let TmuxListing::Sessions(sessions) = &listing
            && let Some(first) = sessions.items.first()
        {
            let (server, sessions) = (first.key.server, sessions.clone());
            self.answer = Some(LastAnswer { asked, server, children, sessions });
        }
        Ok(listing)
    }

    fn pids(&mut self, into: &mut Vec<Pid>) -> Result<(), ProbeError> {
        self.proc.pids(into)
    }

    fn stat(&mut self, pid: Pid) -> Result<Option<PidStat>, ProbeError> {
        match self.read(pid, "stat")? {
            Presence::Read => self.parsed(pid_stat::parse(&self.buffer)).map(Some),
            Presence::Gone | Presence::Denied => Ok(None),
        }
    }

    fn io(&mut self, pid: Pid) -> Result<IoReading, ProbeError> {
        match self.read(pid, "io")? {
            Presence::Read => self.parsed(pid_io::parse(&self.buffer)).map(IoReading::Read),
            Presence::Denied => Ok(IoReading::Denied),
            Presence::Gone => Ok(IoReading::Gone),
        }
    }

    fn directory(&mut self, pid: Pid) -> Option<String> {
        let link = std::fs::read_link(self.proc.path_of(&format!("{pid}/cwd"))).ok()?;
        link.into_os_string().into_string().ok()
    }

    fn machine(&mut self) -> Result<Machine, ProbeError> {
        self.name = "meminfo".to_owned();
        self.proc.read(&self.name, &mut self.buffer)?;
        let memory_bytes = self.parsed(meminfo::total(&self.buffer))?;
        self.name = "stat".to_owned();
        self.proc.read(&self.name, &mut self.buffer)?;
        let cores = self.parsed(cpu::parse(&self.buffer))?.cores;
        Ok(Machine { memory_bytes, cores })
    }

    fn units(&self) -> Units {
        Units {
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        }
    }
}

/// What tmux says, on its standard error, when there is nothing to list, or its server ends while it is asked: in every
/// version, in English only.
const NOTHING_THERE: [&str; 6] = [
    "no server running on ",
    "(No such file or directory)",
    "(Connection refused)",
    "no current target",
    "server exited",
    "lost server",
];

fn listing(answer: &Answer, program: impl Fn() -> String) -> Result<TmuxListing, ProbeError> {
    if answer.status.success() {
        return Ok(TmuxListing::Sessions(panes::parse(&answer.stdout)));
    }
    let complaint = String::from_utf8_lossy(&answer.stderr);
    if NOTHING_THERE.iter().any(|nothing| complaint.contains(nothing)) {
        return Ok(TmuxListing::NoServer);
    }
    let message = match complaint.lines().next() {
        Some(line) => line.chars().take(200).collect(),
        None => format!("ended with {}", answer.status),
    };
    Err(ProbeError::Complained { program: program(), message })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn check(code: i32, stdout: &str, stderr: &str) -> Result<TmuxListing, String> {
        let status = ExitStatus::from_raw(code << 8);
        let answer = Answer { status, stdout: stdout.into(), stderr: stderr.into() };
        listing(&answer, || "tmux".to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_tmux_says() {
        for nothing in [
            "error connecting to /tmp/tmux-0/x (No such file or directory)\n",
            "no server running on /tmp/tmux-0/default\n",
            "error connecting to /tmp/tmux-0/x (Connection refused)\n",
            "no current target\n",
            "server exited unexpectedly\n",
            "lost server\n",
        ] {
            assert_eq!(check(1, "", nothing), Ok(TmuxListing::NoServer), "{nothing}");
        }
        let denied = "error connecting to /tmp/tmux-0/default (Permission denied)\n";
        let message = "tmux: error connecting to /tmp/tmux-0/default (Permission denied)";
        assert_eq!(check(1, "", denied), Err(message.to_owned()));
        assert_eq!(check(1, "", ""), Err("tmux: ended with exit status: 1".to_owned()));
        let Ok(TmuxListing::Sessions(parsed)) = check(0, "10:$3:1700:%5:55:0:a\n", "") else {
            panic!("no sessions")
        };
        assert_eq!(parsed.items[0].name, "a");
    }

    #[test]
    fn the_server_is_passed_on() {
        let check = |server: TmuxServer, expected: &[&str]| {
            let probe = ProcTmux::open(TmuxSettings { server, ..TmuxSettings::default() }).unwrap();
            let command = probe.command();
            let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
            assert_eq!(args[..args.len() - 4], *expected);
        };
        check(TmuxServer::Default, &["-u"]);
        check(TmuxServer::Name("x y".into()), &["-L", "x y", "-u"]);
        check(TmuxServer::Path("/run/s".into()), &["-S", "/run/s", "-u"]);
    }

    #[test]
    fn this_process_can_be_read_and_one_that_is_not_there_is_gone() {
        let mut probe = ProcTmux::open(TmuxSettings::default()).unwrap();
        let this = Pid(std::process::id());
        let stat = probe.stat(this).unwrap().unwrap();
        assert_eq!(stat.pid, this);
        assert!(stat.rss_pages > 0 && stat.start_ticks > 0);
        assert!(matches!(probe.io(this).unwrap(), IoReading::Read(_)));
        let here = std::env::current_dir().unwrap();
        assert_eq!(probe.directory(this).as_deref(), here.to_str());
        let nobody = Pid(u32::MAX);
        assert_eq!(probe.directory(nobody), None);
        assert_eq!(probe.stat(nobody).unwrap(), None);
        assert_eq!(probe.io(nobody).unwrap(), IoReading::Gone);
        let machine = probe.machine().unwrap();
        assert!(machine.cores >= 1 && machine.memory_bytes > 1 << 20);
        assert!(probe.units().ticks_per_second >= 100 && probe.units().page_bytes >= 4096);
    }

    #[test]
    fn without_tmux_there_are_no_sessions() {
        let settings = TmuxSettings { program: "/nonexistent/tmux".into(), ..TmuxSettings::default() };
        assert_eq!(ProcTmux::open(settings).unwrap().sessions().unwrap(), TmuxListing::NoTmux);
    }

    #[test]
    fn a_tmux_that_hangs_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tmux");
        std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["-c", "exec sleep 1000"]);
        let error = command::run(&mut command, Duration::from_millis(30)).unwrap_err();
        let settings = TmuxSettings { timeout: Duration::from_millis(30), ..TmuxSettings::default() };
        let error = ProcTmux::open(settings).unwrap().failed_run(error);
        assert_eq!(error.to_string(), "tmux did not answer within 30 ms");
    }
}
