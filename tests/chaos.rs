//! Chaos: the daemon, the server and the way between them are killed, stopped, cut and silenced at random under load;
//! in the end the tables hold exactly what the log makes of them, and the log all that was acknowledged.
//!
//! One test, `TAILWATER_CHAOS_SECONDS` long (20), with the choices of `TAILWATER_CHAOS_SEED` (a new one, which is
//! printed): the same seed gives the same plan and the same events; what the machine makes of them differs.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use support::client::{Answer, put};
use support::daemon::Daemon;
use support::database::{PrivateServer, with_database};
use support::ledger::{Ledger, Mix, ROWS, Rows};
use support::random::Random;
use support::relay::{Fault, Relay};
use support::scene::{AWAY, BACK, RANGES, check_counts, is_bad, patiently, quiet};
use support::{stderr, stdout, tailwater};
use tempfile::TempDir;

#[test]
fn everything_acknowledged_arrives_once_through_chaos() {
    let seconds = number("TAILWATER_CHAOS_SECONDS").unwrap_or(20);
    let seed = number("TAILWATER_CHAOS_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        u64::from(now.subsec_nanos())
    });
    println!("TAILWATER_CHAOS_SEED={seed} TAILWATER_CHAOS_SECONDS={seconds}");
    let Some(server) = PrivateServer::up() else { return };
    let mut chaos = Chaos::new(server, seed);
    chaos.reign(Duration::from_secs(seconds));
    chaos.heal();
    chaos.judge();
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value:?}")))
}

/// All that there is, and what was done to it.
struct Chaos {
    home: TempDir,
    server: PrivateServer,
    relay: Relay,
    daemon: Option<Daemon>,
    ledger: Ledger,
    random: Random,
    done: BTreeMap<&'static str, u64>,
}

impl Chaos {
    fn new(server: PrivateServer, seed: u64) -> Self {
        let relay = Relay::to(server.url());
        let (ledger, random) = (Ledger::default(), Random::new(seed));
        let home = tempfile::tempdir().expect("a folder");
        let mut chaos = Self { home, server, relay, daemon: None, ledger, random, done: BTreeMap::new() };
        chaos.start_daemon();
        chaos
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn start_daemon(&mut self) {
        let data = self.data();
        self.daemon = Some(Daemon::start_command(&data, &mut quiet(&data, self.relay.url())));
    }

    /// Load and misfortune, for so long.
    fn reign(&mut self, length: Duration) {
        let end = Instant::now() + length;
        let stop = AtomicBool::new(false);
        let ledger = std::mem::take(&mut self.ledger);
        let data = self.data();
        thread::scope(|scope| {
            for name in ["one", "two"] {
                let writer = Writer { data: &data, ledger: &ledger, stop: &stop, name };
                let mix = Mix::new(name, self.random.fork());
                scope.spawn(move || writer.write(mix));
            }
            let killed = Writer { data: &data, ledger: &ledger, stop: &stop, name: "killed" };
            let (mix, random) = (Mix::new("killed", self.random.fork()), self.random.fork());
            scope.spawn(move || killed.write_by_clients_that_are_killed(mix, random));
            // NOTE: a panic in here must end the writers as well, or the scope would wait for them for ever.
            let _end = StopOnDrop(&stop);
            while Instant::now() < end {
                self.act();
                thread::sleep(self.random.millis(0, 800));
            }
        });
        self.ledger = ledger;
    }

    fn act(&mut self) {
        let action = match self.random.between(0, 99) {
            0..25 => self.kill_daemon(),
            25..37 => self.stop_server(PrivateServer::kill, "kills of the server"),
            37..49 => self.stop_server(PrivateServer::stop_immediately, "crashes of the server"),
            49..66 => self.cut(),
            66..80 => self.cut_in_mid_stream(),
            80..92 => self.fall_silent(),
            _ => "pauses",
        };
        *self.done.entry(action).or_default() += 1;
    }

    fn kill_daemon(&mut self) -> &'static str {
        let output = self.daemon.take().expect("a daemon").kill();
        check_traces(&output);
        thread::sleep(self.random.millis(0, 300));
        self.start_daemon();
        "kills of the daemon"
    }

    /// While the server is away the daemon may be killed, too.
    fn stop_server(&mut self, stop: fn(&PrivateServer), told: &'static str) -> &'static str {
        stop(&self.server);
        thread::sleep(self.random.millis(0, 1_500));
        if self.random.chance(20) {
            let action = self.kill_daemon();
            *self.done.entry(action).or_default() += 1;
        }
        self.server.start();
        told
    }

    fn cut(&mut self) -> &'static str {
        self.relay.reset();
        "cuts"
    }

    /// Soon, and most of the time inside a transaction.
    fn cut_in_mid_stream(&mut self) -> &'static str {
        self.relay.arm(self.random.between(1, 60_000), Fault::Reset);
        "cuts in mid-stream"
    }

    fn fall_silent(&mut self) -> &'static str {
        self.relay.silence();
        thread::sleep(self.random.millis(200, 3_000));
        self.relay.thaw();
        if self.random.chance(50) {
            self.relay.reset();
        }
        "silences"
    }

    /// Everything is well again; waits until all that was recorded is in the database.
    fn heal(&mut self) {
        self.relay.thaw();
        // NOTE: so that nothing of a client that was killed is still on its way into the log.
        let last = self.kill_daemon();
        *self.done.entry(last).or_default() += 1;
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

    fn status(&self) -> Value {
        self.daemon.as_ref().expect("a daemon").status()
    }

    fn output(&self, arguments: &[&str]) -> String {
        let output = tailwater(&self.data()).args(arguments).output().expect("the binary runs");
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn judge(mut self) {
        self.output(&["status"]);
        let tail = self.output(&["log", "tail", "--from", "1", "--format", "json"]);
        let (events, expected) = self.ledger.expected(&tail);
        check_rows(&self.server.values(ROWS), &expected);
        self.check_replay(events, &expected);
        let output = self.daemon.take().expect("a daemon").stop();
        assert!(output.0.success(), "{}", output.1);
        check_traces(&output.1);
        let (requests, acknowledged) = self.ledger.acknowledged();
        println!(
            "{events} events in the log, {} rows, {acknowledged} events in {requests} requests acknowledged, {} \
             requests never answered; {:?}, {} connections reset",
            expected.len(),
            self.ledger.unknown(),
            self.done,
            self.relay.resets()
        );
        assert!(acknowledged >= 1_000, "the load did its work");
    }

    /// A replay into a fresh database counts every event, and gives the same rows.
    fn check_replay(&self, events: u64, expected: &Rows) {
        self.server.execute("CREATE DATABASE replayed TEMPLATE template0");
        let url = with_database(self.server.url(), "replayed");
        let answer = self.output(&["project", "--until-head", "--json", "--database-url", &url]);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        check_counts(&answer);
        let numbers = ["read", "inserted", "quarantined"].map(|name| answer[name].as_u64());
        assert_eq!(numbers, [Some(events), Some(expected.len() as u64), Some(0)], "{answer}");
        check_rows(&self.server.values_of("replayed", ROWS), expected);
    }
}

fn check_rows(found: &[String], expected: &Rows) {
    let rows: Rows = found.iter().cloned().collect();
    assert_eq!(rows.len(), found.len(), "nothing is there twice");
    let lost: Vec<_> = expected.difference(&rows).take(10).collect();
    assert!(lost.is_empty(), "{} rows are not there: {lost:#?}", expected.difference(&rows).count());
    let more: Vec<_> = rows.difference(expected).take(10).collect();
    assert!(more.is_empty(), "{} rows are too many: {more:#?}", rows.difference(expected).count());
}

/// Outages are told in turn, a kill leaves an unfinished batch at the most, and nothing else is worth a warning.
fn check_traces(output: &str) {
    let is_known = |line: &&str| line.contains(AWAY) || line.contains("no whole batch");
    let bad: Vec<_> = output.lines().filter(|line| is_bad(line) && !is_known(line)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let mut is_away = false;
    for line in output.lines().filter(|line| line.contains(AWAY) || line.contains(BACK)) {
        assert_ne!(
            is_away,
            line.contains(AWAY),
            "an outage is told once at its start and once at its end: {output}"
        );
        is_away = !is_away;
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who records, through everything.
#[derive(Clone, Copy)]
struct Writer<'a> {
    data: &'a Path,
    ledger: &'a Ledger,
    stop: &'a AtomicBool,
    name: &'static str,
}

impl Writer<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// The next request of this writer: its name, how many events, its lines.
    fn request(&self, mix: &mut Mix, turn: u64) -> (String, u64, String) {
        let request = format!("{}-{turn}", self.name);
        // Now and then one that takes more than a packet, and the relay more than a read.
        let count = if mix.between(0, 19) == 0 { mix.between(500, 2_000) } else { mix.between(1, 40) };
        let lines = mix.lines(&request, count);
        self.ledger.send(&request, count);
        (request, count, lines)
    }

    /// Over the socket. While there is no daemon nobody is asked, and the same request is made later.
    fn write(self, mut mix: Mix) {
        for turn in 0.. {
            let (request, count, lines) = self.request(&mut mix, turn);
            loop {
                if !self.goes_on() {
                    return;
                }
                match put(self.data, "record", &lines) {
                    Answer::Done(answer) => self.ledger.acknowledge(&request, count, &answer),
                    Answer::Lost => {}
                    Answer::Failed(message) => panic!("refused: {message}"),
                    Answer::Nobody => {
                        thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                }
                break;
            }
            thread::sleep(Duration::from_millis(mix.between(0, 60)));
        }
    }

    /// By `tailwater record`, which is killed half of the time before it may have answered.
    fn write_by_clients_that_are_killed(self, mut mix: Mix, mut random: Random) {
        let path = self.data.with_extension("ndjson");
        for turn in 0.. {
            if !self.goes_on() {
                return;
            }
            let (request, count, lines) = self.request(&mut mix, turn);
            std::fs::write(&path, lines).expect("a file");
            let mut command = tailwater(self.data);
            command.arg("record").stdin(std::fs::File::open(&path).expect("a file"));
            let mut client =
                command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
            if random.chance(50) {
                thread::sleep(random.millis(0, 60));
                client.kill().expect("a child");
            }
            // NOTE: what a killed client has printed was acknowledged; what failed may be there or not.
            let output = client.wait_with_output().expect("it ends");
            if let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) {
                self.ledger.acknowledge(&request, count, &answer);
            }
            thread::sleep(random.millis(0, 40));
        }
    }
}
