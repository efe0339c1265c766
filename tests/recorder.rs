//! The library's client, embedded: with a daemon and without, and while daemons come and go.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use support::daemon::Daemon;
use support::log::lines;
use support::{eventually, json, tailwater};
use tailwater::{
    AgentSample, AgentState, ChannelSample, Event, RecordErrorKind, Recorded, Recorder, State, SystemSample,
    Time, TokenUsage,
};
use tempfile::tempdir;

const TIME: Time = Time::from_micros(1_767_323_045_678_901);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn sample(agent: &str, number: u64) -> AgentSample {
    let time = TIME.plus_micros(i64::try_from(number).unwrap());
    AgentSample { time, agent_name: agent.into(), ..AgentSample::default() }
}

fn quiet(data: &Path) -> Daemon {
    let mut command = tailwater(data);
    command.env("TAILWATER_HOST_ENABLED", "false").env("TAILWATER_TMUX_ENABLED", "false");
    Daemon::start_command(data, command.arg("run"))
}

/// The signals that this process handles itself.
fn handled_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim();
    u64::from_str_radix(mask, 16).unwrap()
}

async fn record_each_kind(recorder: &Recorder, first: u64) {
    let check = |recorded: Recorded, position: u64| {
        assert_eq!((recorded.accepted, recorded.first_position), (1, Some(position)));
        assert_eq!(recorded.last_position, recorded.first_position);
    };
    check(recorder.record_agent(sample("a", first)).await.unwrap(), first);
    let system = SystemSample { time: TIME, system_name: "s".into(), ..SystemSample::default() };
    check(recorder.record_system(system).await.unwrap(), first + 1);
    let channel = ChannelSample { time: TIME, channel_name: "c".into(), ..ChannelSample::default() };
    check(recorder.record_channel(channel).await.unwrap(), first + 2);
    let id = format!("id{first}").into();
    let usage = TokenUsage {
        time: TIME,
        agent_name: "a".into(),
        model: "m".into(),
        message_id: id,
        ..TokenUsage::default()
    };
    check(recorder.record_token(usage).await.unwrap(), first + 3);
    let said = AgentState { time: TIME, agent_name: "a".into(), state: State::Done, ..AgentState::default() };
    check(recorder.record_state(said).await.unwrap(), first + 4);
}

#[test]
fn every_kind_is_recorded_without_a_daemon_and_with_one() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let recorder = Recorder::connect(&data).unwrap();
    let handled = handled_signals();
    runtime().block_on(async {
        record_each_kind(&recorder, 1).await;
        assert_eq!(handled_signals() & !handled, 0, "signals stay what the program has made of them");
        let daemon = quiet(&data);
        record_each_kind(&recorder, 6).await;
        drop(daemon);
        let both = vec![Event::AgentSample(sample("b", 1)), Event::AgentSample(sample("b", 2))];
        let recorded = recorder.record(both).await.unwrap();
        assert_eq!(
            (recorded.accepted, recorded.first_position, recorded.last_position),
            (2, Some(11), Some(12))
        );
        let nothing = recorder.record(Vec::new()).await.unwrap();
        assert_eq!((nothing.accepted, nothing.first_position), (0, None));
    });
    let kinds: Vec<_> = lines(&tailwater(&data).args(["log", "export"]).output().unwrap());
    assert_eq!(kinds.len(), 12);
}

#[test]
fn what_is_wrong_has_its_kind_and_records_nothing() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let recorder = Recorder::connect(&data).unwrap();
    runtime().block_on(async {
        let events = vec![Event::AgentSample(sample("a", 1)), Event::AgentSample(sample("", 2))];
        let error = recorder.record(events).await.unwrap_err();
        assert_eq!(error.kind(), RecordErrorKind::Invalid);
        assert_eq!(error.to_string(), "event 1: field agent_name: must not be empty; nothing was recorded");
        assert!(!data.exists());
        fs::write(&data, "a file").unwrap();
        let error = recorder.record_agent(sample("a", 1)).await.unwrap_err();
        assert_eq!(error.kind(), RecordErrorKind::Refused, "{error}");
    });
}

#[test]
fn many_at_once_without_a_daemon_all_come_in() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let recorder = Recorder::connect(&data).unwrap();
    runtime().block_on(async {
        let tasks = (0..20).map(|number| {
            let recorder = recorder.clone();
            tokio::spawn(async move { recorder.record_agent(sample("a", number)).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap().unwrap().accepted, 1);
        }
    });
    assert_eq!(
        json(&tailwater(&data).args(["log", "stat", "--format", "json"]).output().unwrap())["events"],
        20
    );
}

/// Records again and again; gives what was acknowledged, each event at its position.
async fn keep_recording(
    recorder: Recorder,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> BTreeMap<u64, String> {
    let mut acknowledged = BTreeMap::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("a{number}");
        match recorder.record_agent(sample(&name, number)).await {
            Ok(recorded) => {
                acknowledged.insert(recorded.first_position.expect("one event"), name);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // The daemon was killed in the middle: whether it kept the event is open.
            Err(error) => assert_eq!(error.kind(), RecordErrorKind::Lost, "{error}"),
        }
    }
    acknowledged
}

#[test]
fn what_is_acknowledged_stays_while_daemons_start_and_are_killed() {
    let home = tempdir().unwrap();
    let data = home.path().join("data");
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = runtime();
    let recorder = Recorder::connect(&data).unwrap();
    let recording = runtime.spawn(keep_recording(recorder, Arc::clone(&stop), Arc::clone(&count)));
    let some_more = || {
        let enough = count.load(Ordering::Relaxed) + 10;
        eventually("ten more", || {
            (recording.is_finished() || count.load(Ordering::Relaxed) >= enough).then_some(())
        });
    };
    for _ in 0..3 {
        some_more();
        let daemon = quiet(&data);
        some_more();
        daemon.kill();
    }
    some_more();
    stop.store(true, Ordering::Relaxed);
    let acknowledged = runtime.block_on(recording).unwrap();
    let exported = lines(&tailwater(&data).args(["log", "export"]).output().unwrap());
    assert!(acknowledged.len() >= 70, "{}", acknowledged.len());
    for (position, name) in &acknowledged {
        let found = &exported[usize::try_from(*position).unwrap() - 1];
        assert_eq!(found["agent_name"], name.as_str(), "position {position}");
    }
}
