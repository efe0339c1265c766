//! Trimming, scenario by scenario: what goes, what is told of it, and what holds it back.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod bounds;
mod interrupted;
#[path = "../support/mod.rs"]
mod support;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use event::{Found, Hole, HoleCause, Kind, Position, Stretch};
use eventlog::{
    AppendError, EventLog, Floor, Settings, TimeRange, TrimError, TrimOutcome, TrimTo, Verification,
};
use support::{ALL, copy_as_killed, entries, events, host, names};

/// Segments of some ten events.
const SMALL: Settings = Settings { segment_bytes_max: Some(512), ..defaults() };

/// `Settings::default` is not const.
const fn defaults() -> Settings {
    use eventlog::{Backpressure, Bounds, Sync, Trims, WhenFull};
    use std::time::Duration;
    Settings {
        sync: Sync::Interval(Duration::from_millis(200)),
        queue_appends_max: 1_024,
        backpressure: Backpressure::Wait(Duration::from_secs(10)),
        bounds: Bounds {
            keep: None,
            max_bytes: 8 * 1024 * 1024 * 1024,
            when_full: WhenFull::Refuse,
            trims: Trims::WhenAsked,
        },
        segment_bytes_max: None,
    }
}

fn open(dir: &Path, settings: Settings) -> EventLog {
    EventLog::open(dir, &host(), settings).unwrap()
}

fn reopen(log: EventLog, dir: &Path, settings: Settings) -> EventLog {
    log.close().unwrap();
    drop(log);
    open(dir, settings)
}

/// Appends until there are so many segments more; the first position of each segment that was begun.
fn fill(log: &EventLog, segments: usize) -> Vec<Position> {
    let mut firsts = Vec::new();
    let mut before = log.stat().unwrap().segments;
    while firsts.len() < segments {
        let next = log.ends().next;
        let first = log.append(events((0..4).map(|index| format!("{next}/{index}")))).unwrap().first;
        let now = log.stat().unwrap().segments;
        firsts.extend((now > before).then_some(first));
        before = now;
    }
    firsts
}

fn before(position: Position) -> TrimTo {
    TrimTo::Before { position, dry_run: false }
}

fn would(to: TrimTo) -> TrimTo {
    match to {
        TrimTo::Before { position, .. } => TrimTo::Before { position, dry_run: true },
        TrimTo::Bounds { .. } => TrimTo::Bounds { dry_run: true },
    }
}

/// Trims, after a dry run that says the same and does nothing.
fn trim(log: &EventLog, to: TrimTo) -> TrimOutcome {
    let (stat, holes) = (log.stat().unwrap(), log.holes().unwrap());
    let told = log.trim(would(to)).unwrap();
    assert_eq!(log.holes().unwrap(), holes, "a dry run");
    assert_eq!(log.stat().unwrap().segments, stat.segments, "a dry run");
    let done = log.trim(to).unwrap();
    assert_eq!(TrimOutcome { first: done.first, ..told }, done, "the dry run said {told:?}");
    done
}

fn verify(log: &EventLog) -> Verification {
    log.verify(|_, _| ControlFlow::Continue(())).unwrap()
}

fn checksum(log: &EventLog, position: Position) -> u32 {
    match log.find(position).unwrap() {
        Found::Record(checksum) => checksum,
        other => panic!("{position} is {other:?}"),
    }
}

/// Waits for what another thread does; a hang is a failure of its own.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

fn all_durable(log: &EventLog) {
    log.request_sync();
    until(|| log.ends().durable.next() == log.ends().next);
}

#[test]
fn a_leading_hole_shows_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), SMALL);
    let firsts = fill(&log, 4);
    all_durable(&log);
    let (first, next) = (firsts[1], log.ends().next);
    let kept = names(&entries(&log, first, ALL));
    let hole = Hole {
        lo: Position(1),
        hi: first.before(),
        cause: HoleCause::Trimmed,
        checksum: Some(checksum(&log, first.before())),
    };
    let done = trim(&log, before(first.plus(2)));
    let expected = TrimOutcome { events: hole.positions(), segments: 2, first, ..TrimOutcome::default() };
    assert_eq!(done, expected, "whole segments before the position");
    for turn in ["now", "after an orderly end", "after another"] {
        assert_eq!(log.ends().first, first, "{turn}");
        assert_eq!(log.holes().unwrap(), [hole], "{turn}");
        for position in [0, 1, 2, hole.hi.0] {
            assert_eq!(log.read(Position(position), ALL).unwrap(), Stretch::Hole(hole), "{turn}");
        }
        assert_eq!(log.find(hole.hi).unwrap(), Found::Hole(hole), "{turn}");
        assert_eq!(names(&entries(&log, first, ALL)), kept, "{turn}");
        assert_eq!(log.runs_between(TimeRange::ALL, &Kind::ALL).unwrap(), [(first, next.before())]);
        let stat = log.stat().unwrap();
        assert_eq!((stat.events, stat.segments, stat.holes), (next.since(first), 3, vec![hole]), "{turn}");
        let found = verify(&log);
        assert!(found.is_clean(), "{turn}: {found:?}");
        assert_eq!((found.events, found.holes), (next.since(first), vec![hole]), "{turn}");
        log = reopen(log, dir.path(), SMALL);
        assert!(log.recovery().notes.is_empty(), "{:?}", log.recovery());
    }
    assert_eq!(log.append(events(["on"])).unwrap().first, next, "writing goes on");
}

#[test]
fn a_later_trim_makes_the_hole_longer() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    let firsts = fill(&log, 4);
    let hi = firsts[2].before();
    all_durable(&log);
    let checksum = Some(checksum(&log, hi));
    assert_eq!(trim(&log, before(firsts[0])).segments, 1);
    assert_eq!(trim(&log, before(firsts[2])).segments, 2);
    let hole = Hole { lo: Position(1), hi, cause: HoleCause::Trimmed, checksum };
    assert_eq!(log.holes().unwrap(), [hole]);
    let killed = copy_as_killed(dir.path());
    assert_eq!(open(killed.path(), SMALL).holes().unwrap(), [hole]);
}

#[test]
fn a_trim_to_the_head_leaves_a_log_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    fill(&log, 2);
    let next = log.ends().next;
    let done = trim(&log, before(next.plus(100)));
    assert_eq!((done.events, done.segments, done.first), (next.before().0, 3, next));
    let ends = log.ends();
    assert_eq!((ends.first, ends.next, ends.durable), (next, next, next.before()));
    assert_eq!(log.read(next, ALL).unwrap(), Stretch::NOTHING);
    assert_eq!(log.find(next).unwrap(), Found::Nothing);
    assert_eq!(trim(&log, before(next)), TrimOutcome { first: next, ..TrimOutcome::default() });
    let log = reopen(log, dir.path(), SMALL);
    assert_eq!((log.ends(), log.stat().unwrap().events), (ends, 0));
    assert!(verify(&log).is_clean());
    assert_eq!(log.append(events(["on"])).unwrap().first, next);
    all_durable(&log);
    assert_eq!(names(&entries(&log, next, ALL)), ["on"]);
}

#[test]
fn a_trim_with_nothing_to_do_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    let nothing = TrimOutcome { first: Position(1), ..TrimOutcome::default() };
    assert_eq!(trim(&log, before(Position(9))), nothing, "an empty log");
    let firsts = fill(&log, 1);
    for position in [Position(0), Position(1), firsts[0].before()] {
        assert_eq!(trim(&log, before(position)), nothing, "{position}");
    }
    assert_eq!(trim(&log, TrimTo::Bounds { dry_run: false }), nothing);
    assert_eq!((log.holes().unwrap(), log.stat().unwrap().segments), (vec![], 2));
}

#[test]
fn a_database_holds_back_what_it_does_not_have() {
    let (a, b) = ([1; 32], [2; 32]);
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), SMALL);
    let firsts = fill(&log, 4);
    assert_eq!(log.floor(), Floor::None, "no database was ever named");
    assert_eq!(log.hold_back(Some(a)).unwrap(), Floor::Unprojected(Position(1)));
    let held = |at: Position, first| TrimOutcome { first, held_back_at: Some(at), ..TrimOutcome::default() };
    assert_eq!(trim(&log, before(log.ends().next)), held(Position(1), Position(1)), "it has nothing yet");
    log.projected(a, firsts[1].plus(1));
    let done = trim(&log, before(log.ends().next));
    assert_eq!((done.first, done.segments), (firsts[1], 2), "as far as it goes");
    assert_eq!(done.held_back_at, Some(firsts[1].plus(1)));
    assert_eq!(trim(&log, before(firsts[1])).held_back_at, None, "no more was asked for");
    log = reopen(log, dir.path(), SMALL);
    let floor = Floor::Unprojected(firsts[1].plus(1));
    assert_eq!(log.floor(), floor, "while the database is away the kept value holds");
    assert_eq!(open(copy_as_killed(dir.path()).path(), SMALL).floor(), floor, "after a kill as well");
    assert_eq!(log.hold_back(Some(a)).unwrap(), floor);
    log.projected(a, firsts[0]);
    assert_eq!(log.floor(), Floor::Unprojected(firsts[0]), "it came back with less");
    assert_eq!(log.hold_back(Some(b)).unwrap(), Floor::Unprojected(Position(1)), "another one has nothing");
    log = reopen(log, dir.path(), SMALL);
    assert_eq!(log.floor(), Floor::Unprojected(Position(1)));
    assert_eq!(log.hold_back(Some(a)).unwrap(), Floor::Unprojected(Position(1)), "nor has the first, now");
    assert_eq!(log.hold_back(None).unwrap(), Floor::None);
    log = reopen(log, dir.path(), SMALL);
    assert_eq!(log.floor(), Floor::None);
    let next = log.ends().next;
    let done = trim(&log, before(next));
    assert_eq!((done.first, done.held_back_at, done.dropped), (next, None, 0), "nothing is held back");
}

#[test]
fn a_closed_log_is_not_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    log.close().unwrap();
    let refused = log.trim(TrimTo::Bounds { dry_run: false });
    assert!(matches!(refused, Err(TrimError::Log(AppendError::Closed))), "{refused:?}");
}

/// IMPORTANT: each of them asks for places that a trim is taking away at that moment.
#[test]
fn readers_get_events_or_the_hole_while_a_trim_happens() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let turns = |read: fn(&EventLog)| {
            let (log, is_over) = (&log, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    read(log);
                }
            });
        };
        turns(read_all);
        turns(find_all);
        turns(|log| {
            let found = verify(log);
            assert!(found.is_clean(), "{found:?}");
        });
        turns(|log| {
            let runs = log.runs_between(TimeRange::ALL, &Kind::ALL).unwrap();
            assert!(runs.is_sorted_by(|left, right| left.1.next() < right.0), "{runs:?}");
        });
        for _ in 0..8 {
            let firsts = fill(&log, 4);
            all_durable(&log);
            assert!(log.trim(before(firsts[2])).unwrap().segments > 0);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let hole = log.holes().unwrap();
    assert_eq!((hole.len(), hole[0].hi.next()), (1, log.ends().first));
}

/// From the beginning to the end, with what holes there are.
fn read_all(log: &EventLog) {
    let mut from = Position::FIRST;
    loop {
        match log.read(from, ALL).unwrap() {
            Stretch::Hole(hole) => from = hole.hi.next(),
            Stretch::Events(entries) => match entries.last() {
                Some(last) => from = last.position.next(),
                None => return,
            },
        }
    }
}

fn find_all(log: &EventLog) {
    let durable = log.ends().durable;
    for position in (1..=durable.0).map(Position) {
        assert_ne!(log.find(position).unwrap(), Found::Nothing, "{position} of {durable}");
    }
}
