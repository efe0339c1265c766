//! Logs of other versions: the layout before this one is opened and becomes this one; a newer one is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use event::wire::{self, Decoded, RECORD_HEADER_BYTES};
use event::{BirthId, Event, Gap, Kind, LogId, Position, Stretch, Time};
use eventlog::{EventLog, OpenError, RepairWhen, Settings, TimeRange, TrimTo};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use support::real_log::{copy_tree, event_at, memory_dir};
use support::{ALL, host};

const EVENTS: u64 = 5_000;
/// What the gaps among them tell.
const LOST_EVENTS: u64 = 715;
const LOG_ID: [u8; 16] = [7; 16];
const BIRTH_ID: [u8; 16] = [9; 16];

/// Makes a log as the first version did: no index, no holes, no mark, and what gaps lose is kept in `state`.
fn layout_1(dir: &Path, layout: u8) {
    let database = Database::builder(dir.join("log")).open().unwrap();
    let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
    let (meta, state) = (keyspace("meta"), keyspace("state"));
    let events = keyspace("events-00000000000000000001");
    let mut batch = database.batch();
    batch.insert(&meta, "layout", [layout]);
    batch.insert(&meta, "log_id", LOG_ID);
    batch.insert(&meta, "birth_id", BIRTH_ID);
    batch.insert(&meta, "host", "here");
    batch.insert(&meta, "created", 1_767_323_045_678_901_i64.to_be_bytes());
    batch.commit().unwrap();
    let positions: Vec<Position> = (1..=EVENTS).map(Position).collect();
    for positions in positions.chunks(700) {
        let mut batch = database.batch();
        for position in positions {
            batch.insert(&events, position.0.to_be_bytes(), record(*position));
        }
        batch.insert(&state, "log/lost_events", LOST_EVENTS.to_be_bytes());
        batch.insert(&state, "offset", positions.last().unwrap().0.to_be_bytes());
        batch.commit().unwrap();
        flush_half(&events, positions);
    }
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

/// Some of it goes to tables, the rest stays in the journal.
fn flush_half(events: &Keyspace, positions: &[Position]) {
    if positions.first().is_some_and(|first| first.0 < EVENTS / 2) {
        events.rotate_memtable_and_wait().unwrap();
    }
}

fn record(position: Position) -> Vec<u8> {
    let mut record = vec![0; RECORD_HEADER_BYTES];
    wire::encode(&event_at(position), &mut record).unwrap();
    wire::seal(&BirthId::from_bytes(BIRTH_ID), position, &mut record).unwrap();
    record
}

fn check_whole(log: &EventLog) {
    assert_eq!(log.info().log_id, LogId::from_bytes(LOG_ID));
    assert_eq!(log.info().birth_id, BirthId::from_bytes(BIRTH_ID));
    let Stretch::Events(entries) = log.read(Position::FIRST, ALL).unwrap() else { panic!("a hole") };
    assert!(entries.len() as u64 >= EVENTS);
    for entry in entries {
        assert_eq!(entry.event, Decoded::Event(event_at(entry.position)));
    }
    let verification = log.verify(|_, _| ControlFlow::Continue(())).unwrap();
    assert!(verification.is_clean() && verification.holes.is_empty(), "{verification:?}");
    assert_eq!(log.state(b"offset").unwrap().as_deref(), Some(&EVENTS.to_be_bytes()[..]));
}

fn open(dir: &Path) -> Result<EventLog, OpenError> {
    EventLog::open(dir, &host(), Settings::default())
}

#[test]
fn a_log_of_layout_1_becomes_one_of_layout_2() {
    let dir = memory_dir();
    layout_1(dir.path(), 1);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.recovery().notes, [""; 0]);
    check_whole(&log);
    assert_eq!(log.stat().unwrap().lost_events, LOST_EVENTS);
    let time = event_at(Position(4_500)).time();
    let runs = log.runs_between(TimeRange { from: time, to: time }, &Kind::ALL).unwrap();
    assert_eq!(runs, [(Position(4_097), Position(EVENTS))], "the index tells where the time lies");
    let next = log.ends().next;
    assert_eq!(log.append(vec![event_at(next)]).unwrap().first, Position(EVENTS + 1));
    let told = Event::Gap(Gap { events: 3, ..gap() });
    log.append(vec![told.clone()]).unwrap();
    assert_eq!(log.stat().unwrap().lost_events, LOST_EVENTS + 3);
    log.close().unwrap();
    drop(log);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.ends().next, Position(EVENTS + 3));
    assert_eq!(log.stat().unwrap().lost_events, LOST_EVENTS + 3);
}

fn gap() -> Gap {
    let time = Time::from_micros(1_767_323_045_678_901);
    Gap { time, from: time, to: time, what: "host".into(), ..Gap::default() }
}

#[test]
fn a_log_of_layout_1_that_is_trimmed_opens_again() {
    let dir = memory_dir();
    layout_1(dir.path(), 1);
    let log = open(dir.path()).unwrap();
    let head = log.ends().next;
    assert_eq!(log.trim(TrimTo::Before { position: head, dry_run: false }).unwrap().events, EVENTS);
    log.close().unwrap();
    drop(log);
    let log = open(dir.path()).unwrap();
    assert_eq!((log.ends().first, log.ends().next), (head, head));
    assert_eq!(log.append(vec![event_at(head)]).unwrap().first, head);
}

#[test]
fn a_kill_while_it_becomes_layout_2_is_made_good() {
    let (before, after) = (memory_dir(), memory_dir());
    layout_1(before.path(), 1);
    copy_tree(before.path(), after.path());
    let log = open(after.path()).unwrap();
    log.close().unwrap();
    drop(log);
    // The number of the layout is written last: with the old one everything else may be there already.
    let database = Database::builder(after.path().join("log")).open().unwrap();
    let meta = database.keyspace("meta", KeyspaceCreateOptions::default).unwrap();
    meta.insert("layout", [1]).unwrap();
    drop((meta, database));
    check_whole(&open(after.path()).unwrap());
}

#[test]
fn a_damaged_log_of_layout_1_is_repaired() {
    let dir = memory_dir();
    layout_1(dir.path(), 1);
    fs::remove_dir_all(dir.path().join("log/keyspaces/0")).unwrap();
    let error = open(dir.path()).err().expect("it is damaged");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let outcome = EventLog::repair(dir.path(), RepairWhen::Always, |_, _| true).unwrap();
    assert_eq!((outcome.events, outcome.holes), (EVENTS, vec![]));
    let log = open(dir.path()).unwrap();
    check_whole(&log);
    assert_eq!(log.stat().unwrap().lost_events, LOST_EVENTS);
}

#[test]
fn a_newer_layout_is_refused_and_stays_as_it_is() {
    let dir = memory_dir();
    layout_1(dir.path(), 3);
    for _ in 0..2 {
        let error = open(dir.path()).err().expect("it is newer");
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&*dir.path().to_string_lossy()) && !text.contains('\n'), "{text}");
        assert!(text.contains("its layout is 3, this version knows 2 and older ones"), "{text}");
    }
    let error = EventLog::repair(dir.path(), RepairWhen::Always, |_, _| true).unwrap_err();
    assert!(error.to_string().contains("its layout is 3"), "a repair would make it an older one: {error}");
}
