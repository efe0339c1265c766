//! SIGKILL of the real binary at random instants under mixed load: nothing acknowledged is lost, positions stay dense,
//! and writing goes on.
//!
//! One test, `TAILWATER_CRASHES` kills (10), with the choices of `TAILWATER_CRASH_SEED` (a new one, which is printed):
//! the same seed gives the same lives, loads and waits; what the machine makes of them differs. A failure leaves the
//! data directory, with the oracle file beside it.
//!
//! A kill is not a power cut: the kernel keeps what it was given, so nothing acknowledged may go in any sync mode.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use support::client::{Answer, ask, put};
use support::daemon::Daemon;
use support::oracle::{Listing, Oracle, check_export, lines};
use support::random::Random;
use support::{run_with, stderr, stdout, tailwater};
use tempfile::tempdir;

const SYNCS: [&str; 3] = ["always", "interval:5ms", "os"];
/// The smallest bound gives the smallest segments, so that some are filled and begun under load.
const MAX_BYTES: &str = "256MiB";
/// A place behind everything: what is trimmed before it is all that there is.
const BEHIND_ALL: u64 = 1 << 40;
/// No commit is larger, so no unfinished one is.
const UNFINISHED_BYTES_MAX: u64 = 8 << 20;

#[test]
fn nothing_acknowledged_is_lost_by_kills_at_random_instants() {
    let kills_max = number("TAILWATER_CRASHES").unwrap_or(10);
    let seed = number("TAILWATER_CRASH_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        u64::from(now.subsec_nanos())
    });
    let home = tempdir().unwrap().keep();
    println!("TAILWATER_CRASH_SEED={seed}, {kills_max} kills, in {}", home.display());
    let began = Instant::now();
    let mut crash = Crash::new(&home, seed, kills_max);
    // The first kill may hit the making of the log.
    crash.kill_a_start();
    while crash.kills < kills_max {
        crash.live();
    }
    crash.end();
    println!("{}, in {:.1} s", crash.told(), began.elapsed().as_secs_f64());
    fs::remove_dir_all(&home).unwrap();
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value:?}")))
}

/// One data directory through all its lives.
struct Crash {
    data: PathBuf,
    oracle: Oracle,
    random: Random,
    kills: u64,
    kills_max: u64,
    lives: u64,
    /// Requests by commands, for unique names.
    asked: u64,
    /// How long the last daemon took until it answered.
    startup: Duration,
    /// What recoveries have set aside: name and bytes.
    set_aside: BTreeMap<String, u64>,
    kills_looked_at: u64,
    disk_bytes_most: u64,
}

impl Crash {
    fn new(home: &Path, seed: u64, kills_max: u64) -> Self {
        Self {
            data: home.join("data"),
            oracle: Oracle::new(&home.join("oracle")),
            random: Random::new(seed),
            kills: 0,
            kills_max,
            lives: 0,
            asked: 0,
            startup: Duration::from_millis(50),
            set_aside: BTreeMap::new(),
            kills_looked_at: 0,
            disk_bytes_most: 0,
        }
    }

    fn told(&self) -> String {
        format!(
            "{} kills in {} lives: {} events acknowledged, none lost; {} unfinished batches of {} bytes set aside; \
             {} MB on the disk at the most",
            self.kills,
            self.lives,
            self.oracle.acknowledged(),
            self.set_aside.len(),
            self.set_aside.values().sum::<u64>(),
            self.disk_bytes_most / 1_000_000
        )
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tailwater(&self.data);
        let sync = SYNCS[usize::try_from(self.lives).unwrap() % SYNCS.len()];
        command.env("TAILWATER_LOG_SYNC", sync).env("TAILWATER_LOG_MAX_BYTES", MAX_BYTES);
        command.env("TAILWATER_HOST_INTERVAL", "1s").args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        output
    }

    fn json(&self, arguments: &[&str]) -> Value {
        support::json(&self.output(arguments))
    }

    /// Recovery by lone commands or by a daemon, a comparison, load, and the kill of that daemon.
    fn live(&mut self) {
        self.lives += 1;
        let by_commands = self.random.chance(40);
        if by_commands {
            self.use_alone();
        }
        let began = Instant::now();
        let daemon = Daemon::start_command(&self.data, &mut self.command(&["run"]));
        self.startup = began.elapsed();
        if !by_commands {
            self.compare();
            self.record_one(None);
        }
        self.load_and_kill(daemon);
        while self.kills < self.kills_max && self.random.chance(25) {
            self.kill_a_start();
        }
    }

    /// Kills whoever opens the log, in the middle of that, which is a recovery when there was a kill before.
    fn kill_a_start(&mut self) {
        let percent = u32::try_from(self.random.between(0, 120)).unwrap();
        let everything = BEHIND_ALL.to_string();
        let victim: &[&str] = match self.random.between(0, 5) {
            0 => &["log", "verify"],
            1 => {
                self.oracle.ask_trim(BEHIND_ALL);
                &["log", "trim", "--before", &everything]
            }
            _ => &["run"],
        };
        let victim = Daemon::spawn(&self.data, &mut self.command(victim), Stdio::piped());
        thread::sleep(self.startup * percent / 100);
        check_output(&victim.kill());
        self.kills += 1;
    }

    /// What commands do without a daemon, and a comparison.
    fn use_alone(&mut self) {
        if !self.data.join("log").exists() {
            // The kill came before the log was made.
            self.put_alone("record", 1);
        }
        match self.random.between(0, 4) {
            0 => _ = self.output(&["log", "verify"]),
            1 => self.trim_alone(),
            2 => self.put_alone("record", 10),
            3 => self.put_alone("import", 300),
            _ => {}
        }
        let end = self.compare();
        self.check_directory();
        self.record_one(Some(end));
    }

    fn trim_alone(&mut self) {
        let before = if self.random.chance(50) { BEHIND_ALL } else { self.oracle.acknowledged() / 2 + 1 };
        self.oracle.ask_trim(before);
        let answer = self.json(&["log", "trim", "--before", &before.to_string(), "--format", "json"]);
        self.oracle.trim(answer["first_position"].as_u64().unwrap());
    }

    fn put_alone(&mut self, how: &str, count: u64) {
        self.asked += 1;
        let request = format!("{how}-{}", self.asked);
        let arguments: &[&str] = if how == "record" { &["record"] } else { &["log", "import"] };
        let lines = lines(&request, count, "");
        let answer = support::json(&run_with(&mut self.command(arguments), lines.as_bytes()));
        acknowledge(&self.oracle, &answer, count, &request);
    }

    /// Writing goes on, at `next` when nobody else writes.
    fn record_one(&mut self, next: Option<u64>) {
        self.asked += 1;
        let request = format!("next-{}", self.asked);
        let lines = lines(&request, 1, "");
        let answer = support::json(&run_with(&mut self.command(&["record"]), lines.as_bytes()));
        let first = acknowledge(&self.oracle, &answer, 1, &request);
        assert!(next.is_none_or(|next| next == first), "the next event goes to {next:?}: {answer}");
    }

    /// Holds what the log shows against the oracle; gives the position behind the last one.
    fn compare(&mut self) -> u64 {
        let stat = |this: &Self| this.json(&["log", "stat", "--format", "json"]);
        let before = stat(self);
        let tail = self.command(&["log", "tail", "--from", "1", "--format", "json"]).output().unwrap();
        // A daemon may be killed before its first event: then nothing is found.
        let is_empty = before["next_position"] == 1 && tail.status.code() == Some(1);
        assert!(tail.status.success() || is_empty, "log tail: {}", stderr(&tail));
        let tail = stdout(&tail);
        let export = stdout(&self.output(&["log", "export"]));
        let after = stat(self);
        self.disk_bytes_most = self.disk_bytes_most.max(after["bytes"].as_u64().unwrap());
        let listing = Listing::read(&tail);
        let (end, [least, most]) =
            (listing.end, [before, after].map(|it| it["next_position"].as_u64().unwrap()));
        assert!((least..=most).contains(&end), "the tail ends at {end}, the log at {least} to {most}");
        check_export(&tail, &export);
        self.oracle.compare(listing);
        self.look_at_set_aside();
        end
    }

    /// At most the unfinished batch of each kill was cut off.
    fn look_at_set_aside(&mut self) {
        let files = fs::read_dir(self.data.join("set-aside")).into_iter().flatten().map(Result::unwrap);
        let found: BTreeMap<_, _> = files
            .map(|file| (file.file_name().into_string().unwrap(), file.metadata().unwrap().len()))
            .collect();
        let new = found.keys().filter(|name| !self.set_aside.contains_key(*name)).count() as u64;
        assert!(new <= self.kills - self.kills_looked_at, "{found:?}");
        assert!(found.values().all(|bytes| *bytes <= UNFINISHED_BYTES_MAX), "{found:?}");
        self.set_aside = found;
        self.kills_looked_at = self.kills;
    }

    /// A recovery leaves nothing unfinished beside the log.
    fn check_directory(&self) {
        let known = ["lock", "log", "mark", "set-aside", "tailwater.sock"];
        for entry in fs::read_dir(&self.data).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(known.contains(&name.as_str()), "{name} is left in the data directory");
        }
    }

    fn load_and_kill(&mut self, daemon: Daemon) {
        let instant = match self.random.between(0, 99) {
            0..5 => Duration::from_secs(2),
            5..20 => self.random.millis(0, 50),
            _ => self.random.millis(50, 500),
        };
        let load = Load { data: &self.data, oracle: &self.oracle, life: self.lives };
        let random = &mut self.random;
        // NOTE: a reader that follows has everything synced at once, which would hide an acknowledgement that is early.
        let (follows, trims) = (random.chance(50), random.chance(40));
        let output = thread::scope(|scope| {
            for recorder in 0..3 {
                let random = random.fork();
                scope.spawn(move || load.record(recorder, random));
            }
            let (importing, looking) = (random.fork(), random.fork());
            scope.spawn(move || load.import(importing));
            scope.spawn(move || load.verify(looking));
            if follows {
                scope.spawn(move || load.follow());
            }
            if trims {
                let random = random.fork();
                scope.spawn(move || load.trim(random));
            }
            thread::sleep(instant);
            daemon.kill()
        });
        self.kills += 1;
        check_output(&output);
    }

    /// The log is whole in the end, for `log verify` and for a daemon that may end in order.
    fn end(&mut self) {
        self.lives += 1;
        self.use_alone();
        let verified = self.json(&["log", "verify", "--format", "json"]);
        check_verified(&verified);
        let daemon = Daemon::start_command(&self.data, &mut self.command(&["run"]));
        self.record_one(None);
        let (status, output) = daemon.stop();
        assert!(status.success(), "{output}");
        check_output(&output);
        self.compare();
        assert!(self.oracle.acknowledged() >= 10 * self.kills, "the load did its work: {}", self.told());
    }
}

/// What all threads of a load have.
#[derive(Clone, Copy)]
struct Load<'a> {
    data: &'a Path,
    oracle: &'a Oracle,
    life: u64,
}

impl Load<'_> {
    /// Many small batches.
    fn record(self, recorder: u64, mut random: Random) {
        for turn in 0.. {
            let request = format!("life{}-{recorder}-{turn}", self.life);
            let count = random.between(1, 20);
            if !self.put("record", &request, count, "") {
                return;
            }
            thread::sleep(random.millis(0, 10));
        }
    }

    /// Chunks that take the log more than one write, now and then a large one.
    fn import(self, mut random: Random) {
        let role = format!(r#""role":"{}","#, "x".repeat(1_500));
        for turn in 0.. {
            let request = format!("life{}-import-{turn}", self.life);
            let count = if random.chance(10) { 1_000 } else { random.between(20, 80) };
            if !self.put("import", &request, count, &role) {
                return;
            }
            thread::sleep(random.millis(20, 100));
        }
    }

    /// Whether the daemon is there still.
    fn put(self, task: &str, request: &str, count: u64, more: &str) -> bool {
        let Some(answer) = done(put(self.data, task, &lines(request, count, more))) else { return false };
        acknowledge(self.oracle, &answer, count, request);
        true
    }

    /// What a reader has seen was durable.
    fn follow(self) {
        let selection = json!({ "from": null, "to": null, "kinds": [] });
        let task = json!({ "task": "log_tail", "selection": selection, "begin": { "last": 10 }, "follow": true,
            "format": "json" });
        let answer = ask(self.data, task, "", |lines| self.oracle.show(lines));
        assert_eq!(done(answer), None, "a tail that follows goes on");
    }

    fn verify(self, mut random: Random) {
        while let Some(answer) = done(ask(self.data, json!({ "task": "log_verify" }), "", |_| {})) {
            check_verified(&answer);
            thread::sleep(random.millis(20, 200));
        }
    }

    /// Sometimes all that there is, sometimes the segments that are full.
    fn trim(self, mut random: Random) {
        loop {
            thread::sleep(random.millis(0, 300));
            let before = if random.chance(30) { BEHIND_ALL } else { self.oracle.acknowledged() + 1 };
            self.oracle.ask_trim(before);
            let task = json!({ "task": "log_trim", "before": { "position": before }, "dry_run": false });
            let Some(answer) = done(ask(self.data, task, "", |_| {})) else { return };
            self.oracle.trim(answer["first_position"].as_u64().unwrap());
        }
    }
}

/// The answer of a daemon that is there still; it refuses nothing of this load.
fn done(answer: Answer) -> Option<Value> {
    match answer {
        Answer::Done(answer) => Some(answer),
        Answer::Failed(message) => panic!("refused: {message}"),
        Answer::Lost | Answer::Nobody => None,
    }
}

/// Notes what was acknowledged; gives its first position.
fn acknowledge(oracle: &Oracle, answer: &Value, count: u64, request: &str) -> u64 {
    let [first, last] = ["first_position", "last_position"]
        .map(|name| answer[name].as_u64().unwrap_or_else(|| panic!("{answer}")));
    oracle.acknowledge(first, last, request);
    assert_eq!(last + 1 - first, count, "{request}: {answer}");
    first
}

fn check_verified(answer: &Value) {
    assert_eq!((&answer["damaged"], &answer["wrong_blocks"]), (&json!([]), &json!(0)), "{answer}");
}

/// A kill leaves an unfinished batch at the most: nothing else is worth a warning.
fn check_output(output: &str) {
    let is_bad = |line: &&str| ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word));
    let bad: Vec<_> = output.lines().filter(is_bad).filter(|line| !line.contains("no whole batch")).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
