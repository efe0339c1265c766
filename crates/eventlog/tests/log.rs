//! The log's promises, one by one, on a real directory.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::time::Duration;

use event::wire::Decoded;
use event::{Event, Found, Gap, HostName, Position, SystemSample, Text};
use eventlog::{AppendError, Batch, EventLog, MetaEntry, OpenError, ReadLimits, Settings, Sync};
use support::{ALL, copy_as_killed, entries, events, host, names, open, open_with};

fn durable_names(log: &EventLog) -> Vec<String> {
    names(&entries(log, Position::FIRST, ALL))
}

#[test]
fn positions_are_dense_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let first = log.append(events(["a", "b"])).unwrap();
    let second = log.append(events(["c"])).unwrap();
    assert_eq!((first.first, first.last(), first.events), (Position(1), Position(2), 2));
    assert_eq!((second.first, second.last(), second.events), (Position(3), Position(3), 1));
    let nothing = log.append(Vec::new()).unwrap();
    assert_eq!((nothing.first, nothing.last(), nothing.events), (Position(4), Position(3), 0));
}

#[test]
fn a_log_reopens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let info = log.info();
    log.append(events(["a", "b"])).unwrap();
    log.close().unwrap();
    drop(log);
    let other_host = HostName::new("renamed").unwrap();
    let log = EventLog::open(dir.path(), &other_host, Settings::default()).unwrap();
    assert_eq!(log.info(), info, "id, birth id and host are those of the creation");
    assert_eq!(durable_names(&log), ["a", "b"]);
    assert_eq!(log.append(events(["c"])).unwrap().first, Position(3));
}

#[test]
fn every_acknowledged_event_survives_a_kill_in_every_mode() {
    for sync in [Sync::Always, Sync::Interval(Duration::from_secs(60)), Sync::Os] {
        let dir = tempfile::tempdir().unwrap();
        let log = open_with(dir.path(), sync);
        log.append(events(["a", "b", "c"])).unwrap();
        let copy = copy_as_killed(dir.path());
        let log = open(copy.path());
        assert_eq!(durable_names(&log), ["a", "b", "c"], "{sync}");
        assert_eq!(log.append(events(["d"])).unwrap().first, Position(4), "{sync}: writing goes on");
    }
}

#[tokio::test]
async fn readers_see_durable_positions_only_and_ask_for_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Os);
    log.append_async(events(["a", "b"])).await.unwrap();
    assert_eq!(log.ends().next, Position(3));
    assert_eq!(log.ends().durable, Position(0));
    assert_eq!(entries(&log, Position::FIRST, ALL), []);
    assert_eq!(log.find(Position(1)).unwrap(), Found::Nothing);
    log.wait_durable(Position(2)).await.unwrap();
    assert_eq!(log.ends().durable, Position(2));
    assert_eq!(durable_names(&log), ["a", "b"]);
    assert_eq!(entries(&log, Position(3), ALL), []);
}

#[tokio::test]
async fn a_waiting_reader_wakes_for_a_later_append() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Os);
    let reader = log.clone();
    let waiting = tokio::spawn(async move {
        reader.wait_durable(Position(1)).await.unwrap();
        durable_names(&reader)
    });
    tokio::task::yield_now().await;
    log.append_async(events(["a"])).await.unwrap();
    assert_eq!(waiting.await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_waiting_reader_learns_that_the_log_closed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let reader = log.clone();
    let waiting = tokio::spawn(async move { reader.wait_durable(Position(1)).await });
    tokio::task::spawn_blocking(move || log.close()).await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().to_string(), "the log is closed");
}

#[test]
fn always_is_durable_when_acknowledged_and_interval_soon_after() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Always);
    log.append(events(["a"])).unwrap();
    assert_eq!(log.ends().durable, Position(1));
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Interval(Duration::from_millis(5)));
    log.append(events(["a"])).unwrap();
    while log.ends().durable < Position(1) {
        std::thread::yield_now();
    }
}

#[test]
fn limits_bound_a_read_and_give_one_entry_at_least() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Always);
    log.append(events(["a", "b", "c", "d"])).unwrap();
    let read = |from, events_max, bytes_max| {
        names(&entries(&log, Position(from), ReadLimits { events_max, bytes_max }))
    };
    assert_eq!(read(1, 2, usize::MAX), ["a", "b"]);
    assert_eq!(read(3, 9, usize::MAX), ["c", "d"]);
    assert_eq!(read(2, 9, 1), ["b"]);
    assert_eq!(read(0, 1, usize::MAX), ["a"], "zero is before the first");
}

#[test]
fn meta_changes_with_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let meta = |value: Option<&[u8]>| {
        vec![MetaEntry { key: b"offset/x".to_vec(), value: value.map(<[u8]>::to_vec) }]
    };
    log.append(Batch { events: events(["a"]), meta: meta(Some(b"17")), ..Batch::default() }).unwrap();
    assert_eq!(log.state(b"offset/x").unwrap().as_deref(), Some(&b"17"[..]));
    let copy = copy_as_killed(dir.path());
    assert_eq!(open(copy.path()).state(b"offset/x").unwrap().as_deref(), Some(&b"17"[..]));
    log.append(Batch { events: Vec::new(), meta: meta(None), ..Batch::default() }).unwrap();
    assert_eq!(log.state(b"offset/x").unwrap(), None);
}

#[test]
fn an_invalid_event_refuses_the_whole_append() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut both = events(["a"]);
    both.push(Event::SystemSample(SystemSample::default()));
    let error = log.append(both).unwrap_err();
    assert!(matches!(error, AppendError::Invalid { index: 1, .. }), "{error}");
    assert!(error.to_string().contains("field time"), "{error}");
    assert_eq!(log.ends().next, Position(1));
}

#[test]
fn a_second_opener_is_told_who_holds_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = EventLog::open(dir.path(), &host(), Settings::default()).err().expect("it is held");
    assert!(matches!(error, OpenError::Held { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    log.close().unwrap();
    drop(log);
    open(dir.path());
}

#[test]
fn a_closed_log_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(events(["a"])).unwrap();
    log.close().unwrap();
    assert!(matches!(log.append(events(["b"])), Err(AppendError::Closed)));
    assert!(matches!(log.offer(events(["b"])), Err(AppendError::Closed)));
    log.close().unwrap();
}

#[test]
fn an_unfinished_creation_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("log.new/keyspaces")).unwrap();
    std::fs::write(dir.path().join("log.new/0.jnl"), b"half").unwrap();
    let log = open(dir.path());
    assert_eq!(log.append(events(["a"])).unwrap().first, Position(1));
    assert!(!dir.path().join("log.new").exists());
}

#[test]
fn a_directory_that_is_no_log_of_ours_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    drop(fjall::Database::builder(dir.path().join("log")).open().unwrap());
    let error = EventLog::open(dir.path(), &host(), Settings::default()).err().expect("not ours");
    assert!(error.to_string().contains("has no keyspace \"meta\""), "{error}");
}

#[test]
fn the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/b");
    let _log = open(&data);
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn many_appenders_get_disjoint_positions_in_their_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Sync::Always);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for turn in 0..20 {
                    log.append(events([format!("{thread}/{turn:02}")])).unwrap();
                }
            });
        }
    });
    let mut found = durable_names(&log);
    assert_eq!(found.len(), 160);
    for thread in 0..8 {
        let own: Vec<_> = found.iter().filter(|name| name.starts_with(&format!("{thread}/"))).collect();
        assert!(own.is_sorted(), "{own:?}");
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 160);
}

#[test]
fn the_losses_that_gaps_tell_are_counted_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let time = support::time();
    let gap = |events| {
        let what = Text::const_new("host");
        Event::Gap(Gap { time, from: time, to: time, events, what, ..Gap::default() })
    };
    log.append(vec![gap(3), gap(0), support::event("a")]).unwrap();
    log.append(vec![gap(4)]).unwrap();
    assert_eq!(log.stat().unwrap().lost_events, 7);
    let copy = copy_as_killed(dir.path());
    assert_eq!(open(copy.path()).stat().unwrap().lost_events, 7);
}

#[test]
fn a_damaged_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(events(["a", "b", "c"])).unwrap();
    log.close().unwrap();
    drop(log);
    let (database, segment) = support::open_segment(dir.path());
    let mut record = segment.get(2_u64.to_be_bytes()).unwrap().unwrap().to_vec();
    *record.last_mut().unwrap() ^= 1;
    segment.insert(2_u64.to_be_bytes(), record).unwrap();
    drop((segment, database));
    let log = open(dir.path());
    assert_eq!(durable_names(&log), ["a"], "what is good in front of it");
    let error = log.read(Position(2), ALL).unwrap_err().to_string();
    assert!(error.contains("position 2 is damaged") && error.contains("checksum"), "{error}");
    assert!(matches!(entries(&log, Position(3), ALL)[0].event, Decoded::Event(_)));
}

#[test]
fn a_missing_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(events(["a", "b", "c"])).unwrap();
    log.close().unwrap();
    drop(log);
    let (database, segment) = support::open_segment(dir.path());
    segment.remove(2_u64.to_be_bytes()).unwrap();
    drop((segment, database));
    let log = open(dir.path());
    assert_eq!(durable_names(&log), ["a"]);
    let error = log.read(Position(2), ALL).unwrap_err().to_string();
    assert_eq!(error, "positions 2 to 2 are missing from the log");
}

#[test]
fn nobody_waits_for_a_log_that_closes_meanwhile() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = log.clone();
                scope.spawn(move || {
                    let closed = |result: Result<_, AppendError>| matches!(result, Err(AppendError::Closed));
                    while !closed(log.append(events([thread.to_string()]))) {}
                    assert!(closed(log.append(events(["late"]))) && log.offer(events(["late"])).is_err());
                });
            }
            log.close().unwrap();
            log.close().unwrap();
        });
        let kept = log.ends().next;
        drop(log);
        assert_eq!(open(dir.path()).ends().next, kept);
    }
}
