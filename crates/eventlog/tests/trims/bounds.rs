//! Bounds: by age and by size, with a database that is behind and without one.
//!
//! NOTE: the bounds are far below what a person may set, and fjall's journals count: what is written here once is
//! on the disk twice, in the journal and in tables, and only the tables can go. So a test writes less than its
//! bound, and more than half of it.

use std::time::Duration;

use event::wire::Decoded;
use event::{AgentSample, Event, HoleCause, Position, Time};
use eventlog::{AppendError, Bounds, EventLog, NoRoom, Settings, Trims, WhenFull};

use crate::support::{ALL, entries, time};
use crate::{SMALL, TrimTo, all_durable, defaults, fill, open, reopen, trim, until, verify};

const MIB: u64 = 1024 * 1024;

/// About a mebibyte of events that do not compress, one second after the other from the log's end on.
fn mebibyte(log: &EventLog) -> Vec<Event> {
    let next = log.ends().next.0;
    (next..next + 86).map(|position| Event::AgentSample(large(position))).collect()
}

fn large(position: u64) -> AgentSample {
    let mut state = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = || -> String {
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + u8::try_from(state >> 58).unwrap())
        };
        (0..4_096).map(letter).collect()
    };
    let (role, tool, runtime) = (text().into(), text().into(), text().into());
    let time = second(position);
    AgentSample { time, agent_name: "a".into(), role, tool, runtime, ..AgentSample::default() }
}

/// The time of the event at a position.
fn second(position: u64) -> Time {
    time().plus_micros(i64::try_from(position).unwrap() * 1_000_000)
}

fn bounds(max_bytes: u64, when_full: WhenFull, trims: Trims) -> Settings {
    let bounds = Bounds { keep: None, max_bytes, when_full, trims };
    Settings { bounds, segment_bytes_max: Some(MIB), ..defaults() }
}

const UNBOUND: Settings = Settings { segment_bytes_max: Some(MIB), ..defaults() };

/// Appends so many mebibytes.
fn append(log: &EventLog, mebibytes: usize) {
    for _ in 0..mebibytes {
        log.append(mebibyte(log)).unwrap();
    }
}

/// Appends until the log refuses.
fn append_until_full(log: &EventLog, bound: u64) {
    for _ in 0..bound / MIB {
        match log.append(mebibyte(log)) {
            Ok(_) => {}
            Err(AppendError::NoRoom(NoRoom { bytes, max_bytes, .. })) => {
                assert!(bytes > max_bytes && max_bytes == bound, "{bytes} of {max_bytes}");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the bound was not kept: {:?}", log.stat());
}

#[test]
fn by_age_the_segments_go_that_were_filled_long_ago() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    fill(&log, 3);
    let aged = |keep| {
        let bounds = Bounds { keep: Some(keep), ..SMALL.bounds };
        Settings { bounds, ..SMALL }
    };
    let log = reopen(log, dir.path(), aged(Duration::from_hours(1)));
    assert_eq!(trim(&log, TrimTo::Bounds { dry_run: false }).events, 0, "all of it is young");
    let log = reopen(log, dir.path(), aged(Duration::from_millis(1)));
    let next = log.ends().next;
    until(|| log.trim(TrimTo::Bounds { dry_run: false }).unwrap().first > Position(1));
    assert!(log.ends().first <= next, "{:?}", log.ends());
    assert!(log.holes().unwrap().iter().all(|hole| hole.cause == HoleCause::Trimmed));
    assert_eq!(log.stat().unwrap().lost_events, 0, "nobody was to have them");
}

#[test]
fn a_log_that_trims_itself_keeps_an_age() {
    let dir = tempfile::tempdir().unwrap();
    let max_bytes = 16 * MIB;
    let mut settings = bounds(max_bytes, WhenFull::Refuse, Trims::Itself);
    settings.bounds.keep = Some(Duration::from_millis(1));
    let log = open(dir.path(), settings);
    append(&log, 6);
    assert!(log.stat().unwrap().bytes < max_bytes, "it is not for want of room");
    assert!(log.ends().first > Position(1), "{:?}", log.ends());
    assert_eq!(log.stat().unwrap().lost_events, 0);
}

/// A power cut can leave the keyspace of a segment that was just begun, and not when that was.
#[test]
fn a_segment_that_has_lost_its_time_does_not_stay_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    let first = fill(&log, 1)[0];
    log.close().unwrap();
    drop(log);
    let database = fjall::Database::builder(dir.path().join("log")).open().unwrap();
    let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
    let key = [b"segment/".as_slice(), &first.0.to_be_bytes()].concat();
    assert!(meta.get(&key).unwrap().is_some());
    meta.remove(key).unwrap();
    drop((meta, database));
    let settings =
        Settings { bounds: Bounds { keep: Some(Duration::from_millis(1)), ..SMALL.bounds }, ..SMALL };
    let log = open(dir.path(), settings);
    fill(&log, 1);
    until(|| log.trim(TrimTo::Bounds { dry_run: false }).unwrap().first > first);
}

#[test]
fn by_size_the_oldest_segments_go_and_the_disk_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), UNBOUND);
    append(&log, 10);
    // NOTE: what was flushed by now is known when the workers are gone.
    let log = reopen(log, dir.path(), bounds(16 * MIB, WhenFull::Refuse, Trims::WhenAsked));
    let before = log.stat().unwrap();
    assert!(before.bytes > 16 * MIB, "{before:?}");
    let done = trim(&log, TrimTo::Bounds { dry_run: false });
    assert!(done.events > 0 && done.dropped == 0, "{done:?}");
    // NOTE: the flush that follows writes a table of the active segment.
    until(|| log.stat().unwrap().bytes <= 17 * MIB);
    let after = log.stat().unwrap();
    assert_eq!((after.events, after.lost_events), (before.events - done.events, 0));
    assert_eq!(after.segments, before.segments - done.segments);
    let freed = before.bytes - 16 * MIB;
    let most = freed / MIB + 2;
    assert!(done.segments as u64 <= most, "{done:?} for {freed} bytes: no more than it must");
}

#[test]
fn a_log_that_trims_itself_keeps_a_size() {
    let dir = tempfile::tempdir().unwrap();
    let bound = 16 * MIB;
    let log = open(dir.path(), bounds(bound, WhenFull::Refuse, Trims::Itself));
    append(&log, 13);
    assert!(log.ends().first > Position(1), "{:?}", log.ends());
    until(|| log.stat().unwrap().bytes <= bound + 4 * MIB);
    assert_eq!((log.stat().unwrap().lost_events, log.stat().unwrap().no_room), (0, None));
}

#[test]
fn a_full_log_refuses_until_the_database_has_caught_up() {
    let (dir, database, bound) = (tempfile::tempdir().unwrap(), [1; 32], 16 * MIB);
    let log = open(dir.path(), bounds(bound, WhenFull::Refuse, Trims::Itself));
    log.hold_back(Some(database)).unwrap();
    append_until_full(&log, bound);
    let room = log.stat().unwrap().no_room.unwrap();
    let error = log.append(mebibyte(&log)).unwrap_err().to_string();
    assert!(error.contains(&room.bytes.to_string()) && error.contains(&bound.to_string()), "{error}");
    let refused = log.offer(mebibyte(&log));
    assert!(matches!(refused, Err(AppendError::NoRoom { .. })), "{refused:?}");
    assert_eq!(log.stat().unwrap().refused_events, 3 * 86, "whoever was told is counted");
    assert_eq!(log.ends().first, Position(1), "nothing was dropped");
    log.append(Vec::new()).unwrap();
    let next = log.ends().next;
    log.projected(database, next);
    until(|| log.stat().unwrap().no_room.is_none());
    assert_eq!(log.append(mebibyte(&log)).unwrap().first, next, "it goes on, and where it was");
    assert!(log.holes().unwrap().iter().all(|hole| hole.cause == HoleCause::Trimmed), "{:?}", log.holes());
    assert!(log.ends().first > Position(1));
    assert!(verify(&log).is_clean());
}

#[test]
fn a_full_log_that_trims_when_asked_goes_on_when_it_was() {
    let (dir, bound) = (tempfile::tempdir().unwrap(), 16 * MIB);
    let log = open(dir.path(), bounds(bound, WhenFull::Refuse, Trims::WhenAsked));
    append_until_full(&log, bound);
    // NOTE: what waits for a worker is no table yet; it may take more than one trim.
    until(|| {
        log.trim(TrimTo::Bounds { dry_run: false }).unwrap();
        log.append(mebibyte(&log)).is_ok()
    });
    assert!(log.ends().first > Position(1));
}

#[test]
fn the_oldest_are_dropped_and_told_when_the_operator_wants_that() {
    let (dir, database, bound) = (tempfile::tempdir().unwrap(), [1; 32], 16 * MIB);
    let log = open(dir.path(), UNBOUND);
    log.hold_back(Some(database)).unwrap();
    append(&log, 10);
    let projected = Position(100);
    log.projected(database, projected);
    let log = reopen(log, dir.path(), bounds(bound, WhenFull::DropOldest, Trims::WhenAsked));
    let next = log.ends().next;
    let done = trim(&log, TrimTo::Bounds { dry_run: false });
    all_durable(&log);
    let [trimmed, dropped] = log.holes().unwrap()[..] else { panic!("{:?}", log.holes()) };
    assert_eq!((trimmed.cause, dropped.cause), (HoleCause::Trimmed, HoleCause::Dropped));
    assert!(trimmed.hi < projected && projected <= dropped.hi, "{trimmed:?} {dropped:?}");
    assert_eq!(done.events, trimmed.positions() + dropped.positions());
    assert_eq!((done.dropped, done.first), (dropped.positions(), dropped.hi.next()));
    let told = entries(&log, next, ALL);
    let [entry] = told.as_slice() else { panic!("{told:?}") };
    let Decoded::Event(Event::Gap(gap)) = &entry.event else { panic!("{entry:?}") };
    assert_eq!((gap.what.as_str(), gap.reason.as_str(), gap.events), ("log", "dropped", dropped.positions()));
    assert_eq!((gap.from, gap.to), (second(dropped.lo.0), second(dropped.hi.0)));
    assert_eq!(log.stat().unwrap().lost_events, gap.events);
    let [note] = &log.take_notes()[..] else { panic!("one drop, one line") };
    assert!(
        note.starts_with(&format!("{} events up to", gap.events)) && note.contains("drop_oldest"),
        "{note}"
    );
    assert!(verify(&log).is_clean());
}

#[test]
fn a_log_that_drops_by_itself_never_refuses_and_counts_what_it_dropped() {
    let (dir, database) = (tempfile::tempdir().unwrap(), [1; 32]);
    let log = open(dir.path(), bounds(16 * MIB, WhenFull::DropOldest, Trims::Itself));
    log.hold_back(Some(database)).unwrap();
    append(&log, 14);
    assert_eq!(log.stat().unwrap().refused_events, 0);
    // NOTE: it may look, and drop, until it is closed.
    let log = reopen(log, dir.path(), UNBOUND);
    let holes = log.holes().unwrap();
    let [dropped] = holes[..] else { panic!("{holes:?}") };
    assert_eq!((dropped.lo, dropped.cause), (Position(1), HoleCause::Dropped));
    assert_eq!(log.stat().unwrap().lost_events, dropped.positions(), "dropped gaps are told again");
}
