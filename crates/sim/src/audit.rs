//! The auditor: what must be so of a database at any time, and what in the end.

use std::collections::BTreeSet;

use event::wire::Decoded;
use event::{Entry, Event, LogId, Position};
use projector::Source;

use crate::database::{Commit, Data, POISON, Range};
use crate::log::MemoryLog;
use crate::replay::ReplayData;
use crate::rows::expected;

/// A run of positions, the last one not in it.
type Run = (Position, Position);

/// Checks that the ranges are in order, that every position in them is passed exactly once, with its event or because
/// that was gone, that the tables hold what was ever applied, and that only what may be refused is.
#[track_caller]
pub fn check(log: &MemoryLog, data: &Data) {
    let identity = log.identity();
    let applied = data.applied.get(&identity.log_id).cloned().unwrap_or_default();
    assert!(applied.last() <= Some(&log.head()), "the database has positions that the log lost");
    let refused = data.quarantine.get(&identity.log_id).cloned().unwrap_or_default();
    let mut entries = log.entries();
    let is_refused = |entry: &Entry| refused.contains(&entry.position);
    for entry in entries.iter().filter(|entry| is_refused(entry)) {
        assert!(is_refusable(&entry.event), "refused for nothing: {entry:?}");
        assert!(applied.contains(&entry.position), "refused, and never sent: {entry:?}");
    }
    entries.retain(|entry| applied.contains(&entry.position) && !is_refused(entry));
    assert_eq!(data.rows, expected(&identity, &entries));
    let ranges = data.ranges_of(identity.log_id);
    check_ranges(&ranges);
    if let Some((lowest, _)) = ranges.first() {
        assert_all_gone(log, Position::FIRST, *lowest);
    }
    let commits = data.passed.get(&identity.log_id).cloned().unwrap_or_default();
    for commit in commits.iter().filter(|commit| commit.is_hole) {
        assert_all_gone(log, commit.from, commit.to);
    }
    assert_eq!(runs_of_commits(commits), runs_of_ranges(&ranges), "the progress is what was committed");
}

/// Checks that a replay has passed every position between its ends exactly once, and has sent all events among them
/// that were wanted and are not gone, and no others.
#[track_caller]
pub fn check_replay(log: &MemoryLog, replay: &ReplayData, is_wanted: impl Fn(Position) -> bool) {
    let (lo, hi) = replay.ends;
    assert_eq!(runs_of_commits(replay.passed.clone()), [(lo, hi)], "passed once, and all of it");
    let wanted = (lo.0..hi.0).map(Position).filter(|position| is_wanted(*position));
    let missing = wanted.clone().find(|it| !replay.sent.contains(it) && !log.is_gone(*it));
    assert_eq!(missing, None, "neither sent nor gone");
    let wanted: BTreeSet<Position> = wanted.collect();
    let strange = replay.sent.iter().find(|position| !wanted.contains(position));
    assert_eq!(strange, None, "sent, and nobody wanted it");
}

/// Checks that ranges leave nothing out, have nothing twice, and that the last one is live.
#[track_caller]
pub fn check_ranges(ranges: &[(Position, Range)]) {
    for ((lo, range), (above, _)) in ranges.iter().zip(ranges.iter().skip(1)) {
        assert_eq!(range.hi, Some(*above), "ranges leave nothing out, and nothing twice: {lo}");
        assert!(*lo <= range.cursor.next && range.cursor.next <= *above, "{lo} is not within itself");
    }
    if let Some((lo, live)) = ranges.last() {
        assert!(live.hi.is_none() && live.cursor.next >= *lo, "the last one is the live one");
    }
}

/// Checks that everything is applied that is not gone, and every range finished.
#[track_caller]
pub fn check_all_applied(log: &MemoryLog, data: &Data) {
    check(log, data);
    let id = log.identity().log_id;
    let applied = data.applied.get(&id).cloned().unwrap_or_default();
    let is_settled = |position| applied.contains(&position) || log.is_gone(position);
    let missing = (1..=log.head().0).map(Position).find(|position| !is_settled(*position));
    assert_eq!(missing, None, "neither applied nor gone");
    assert!(is_all_passed(log, data), "every range is finished");
}

/// Checks that all ranges have become one.
#[track_caller]
pub fn check_merged(log: &MemoryLog, data: &Data) {
    let ranges = data.ranges_of(log.identity().log_id);
    assert!(matches!(ranges.as_slice(), [(_, live)] if live.hi.is_none()), "{ranges:?}");
}

/// Whether every range is finished, the live one at the head.
pub fn is_all_passed(log: &MemoryLog, data: &Data) -> bool {
    let (ranges, end) = (data.ranges_of(log.identity().log_id), log.head().next());
    !ranges.is_empty() && ranges.iter().all(|(_, range)| range.cursor.next == range.hi.unwrap_or(end))
}

/// How many positions the database has passed with their events, and how many without.
pub fn passed(log: LogId, data: &Data) -> (u64, u64) {
    let commits = data.passed.get(&log).into_iter().flatten();
    commits.fold((0, 0), |(applied, gone), commit| {
        let positions = commit.to.since(commit.from);
        if commit.is_hole { (applied, gone + positions) } else { (applied + positions, gone) }
    })
}

/// The positions of events that a database refuses and can be made to take.
pub fn poison(log: &MemoryLog) -> Vec<Position> {
    let entries = log.entries().into_iter().filter(|entry| is_poison(&entry.event));
    entries.map(|entry| entry.position).collect()
}

fn is_poison(event: &Decoded) -> bool {
    matches!(event, Decoded::Event(Event::SystemSample(sample)) if sample.system_name == POISON)
}

fn is_refusable(event: &Decoded) -> bool {
    is_poison(event) || matches!(event, Decoded::Unknown { .. })
}

#[track_caller]
fn assert_all_gone(log: &MemoryLog, from: Position, to: Position) {
    let there = (from.0..to.0).find(|position| !log.is_gone(Position(*position)));
    assert_eq!(there, None, "passed over, and it is there");
}

#[track_caller]
fn runs_of_commits(mut commits: Vec<Commit>) -> Vec<Run> {
    commits.sort_by_key(|commit| commit.from);
    let mut runs: Vec<Run> = Vec::new();
    for commit in &commits {
        let end = runs.last().map(|(_, end)| *end);
        assert!(end.is_none_or(|end| end <= commit.from), "passed twice: {commit:?}");
        add(&mut runs, (commit.from, commit.to));
    }
    runs
}

fn runs_of_ranges(ranges: &[(Position, Range)]) -> Vec<Run> {
    let mut runs = Vec::new();
    for (lo, range) in ranges.iter().filter(|(lo, range)| range.cursor.next > *lo) {
        add(&mut runs, (*lo, range.cursor.next));
    }
    runs
}

fn add(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some((_, end)) if *end == run.0 => *end = run.1,
        _ => runs.push(run),
    }
}
