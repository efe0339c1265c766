//! What a kill in the middle of a trim leaves: the hole is there, and what it tells of is there as well, in whole
//! or in part. The next opening ends it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use event::{Hole, HoleCause, Position};
use eventlog::EventLog;
use tempfile::TempDir;

use crate::support::{ALL, copy_as_killed, copy_tree, entries, events, names};
use crate::{SMALL, all_durable, before, checksum, fill, open, trim, verify};

/// A log of five segments that nobody holds, and the first position of the third.
fn filled() -> (TempDir, Position, Hole) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SMALL);
    let [_, first, ..] = fill(&log, 4)[..] else { panic!("four") };
    all_durable(&log);
    let checksum = Some(checksum(&log, first.before()));
    let hole = Hole { lo: Position(1), hi: first.before(), cause: HoleCause::Trimmed, checksum };
    log.close().unwrap();
    (dir, first, hole)
}

fn keyspaces(dir: &Path) -> BTreeSet<String> {
    let dirs = fs::read_dir(dir.join("log/keyspaces")).unwrap();
    dirs.map(|dir| dir.unwrap().file_name().into_string().unwrap()).collect()
}

fn check_ended(log: &EventLog, first: Position, hole: Hole) {
    assert_eq!(*log.recovery(), eventlog::Recovery::default());
    assert_eq!((log.ends().first, log.holes().unwrap()), (first, vec![hole]));
    assert_eq!(log.stat().unwrap().segments, 3);
    let found = verify(log);
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(entries(log, first, ALL).len() as u64, log.ends().next.since(first));
    let next = log.ends().next;
    assert_eq!(log.append(events(["on"])).unwrap().first, next);
}

/// The hole as `src/holes.rs` writes it.
fn write_hole(dir: &Path, hole: Hole) {
    let database = fjall::Database::builder(dir.join("log")).open().unwrap();
    let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
    let key = [b"hole/".as_slice(), &hole.lo.0.to_be_bytes()].concat();
    let checksum = hole.checksum.unwrap().to_be_bytes();
    let value = [hole.hi.0.to_be_bytes().as_slice(), &[1, 1], &checksum].concat();
    meta.insert(key, value).unwrap();
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

#[test]
fn segments_that_a_hole_tells_of_go_when_the_log_is_opened() {
    let (dir, first, hole) = filled();
    write_hole(dir.path(), hole);
    let before = keyspaces(dir.path());
    let log = open(dir.path(), SMALL);
    check_ended(&log, first, hole);
    assert_eq!(keyspaces(dir.path()).len() + 2, before.len(), "two segments gave their disk back");
}

/// The files of a dropped keyspace go one by one.
#[test]
fn what_a_kill_leaves_of_a_dropped_segment_is_no_damage() {
    let (dir, first, hole) = filled();
    let whole = copy_as_killed(dir.path());
    let log = open(dir.path(), SMALL);
    assert_eq!(trim(&log, before(first)).first, first);
    let gone: Vec<String> = keyspaces(whole.path()).difference(&keyspaces(dir.path())).cloned().collect();
    assert_eq!(gone.len(), 2);
    let leave = |what: &str, keep: fn(&str) -> bool| {
        let killed = copy_as_killed(dir.path());
        for id in &gone {
            let (from, to) =
                (Path::new("log/keyspaces").join(id), killed.path().join("log/keyspaces").join(id));
            copy_part(&whole.path().join(from), &to, keep);
        }
        let log = open(killed.path(), SMALL);
        check_ended(&log, first, hole);
        assert!(keyspaces(killed.path()).is_disjoint(&gone.iter().cloned().collect()), "{what}");
        drop(log);
        check_open_again(killed.path(), first);
    };
    leave("all files", |_| true);
    leave("all but the manifest's name", |name| name != "current");
    leave("the tables", |name| name == "tables");
    leave("a folder", |_| false);
}

/// A power cut can leave the keyspace of a segment and none of the events before it that were not synced yet: it
/// would hide the events that come to its positions now.
#[test]
fn a_segment_that_was_begun_behind_lost_events_goes() {
    let (dir, ..) = filled();
    let before = keyspaces(dir.path());
    let log = open(dir.path(), SMALL);
    let next = log.ends().next;
    log.close().unwrap();
    drop(log);
    let database = fjall::Database::builder(dir.path().join("log")).open().unwrap();
    let name = format!("events-{:020}", next.plus(3).0);
    drop(database.keyspace(&name, fjall::KeyspaceCreateOptions::default).unwrap());
    drop(database);
    assert_eq!(keyspaces(dir.path()).len(), before.len() + 1);
    let log = open(dir.path(), SMALL);
    assert_eq!((log.ends().next, log.recovery().notes.len()), (next, 0));
    assert_eq!(keyspaces(dir.path()).len(), before.len());
    log.append(events(["a", "b", "c", "d", "e", "f"])).unwrap();
    all_durable(&log);
    assert_eq!(names(&entries(&log, next, ALL)), ["a", "b", "c", "d", "e", "f"]);
}

fn copy_part(from: &Path, to: &Path, keep: fn(&str) -> bool) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if !keep(entry.file_name().to_str().unwrap()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn check_open_again(dir: &Path, first: Position) {
    let log = open(dir, SMALL);
    assert_eq!((log.ends().first, log.recovery().notes.len()), (first, 0));
    assert!(verify(&log).is_clean());
}
