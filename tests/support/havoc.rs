//! A daemon, its database and the way between them, and all that can be done to them: the misfortunes of `chaos` and
//! `soak`, which also tell what must be true of the traces all the same.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use super::daemon::Daemon;
use super::database::PrivateServer;
use super::ledger::Rows;
use super::random::Random;
use super::relay::{Fault, Relay};
use super::scene::{AWAY, BACK, RANGES, is_bad, patiently, quiet};
use super::{stderr, stdout, tailwater};

/// What a daemon says that finds the log in the hands of a command.
const HELD: &str = "a log has one process at a time";

/// The number in an environment variable.
pub fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value:?}")))
}

/// The seed that the variable tells, or a new one.
pub fn seed(variable: &str) -> u64 {
    number(variable).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        u64::from(now.subsec_nanos())
    })
}

/// All that there is, and what was done to it.
pub struct Havoc {
    home: TempDir,
    pub server: Arc<PrivateServer>,
    /// Who holds this for reading has a server; only who stops it writes.
    pub is_up: Arc<RwLock<()>>,
    pub relay: Relay,
    /// The settings of the daemon.
    settings: Vec<(&'static str, String)>,
    daemon: Option<Daemon>,
    pub random: Random,
    pub done: BTreeMap<&'static str, u64>,
    /// What else its traces may warn of.
    known: &'static [&'static str],
}

impl Havoc {
    /// A daemon with these settings, whose traces may have warnings with these words as well.
    pub fn new(
        server: PrivateServer,
        seed: u64,
        settings: Vec<(&'static str, String)>,
        known: &'static [&'static str],
    ) -> Self {
        let relay = Relay::to(server.url());
        let home = tempfile::tempdir().expect("a folder");
        let (server, is_up) = (Arc::new(server), Arc::default());
        let (random, done) = (Random::new(seed), BTreeMap::new());
        let mut havoc = Self { home, server, is_up, relay, settings, daemon: None, random, done, known };
        havoc.start_daemon();
        havoc
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon")
    }

    /// NOTE: a command that found no daemon may hold the log for a moment; then it is tried again, as a supervisor does.
    fn start_daemon(&mut self) {
        let data = self.data();
        let daemon = patiently("the log is free", || {
            let mut command = quiet(&data, self.relay.url());
            command.envs(self.settings.iter().map(|(name, value)| (name, value)));
            match Daemon::try_start_command(&data, &mut command) {
                Ok(daemon) => Some(daemon),
                Err(told) if told.contains(HELD) => None,
                Err(told) => panic!("the daemon ended: {told}"),
            }
        });
        self.daemon = Some(daemon);
    }

    pub fn count(&mut self, action: &'static str) {
        *self.done.entry(action).or_default() += 1;
    }

    pub fn kill_daemon(&mut self) -> &'static str {
        let output = self.daemon.take().expect("a daemon").kill();
        check_traces(&output, self.known);
        thread::sleep(self.random.millis(0, 300));
        self.start_daemon();
        "kills of the daemon"
    }

    /// Ends the daemon in order.
    pub fn stop_daemon(&mut self) {
        let (status, output) = self.daemon.take().expect("a daemon").stop();
        assert!(status.success(), "{output}");
        check_traces(&output, self.known);
    }

    /// While the server is away this happens as well.
    pub fn stop_server(&mut self, stop: fn(&PrivateServer), meanwhile: impl FnOnce(&mut Self)) {
        let (server, is_up) = (Arc::clone(&self.server), Arc::clone(&self.is_up));
        let _down = is_up.write().expect("no panic");
        stop(&server);
        thread::sleep(self.random.millis(0, 1_500));
        meanwhile(self);
        server.start();
    }

    pub fn cut(&mut self) -> &'static str {
        self.relay.reset();
        "cuts"
    }

    /// Soon, and most of the time inside a transaction.
    pub fn cut_in_mid_stream(&mut self) -> &'static str {
        self.relay.arm(self.random.between(1, 60_000), Fault::Reset);
        "cuts in mid-stream"
    }

    pub fn fall_silent(&mut self) -> &'static str {
        self.relay.silence();
        thread::sleep(self.random.millis(200, 3_000));
        self.relay.thaw();
        if self.random.chance(50) {
            self.relay.reset();
        }
        "silences"
    }

    pub fn slow_down(&mut self) -> &'static str {
        self.relay.slow_down(self.random.millis(5, 50));
        thread::sleep(self.random.millis(500, 5_000));
        self.relay.thaw();
        "slow links"
    }

    /// Everything is well again; waits until all that was recorded is in the database.
    pub fn heal(&mut self) {
        self.relay.thaw();
        // NOTE: so that nothing of a client that was killed is still on its way into the log.
        let last = self.kill_daemon();
        self.count(last);
        let head = self.status()["log"]["next_position"].clone();
        patiently("the projection is at the head", || {
            let projection = self.status()["projection"].take();
            let is_there = projection["state"] == "live" && projection["next_position"] == head;
            (is_there && projection["error"].is_null()).then_some(())
        });
        patiently("one range", || {
            (self.server.values::<String>(RANGES) == [format!("1 {head}")]).then_some(())
        });
    }

    pub fn status(&self) -> Value {
        self.daemon().status()
    }

    /// What a command that must end well prints.
    pub fn output(&self, arguments: &[&str]) -> String {
        let output = tailwater(&self.data()).args(arguments).output().expect("the binary runs");
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }
}

pub fn check_rows(found: &[String], expected: &Rows) {
    let rows: Rows = found.iter().cloned().collect();
    assert_eq!(rows.len(), found.len(), "nothing is there twice");
    let lost: Vec<_> = expected.difference(&rows).take(10).collect();
    assert!(lost.is_empty(), "{} rows are not there: {lost:#?}", expected.difference(&rows).count());
    let more: Vec<_> = rows.difference(expected).take(10).collect();
    assert!(more.is_empty(), "{} rows are too many: {more:#?}", rows.difference(expected).count());
}

/// Outages are told in turn, a kill leaves an unfinished batch at the most, and nothing else is worth a warning.
fn check_traces(output: &str, known: &[&str]) {
    let is_known =
        |line: &&str| [AWAY, "no whole batch"].iter().chain(known).any(|words| line.contains(words));
    let bad: Vec<_> = output.lines().filter(|line| is_bad(line) && !is_known(line)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let mut is_away = false;
    // NOTE: a replay has an outage of its own.
    let of_projection = output.lines().filter(|line| !line.contains("replay"));
    for line in of_projection.filter(|line| line.contains(AWAY) || line.contains(BACK)) {
        assert_ne!(
            is_away,
            line.contains(AWAY),
            "an outage is told once at its start and once at its end: {output}"
        );
        is_away = !is_away;
    }
}
