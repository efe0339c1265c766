//! The log against a model: whatever is done in whatever order, it holds what a plain list would hold.
//!
//! A kill is a copy of the directory, taken while the log is open, with which the test goes on: it holds what
//! the kernel had. So every acknowledged event must be in it, in every sync mode.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use event::wire::Entry;
use event::{Event, Found, Position};
use eventlog::{Batch, Ends, EventLog, LogInfo, MetaEntry, ReadLimits, Sync};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::{ALL, copy_as_killed, entries, events, names, open_with};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[derive(Clone, Debug)]
enum Step {
    /// Append so many events and wait for the acknowledgement.
    Append(usize),
    /// The same with meta under one of a few keys; `None` removes it.
    AppendMeta { events: usize, key: u8, value: Option<u8> },
    /// Hand so many events over without waiting.
    Offer(usize),
    /// Wait until everything is durable.
    Sync,
    /// Read from a place, given in thousandths of the log, a little behind its end included.
    Read { from: usize, events_max: usize, bytes_max: usize },
    /// Wait for an event that is appended only while we wait.
    Tail(usize),
    /// Close the log and open it again.
    Reopen,
    /// Go on with what a kill would have left.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || prop_oneof![Just(usize::MAX), 1_usize..30];
    prop_oneof![
        4 => (1_usize..=20).prop_map(Step::Append),
        2 => (0_usize..=4, 0_u8..3, any::<Option<u8>>())
            .prop_map(|(events, key, value)| Step::AppendMeta { events, key, value }),
        2 => (1_usize..=5).prop_map(Step::Offer),
        2 => Just(Step::Sync),
        4 => (0_usize..1_100, limit(), prop_oneof![Just(usize::MAX), 0_usize..400])
            .prop_map(|(from, events_max, bytes_max)| Step::Read { from, events_max, bytes_max }),
        2 => (1_usize..=3).prop_map(Step::Tail),
        1 => Just(Step::Reopen),
        2 => Just(Step::Kill),
    ]
}

fn sync() -> impl Strategy<Value = Sync> {
    let modes = [Sync::Always, Sync::Interval(Duration::from_millis(2)), Sync::Os];
    prop::sample::select(modes.to_vec())
}

/// The log and what it must hold.
struct World {
    log: Option<EventLog>,
    dir: TempDir,
    sync: Sync,
    runtime: Runtime,
    info: LogInfo,
    /// The name of each event, in order.
    names: Vec<String>,
    meta: BTreeMap<u8, u8>,
    /// The last durable position that this handle has shown.
    durable: Position,
}

impl World {
    fn new(sync: Sync) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = open_with(dir.path(), sync);
        let info = log.info();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (names, meta) = (Vec::new(), BTreeMap::new());
        Self { log: Some(log), dir, sync, runtime, info, names, meta, durable: Position(0) }
    }

    fn log(&self) -> &EventLog {
        self.log.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(count) => self.append(*count, Vec::new()),
            Step::AppendMeta { events, key, value } => self.append_meta(*events, *key, *value),
            Step::Offer(count) => {
                let new = self.new_events(*count);
                self.log().offer(new).unwrap();
                self.settle();
            }
            Step::Sync => self.sync(),
            Step::Read { from, events_max, bytes_max } => {
                let from = Position((self.names.len() * from / 1_000) as u64).next();
                self.read(from, ReadLimits { events_max: *events_max, bytes_max: *bytes_max });
            }
            Step::Tail(count) => self.tail(*count),
            Step::Reopen => self.reopen(),
            Step::Kill => self.kill(),
        }
        self.check_ends();
    }

    fn next(&self) -> Position {
        Position::FIRST.plus(self.names.len() as u64)
    }

    fn new_events(&mut self, count: usize) -> Vec<Event> {
        let from = self.names.len();
        self.names.extend((from..from + count).map(|index| format!("event {index}")));
        events(self.names.iter().skip(from))
    }

    fn append(&mut self, count: usize, meta: Vec<MetaEntry>) {
        let first = self.next();
        let events = self.new_events(count);
        let outcome = self.log().append(Batch { events, meta, ..Batch::default() }).unwrap();
        assert_eq!((outcome.first, outcome.events), (first, count as u64));
        assert_eq!(outcome.last(), self.next().before());
        if self.sync == Sync::Always {
            assert_eq!(self.log().ends().durable, self.next().before(), "acknowledged means durable");
        }
    }

    fn append_meta(&mut self, count: usize, key: u8, value: Option<u8>) {
        match value {
            Some(value) => self.meta.insert(key, value),
            None => self.meta.remove(&key),
        };
        self.append(count, vec![MetaEntry { key: vec![key], value: value.map(|value| vec![value]) }]);
        self.check_meta();
    }

    /// Waits until the writer has committed what was only offered.
    fn settle(&self) {
        while self.log().ends().next < self.next() {
            std::thread::yield_now();
        }
    }

    fn sync(&mut self) {
        let last = self.next().before();
        self.runtime.block_on(self.log().wait_durable(last)).unwrap();
        assert_eq!(self.log().ends().durable, last);
    }

    fn read(&mut self, from: Position, limits: ReadLimits) {
        let before = self.log().ends().durable;
        let entries = entries(self.log(), from, limits);
        let after = self.log().ends().durable;
        self.check_entries(from, &entries);
        let seen = |durable: Position| usize::try_from(durable.next().since(from)).unwrap();
        let (least, most) = (seen(before).min(limits.events_max), seen(after).min(limits.events_max));
        assert!(entries.len() <= most, "{} of {most}", entries.len());
        let bytes: usize = entries.iter().map(|entry| entry.bytes).sum();
        assert!(entries.len() >= least || bytes >= limits.bytes_max, "{} of {least}", entries.len());
        let last = entries.last().map_or(0, |entry| entry.bytes);
        assert!(entries.len() <= 1 || bytes - last < limits.bytes_max, "{bytes} bytes, the last has {last}");
    }

    /// Dense from `from`, and the events that were appended there.
    fn check_entries(&self, from: Position, entries: &[Entry]) {
        let positions = entries.iter().map(|entry| entry.position);
        assert!(positions.eq((0..).map(|index| from.plus(index)).take(entries.len())), "{entries:?}");
        let skip = usize::try_from(from.before().0).unwrap();
        let expected: Vec<_> = self.names.iter().skip(skip).take(entries.len()).cloned().collect();
        assert_eq!(names(entries), expected);
        for entry in entries {
            assert_eq!(self.log().find(entry.position).unwrap(), Found::Record(entry.checksum));
        }
    }

    fn tail(&mut self, count: usize) {
        let awaited = self.next().plus(count as u64).before();
        let new = self.new_events(count);
        let (log, reader) = (self.log().clone(), self.log().clone());
        let (waited, appended) = self
            .runtime
            .block_on(async { tokio::join!(reader.wait_durable(awaited), log.append_async(new)) });
        waited.unwrap();
        assert_eq!(appended.unwrap().last(), awaited);
        assert!(self.log().ends().durable >= awaited);
    }

    fn reopen(&mut self) {
        self.log().close().unwrap();
        // NOTE: the directory's lock goes with the last handle, so the old log goes before the new one comes.
        self.log = None;
        self.log = Some(open_with(self.dir.path(), self.sync));
        self.check_all_there();
    }

    fn kill(&mut self) {
        let copy = copy_as_killed(self.dir.path());
        self.log = Some(open_with(copy.path(), self.sync));
        self.dir = copy;
        self.check_all_there();
    }

    /// After every opening: all of it is there and durable, and writing goes on.
    fn check_all_there(&mut self) {
        assert_eq!(self.log().info(), self.info);
        let (next, durable) = (self.next(), self.next().before());
        assert_eq!(self.log().ends(), Ends { first: Position::FIRST, next, durable });
        let entries = entries(self.log(), Position::FIRST, ALL);
        assert_eq!(entries.len(), self.names.len());
        self.check_entries(Position::FIRST, &entries);
        self.check_meta();
        self.durable = durable;
        self.append(1, Vec::new());
    }

    fn check_meta(&self) {
        for key in 0..3 {
            let expected = self.meta.get(&key).map(|value| vec![*value]);
            assert_eq!(self.log().meta(&[key]).unwrap(), expected, "key {key}");
        }
    }

    fn check_ends(&mut self) {
        let ends = self.log().ends();
        assert_eq!((ends.first, ends.next), (Position::FIRST, self.next()));
        assert!(ends.durable < ends.next, "{ends:?}");
        assert!(ends.durable >= self.durable, "durable went back from {} to {ends:?}", self.durable);
        self.durable = ends.durable;
    }
}

/// NOTE: 40 cases are 20 s on a disk that others keep busy, and 2 s otherwise: fsyncs are what they cost.
fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::Direct("proptest-regressions/model.txt");
    ProptestConfig {
        cases: 40,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_log_is_a_list(sync in sync(), steps in prop::collection::vec(step(), 1..24)) {
        let mut world = World::new(sync);
        for step in &steps {
            world.take(step);
        }
        world.sync();
        world.kill();
        world.reopen();
    }
}
