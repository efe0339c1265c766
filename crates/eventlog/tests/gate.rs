//! A gate before the log: what it decides and what it remembers are kept together, or not at all.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::wire::Decoded;
use event::{Event, Position, Text, Time, TokenUsage};
use eventlog::{Batch, EventLog, Fate, Gate, GateError, Parts, Settings, Shelf, Sync, Teller};
use support::{ALL, copy_as_killed, entries, events, host};

/// Keeps each message once, under the agent that told of it first; what has no agent of its own waits a moment.
#[derive(Clone, Default)]
struct Once(Arc<Seen>);

#[derive(Default)]
struct Seen {
    opened: AtomicU64,
    waiting: Mutex<Vec<TokenUsage>>,
    tellers: Mutex<Vec<Teller>>,
}

impl Gate for Once {
    fn open(&mut self, shelf: &mut Shelf<'_>, _: Time) -> Result<(), GateError> {
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        let waiting = shelf.scan(b"wait/", b"", 100).map_err(GateError::new)?;
        let of =
            |key: &[u8]| usage(std::str::from_utf8(key.strip_prefix(b"wait/").unwrap()).unwrap(), "woken");
        *self.0.waiting.lock().unwrap() = waiting.iter().map(|(key, _)| of(key)).collect();
        Ok(())
    }

    fn pass(
        &mut self,
        mut usage: TokenUsage,
        teller: Teller,
        _: Time,
        shelf: &mut Shelf<'_>,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<Fate, GateError> {
        self.0.tellers.lock().unwrap().push(teller);
        let key = [b"once/", usage.message_id.as_bytes()].concat();
        if usage.agent_name == "later" {
            shelf.put([b"wait/", usage.message_id.as_bytes()].concat(), Vec::new());
            usage.agent_name = Text::new("woken");
            self.0.waiting.lock().unwrap().push(usage);
            return Ok(Fate::Waits);
        }
        if let Some(first) = shelf.get(&key).map_err(GateError::new)? {
            if usage.output_tokens == 0 {
                return Ok(Fate::Known);
            }
            usage.agent_name = Text::new(std::str::from_utf8(&first).unwrap());
        }
        shelf.put(key, usage.agent_name.as_bytes().to_vec());
        kept.push(usage);
        Ok(Fate::Kept)
    }

    fn due(&self, _: Time) -> Option<Duration> {
        (!self.0.waiting.lock().unwrap().is_empty()).then_some(Duration::ZERO)
    }

    fn wake(&mut self, _: Time, shelf: &mut Shelf<'_>, kept: &mut Vec<TokenUsage>) -> Result<(), GateError> {
        for usage in self.0.waiting.lock().unwrap().drain(..) {
            shelf.remove([b"wait/", usage.message_id.as_bytes()].concat());
            kept.push(usage);
        }
        Ok(())
    }
}

fn usage(message: &str, agent: &str) -> TokenUsage {
    TokenUsage {
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        agent_name: Text::new(agent),
        model: Text::new("m"),
        message_id: Text::new(message),
        ..TokenUsage::default()
    }
}

fn told(message: &str, agent: &str) -> Event {
    Event::TokenUsage(usage(message, agent))
}

fn open(dir: &Path, gate: &Once) -> EventLog {
    let parts = Parts { gate: Some(Box::new(gate.clone())) };
    let settings = Settings { sync: Sync::Always, ..Settings::default() };
    EventLog::open_with(dir, &host(), settings, parts).unwrap()
}

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
