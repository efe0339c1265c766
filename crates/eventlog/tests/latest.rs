//! The latest sample of each series, from memory and after an opening.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use event::wire::Decoded;
use event::{AgentSample, AgentState, Event, Kind, Position, State, Time};
use eventlog::{Batch, EventLog, LOOK_BACK, Order};
use support::open;

const NOW: Time = Time::from_micros(1_767_323_045_678_901);

fn sample(agent: &str, host: Option<&str>, seconds_ago: i64) -> Event {
    Event::AgentSample(AgentSample {
        time: NOW.plus_micros(-seconds_ago * 1_000_000),
        host: host.map(Into::into),
        agent_name: agent.into(),
        ..AgentSample::default()
    })
}

/// The positions of the latest samples of agents that are not older than so many seconds, by host and name.
fn latest(log: &EventLog, seconds: i64) -> Vec<u64> {
    log.request_sync();
    while log.ends().durable.next() < log.ends().next {
        std::thread::yield_now();
    }
    let from = NOW.plus_micros(-seconds * 1_000_000);
    log.latest(Kind::AgentSample, from, NOW).unwrap().iter().map(|entry| entry.position.0).collect()
}

#[test]
fn the_latest_of_each_series_is_the_youngest_of_the_last_day() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let day = i64::try_from(LOOK_BACK.as_secs()).unwrap();
    assert_eq!(latest(&log, day), [] as [u64; 0]);
    log.append(vec![sample("a", None, 90), sample("b", None, 80), sample("a", Some("afar"), 70)]).unwrap();
    log.append(vec![support::event("a system")]).unwrap();
    assert_eq!(latest(&log, day), [1, 2, 3], "the log's own host first");
    log.append(vec![sample("a", None, 60), sample("b", None, 80), sample("c", None, day + 1)]).unwrap();
    assert_eq!(
        latest(&log, day),
        [5, 2, 3],
        "one that repeats a time changes nothing, one too old is not there"
    );
    assert_eq!(latest(&log, 65), [5]);
    let import = vec![sample("b", None, 5_000), sample("a", None, 10)];
    log.append(Batch { events: import, order: Order::Import, ..Batch::default() }).unwrap();
    assert_eq!(latest(&log, day), [9, 2, 3], "what is imported counts by its time");
    log.close().unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(latest(&log, day), [9, 2, 3], "made anew");
    let entries = log.latest(Kind::SystemSample, Time::default(), support::time()).unwrap();
    assert!(matches!(&entries.first().unwrap().event, Decoded::Event(Event::SystemSample(_))));
    assert_eq!(entries.first().unwrap().position, Position(4));
}

#[test]
fn the_last_word_of_each_agent_is_there_beside_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let said = |agent: &str, seconds_ago: i64, state: State| {
        let time = NOW.plus_micros(-seconds_ago * 1_000_000);
        Event::AgentState(AgentState { time, agent_name: agent.into(), state, ..AgentState::default() })
    };
    let words = |log: &EventLog| {
        assert_eq!(latest(log, 3_600), [3], "waits until everything is durable");
        let entries = log.latest(Kind::AgentState, NOW.plus_micros(-3_600_000_000), NOW).unwrap();
        let word = |event: &Decoded| match event {
            Decoded::Event(Event::AgentState(said)) => (said.agent_name.to_string(), said.state),
            other => panic!("{other:?}"),
        };
        entries.iter().map(|entry| word(&entry.event)).collect::<Vec<_>>()
    };
    log.append(vec![said("a", 9, State::Idle), said("b", 8, State::Done), sample("a", None, 7)]).unwrap();
    log.append(vec![
        said("a", 6, State::Working),
        said("b", 10, State::Stuck),
        said("c", 4_000, State::Idle),
    ])
    .unwrap();
    let expected = [("a".to_owned(), State::Working), ("b".to_owned(), State::Done)];
    assert_eq!(words(&log), expected);
    log.close().unwrap();
    drop(log);
    assert_eq!(words(&open(dir.path())), expected, "made anew");
}
