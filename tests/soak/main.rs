//! The soak: hours of ordinary use with misfortune. Several writers record, the daemon projects, an operator replays, verifies,
//! mends, trims and looks into the log, while the daemon, the server and the way between them are treated badly.
//!
//! In the end both databases (the daemon's, and one that only replays fill) hold what the log makes of its events, every
//! acknowledged one included, `verify` and `log verify` find nothing, all counts add up, and the daemon's memory is flat.
//!
//! One test, `TAILWATER_SOAK_SECONDS` long (30), with the choices of `TAILWATER_SOAK_SEED` (a new one, which is printed):
//! the same seed gives the same plan and the same events; what the machine makes of them differs. In the first half the
//! daemon is killed as well; in the second it lives, so that its memory can be
//! watched, and all else goes on; a run of two minutes and more warms it up first.
#![cfg(test)]

mod operator;
#[path = "../support/mod.rs"]
mod support;
mod vitals;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use operator::{Findings, Operator, Tally};
use support::client::{Answer, put};
use support::database::{PrivateServer, with_database};
use support::havoc::{Havoc, check_rows, number, seed};
use support::ledger::{Ledger, Mix, REFUSE_POISON, ROWS, Rows, logged, rows};
use support::scene::{check_counts, patiently};
use support::writer::{StopOnDrop, Writer};
use support::{stderr, tailwater};
use vitals::{Vitals, WARM};

/// The database that only replays fill.
const SECOND: &str = "second";
/// The longest that a writer waits: some hundred events a second in all, so that an hour of them can be held in memory.
const PAUSE_MILLIS: u64 = 900;
/// How many events a writer may poison. NOTE: a thousand in an hour, and the projection halts.
const POISON_MAX: u64 = 200;
/// A run of so many seconds takes the time to warm the daemon's second half up.
const LONG: u64 = 120;
/// What the daemon may warn of besides outages.
///
/// NOTE: a replay from the beginning of a trimmed log tells the hole.
const KNOWN: [&str; 2] = ["the database refuses events for their content", "the log has a hole"];
/// Every row of a table, as `<table> <position> <checksum of its content>`. NOTE: a log's number is a matter of which
/// log a database has met first.
const CONTENTS: &str = "SELECT concat_ws(' ', 'agent_metrics', position, md5((to_jsonb(t) - 'log_no')::text)) FROM agent_metrics t
    UNION ALL SELECT concat_ws(' ', 'agent_states', position, md5((to_jsonb(t) - 'log_no')::text)) FROM agent_states t
    UNION ALL SELECT concat_ws(' ', 'channel_metrics', position, md5((to_jsonb(t) - 'log_no')::text)) FROM channel_metrics t
    UNION ALL SELECT concat_ws(' ', 'token_metrics', position, md5((to_jsonb(t) - 'log_no')::text)) FROM token_metrics t";

#[test]
fn hours_of_use_and_misfortune_leave_everything_right_and_memory_flat() {
    let seconds = number("TAILWATER_SOAK_SECONDS").unwrap_or(30);
    let seed = seed("TAILWATER_SOAK_SEED");
    println!("TAILWATER_SOAK_SEED={seed} TAILWATER_SOAK_SECONDS={seconds} runs this again");
    let Some(server) = PrivateServer::up() else { return };
    prepare(&server);
    // NOTE: a sixteenth of it closes a segment, so that there is something to trim; only the operator trims, for the
    // harness must have read what goes.
    let keep = ("TAILWATER_LOG_KEEP", format!("{}s", 120 + 4 * seconds));
    let havoc = Havoc::new(server, seed, vec![keep], &KNOWN);
    Soak { havoc, ledger: Ledger::default(), tally: Tally::default(), seconds, began: Instant::now() }.run();
}

/// Both databases have their tables, and refuse what is poisoned.
fn prepare(server: &PrivateServer) {
    let home = tempfile::tempdir().expect("a folder");
    server.execute(&format!("CREATE DATABASE {SECOND} TEMPLATE template0"));
    for url in [server.url().to_owned(), with_database(server.url(), SECOND)] {
        let mut command = tailwater(&home.path().join("data"));
        let output = command.args(["migrate", "--database-url", &url]).output().expect("the binary runs");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    server.execute(REFUSE_POISON);
    server.execute_in(SECOND, REFUSE_POISON);
}

/// All that there is.
struct Soak {
    havoc: Havoc,
    ledger: Ledger,
    tally: Tally,
    seconds: u64,
    began: Instant,
}

impl Soak {
    fn run(mut self) {
        // NOTE: before that a verify has nothing to verify.
        patiently("the database has seen the log", || {
            self.havoc.status()["projection"]["next_position"].as_u64()
        });
        let vitals = Vitals::start();
        let findings = self.reign(&vitals);
        vitals.rest();
        self.havoc.heal();
        self.judge(findings, &vitals);
    }

    /// Load, an operator and misfortune, for so long; gives what the operator knows.
    fn reign(&mut self, vitals: &Vitals) -> Findings {
        let (stop, data) = (AtomicBool::new(false), self.havoc.data());
        let ledger = std::mem::take(&mut self.ledger);
        let tally = std::mem::take(&mut self.tally);
        let findings = thread::scope(|scope| {
            for name in ["one", "two"] {
                let writer = writer(&data, &ledger, &stop, name);
                let mix = Mix::new(name, self.havoc.random.fork()).with_poison(POISON_MAX);
                scope.spawn(move || writer.write(mix));
            }
            let killed = writer(&data, &ledger, &stop, "killed");
            let mix = Mix::new("killed", self.havoc.random.fork()).with_poison(POISON_MAX);
            let random = self.havoc.random.fork();
            scope.spawn(move || killed.write_by_clients_that_are_killed(mix, random));
            let operator = Operator::new(&self.havoc, SECOND, &tally);
            let operator = scope.spawn(|| operator.work(&stop));
            // NOTE: a panic in here must end the others as well, or the scope would wait for them for ever.
            let end = StopOnDrop(&stop);
            let late = Mix::new("late", self.havoc.random.fork());
            self.mistreat(vitals, &ledger, &tally, late, &|| operator.is_finished());
            // What the operator has begun it ends, and for that all is well again.
            self.havoc.relay.thaw();
            drop(end);
            operator.join().unwrap_or_else(|wrong| std::panic::resume_unwind(wrong))
        });
        (self.ledger, self.tally) = (ledger, tally);
        findings
    }

    /// Storms and calms by turns; a line now and then.
    fn mistreat(
        &mut self,
        vitals: &Vitals,
        ledger: &Ledger,
        tally: &Tally,
        mut late: Mix,
        is_over: &dyn Fn() -> bool,
    ) {
        let length = Duration::from_secs(self.seconds);
        let mut told = Instant::now();
        let (mut backlogs, mut is_young) = (0, self.seconds >= LONG);
        while self.began.elapsed() < length && !is_over() {
            if is_young && self.began.elapsed() >= length / 2 {
                is_young = false;
                self.warm_up(ledger, vitals);
            }
            for _ in 0..self.havoc.random.between(2, 6) {
                vitals.watch(self.havoc.daemon().pid());
                let may_kill = is_young || self.began.elapsed() < length / 2;
                let action = match self.havoc.random.between(0, 99) {
                    0..16 if may_kill => self.havoc.kill_daemon(),
                    0..24 => self.stop_server(PrivateServer::kill, "kills of the server"),
                    24..32 => self.stop_server(PrivateServer::stop_immediately, "crashes of the server"),
                    32..40 => self.stop_server(PrivateServer::stop_fast, "stops of the server"),
                    40..55 => self.havoc.cut(),
                    55..70 => self.havoc.cut_in_mid_stream(),
                    70..80 => self.havoc.fall_silent(),
                    80..90 => self.havoc.slow_down(),
                    90..95 => {
                        backlogs += 1;
                        self.be_late(ledger, &mut late, backlogs)
                    }
                    _ => "pauses",
                };
                self.havoc.count(action);
                thread::sleep(self.havoc.random.millis(0, 2_000));
            }
            vitals.watch(self.havoc.daemon().pid());
            self.havoc.relay.thaw();
            thread::sleep(self.havoc.random.millis(1_000, (self.seconds * 100).clamp(2_000, 30_000)));
            if told.elapsed() >= Duration::from_secs((self.seconds / 30).clamp(5, 60)) {
                told = Instant::now();
                self.tell(ledger, tally, vitals);
            }
        }
    }

    fn stop_server(&mut self, stop: fn(&PrivateServer), told: &'static str) -> &'static str {
        self.havoc.stop_server(stop, |_| ());
        told
    }

    /// So many events that the daemon's memory is what it will be.
    fn warm_up(&mut self, ledger: &Ledger, vitals: &Vitals) {
        let mut mix = Mix::new("warm", self.havoc.random.fork());
        for turn in 0..WARM / 2_000 {
            let request = format!("warm-{turn}");
            let lines = mix.lines(&request, 2_000);
            ledger.send(&request, 2_000);
            match put(&self.havoc.data(), "record", &lines) {
                Answer::Done(answer) => ledger.acknowledge(&request, 2_000, &answer),
                other => panic!("the daemon is there: {other:?}"),
            }
        }
        vitals.warmed_up();
    }

    /// The database is away, and old events come in by many imports: backlog lanes have to do afterwards.
    fn be_late(&mut self, ledger: &Ledger, late: &mut Mix, backlog: u64) -> &'static str {
        let data = self.havoc.data();
        let imports = self.havoc.random.between(5, 40);
        self.havoc.stop_server(PrivateServer::kill, |_| {
            for import in 0..imports {
                let request = format!("late-{backlog}-{import}");
                let lines = late.lines(&request, 250);
                ledger.send(&request, 250);
                match put(&data, "import", &lines) {
                    Answer::Done(answer) => ledger.acknowledge(&request, 250, &answer),
                    other => panic!("the daemon is there: {other:?}"),
                }
            }
        });
        "late backlogs"
    }

    /// How it is going.
    fn tell(&self, ledger: &Ledger, tally: &Tally, vitals: &Vitals) {
        let status = self.havoc.status();
        check_counts(&status["projection"]);
        // NOTE: the operator's locks in the database would be waited for here, but nobody stops the server meanwhile.
        let bytes: i64 = self.havoc.server.value("SELECT pg_database_size(current_database())");
        let rows: i64 = self.havoc.server.value(&format!("SELECT count(*) FROM ({ROWS}) AS r"));
        println!(
            "{:>5} s: {} acknowledged, {rows} rows, {} behind ({}), {} kills, {tally}, {}, log {} MB, database {} MB",
            self.began.elapsed().as_secs(),
            ledger.acknowledged().1,
            status["projection"]["lag_events"],
            status["projection"]["state"].as_str().unwrap_or_default(),
            self.havoc
                .done
                .iter()
                .filter(|(action, _)| action.starts_with("kills"))
                .map(|it| it.1)
                .sum::<u64>(),
            vitals.last(),
            status["log"]["bytes"].as_u64().unwrap_or_default() / 1_000_000,
            bytes / 1_000_000,
        );
    }

    fn judge(mut self, mut findings: Findings, vitals: &Vitals) {
        check_counts(&self.havoc.status()["projection"]);
        // NOTE: what was read last is read again, for a tail that finds nothing ends with 1.
        let last = findings.events.last().map_or(1, |event| event.position);
        let rest = self.havoc.output(&["log", "tail", "--from", &last.to_string(), "--format", "json"]);
        let known = findings.events.len();
        findings.events.extend(logged(&rest).into_iter().skip(known.min(1)));
        self.ledger.check(&findings.events);
        self.havoc.output(&["log", "verify"]);
        self.havoc.output(&["verify", "--format", "json"]);
        let second = with_database(self.havoc.server.url(), SECOND);
        self.replay_the_rest(&mut findings, &second);
        self.havoc.output(&["verify", "--format", "json", "--database-url", &second]);

        let expected = rows(&findings.events);
        check_rows(&self.havoc.server.values(ROWS), &expected);
        let replayed = findings.events.iter().filter(|event| findings.is_replayed(event.position));
        check_rows(&self.havoc.server.values_of(SECOND, ROWS), &rows(replayed));
        self.check_contents();
        let doors = self.havoc.done.clone();
        self.havoc.stop_daemon();
        self.conclude(&findings, &expected, &doors, vitals);
    }

    /// What the log still has, from its beginning to its end.
    fn replay_the_rest(&self, findings: &mut Findings, second: &str) {
        let answer = self.havoc.output(&["replay", "--json", "--database-url", second]);
        let answer = serde_json::from_str(&answer).expect("JSON");
        check_counts(&answer);
        let first = self.havoc.status()["log"]["first_position"].as_u64().expect("a position");
        findings.note_replayed(first, findings.events.len() as u64 + 1, &[]);
        let there = findings.events.len() as u64 + 1 - first;
        assert_eq!(answer["sent"], there, "{answer}");
    }

    /// A row that both databases have is the same in both.
    fn check_contents(&self) {
        let live: Vec<String> = self.havoc.server.values(CONTENTS);
        let of_event: BTreeMap<&str, &str> = live.iter().filter_map(|it| it.rsplit_once(' ')).collect();
        let second: Vec<String> = self.havoc.server.values_of(SECOND, CONTENTS);
        let pairs = second.iter().filter_map(|it| it.rsplit_once(' '));
        let other: Vec<&str> = pairs
            .filter(|(event, sum)| of_event.get(event).is_some_and(|it| it != sum))
            .map(|it| it.0)
            .collect();
        assert!(other.is_empty(), "{} rows differ: {:?}", other.len(), other.first());
    }

    fn conclude(
        &self,
        findings: &Findings,
        expected: &Rows,
        done: &BTreeMap<&'static str, u64>,
        vitals: &Vitals,
    ) {
        let (requests, acknowledged) = self.ledger.acknowledged();
        println!(
            "{} events in the log, {} rows and refusals, {acknowledged} events in {requests} requests acknowledged, {} \
             requests never answered; {done:?}, {} connections reset; {}; {} trimmed; both databases verified, \
             and as the log has it",
            findings.events.len(),
            expected.len(),
            self.ledger.unknown(),
            self.havoc.relay.resets(),
            self.tally,
            findings.first - 1,
        );
        for told in self.tally.interruptions() {
            println!("interrupted: {told}");
        }
        assert!(acknowledged >= 1_000, "the load did its work");
        vitals.check_flat();
    }
}

fn writer<'a>(data: &'a Path, ledger: &'a Ledger, stop: &'a AtomicBool, name: &'static str) -> Writer<'a> {
    assert!(!stop.load(Ordering::Relaxed), "it has just begun");
    Writer { data, ledger, stop, name, pause_millis: PAUSE_MILLIS }
}
