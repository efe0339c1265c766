//! A verification against a naive one: any log with holes, any tables, any quarantine and ranges.
#![cfg(test)]

use std::collections::BTreeSet;

use event::wire::Decoded;
use event::{
    AgentSample, Entry, Event, Found, Hole, HoleCause, HostName, Kind, LogId, Position, Stretch,
    SystemSample, Time, TokenUsage,
};
use projector::verify::{ExtraRow, Positions, Row, RowsOf, Snapshot, Verification, still_missing, verify};
use projector::{Ends, LogIdentity, ReadLimits, Source, SourceError, Span, TargetError};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Half an hour, in microseconds: so that hours have several events.
const HALF_HOUR: i64 = 1_800_000_000;

const KINDS: [Kind; 3] = [Kind::AgentSample, Kind::SystemSample, Kind::TokenUsage];

/// An event at a position: of a kind and time, or of a newer version's.
#[derive(Clone, Copy, Debug)]
struct Fact {
    position: u64,
    of: Option<(Kind, Time)>,
    is_quarantined: bool,
    is_explained: bool,
}

/// A log of runs of events and holes.
#[derive(Clone, Debug, Default)]
struct Log {
    facts: Vec<Fact>,
    holes: Vec<Hole>,
    head: u64,
}

fn decoded(of: Option<(Kind, Time)>) -> Decoded {
    let Some((kind, time)) = of else {
        return Decoded::Unknown { kind: 99, version: 1, payload: Box::default() };
    };
    Decoded::Event(match kind {
        Kind::AgentSample => Event::AgentSample(AgentSample { time, ..AgentSample::default() }),
        Kind::SystemSample => Event::SystemSample(SystemSample { time, ..SystemSample::default() }),
        _ => Event::TokenUsage(TokenUsage { time, ..TokenUsage::default() }),
    })
}

impl Log {
    fn hole_at(&self, position: i64) -> bool {
        u64::try_from(position).is_ok_and(|it| self.holes.iter().any(|hole| hole.contains(Position(it))))
    }
}

impl Source for Log {
    fn identity(&self) -> LogIdentity {
        LogIdentity { log_id: LogId::from_bytes([1; 16]), host: HostName::new("h").unwrap() }
    }

    fn ends(&self) -> Ends {
        Ends { first: Position::FIRST, next: Position(self.head + 1), durable: Position(self.head) }
    }

    fn find(&self, _: Position) -> Result<Found, SourceError> {
        Ok(Found::Nothing)
    }

    async fn read(&self, from: Position, limits: ReadLimits) -> Result<Stretch, SourceError> {
        if let Some(hole) = self.holes.iter().find(|hole| hole.contains(from)) {
            return Ok(Stretch::Hole(*hole));
        }
        let behind = self.facts.iter().skip_while(|fact| fact.position < from.0);
        // A little at a time, so that there are many reads.
        let run = behind.zip(from.0..).take_while(|(fact, position)| fact.position == *position);
        let entry = |(fact, _): (&Fact, u64)| Entry {
            position: Position(fact.position),
            checksum: 0,
            bytes: 1,
            event: decoded(fact.of),
        };
        Ok(Stretch::Events(run.take(limits.events_max.min(3)).map(entry).collect()))
    }

    async fn wait_for(&self, _: Position) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A database in memory.
#[derive(Clone, Debug, Default)]
struct Tables {
    rows: Vec<(Kind, Row)>,
    ranges: Vec<Span>,
    quarantined: Vec<Position>,
    explained: BTreeSet<u64>,
}

impl Snapshot for Tables {
    async fn ranges(&mut self) -> Result<Vec<Span>, TargetError> {
        Ok(self.ranges.clone())
    }

    async fn quarantined(&mut self) -> Result<Vec<Position>, TargetError> {
        Ok(self.quarantined.clone())
    }

    async fn rows(
        &mut self,
        kind: Kind,
        rows: RowsOf<'_>,
        tell: &mut (dyn FnMut(Row) + Send),
    ) -> Result<(), TargetError> {
        let is_wanted = |row: &Row| match rows {
            RowsOf::All => true,
            RowsOf::Blocks(blocks) => blocks.contains(&row.block()),
        };
        self.rows.iter().filter(|(of, row)| *of == kind && is_wanted(row)).for_each(|(_, row)| tell(*row));
        Ok(())
    }

    async fn unexplained(&mut self, entries: &[Entry]) -> Result<Vec<Position>, TargetError> {
        let positions = entries.iter().map(|entry| entry.position);
        Ok(positions.filter(|position| !self.explained.contains(&position.0)).collect())
    }

    async fn hold(&mut self) -> Result<(), TargetError> {
        Ok(())
    }
}

/// What becomes of an event's row.
#[derive(Clone, Copy, Debug)]
enum Fate {
    There,
    Gone,
    WrongTime,
    Twice,
    TwiceWithAnotherTime,
    WrongTable,
}

#[derive(Clone, Debug)]
struct Case {
    log: Log,
    tables: Tables,
    kept_from: Option<Time>,
}

fn time(half_hours: i64) -> Time {
    Time::from_micros(half_hours * HALF_HOUR)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(KINDS.to_vec())
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::There),
        4 => Just(Fate::Gone),
        1 => Just(Fate::WrongTime),
        1 => Just(Fate::Twice),
        1 => Just(Fate::TwiceWithAnotherTime),
        1 => Just(Fate::WrongTable),
    ]
}

/// How many positions a hole has in front of an event: mostly none.
fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![20 => Just(0_u64), 1 => 1_u64..4, 2 => 3_000_u64..14_000]
}

type Step = (u64, Option<(Kind, i64)>, Fate, bool, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let of = prop::option::weighted(0.95, (kind(), 0_i64..8));
    prop::collection::vec((gap(), of, fate(), prop::bool::weighted(0.1), any::<bool>()), 0..60)
}

fn rows_of(position: u64, (kind, at): (Kind, Time), fate: Fate) -> Vec<(Kind, Row)> {
    let row = |kind, time| (kind, Row { position: i64::try_from(position).unwrap(), time });
    let other = at.plus_micros(HALF_HOUR * 2);
    match fate {
        Fate::There => vec![row(kind, at)],
        Fate::Gone => vec![],
        Fate::WrongTime => vec![row(kind, other)],
        Fate::Twice => vec![row(kind, at); 2],
        Fate::TwiceWithAnotherTime => vec![row(kind, at), row(kind, other)],
        Fate::WrongTable => {
            let wrong = if kind == Kind::Gap { Kind::AgentState } else { Kind::Gap };
            vec![row(wrong, at)]
        }
    }
}

fn build(steps: Vec<Step>, last_gap: u64) -> (Log, Tables) {
    let (mut log, mut tables) = (Log::default(), Tables::default());
    let dig = |log: &mut Log, positions: u64| {
        if positions > 0 {
            let (lo, hi) = (Position(log.head + 1), Position(log.head + positions));
            log.holes.push(Hole { lo, hi, cause: HoleCause::Trimmed, checksum: None });
            log.head = hi.0;
        }
    };
    for (gap, of, fate, is_quarantined, is_explained) in steps {
        dig(&mut log, gap);
        log.head += 1;
        let of = of.map(|(kind, at)| (kind, time(at)));
        let fact = Fact { position: log.head, of, is_quarantined, is_explained };
        tables.rows.extend(of.into_iter().flat_map(|of| rows_of(fact.position, of, fate)));
        if is_quarantined {
            tables.quarantined.push(Position(fact.position));
        }
        if is_explained {
            tables.explained.insert(fact.position);
        }
        log.facts.push(fact);
    }
    dig(&mut log, last_gap);
    (log, tables)
}

prop_compose! {
    fn case()(
        steps in steps(),
        last_gap in gap(),
        cuts in prop::collection::btree_set(1_u64..40_000, 0..6),
        strays in prop::collection::vec((kind(), -6_000_i64..60_000, 0_i64..8), 0..6),
        seed in any::<u64>(),
        kept in prop::option::weighted(0.3, 0_i64..8),
        is_live in any::<bool>(),
    ) -> Case {
        let (log, mut tables) = build(steps, last_gap);
        tables.rows.extend(strays.into_iter().map(|(kind, position, at)| {
            (kind, Row { position, time: time(at) })
        }));
        // Rows come in any order.
        let shift = usize::try_from(seed % 97).unwrap();
        let by = shift.checked_rem(tables.rows.len()).unwrap_or(0);
        tables.rows.rotate_left(by);
        let cuts: Vec<u64> = cuts.into_iter().collect();
        for pair in cuts.windows(2).step_by(2) {
            let next = pair[0] + seed % (pair[1] - pair[0] + 1);
            tables.ranges.push(Span { lo: Position(pair[0]), next: Position(next), hi: Some(Position(pair[1])) });
        }
        if is_live {
            let lo = cuts.last().copied().unwrap_or(1);
            tables.ranges.push(Span { lo: Position(lo), next: Position(lo + seed % 50), hi: None });
        }
        Case { log, tables, kept_from: kept.map(time) }
    }
}

/// What is found, without any cleverness.
fn naive(case: &Case) -> Verification {
    let Case { log, tables, kept_from } = case;
    let mut found = Verification { head: Position(log.head), ..Verification::default() };
    let mut rows = tables.rows.clone();
    for fact in &log.facts {
        found.events += 1;
        let own = fact.of.and_then(|(kind, time)| {
            let row = Row { position: i64::try_from(fact.position).unwrap(), time };
            rows.iter().position(|it| *it == (kind, row)).map(|at| rows.swap_remove(at))
        });
        let is_to_come = tables
            .ranges
            .iter()
            .any(|range| range.next.0 <= fact.position && range.hi.is_none_or(|hi| fact.position < hi.0));
        if fact.of.is_some_and(|(_, time)| kept_from.is_some_and(|begin| time < begin)) {
            found.expired += 1;
        } else if own.is_some() {
            found.rows += 1;
        } else if fact.is_quarantined {
            found.quarantined += 1;
        } else if is_to_come {
            found.pending += 1;
        } else if fact.of.is_some() && fact.is_explained {
            found.present += 1;
        } else {
            found.missing.insert(Position(fact.position));
        }
    }
    rows.retain(|(_, row)| !log.hole_at(row.position));
    found.unavailable = tables.rows.iter().filter(|(_, row)| log.hole_at(row.position)).count() as u64;
    found.extra = rows.len() as u64;
    found.extra_rows = rows.into_iter().map(|(kind, row)| ExtraRow { kind, row }).collect();
    found.extra_rows.sort_unstable();
    found
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// The numbers of a verification.
fn numbers(it: &Verification) -> [u64; 8] {
    [it.events, it.rows, it.present, it.quarantined, it.pending, it.expired, it.extra, it.unavailable]
}

fn check(case: &Case) {
    let mut tables = case.tables.clone();
    let told = std::sync::atomic::AtomicU64::new(0);
    let progress = |done: u64, total: u64| {
        assert!(
            done <= total && done >= told.load(std::sync::atomic::Ordering::Relaxed),
            "{done} of {total}"
        );
        told.store(done, std::sync::atomic::Ordering::Relaxed);
    };
    let mut found = run(verify(&case.log, &mut tables, case.kept_from, progress)).unwrap();
    let wanted = naive(case);
    assert_eq!(numbers(&found), numbers(&wanted), "{found:?}, wanted {wanted:?}");
    assert_eq!(found.missing, wanted.missing);
    assert_eq!(found.head, wanted.head);
    found.extra_rows.sort_unstable();
    assert_eq!(found.extra_rows, wanted.extra_rows);
    let sums = numbers(&found)[1..6].iter().sum::<u64>() + found.missing.len();
    assert_eq!(sums, found.events, "every event is one thing");
    check_hours(case, &found);
    let still = run(still_missing(&case.log, &mut tables, found.missing.clone())).unwrap();
    assert_eq!(still, found.missing, "nobody has mended anything");
}

fn check_hours(case: &Case, found: &Verification) {
    assert_eq!(found.hours.iter().map(|hour| hour.missing).sum::<u64>(), found.missing.len());
    assert_eq!(found.hours.iter().map(|hour| hour.extra).sum::<u64>(), found.extra);
    for hour in &found.hours {
        assert!(hour.missing + hour.extra > 0, "{hour:?}");
        let Some(begin) = hour.time else { continue };
        let is_in = |time: Time| (begin..begin.plus_micros(2 * HALF_HOUR)).contains(&time);
        let is_of = |kind: Kind| projector::verify::KindNumber::from(kind) == hour.kind;
        let events = case.log.facts.iter().filter_map(|fact| fact.of);
        let events = events.filter(|(kind, time)| is_of(*kind) && is_in(*time)).count() as u64;
        let rows = case.tables.rows.iter();
        let rows = rows.filter(|(kind, row)| is_of(*kind) && is_in(row.time)).count() as u64;
        assert_eq!((hour.log, hour.database), (events, rows), "{hour:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/verify.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_found_is_what_a_naive_comparison_finds(case in case()) {
        check(&case);
    }
}

#[test]
fn what_was_mended_is_no_longer_missing() {
    let step = |fate| (0, Some((Kind::AgentSample, 1)), fate, false, false);
    let (log, mut tables) = build(vec![step(Fate::There), step(Fate::Gone), step(Fate::Gone)], 0);
    tables.explained.insert(2);
    let positions = |positions: &[u64]| positions.iter().copied().map(Position).collect::<Positions>();
    let still = run(still_missing(&log, &mut tables, positions(&[2, 3]))).unwrap();
    assert_eq!(still, positions(&[3]));
    tables.quarantined.push(Position(3));
    assert!(run(still_missing(&log, &mut tables, positions(&[2, 3]))).unwrap().is_empty());
}

/// A record that cannot be read is no finding: nobody knows.
#[test]
fn a_log_that_ends_before_its_head_is_an_error() {
    let (mut log, mut tables) = build(vec![(0, Some((Kind::AgentSample, 1)), Fate::There, false, false)], 0);
    log.head = 5;
    let error = run(verify(&log, &mut tables, None, |_, _| {})).unwrap_err();
    assert!(error.to_string().starts_with("position 2 of the log cannot be read"), "{error}");
}
