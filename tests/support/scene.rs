//! A daemon that projects while its database is treated badly, and what must be true of it all the same: recording
//! never stops, an outage is told once at its start and once at its end, and in the end every acknowledged event is
//! in its table once, at its position, and nothing else is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, put};
use super::daemon::Daemon;
use super::oracle::lines;
use super::{json, record, run_with, stderr, tailwater, within};

/// What the daemon says at the start of an outage.
pub const AWAY: &str = "; recording goes on, projecting resumes by itself";
/// What it says at the end.
pub const BACK: &str = "the database is back";
/// What is in the line of a projection that needs a person.
pub const HALTED: &str = "halted";

/// Each range: where it begins, where it is, and where it ends if it does.
pub const RANGES: &str = "SELECT concat_ws(' ', lo, next, hi) FROM tailwater_ranges";

/// How long something that must come may take. NOTE: a silent link is noticed after 30 s, a lock after 10 s.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Looks now and then until `look` gives something.
pub fn patiently<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, LOOK_PAUSE, what, look)
}

/// The daemon without samplers, so that only the test records.
pub fn quiet(data: &Path, url: &str) -> Command {
    let mut command = tailwater(data);
    command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
    command.env("TAILWATER_DATABASE_HALT_RETRY", "1s").args(["run", "--database-url", url]);
    command
}

/// What was acknowledged: first position, events, request.
type Acknowledged = Vec<(u64, u64, String)>;

/// Records a few events again and again; one that is not acknowledged is a failure of the test.
struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Acknowledged>,
}

impl Recorder {
    fn start(data: &Path, name: String) -> Self {
        let (stop, data) = (Arc::new(AtomicBool::new(false)), data.to_owned());
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut acknowledged = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let request = format!("{name}-{}", acknowledged.len());
                match put(&data, "record", &lines(&request, 5, "")) {
                    Answer::Done(answer) => acknowledged.push(noted(&answer, 5, request)),
                    other => panic!("recording never stops: {request}: {other:?}"),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            acknowledged
        });
        Self { stop, thread }
    }

    fn stop(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("recording never stops")
    }
}

fn noted(answer: &Value, count: u64, request: String) -> (u64, u64, String) {
    assert_eq!(answer["accepted"], count, "{request}: {answer}");
    (answer["first_position"].as_u64().expect("a position"), count, request)
}

/// The daemon, what was acknowledged, and what was said.
pub struct Scene {
    home: TempDir,
    daemon: Option<Daemon>,
    recorder: Option<Recorder>,
    command: Box<dyn Fn(&Path) -> Command>,
    acknowledged: Acknowledged,
    output: String,
    lives: u64,
}

impl Scene {
    /// A daemon that projects into this database, with some events there already.
    pub fn begin(url: &str) -> Self {
        let url = url.to_owned();
        Self::begin_with(move |data| quiet(data, &url))
    }

    /// The same with a command for the daemon.
    pub fn begin_with(command: impl Fn(&Path) -> Command + 'static) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let command = Box::new(command);
        let (acknowledged, output) = (Vec::new(), String::new());
        let mut scene = Self { home, daemon: None, recorder: None, command, acknowledged, output, lives: 0 };
        scene.start();
        scene.record("before", 20);
        scene.wait_until_live();
        scene
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn start(&mut self) {
        let data = self.data();
        self.daemon = Some(Daemon::start_command(&data, &mut (self.command)(&data)));
        self.lives += 1;
        self.recorder = Some(Recorder::start(&data, format!("life{}", self.lives)));
    }

    /// Ends the daemon in order, and the recording beside it first.
    fn stop(&mut self) {
        self.stop_recording();
        let (status, output) = self.daemon.take().expect("a daemon").stop();
        assert!(status.success(), "{output}");
        self.output += &output;
    }

    fn stop_recording(&mut self) {
        self.acknowledged.extend(self.recorder.take().map(Recorder::stop).unwrap_or_default());
    }

    /// Another daemon takes the place of this one, after something that needs it gone.
    pub fn restart_after(&mut self, between: impl FnOnce()) {
        self.stop();
        between();
        self.start();
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon")
    }

    /// Everything that its daemons have said.
    pub fn output(&self) -> String {
        let now = self.daemon.as_ref().map(Daemon::output).unwrap_or_default();
        format!("{}{now}", self.output)
    }

    /// Records by a command that must be acknowledged.
    pub fn record(&mut self, request: &str, count: u64) {
        let answer = json(&record(&self.data(), &lines(request, count, "")));
        self.acknowledged.push(noted(&answer, count, request.to_owned()));
    }

    /// Waits until the daemon has said this; gives the line.
    pub fn wait_for_line(&self, words: &str) -> String {
        patiently(words, || self.output().lines().find(|line| line.contains(words)).map(str::to_owned))
    }

    /// Waits until the outage is told, with this in its line and in the status; records before and after.
    pub fn wait_for_outage(&mut self, cause: &str) {
        self.record("meanwhile", 20);
        let line = self.wait_for_line(AWAY);
        assert!(line.contains("WARN") && line.contains(cause), "{cause:?} is not in {line}");
        self.record("during", 20);
    }

    /// Waits until an attempt has failed that is made again without a word; records before and after.
    pub fn wait_for_another_attempt(&mut self) {
        self.record("meanwhile", 20);
        patiently("another attempt", || {
            let status = self.daemon().status();
            (status["projection"]["retries"].as_u64() > Some(0)).then_some(())
        });
        self.record("during", 20);
    }

    /// The same of an outage that lasts until the test ends it: the status tells it as well, and is unhealthy.
    pub fn wait_for_lasting_outage(&mut self, cause: &str) {
        self.wait_for_outage(cause);
        self.wait_for_state("waiting");
        let output = tailwater(&self.data()).arg("status").output().expect("a status");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }

    /// Waits until the status has this state and an error; gives the error.
    pub fn wait_for_state(&self, state: &str) -> String {
        patiently(state, || {
            let projection = self.daemon().status()["projection"].take();
            (projection["state"] == state).then(|| projection["error"].as_str().map(str::to_owned))?
        })
    }

    /// Waits until the projection has halted for this cause: told in one line, in the status, by its exit code.
    pub fn wait_for_halt(&mut self, causes: &[&str]) {
        self.record("meanwhile", 20);
        let error = self.wait_for_state("halted");
        let line = self.wait_for_line(HALTED);
        for cause in causes {
            assert!(error.contains(cause), "{cause:?} is not in {error}");
            assert!(line.contains("ERROR") && line.contains(cause), "{cause:?} is not in {line}");
        }
        let output = tailwater(&self.data()).arg("status").output().expect("a status");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("halted"), "{}", stderr(&output));
        self.record("during", 20);
    }

    /// Waits until the database's refusal of an event has its consequence: it is in quarantine, or all has halted.
    pub fn wait_for_refusal(&self) {
        patiently("a consequence", || {
            let status = self.daemon().status();
            let is_quarantined = status["quarantine"]["events"].as_u64() > Some(0);
            (is_quarantined || status["projection"]["state"] == "halted").then_some(())
        });
    }

    /// Waits until everything that was recorded so far is in the database and nothing is wrong.
    pub fn wait_until_live(&self) {
        let head = self.daemon().status()["log"]["next_position"].as_u64().expect("a position");
        let mut last = Value::Null;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            last = self.daemon().status()["projection"].take();
            let is_there = last["next_position"].as_u64().is_some_and(|next| next >= head);
            // NOTE: while events keep coming the state is live or, for a moment, catching up.
            if is_there && last["error"].is_null() && last["state"] != "waiting" && last["state"] != "halted"
            {
                return;
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        panic!("position {head} is not in the database within {PATIENCE:?}: {last}; {}", self.output());
    }

    /// Records once more, has everything arrive, and holds the table against what was acknowledged.
    pub fn arrive(&mut self, query: impl Fn(&str) -> Vec<String>) {
        self.record("after", 20);
        self.wait_until_live();
        self.stop_recording();
        self.check_counts();
        // NOTE: lanes leave one range when they have met.
        let range = format!("1 {}", self.events() + 1);
        patiently("one range, up to the head", || (query(RANGES) == [range.as_str()]).then_some(()));
        self.check_rows(&query("SELECT position || ' ' || agent_name FROM agent_metrics"));
    }

    fn events(&self) -> u64 {
        self.acknowledged.iter().map(|(_, count, _)| count).sum()
    }

    /// `project` has the last events arrive; what it counts adds up.
    fn check_counts(&self) {
        let url = (self.command)(&self.data());
        let url = url.get_args().last().expect("the URL is last").to_owned();
        let mut command = tailwater(&self.data());
        command.args(["project", "--until-head", "--json", "--database-url"]).arg(url);
        check_counts(&json(&run_with(&mut command, b"")));
    }

    fn check_rows(&self, found: &[String]) {
        let event = |(first, count, request): &(u64, u64, String)| {
            let (first, count, request) = (*first, *count, request.clone());
            (0..count).map(move |index| (first + index, format!("{request}.{index}.{count}")))
        };
        let expected: BTreeMap<u64, String> = self.acknowledged.iter().flat_map(event).collect();
        let row = |line: &String| {
            let (position, name) = line.split_once(' ').expect("a position and a name");
            (position.parse().expect("a position"), name.to_owned())
        };
        let rows: BTreeMap<u64, String> = found.iter().map(row).collect();
        assert_eq!(rows.len(), found.len(), "no position is there twice");
        let lost: Vec<_> = expected.iter().filter(|(position, _)| !rows.contains_key(*position)).collect();
        assert!(lost.is_empty(), "{} acknowledged events are not there: {lost:?}", lost.len());
        assert_eq!(rows, expected, "what is there is what was acknowledged");
    }

    /// One outage was told at its start and its end, and nothing else is worth a warning.
    pub fn end_after_outage(mut self) {
        self.stop();
        self.check_traces(&[(AWAY, 1)]);
        let back: Vec<_> = self.output.lines().filter(|line| line.contains(BACK)).collect();
        assert!(back.len() == 1 && back[0].contains("INFO"), "one line at the end of the outage: {back:#?}");
    }

    /// Nothing was worth a warning.
    pub fn end_quietly(mut self) {
        self.stop();
        self.check_traces(&[]);
    }

    /// One halt was told, and nothing else but the outage that may have come before it.
    pub fn end_after_halt(mut self) {
        self.stop();
        let outages = self.output.lines().filter(|line| line.contains(AWAY)).count();
        assert!(outages <= 1, "{}", self.output);
        self.check_traces(&[(AWAY, outages), (HALTED, 1)]);
    }

    /// Nothing was told but what became of an event that was refused.
    pub fn end_after_refusal(mut self) {
        self.stop();
        let told = |words| self.output.lines().filter(|line| is_bad(line) && line.contains(words)).count();
        let (halts, quarantines) = (told(HALTED), told("quarantine"));
        self.check_traces(&[(HALTED, halts), ("quarantine", quarantines)]);
    }

    /// Warnings and errors are these, so many times each, and no others.
    fn check_traces(&self, expected: &[(&str, usize)]) {
        let mut bad: Vec<&str> = self.output.lines().filter(|line| is_bad(line)).collect();
        for (words, times) in expected {
            let before = bad.len();
            bad.retain(|line| !line.contains(words));
            assert_eq!(before - bad.len(), *times, "{words:?} so many times: {}", self.output);
        }
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

/// Whether a line is a warning or worse.
pub fn is_bad(line: &str) -> bool {
    ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word))
}

/// The equations that hold for every answer of `project`.
pub fn check_counts(answer: &Value) {
    let count = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("{name} of {answer}"));
    assert_eq!(count("read"), count("sent") + count("expired") + count("unavailable"), "{answer}");
    assert_eq!(count("sent"), count("inserted") + count("present") + count("quarantined"), "{answer}");
}
