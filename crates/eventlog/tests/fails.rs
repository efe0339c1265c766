//! A log whose disk takes nothing more: it refuses with the reason, lives on, and works again by itself.
//!
//! The disk is a limit on the size of this process's files, so there is one test here: it must not share its
//! process with another.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::wire::Decoded;
use event::{Event, Position, Stretch};
use eventlog::{AppendError, EventLog, Health, ReadError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::gate::{Once, open, told};
use support::{ALL, events};
use tokio::signal::unix::{SignalKind, signal};

/// SIGXFSZ of Linux on every machine that tailwater is built for.
const SIGXFSZ: i32 = 25;

fn limit_files(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
}

/// Appends until the log refuses; gives the names that it acknowledged and the refusal.
fn append_until_refused(log: &EventLog, kept: &mut Vec<String>) -> AppendError {
    loop {
        let names: Vec<String> = (0..100).map(|index| format!("{}-{index}", kept.len())).collect();
        match log.append(events(&names)) {
            Ok(_) => kept.extend(names),
            Err(refusal) => return refusal,
        }
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The names of the system samples from the beginning, and the gaps.
fn read_all(log: &EventLog) -> (Vec<String>, Vec<event::Gap>) {
    let (mut names, mut gaps, mut position) = (Vec::new(), Vec::new(), Position::FIRST);
    loop {
        match log.read(position, ALL).unwrap() {
            stretch if stretch.is_nothing() => return (names, gaps),
            Stretch::Hole(hole) => panic!("{hole:?}"),
            Stretch::Events(entries) => {
                for entry in entries {
                    assert_eq!(entry.position, position);
                    position = position.next();
                    match entry.event {
                        Decoded::Event(Event::SystemSample(sample)) => {
                            names.push(sample.system_name.to_string());
                        }
                        Decoded::Event(Event::Gap(gap)) => gaps.push(gap),
                        Decoded::Event(Event::TokenUsage(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_survived() {
    let _caught = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tokio::task::spawn_blocking(move || fill_twice(&dir)).await.unwrap();
}

fn fill_twice(dir: &tempfile::TempDir) {
    let gate = Once::default();
    let log = open(dir.path(), &gate);
    let mut kept = Vec::new();
    for round in 1..=2_u64 {
        let call = round.to_string();
        log.append(vec![told(&call, "zen")]).unwrap();
        limit_files(Some(round * 256 * 1024));
        let refusal = append_until_refused(&log, &mut kept);
        let text = format!("{refusal}: {}", std::error::Error::source(&refusal).unwrap());
        assert!(text.contains("takes no events now") && text.contains("File too large"), "{text}");
        assert!(!text.contains('\n'), "{text}");
        assert!(matches!(&*log.health().borrow(), Health::Failed { .. }));
        assert!(matches!(log.offer(events(["refused at once"])), Err(AppendError::Failed(_))));
        assert!(matches!(log.read(Position::FIRST, ALL), Err(ReadError::Failed)));
        assert!(log.stat().unwrap().refused_events >= 100 * round);
        // It does not take the first room that it sees for enough.
        std::thread::sleep(Duration::from_millis(700));
        assert!(log.failure().is_some());

        limit_files(None);
        wait_until("the log works again", || log.failure().is_none());
        let known = log.append(vec![told(&call, "zen")]).unwrap().usage_known;
        assert_eq!((known, gate.0.opened.load(Ordering::SeqCst)), (1, 1 + round), "the gate reads again");
        log.append(events(["again"])).unwrap();
        kept.push("again".to_owned());
    }
    wait_until("everything is durable", || {
        log.request_sync();
        let ends = log.ends();
        ends.durable.next() == ends.next
    });
    let (names, _) = read_all(&log);
    // NOTE: a batch that was refused while it was written may be there: nobody can know.
    let acknowledged: Vec<&String> = names.iter().filter(|name| kept.contains(name)).collect();
    assert_eq!(acknowledged, kept.iter().collect::<Vec<_>>());
    assert!(log.verify(|_, _| std::ops::ControlFlow::Continue(())).unwrap().is_clean());
    log.close().unwrap();
}
