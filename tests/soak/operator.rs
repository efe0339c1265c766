//! The operator: one person's commands, one after the other, through everything. What a misfortune interrupts is done
//! again until it is done; what a command answers must be right at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::database::{PrivateServer, with_database};
use crate::support::havoc::Havoc;
use crate::support::ledger::{Logged, logged};
use crate::support::oracle::check_export;
use crate::support::random::Random;
use crate::support::scene::check_counts;
use crate::support::{stderr, stdout, tailwater, within};

/// How long a command may take, with all its interruptions.
const PATIENCE: Duration = Duration::from_secs(400);
const PAUSE: Duration = Duration::from_millis(200);
/// Rows are deleted among the newest events.
const NEWEST: u64 = 5_000;
const KINDS: [&str; 4] = ["agent_sample", "agent_state", "channel_sample", "token_usage"];
const TABLES: [&str; 4] = ["agent_metrics", "agent_states", "channel_metrics", "token_metrics"];

/// What was done, by name, and what was interrupted by what.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: Mutex<BTreeMap<&'static str, u64>>,
    interrupted: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn add(&self, what: &'static str, times: u64) {
        *self.done.lock().expect("no panic").entry(what).or_default() += times;
    }

    fn interrupt(&self, told: String) {
        *self.interrupted.lock().expect("no panic").entry(told).or_default() += 1;
    }

    /// What has interrupted a command, and how often.
    pub(crate) fn interruptions(&self) -> Vec<String> {
        let interrupted = self.interrupted.lock().expect("no panic");
        interrupted.iter().map(|(told, times)| format!("{times} × {told}")).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.done.lock().expect("no panic");
        let words: Vec<String> = done.iter().map(|(what, times)| format!("{times} {what}")).collect();
        f.write_str(&words.join(", "))
    }
}

/// What the operator has learnt.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Every event that the log ever had, from position 1.
    pub(crate) events: Vec<Logged>,
    /// The first position that the log has still.
    pub(crate) first: u64,
    /// Of each event, whether it was replayed into the second database.
    replayed: Vec<bool>,
}

impl Findings {
    pub(crate) fn is_replayed(&self, position: u64) -> bool {
        let index = usize::try_from(position - 1).expect("a few");
        self.replayed.get(index).copied().unwrap_or_default()
    }

    /// A replay of these positions (the end exclusive) and kinds (none: all) has ended well.
    pub(crate) fn note_replayed(&mut self, from: u64, to: u64, kinds: &[&str]) {
        self.replayed.resize(self.events.len(), false);
        for (event, is_replayed) in self.events.iter().zip(&mut self.replayed) {
            let is_in = (from.max(self.first)..to).contains(&event.position);
            *is_replayed |= is_in && (kinds.is_empty() || kinds.contains(&event.kind.as_str()));
        }
    }

    fn next(&self) -> u64 {
        self.events.len() as u64 + 1
    }
}

/// What there is to do.
#[derive(Clone, Copy, Debug)]
enum Work {
    Read,
    ReplayLive,
    ReplaySecond,
    Verify,
    Mend,
    Retry,
    VerifyLog,
    Status,
    Trim,
}

const ALL: [Work; 9] = [
    Work::Trim,
    Work::VerifyLog,
    Work::Retry,
    Work::Status,
    Work::ReplayLive,
    Work::Verify,
    Work::Mend,
    Work::ReplaySecond,
    Work::Read,
];

/// See the module.
pub(crate) struct Operator<'a> {
    data: PathBuf,
    server: Arc<PrivateServer>,
    is_up: Arc<RwLock<()>>,
    live: String,
    second: String,
    random: Random,
    tally: &'a Tally,
    findings: Findings,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(havoc: &Havoc, second: &str, tally: &'a Tally) -> Self {
        let live = havoc.relay.url().to_owned();
        let second = with_database(&live, second);
        // NOTE: chance of its own, told by that of the havoc.
        let random = havoc.random.clone().fork();
        Self {
            data: havoc.data(),
            server: Arc::clone(&havoc.server),
            is_up: Arc::clone(&havoc.is_up),
            live,
            second,
            random,
            tally,
            findings: Findings { first: 1, ..Findings::default() },
        }
    }

    /// Each work once, then by chance, until it is told to stop; what was begun is ended.
    pub(crate) fn work(mut self, stop: &AtomicBool) -> Findings {
        let mut due = ALL.to_vec();
        while !stop.load(Ordering::Relaxed) {
            let chance = usize::try_from(self.random.between(0, ALL.len() as u64 - 1)).expect("a few");
            let work = due.pop().unwrap_or(ALL[chance]);
            self.read();
            match work {
                Work::Read => {}
                Work::ReplayLive => self.replay_into_live(),
                Work::ReplaySecond => self.replay_into_second(),
                Work::Verify => self.verify(),
                Work::Mend => self.mend(),
                Work::Retry => self.retry(),
                Work::VerifyLog => self.verify_log(),
                Work::Status => self.status(),
                Work::Trim => self.trim(),
            }
            thread::sleep(self.random.millis(0, 500));
        }
        self.findings
    }

    /// One attempt; `None` when something went wrong on the way, exit code 2.
    fn attempt(&self, arguments: &[&str]) -> Option<Output> {
        let output = tailwater(&self.data).args(arguments).output().expect("the binary runs");
        self.judged(arguments, output)
    }

    fn judged(&self, arguments: &[&str], output: Output) -> Option<Output> {
        let told = stderr(&output);
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        match output.status.code() {
            Some(0 | 1) => return Some(output),
            // NOTE: without addresses and numbers, so that one cause is one line.
            Some(2) => {
                let last = told.lines().last().unwrap_or_default();
                let words = last.split_whitespace().filter(|it| !it.contains(|it: char| it.is_ascii_digit()));
                self.tally.interrupt(format!("{}: {}", arguments[0], words.collect::<Vec<_>>().join(" ")));
            }
            None => self.tally.interrupt(format!("{}: killed", arguments[0])),
            code => panic!("{arguments:?} ended with {code:?}: {told}"),
        }
        None
    }

    /// Tries until it was done; gives the answer and whether all was well.
    fn ask(&self, arguments: &[&str]) -> (Value, bool) {
        within(PATIENCE, PAUSE, &arguments.join(" "), || {
            let output = self.attempt(arguments)?;
            let answer = serde_json::from_slice(&output.stdout);
            let answer = answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", stderr(&output)));
            Some((answer, output.status.success()))
        })
    }

    /// What a command prints that must end well, or find nothing.
    fn text(&self, arguments: &[&str]) -> String {
        within(PATIENCE, PAUSE, &arguments.join(" "), || {
            let output = self.attempt(arguments)?;
            let is_empty = stderr(&output).contains("nothing found in the log");
            assert!(output.status.success() || is_empty, "{arguments:?}: {}", stderr(&output));
            Some(stdout(&output))
        })
    }

    /// Reads what is new in the log, and holds an export of it against it.
    fn read(&mut self) {
        let from = self.findings.next().to_string();
        let tail = self.text(&["log", "tail", "--from", &from, "--format", "json"]);
        self.findings.events.extend(logged(&tail));
        let to = self.findings.next().to_string();
        if from != to && self.random.chance(30) {
            check_export(&tail, &self.text(&["log", "export", "--from", &from, "--to", &to]));
            self.tally.add("exports", 1);
        }
    }

    /// A range of what the log has.
    fn range(&mut self) -> (u64, u64) {
        let (first, next) = (self.findings.first, self.findings.next());
        let from = self.random.between(first, next.max(first + 1) - 1);
        (from, self.random.between(from, next).max(from + 1))
    }

    fn replay_into_live(&mut self) {
        let (from, to) = self.range();
        self.replay(&self.live.clone(), from, to, &[]);
        self.tally.add("replays", 1);
    }

    fn replay_into_second(&mut self) {
        let (from, to) = self.range();
        let kind = KINDS[usize::try_from(self.random.between(0, 3)).expect("a few")];
        let kinds: &[&str] = if self.random.chance(30) { &[kind] } else { &[] };
        self.replay(&self.second.clone(), from, to, kinds);
        self.findings.note_replayed(from, to, kinds);
        self.tally.add("replays elsewhere", 1);
    }

    /// The same replay again and again, sometimes killed on the way, until it has ended.
    fn replay(&mut self, url: &str, from: u64, to: u64, kinds: &[&str]) {
        let (from, to, lanes) = (from.to_string(), to.to_string(), self.random.between(1, 4).to_string());
        let kinds = kinds.join(",");
        let mut arguments = vec!["replay", "--json", "--database-url", url, "--from", &from, "--to", &to];
        arguments.extend(["--lanes", &lanes]);
        if !kinds.is_empty() {
            arguments.extend(["--kind", &kinds]);
        }
        if self.random.chance(50) {
            arguments.extend(["--rate", "4000"]);
        }
        let (mut kills, mut random) = (self.random.between(0, 2), self.random.fork());
        within(PATIENCE, PAUSE, "a replay", || {
            let mut command = tailwater(&self.data);
            let command = command.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut client = command.spawn().expect("the binary starts");
            if kills > 0 {
                kills -= 1;
                thread::sleep(random.millis(50, 1_500));
                client.kill().expect("a child");
                self.tally.add("replays killed", 1);
            }
            let output = self.judged(&arguments, client.wait_with_output().expect("it ends"))?;
            if !output.status.success() {
                let told = stderr(&output);
                assert!(told.contains("nothing to replay"), "{arguments:?}: {told}");
                return Some(());
            }
            check_counts(&serde_json::from_slice(&output.stdout).expect("JSON"));
            Some(())
        });
    }

    /// What is pending may be; what is missing or too much may not.
    fn verify(&mut self) {
        let (answer, is_well) = self.ask(&["verify", "--format", "json"]);
        assert!(is_well, "{answer}");
        self.tally.add("verifies", 1);
    }

    /// Takes rows away, has them found and replayed, and verifies that they are back.
    fn mend(&mut self) {
        // NOTE: what was trimmed cannot be replayed.
        let least = self.findings.next().saturating_sub(NEWEST).max(self.findings.first);
        let rest = self.random.between(0, 6);
        let mut deleted = 0;
        for table in TABLES {
            let sql = format!("DELETE FROM {table} WHERE position >= {least} AND position % 7 = {rest}");
            deleted += within(PATIENCE, PAUSE, "rows are deleted", || {
                let _up = self.is_up.read().expect("no panic");
                // NOTE: the projection and this session can be in each other's way; one of them is told so.
                self.server.try_execute(&sql).ok()
            });
        }
        let (answer, is_well) = self.ask(&["verify", "--mend", "--format", "json"]);
        assert!(is_well && answer["mended"]["still_missing"] == 0, "{answer}");
        self.tally.add("rows deleted", deleted);
        self.tally.add("rows mended", answer["mended"]["inserted"].as_u64().expect("a number"));
        self.tally.add("mends", 1);
        self.verify();
    }

    /// What is poisoned is refused again.
    fn retry(&mut self) {
        let (_, _) = self.ask(&["quarantine", "retry", "--format", "json"]);
        self.tally.add("retries", 1);
    }

    fn verify_log(&mut self) {
        let (answer, is_well) = self.ask(&["log", "verify", "--format", "json"]);
        assert!(is_well, "{answer}");
        self.tally.add("log verifies", 1);
    }

    fn status(&mut self) {
        let (answer, _) = self.ask(&["status", "--format", "json"]);
        check_counts(&answer["projection"]);
        self.tally.add("statuses", 1);
    }

    /// Lets go of old segments, all of whose events are known here.
    fn trim(&mut self) {
        let (first, next) = (self.findings.first, self.findings.next());
        let before = if self.random.chance(60) { next } else { self.random.between(first, next) }.to_string();
        self.ask(&["log", "trim", "--before", &before, "--format", "json"]);
        let (answer, _) = self.ask(&["log", "stat", "--format", "json"]);
        self.findings.first = answer["first_position"].as_u64().expect("a position");
        self.tally.add("trims", 1);
    }
}
