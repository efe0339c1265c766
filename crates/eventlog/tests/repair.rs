//! Repair, scenario by scenario: what of a log can go, and what is left of it then.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic as tests do")]

mod support;

use std::fs::{self, OpenOptions};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event::{HoleCause, Position, Stretch};
use eventlog::{AppendError, EventLog, ReadError, RepairError, RepairOutcome, RepairWhen, Sync};
use support::judge::{Found, Judge, chain};
use support::real_log::{self, BATCH_EVENTS, RealLog, copy_tree, filled, memory_dir, sizes};
use support::{ALL, events, host};

/// So many events of ours are in one block of a table at the most.
const BLOCK_EVENTS_MAX: usize = 90;

/// Damages a log, which then does not open, and repairs it.
fn refused_then_repaired(real: &RealLog, harm: impl FnOnce(&Path), says: &str) -> (RepairOutcome, Found) {
    let copy = real.copy();
    harm(copy.path());
    let judge = Judge::new(real, copy.path());
    let text = judge.open().map(|found| found.notes).unwrap_err();
    assert!(text.contains(says), "{text}");
    judge.repair()
}

/// The keyspaces of segments, and their only tables, in order.
fn tables_of_segments(real: &RealLog) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| {
        let text = path.to_string_lossy();
        let id = text.strip_prefix("log/keyspaces/").and_then(|rest| rest.split_once("/tables/"));
        id.is_some_and(|(id, _)| id.parse::<u64>().unwrap() > 3)
    };
    let tables: Vec<PathBuf> = real.files().into_iter().filter(is_segment).collect();
    assert!(tables.len() >= 3, "{tables:?}");
    tables
}

/// All positions that the log had when it was made, what was trimmed aside.
fn all(real: &RealLog) -> Vec<Position> {
    (real.trimmed.next().0..=real.durable.0).map(Position).collect()
}

fn is_run(positions: &[Position]) -> bool {
    positions.windows(2).all(|pair| pair[0].next() == pair[1])
}

#[test]
fn a_table_that_is_missing_is_a_hole_of_its_positions() {
    let real = RealLog::closed();
    for table in tables_of_segments(&real) {
        let harm = |dir: &Path| fs::remove_file(dir.join(&table)).unwrap();
        let (outcome, found) = refused_then_repaired(&real, harm, "lists a table that is missing");
        assert!(!found.lost.is_empty() && is_run(&found.lost), "{:?}", found.lost);
        let holes: Vec<_> = outcome.holes.iter().map(|hole| (hole.lo, hole.hi, hole.cause)).collect();
        assert_eq!(holes, [(found.lost[0], *found.lost.last().unwrap(), HoleCause::Damaged)]);
        assert_eq!(outcome.events + found.lost.len() as u64, all(&real).len() as u64);
        assert_eq!(found.lost_events, lost_to_gaps(&real, &found.lost));
    }
}

/// What the gaps tell as lost when these positions are told by one more.
fn lost_to_gaps(real: &RealLog, lost: &[Position]) -> u64 {
    real.lost_events + lost.len() as u64
}

#[test]
fn a_page_of_zeros_in_a_table_costs_a_block() {
    let real = RealLog::closed();
    for table in tables_of_segments(&real) {
        let copy = real.copy();
        let path = copy.path().join(&table);
        let middle = fs::metadata(&path).unwrap().len() / 2 / 4096 * 4096;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 4096], middle).unwrap();
        let judge = Judge::new(&real, copy.path());
        // NOTE: in the last segment the end of the log may be in that block, and then the log does not open.
        if let Ok(found) = judge.open() {
            assert!(!found.unreadable.is_empty() && found.lost.is_empty(), "{found:?}");
        }
        let (outcome, found) = judge.repair();
        assert!(
            (1..=BLOCK_EVENTS_MAX).contains(&found.lost.len()) && is_run(&found.lost),
            "{:?}",
            found.lost
        );
        assert!(outcome.damaged_bytes >= 4096 && outcome.damaged_bytes < 80 * 1024, "{outcome:?}");
    }
}

#[test]
fn of_a_journal_with_a_damaged_batch_the_good_ones_behind_it_stay() {
    let real = RealLog::closed();
    let journal = real.dir.path().join("log/1.jnl");
    let bytes = fs::read(&journal).unwrap();
    // The first batch of events begins with one whose agent is named.
    let first = (0..bytes.len()).find(|at| bytes[*at..].starts_with(b"agent ")).unwrap();
    let harm = |dir: &Path| {
        let file = OpenOptions::new().write(true).open(dir.join("log/1.jnl")).unwrap();
        file.write_all_at(b"AGENT", first as u64).unwrap();
    };
    let (outcome, found) = refused_then_repaired(&real, harm, "events stand behind it");
    assert_eq!(found.lost.len() as u64, BATCH_EVENTS);
    assert!(is_run(&found.lost), "{:?}", found.lost);
    assert_eq!(outcome.holes.len(), 1);
    assert_eq!(found.meta.as_deref(), real.meta.get(&b"offset"[..]).map(Vec::as_slice));
}

#[test]
fn without_its_journal_a_log_has_its_tables_and_a_hole_up_to_the_mark() {
    let real = RealLog::closed();
    let harm = |dir: &Path| fs::remove_file(dir.join("log/1.jnl")).unwrap();
    let (outcome, found) = refused_then_repaired(&real, harm, "has no journal");
    assert!(is_run(&found.lost) && found.lost.last() == Some(&real.durable), "{:?}", found.lost);
    assert!(outcome.events > 400, "{outcome:?}");
    assert!(outcome.holes[0].checksum.is_some(), "of the record that the mark names");
}

#[test]
fn without_its_older_journal_a_log_lacks_what_only_that_had() {
    let real = RealLog::with_two_journals();
    let copy = real.copy();
    fs::remove_file(copy.path().join("log/0.jnl")).unwrap();
    let judge = Judge::new(&real, copy.path());
    if let Ok(found) = judge.open() {
        assert!(!found.unreadable.is_empty(), "what only that journal had is told: {found:?}");
    }
    let (_, found) = judge.repair();
    assert!(!found.lost.is_empty() && !found.lost.contains(&real.durable), "{:?}", found.lost);
}

#[test]
fn an_older_journal_that_is_damaged_costs_a_batch() {
    let real = RealLog::with_two_journals();
    let bytes = fs::read(real.dir.path().join("log/0.jnl")).unwrap();
    let last = b"agent ".len() + (0..40_000_000).rfind(|at| bytes[*at..].starts_with(b"agent ")).unwrap();
    for (at, most) in [(1_000, 0), (last, usize::try_from(BATCH_EVENTS).unwrap()), (filled(&bytes) - 9, 0)] {
        let harm = |dir: &Path| {
            let file = OpenOptions::new().write(true).open(dir.join("log/0.jnl")).unwrap();
            file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        };
        let (_, found) = refused_then_repaired(&real, harm, "0.jnl is broken at byte");
        assert!(found.lost.len() <= most, "{at}: {:?}", found.lost);
    }
}

#[test]
fn a_keyspace_without_its_current_loses_nothing() {
    let real = RealLog::closed();
    for entry in fs::read_dir(real.dir.path().join("log/keyspaces")).unwrap() {
        let current = Path::new("log/keyspaces").join(entry.unwrap().file_name()).join("current");
        let harm = |dir: &Path| fs::remove_file(dir.join(&current)).unwrap();
        let (outcome, found) = refused_then_repaired(&real, harm, "current is missing");
        assert_eq!((outcome.holes, found.lost), (vec![], vec![]), "{}", current.display());
    }
}

#[test]
fn without_the_names_of_its_keyspaces_a_log_loses_nothing() {
    let real = RealLog::closed();
    let harm = |dir: &Path| fs::remove_dir_all(dir.join("log/keyspaces/0")).unwrap();
    let (outcome, found) = refused_then_repaired(&real, harm, "its keyspace 0 is missing");
    assert_eq!((outcome.holes, found.lost), (vec![], vec![]));
}

#[test]
fn a_keyspace_that_is_gone_is_told() {
    let real = RealLog::closed();
    for (id, name) in [(1, "1"), (2, "2"), (3, "\"blocks\"")] {
        let harm = |dir: &Path| fs::remove_dir_all(dir.join(format!("log/keyspaces/{id}"))).unwrap();
        let (_, found) = refused_then_repaired(&real, harm, &format!("its keyspace {name} is missing"));
        assert_eq!(found.lost, [], "no event was in {id}");
    }
    for table in tables_of_segments(&real) {
        let copy = real.copy();
        fs::remove_dir_all(copy.path().join(table.ancestors().nth(2).unwrap())).unwrap();
        let judge = Judge::new(&real, copy.path());
        if let Ok(found) = judge.open() {
            assert!(!found.unreadable.is_empty() || !found.lost.is_empty(), "{found:?}");
        }
        let (_, found) = judge.repair();
        assert!(is_run(&found.lost) && !found.lost.is_empty(), "{:?}", found.lost);
    }
}

#[test]
fn of_a_log_without_keyspaces_the_journal_is_saved() {
    let real = RealLog::closed();
    let harm = |dir: &Path| fs::remove_dir_all(dir.join("log/keyspaces")).unwrap();
    let (outcome, found) = refused_then_repaired(&real, harm, "log/keyspaces: No such file");
    assert!(outcome.events >= 100, "{outcome:?}");
    assert_eq!(outcome.events + found.lost.len() as u64, all(&real).len() as u64);
    assert_eq!(found.meta.as_deref(), real.meta.get(&b"offset"[..]).map(Vec::as_slice));
}

#[test]
fn a_log_that_nothing_names_stays_as_it_was() {
    let real = RealLog::closed();
    let copy = real.copy();
    fs::remove_file(copy.path().join("mark")).unwrap();
    fs::remove_dir_all(copy.path().join("log/keyspaces/1")).unwrap();
    let before = sizes(copy.path());
    let error = EventLog::repair(copy.path(), RepairWhen::Always, |_, _| true).unwrap_err();
    assert!(matches!(error, RepairError::Nameless { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("put `mark` back") && !text.contains('\n'), "{text}");
    let mut after = sizes(copy.path());
    after.insert(PathBuf::from("lock"), before[Path::new("lock")]);
    assert_eq!(after, before);
    fs::copy(real.dir.path().join("mark"), copy.path().join("mark")).unwrap();
    let (_, found) = Judge::new(&real, copy.path()).repair();
    assert_eq!(found.lost, []);
}

#[test]
fn a_healthy_log_is_the_same_after_a_repair_and_after_another() {
    let real = RealLog::closed();
    let copy = real.copy();
    let judge = Judge::new(&real, copy.path());
    let (first, found) = judge.repair();
    assert_eq!((first.holes, first.damaged_bytes), (vec![], 0));
    assert_eq!(first.events, all(&real).len() as u64);
    assert_eq!((found.lost, found.lost_events), (vec![], real.lost_events));
    assert_eq!(found.meta.as_deref(), real.meta.get(&b"offset"[..]).map(Vec::as_slice));
    let (second, found) = judge.repair();
    assert_ne!(second.old, first.old, "each has its own place for the old files");
    assert_eq!((second.events, second.holes), (first.events + 1, vec![]));
    assert_eq!(found.lost, []);
}

#[test]
fn a_log_that_is_not_damaged_needs_no_repair() {
    let real = RealLog::closed();
    let copy = real.copy();
    let outcome = EventLog::repair(copy.path(), RepairWhen::Damaged, |_, _| true).unwrap();
    assert_eq!((outcome.old, outcome.holes, outcome.events), (None, vec![], all(&real).len() as u64));
    let log = EventLog::open(copy.path(), &host(), real_log::settings()).unwrap();
    assert_eq!(log.repair_open(RepairWhen::Damaged, |_, _| true).unwrap().old, None);
    assert_eq!(log.failure().map(|failure| failure.to_string()), None, "it took events all the time");
}

#[test]
fn a_repair_that_is_broken_off_changes_nothing() {
    let real = RealLog::closed();
    let copy = real.copy();
    let before = sizes(&copy.path().join("log"));
    let error = EventLog::repair(copy.path(), RepairWhen::Always, |_, _| false).unwrap_err();
    assert!(matches!(error, RepairError::Stopped), "{error}");
    assert_eq!(sizes(&copy.path().join("log")), before);
    let judge = Judge::new(&real, copy.path());
    assert_eq!(judge.open().unwrap().lost, [], "what it has left does not matter to an opening");
    assert_eq!(judge.repair().1.lost, [], "nor to another repair");
    assert!(!copy.path().join("log.repaired").exists());
}

#[test]
fn a_kill_between_the_two_renames_is_made_good() {
    let real = RealLog::closed();
    let whole = real.copy();
    let lost = tables_of_segments(&real).remove(0);
    fs::remove_file(whole.path().join(lost)).unwrap();
    let (outcome, repaired) = Judge::new(&real, whole.path()).repair();
    let old = outcome.old.unwrap();
    let killed = |dir: &Path| {
        copy_tree(whole.path(), dir);
        fs::rename(dir.join("log"), dir.join("log.repaired")).unwrap();
        fs::write(dir.join("log.repaired/complete"), "").unwrap();
        // NOTE: the mark is written after the renames.
        fs::copy(real.dir.path().join("mark"), dir.join("mark")).unwrap();
    };
    let dir = memory_dir();
    killed(dir.path());
    let found = Judge::new(&real, dir.path()).open().unwrap();
    assert_eq!((&found.lost, &found.notes), (&repaired.lost, &vec![]));
    assert!(dir.path().join(old.file_name().unwrap()).is_dir());
    assert!(!dir.path().join("log.repaired").exists() && !dir.path().join("log/complete").exists());
    let dir = memory_dir();
    killed(dir.path());
    assert_eq!(EventLog::repair(dir.path(), RepairWhen::Always, |_, _| true).unwrap().holes, []);
    assert_eq!(Judge::new(&real, dir.path()).open().unwrap().lost, repaired.lost);
}

#[test]
fn an_open_log_is_repaired_under_its_appenders_and_readers() {
    let dir = memory_dir();
    let log = support::open_with(dir.path(), Sync::Interval(Duration::from_millis(2)));
    let (acknowledged, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let (is_over, read_failed) = (AtomicBool::new(false), AtomicU64::new(0));
    let append = |thread: usize| {
        let mut kept = Vec::new();
        for turn in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("{thread}/{turn}");
            match log.append(events([&name])) {
                Ok(outcome) => {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    kept.push((outcome.first, name));
                }
                Err(AppendError::Failed(_)) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                }
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        kept
    };
    let read = || {
        let mut next = Position::FIRST;
        while !is_over.load(Ordering::Relaxed) {
            match log.read(next, ALL) {
                Ok(Stretch::Events(entries)) => next = next.plus(entries.len() as u64),
                Ok(Stretch::Hole(hole)) => panic!("{hole:?}"),
                Err(ReadError::Failed) => _ = read_failed.fetch_add(1, Ordering::Relaxed),
                Err(error) => panic!("{}", chain(&error)),
            }
            std::thread::yield_now();
        }
    };
    let more = |count: u64| {
        let enough = acknowledged.load(Ordering::Relaxed) + count;
        real_log::wait_until(|| acknowledged.load(Ordering::Relaxed) >= enough);
    };
    let kept: Vec<(Position, String)> = std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..3).map(|thread| scope.spawn(move || append(thread))).collect();
        let reader = scope.spawn(read);
        for _ in 0..3 {
            more(100);
            let outcome = log.repair_open(RepairWhen::Always, |_, _| true).unwrap();
            assert_eq!(outcome.holes, []);
        }
        more(100);
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        appenders.into_iter().flat_map(|appender| appender.join().unwrap()).collect()
    });
    assert!(failed.load(Ordering::Relaxed) > 0, "they are told, and go on");
    assert!(read_failed.load(Ordering::Relaxed) > 0, "so are readers");
    let verification = log.verify(|_, _| ControlFlow::Continue(())).unwrap();
    assert!(verification.is_clean(), "{verification:?}");
    log.close().unwrap();
    drop(log);
    let log = support::open(dir.path());
    let names = support::names(&support::entries(&log, Position::FIRST, ALL));
    for (position, name) in kept {
        assert_eq!(names[usize::try_from(position.before().0).unwrap()], name, "at {position}");
    }
}

#[test]
fn a_repair_does_not_begin_while_a_reader_has_the_files() {
    let dir = memory_dir();
    let log = support::open_with(dir.path(), Sync::Always);
    log.append(events(["a", "b"])).unwrap();
    let mut answer = None;
    log.verify(|_, _| {
        // NOTE: a verification holds the files to its end.
        answer = Some(log.repair_open(RepairWhen::Always, |_, _| true));
        ControlFlow::Continue(())
    })
    .unwrap();
    let error = answer.unwrap().unwrap_err();
    assert!(matches!(error, RepairError::Busy), "{error}");
    real_log::wait_until(|| log.append(events(["c"])).is_ok());
    assert_eq!(log.repair_open(RepairWhen::Always, |_, _| true).unwrap().events, 3);
    log.close().unwrap();
    assert!(EventLog::open(dir.path(), &host(), real_log::settings()).is_err(), "this one holds it");
}
