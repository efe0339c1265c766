//! Walks over a real log: what they read, what they tell.

use std::path::Path;

use event::{AgentState, Event, Gap, HostName, Time};
use eventlog::{Batch, Order, Settings, TrimTo};
use tempfile::TempDir;

use super::*;

const HOUR: i64 = 3_600_000_000;

fn state(micros: i64) -> Event {
    let time = Time::from_micros(1_767_225_600_000_000 + micros);
    Event::AgentState(AgentState { time, agent_name: "a".into(), ..AgentState::default() })
}

fn open(dir: &Path) -> EventLog {
    let settings = Settings { segment_bytes_max: Some(100_000), ..Settings::default() };
    EventLog::open(dir, &HostName::new("here").unwrap(), settings).unwrap()
}

/// Ten hours of an event a second from 2026 on, an import of a day of the year before in the middle: positions
/// 20,001 to 20,100; a gap event at the end.
fn log() -> (TempDir, EventLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let live = |seconds: std::ops::Range<i64>| {
        for second in seconds.step_by(100) {
            log.append((second..second + 100).map(|second| state(second * 1_000_000)).collect::<Vec<_>>())
                .unwrap();
        }
    };
    live(0..20_000);
    let old: Vec<Event> = (0..100).map(|index| state(index * HOUR / 4 - 24 * 365 * HOUR)).collect();
    log.append(Batch { events: old, order: Order::Import, ..Batch::default() }).unwrap();
    live(20_000..36_000);
    let time = Time::from_micros(1_767_225_600_000_000 + 10 * HOUR);
    let gap =
        Gap { time, host: None, from: time, to: time, events: 1, what: "log".into(), reason: "test".into() };
    log.append(vec![Event::Gap(gap)]).unwrap();
    (dir, log)
}

/// Walks to the head, or up to where it would wait; gives what an answer would say.
fn walk(log: &EventLog, from: &str, to: &str, kind: &str, follow: bool) -> WalkAnswer {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (from, to, kind) = (given(from), given(to), given(kind));
    let selection =
        Selection::parse(from.as_deref(), to.as_deref(), kind.as_deref(), Time::default()).unwrap();
    let head = log.ends().next.before();
    let runs = Runs::of(log, &selection, head).unwrap();
    let (start, end) = (selection.start(), selection.end(head.next()));
    let end = if follow { End::Never } else { End::Before(end) };
    let renderer = Renderer::new(Style::Export, log.info().host);
    let walk = Walk { log: log.clone(), selection, renderer, runs, end };
    let mut answer = WalkAnswer { events: 0, read: 0, unknown: 0, holes: 0, next_position: start.0 };
    loop {
        let at = Position(answer.next_position);
        if !walk.is_before_the_end(at) {
            return answer;
        }
        let step = walk.step(at).unwrap();
        if step.next == at {
            assert!(follow, "a walk with an end comes there");
            return answer;
        }
        answer.add(&step);
    }
}

fn wait_durable(log: &EventLog) {
    log.request_sync();
    while log.ends().durable.next() < log.ends().next {
        std::thread::yield_now();
    }
}

#[test]
fn an_hour_costs_about_an_hour() {
    let (_dir, log) = log();
    wait_durable(&log);
    let check = |from: &str, to: &str, kind: &str, events: u64, read_most: u64| {
        for follow in [false, true] {
            let answer = walk(&log, from, to, kind, follow);
            assert_eq!(answer.events, events, "{from} to {to}, {kind}");
            assert_eq!((answer.holes, answer.next_position), (0, log.ends().next.0));
            assert!((events..=read_most).contains(&answer.read), "{from} to {to}, {kind}: {answer:?}");
        }
    };
    check("2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z", "", 3_600, 3_600 + 2 * 4_096);
    check("2026-01-01T09:59:00Z", "", "", 61, 2 * 4_096);
    check("", "2026-01-01T00:00:00Z", "", 100, 100);
    check("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", "agent_state", 96, 100);
    check("", "", "gap", 1, 4_096);
    check("2027-01-01T00:00:00Z", "", "", 0, 0);
    check("", "", "", 36_101, 36_101);
    log.close().unwrap();
}

#[test]
fn what_comes_while_it_follows_is_looked_at_whatever_the_runs_say() {
    let (_dir, log) = log();
    wait_durable(&log);
    let selection = Selection::parse(Some("2027-01-01T00:00:00Z"), None, None, Time::default()).unwrap();
    let runs = Runs::of(&log, &selection, log.ends().next.before()).unwrap();
    let renderer = Renderer::new(Style::Export, log.info().host);
    let at = log.ends().next;
    let walk = Walk { log: log.clone(), selection, renderer, runs, end: End::Never };
    assert_eq!(walk.step(Position::FIRST).unwrap().next, at, "nothing before is in it");
    log.append(vec![state(0), state(24 * 400 * HOUR)]).unwrap();
    wait_durable(&log);
    let step = walk.step(at).unwrap();
    assert_eq!((step.read, step.page.events, step.next), (2, 1, at.plus(2)));
    log.close().unwrap();
}

#[test]
fn holes_are_told_wherever_they_lie() {
    let (_dir, log) = log();
    wait_durable(&log);
    let outcome = log.trim(TrimTo::Before { position: Position(20_000), dry_run: false }).unwrap();
    assert!(outcome.events > 1_000, "{outcome:?}");
    let answer = walk(&log, "2026-01-01T09:59:00Z", "", "", false);
    assert_eq!((answer.events, answer.holes, answer.next_position), (61, 1, log.ends().next.0));
    assert!(answer.read <= 2 * 4_096, "{answer:?}");
    let answer = walk(&log, "100", "200", "gap", false);
    assert_eq!((answer.holes, answer.read, answer.next_position), (1, 0, 200));
    log.close().unwrap();
}
