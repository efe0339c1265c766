//! Chaos: the daemon, the server and the way between them are killed, stopped, cut and silenced at random under load;
//! in the end the tables hold exactly what the log makes of them, and the log all that was acknowledged.
//!
//! One test, `TAILWATER_CHAOS_SECONDS` long (20), with the choices of `TAILWATER_CHAOS_SEED` (a new one, which is
//! printed): the same seed gives the same plan and the same events; what the machine makes of them differs.
#![cfg(test)]

mod support;

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::database::{PrivateServer, with_database};
use support::havoc::{Havoc, check_rows, number, seed};
use support::ledger::{Ledger, Mix, ROWS, Rows};
use support::scene::check_counts;
use support::writer::{StopOnDrop, Writer};

/// The longest that a writer waits.
const PAUSE_MILLIS: u64 = 50;

#[test]
fn everything_acknowledged_arrives_once_through_chaos() {
    let seconds = number("TAILWATER_CHAOS_SECONDS").unwrap_or(20);
    let seed = seed("TAILWATER_CHAOS_SEED");
    println!("TAILWATER_CHAOS_SEED={seed} TAILWATER_CHAOS_SECONDS={seconds}");
    let Some(server) = PrivateServer::up() else { return };
    let mut havoc = Havoc::new(server, seed, Vec::new(), &[]);
    let ledger = reign(&mut havoc, Duration::from_secs(seconds));
    havoc.heal();
    judge(havoc, &ledger);
}

/// Load and misfortune, for so long.
fn reign(havoc: &mut Havoc, length: Duration) -> Ledger {
    let end = Instant::now() + length;
    let (stop, ledger) = (AtomicBool::new(false), Ledger::default());
    let data = havoc.data();
    thread::scope(|scope| {
        let writer =
            |name| Writer { data: &data, ledger: &ledger, stop: &stop, name, pause_millis: PAUSE_MILLIS };
        for name in ["one", "two"] {
            let (writer, mix) = (writer(name), Mix::new(name, havoc.random.fork()));
            scope.spawn(move || writer.write(mix));
        }
        let killed = writer("killed");
        let (mix, random) = (Mix::new("killed", havoc.random.fork()), havoc.random.fork());
        scope.spawn(move || killed.write_by_clients_that_are_killed(mix, random));
        // NOTE: a panic in here must end the writers as well, or the scope would wait for them for ever.
        let _end = StopOnDrop(&stop);
        while Instant::now() < end {
            let action = act(havoc);
            havoc.count(action);
            thread::sleep(havoc.random.millis(0, 800));
        }
    });
    ledger
}

fn act(havoc: &mut Havoc) -> &'static str {
    match havoc.random.between(0, 99) {
        0..25 => havoc.kill_daemon(),
        25..37 => stop_server(havoc, PrivateServer::kill, "kills of the server"),
        37..49 => stop_server(havoc, PrivateServer::stop_immediately, "crashes of the server"),
        49..66 => havoc.cut(),
        66..80 => havoc.cut_in_mid_stream(),
        80..92 => havoc.fall_silent(),
        _ => "pauses",
    }
}

/// While the server is away the daemon may be killed, too.
fn stop_server(havoc: &mut Havoc, stop: fn(&PrivateServer), told: &'static str) -> &'static str {
    havoc.stop_server(stop, |havoc| {
        if havoc.random.chance(20) {
            let action = havoc.kill_daemon();
            havoc.count(action);
        }
    });
    told
}

fn judge(mut havoc: Havoc, ledger: &Ledger) {
    havoc.output(&["status"]);
    let tail = havoc.output(&["log", "tail", "--from", "1", "--format", "json"]);
    let (events, expected) = ledger.expected(&tail);
    check_rows(&havoc.server.values(ROWS), &expected);
    check_replay(&havoc, events, &expected);
    havoc.stop_daemon();
    let (requests, acknowledged) = ledger.acknowledged();
    println!(
        "{events} events in the log, {} rows, {acknowledged} events in {requests} requests acknowledged, {} \
         requests never answered; {:?}, {} connections reset",
        expected.len(),
        ledger.unknown(),
        havoc.done,
        havoc.relay.resets()
    );
    assert!(acknowledged >= 1_000, "the load did its work");
}

/// A replay into a fresh database counts every event, and gives the same rows.
fn check_replay(havoc: &Havoc, events: u64, expected: &Rows) {
    havoc.server.execute("CREATE DATABASE replayed TEMPLATE template0");
    let url = with_database(havoc.server.url(), "replayed");
    let answer = havoc.output(&["project", "--until-head", "--json", "--database-url", &url]);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    check_counts(&answer);
    let numbers = ["read", "inserted", "quarantined"].map(|name| answer[name].as_u64());
    assert_eq!(numbers, [Some(events), Some(expected.len() as u64), Some(0)], "{answer}");
    check_rows(&havoc.server.values_of("replayed", ROWS), expected);
}
