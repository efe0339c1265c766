//! A gate before the log: what it decides and what it remembers are kept together, or not at all.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::sync::atomic::Ordering;

use event::wire::Decoded;
use event::{Event, Position};
use eventlog::{Batch, EventLog, Teller};
use support::gate::{Once, open, told, usage};
use support::{ALL, copy_as_killed, entries, events};

/// The agents of usage, and a dash for everything else.
fn kept(log: &EventLog) -> String {
    let agent = |entry: &event::Entry| match &entry.event {
        Decoded::Event(Event::TokenUsage(usage)) => format!("{}={}", usage.message_id, usage.agent_name),
        _ => "-".to_owned(),
    };
    entries(log, Position::FIRST, ALL).iter().map(agent).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_it_drops_has_no_position_and_the_others_stay_in_order() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), Once::default());
    let log = open(dir.path(), &gate);
    let mut larger = usage("1", "other");
    larger.output_tokens = 5;
    let [x, y] = events(["x", "y"]).try_into().unwrap();
    let batch = vec![told("1", "zen"), x, told("1", "zen"), told("2", "ada"), Event::TokenUsage(larger), y];
    let outcome =
        log.append(Batch { events: batch, teller: Teller::Transcript, ..Batch::default() }).unwrap();
    assert_eq!((outcome.first, outcome.events), (Position(1), 5));
    assert_eq!((outcome.usage_known, outcome.usage_waiting), (1, 0));
    let again = log.append(vec![told("1", "zen")]).unwrap();
    assert_eq!((again.first, again.events, again.usage_known), (Position(6), 0, 1));
    assert_eq!(kept(&log), "1=zen - 2=ada 1=zen -");
    let tellers = gate.0.tellers.lock().unwrap().clone();
    assert_eq!(tellers, [[Teller::Transcript; 4].as_slice(), &[Teller::Anybody]].concat());
}

#[test]
fn what_it_remembers_is_there_after_a_kill_and_after_a_restart() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), Once::default());
    let log = open(dir.path(), &gate);
    log.append(vec![told("1", "zen")]).unwrap();
    let copy = copy_as_killed(dir.path());
    log.close().unwrap();
    drop(log);
    for dir in [copy.path(), dir.path()] {
        let log = open(dir, &gate);
        assert_eq!(log.append(vec![told("1", "zen"), told("2", "ada")]).unwrap().events, 1);
        assert_eq!(kept(&log), "1=zen 2=ada");
    }
    assert_eq!(gate.0.opened.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_waits_is_kept_without_being_asked() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), Once::default());
    let log = open(dir.path(), &gate);
    let outcome = log.append_async(vec![told("1", "later")]).await.unwrap();
    assert_eq!(outcome.usage_waiting, 1);
    log.wait_durable(Position(1)).await.unwrap();
    assert_eq!(kept(&log), "1=woken");
    assert_eq!(log.states(b"wait/").unwrap(), []);
}

#[test]
fn appends_that_meet_in_one_commit_see_each_other() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), Once::default());
    let log = open(dir.path(), &gate);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..200 {
                    log.append(vec![told(&number.to_string(), "zen")]).unwrap();
                }
            });
        }
    });
    log.close().unwrap();
    drop(log);
    let log = open(dir.path(), &gate);
    assert_eq!(log.ends().next, Position(201));
}
