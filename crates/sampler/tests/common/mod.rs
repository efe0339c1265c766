//! A private tmux server, the sampler over it, and what the kernel says of single processes.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{AgentSample, Event, Time};
use sampler::proc::{pid_io, pid_stat};
use sampler::tmux::{AgentSelector, ProcTmux, TmuxSampler, TmuxServer, TmuxSettings};
use sampler::{Clock, ManualClock, Pass, Sampler, SystemClock};

/// Long enough for any machine; a test that reaches it fails.
const FOREVER: Duration = Duration::from_secs(120);

/// Whether tmux is missing; says so loudly, and to the file that counts skipped tests.
pub(crate) fn no_tmux() -> bool {
    if Command::new("tmux").arg("-V").output().is_ok() {
        return false;
    }
    let line = format!("SKIPPED: {}: tmux is not installed", module_path!());
    println!("{line}");
    if let Some(path) = std::env::var_os("TAILWATER_TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
    true
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < FOREVER, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A tmux server with a socket in a folder of its own; it ends with this value.
pub(crate) struct Tmux {
    folder: tempfile::TempDir,
}

impl Tmux {
    pub(crate) fn start(name: &str) -> Self {
        // NOTE: beside the build, because /tmp may be a tmpfs, where nothing is ever written to a disk.
        let folder = tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs tmux and returns what it says, without the last line's end.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.path("s")).args(["-f", "/dev/null"]).args(args);
        let output = command.env_remove("TMUX").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Makes a session that runs this shell script.
    pub(crate) fn session(&self, name: &str, script: &str) {
        self.run(&["new-session", "-d", "-s", name, "--", "sh", "-c", script]);
    }

    pub(crate) fn pane_pid(&self, session: &str) -> u32 {
        self.run(&["list-panes", "-t", &format!("={session}:"), "-F", "#{pane_pid}"]).parse().unwrap()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.path("s")).arg("kill-server").env_remove("TMUX").output();
    }
}

/// One second passes between two passes, whatever the machine does.
struct OneSecond(ManualClock);

impl Clock for OneSecond {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn since_boot(&self) -> Duration {
        SystemClock.since_boot()
    }
}

/// The sampler, and its passes.
pub(crate) struct Agents {
    clock: Arc<OneSecond>,
    sampler: TmuxSampler<ProcTmux>,
}

impl Agents {
    pub(crate) fn new(tmux: &Tmux, selector: AgentSelector) -> Self {
        let server = TmuxServer::Path(tmux.path("s"));
        Self::with(TmuxSettings { server, timeout: FOREVER, ..TmuxSettings::default() }, selector)
    }

    pub(crate) fn with(settings: TmuxSettings, selector: AgentSelector) -> Self {
        let clock = Arc::new(OneSecond(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap())));
        let probe = ProcTmux::open(settings).unwrap();
        let sampler = TmuxSampler::new(selector, probe, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, sampler }
    }

    pub(crate) fn pass(&mut self) -> Told {
        self.try_pass().unwrap()
    }

    pub(crate) fn try_pass(&mut self) -> Result<Told, String> {
        self.clock.0.advance(Duration::from_secs(1));
        let mut pass = Pass::default();
        self.sampler.sample(self.clock.now(), &mut pass).map_err(|error| {
            format!(
                "{error}: {}",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            )
        })?;
        let agent = |event| if let Event::AgentSample(sample) = event { sample } else { panic!("{event:?}") };
        Ok(Told { samples: pass.events.into_iter().map(agent).collect(), problems: pass.problems })
    }

    pub(crate) fn describe(&mut self) -> String {
        self.sampler.describe()
    }
}

/// What one pass told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) samples: Vec<AgentSample>,
    pub(crate) problems: Vec<String>,
}

impl Told {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.samples.iter().map(|sample| sample.agent_name.as_str()).collect()
    }

    pub(crate) fn agent(&self, name: &str) -> &AgentSample {
        self.samples.iter().find(|sample| sample.agent_name == name).unwrap()
    }

    /// CPU time, milliseconds: a percent of the one second that passed is ten of them.
    pub(crate) fn cpu_ms(&self, name: &str) -> f64 {
        self.agent(name).resources.cpu_percent.unwrap() * 10.0
    }
}

/// How long a process of one thread has run, milliseconds, by the scheduler's own account.
pub(crate) fn scheduled_ms(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

/// How much CPU time of its own the kernel says that a process used, milliseconds, in whole ticks.
pub(crate) fn own_ms(pid: u32) -> f64 {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
    pid_stat::parse(&stat).unwrap().own_ticks as f64 * 1e3 / rustix::param::clock_ticks_per_second() as f64
}

/// The sum of the four times that the shell's `times` prints, such as `0m0.010000s 0m0.020000s`, milliseconds.
pub(crate) fn times_ms(text: &str) -> f64 {
    let ms = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
        (minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()) * 1000.0
    };
    text.split_whitespace().map(ms).sum()
}

/// What the kernel says that a process and its reaped children wrote to disks, bytes.
pub(crate) fn write_bytes(pid: u32) -> u64 {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
    assert_eq!(pid_stat::parse(&stat).unwrap().pid.0, pid);
    pid_io::parse(&std::fs::read(format!("/proc/{pid}/io")).unwrap()).unwrap().write_bytes
}
