//! The log, what it must hold, and the steps that are done to both.

use std::path::Path;

use event::wire::Decoded;
use event::{Event, Found, Kind, Position, Stretch};
use eventlog::{
    Batch, Ends, EventLog, LogInfo, MetaEntry, Order, ReadLimits, Recovery, Settings, Sync, TimeRange, TrimTo,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Step;
use crate::disk::{Disk, Tail, tear_mark};
use crate::plain::{Meta, Plain, minute};
use crate::support::{ALL, copy_as_killed, host};

pub(crate) struct World {
    log: Option<EventLog>,
    dir: TempDir,
    settings: Settings,
    runtime: Runtime,
    info: LogInfo,
    plain: Plain,
    disk: Disk,
    /// The last position when the log was opened or trimmed last.
    safe: Position,
    /// The last durable position that this handle has shown.
    durable: Position,
    /// A lost tail may have taken index entries with it.
    is_index_whole: bool,
}

impl World {
    pub(crate) fn new(sync: Sync, segment_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { sync, segment_bytes_max: Some(segment_bytes), ..Settings::default() };
        let log = EventLog::open(dir.path(), &host(), settings).unwrap();
        Self {
            info: log.info().clone(),
            log: Some(log),
            settings,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            plain: Plain::new(),
            disk: Disk::all_synced(dir.path()),
            dir,
            safe: Position(0),
            durable: Position(0),
            is_index_whole: true,
        }
    }

    fn log(&self) -> &EventLog {
        self.log.as_ref().unwrap()
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => self.append(count, None),
            Step::AppendMeta { events, key, value } => {
                self.append(events, Some((key, value)));
                self.check_meta();
            }
            Step::Import { events, minutes } => {
                let events = self.plain.imported(events, minutes);
                self.append_batch(Batch { events, order: Order::Import, ..Batch::default() });
            }
            Step::Offer(count) => self.offer(count),
            Step::Sync => self.sync(),
            Step::Read { from, events_max, bytes_max } => {
                self.read(self.place(from), ReadLimits { events_max, bytes_max });
            }
            Step::Between { from, minutes, ref kinds } => self.between(from, minutes, kinds),
            Step::Tail(count) => self.tail(count),
            Step::Trim(before) => self.trim(self.place(before)),
            Step::Reopen => self.reopen(),
            Step::Kill => self.kill(),
            Step::CutPower { tail, mark } => self.cut_power(tail, mark),
            Step::LoseTail { place, is_cut } => self.lose_tail(place, is_cut),
        }
        self.check_ends();
        self.look(self.dir.path().to_owned().as_path());
    }

    /// A position, in thousandths of the log.
    fn place(&self, thousandths: u64) -> Position {
        Position(self.plain.last().0 * thousandths / 1_000).next()
    }

    fn append(&mut self, count: usize, change: Option<(u8, Option<u8>)>) {
        let events = self.plain.live(count);
        let entry = |(key, value): (u8, Option<u8>)| MetaEntry {
            key: vec![key],
            value: value.map(|value| vec![value]),
        };
        let meta = change.map(entry).into_iter().collect();
        self.plain.change(change);
        self.append_batch(Batch { events, meta, ..Batch::default() });
    }

    /// Appends what the plain list has got already.
    fn append_batch(&mut self, batch: Batch) {
        self.plain.commit();
        let count = batch.events.len() as u64;
        let outcome = self.log().append(batch).unwrap();
        assert_eq!((outcome.events, outcome.last()), (count, self.plain.last()));
        if self.settings.sync == Sync::Always {
            assert_eq!(self.log().ends().durable, self.plain.last(), "acknowledged means durable");
        }
    }

    fn offer(&mut self, count: usize) {
        let events = self.plain.live(count);
        self.plain.commit();
        self.log().offer(events).unwrap();
        while self.log().ends().next < self.plain.next() {
            std::thread::yield_now();
        }
    }

    fn sync(&mut self) {
        let last = self.plain.last();
        self.runtime.block_on(self.log().wait_durable(last)).unwrap();
        assert_eq!(self.log().ends().durable, last);
    }

    fn look(&mut self, dir: &Path) {
        let (last, durable) = (self.plain.last(), self.log().ends().durable);
        self.disk.look(dir, last, durable);
        if self.settings.sync == Sync::Always && durable == last {
            // NOTE: commits without events, too, are synced when they are acknowledged.
            self.disk.is_synced();
        }
    }

    fn read(&mut self, from: Position, limits: ReadLimits) {
        let before = self.log().ends().durable;
        let stretch = self.log().read(from, limits).unwrap();
        let after = self.log().ends().durable;
        let entries = match stretch {
            Stretch::Events(entries) => entries,
            Stretch::Hole(hole) => return assert!(is_same(&[hole], self.plain.hole_at(from).as_slice())),
        };
        assert_eq!(self.plain.hole_at(from), None, "{from}");
        self.plain.check_entries(from, &entries);
        let end = self.plain.run_end(from);
        let seen = |durable: Position| usize::try_from(durable.min(end).next().since(from)).unwrap();
        let (least, most) = (seen(before).min(limits.events_max), seen(after).min(limits.events_max));
        assert!(entries.len() <= most, "{} of {most}", entries.len());
        let bytes: usize = entries.iter().map(|entry| entry.bytes).sum();
        assert!(entries.len() >= least || bytes >= limits.bytes_max, "{} of {least}", entries.len());
        let last = entries.last().map_or(0, |entry| entry.bytes);
        assert!(entries.len() <= 1 || bytes - last < limits.bytes_max, "{bytes} bytes, the last has {last}");
        for entry in &entries {
            assert_eq!(self.log().find(entry.position).unwrap(), Found::Record(entry.checksum));
        }
    }

    fn between(&self, from: i64, minutes: i64, kinds: &[Kind]) {
        let times = TimeRange { from: minute(from), to: minute(from + minutes) };
        let before = self.log().ends().durable;
        let runs = self.log().runs_between(times, kinds).unwrap();
        let after = self.log().ends().durable;
        self.plain.check_runs(&runs, (before, after), times, kinds);
    }

    fn tail(&mut self, count: usize) {
        let events = self.plain.live(count);
        self.plain.commit();
        let awaited = self.plain.last();
        let (log, reader) = (self.log().clone(), self.log().clone());
        let (waited, appended) = self
            .runtime
            .block_on(async { tokio::join!(reader.wait_durable(awaited), log.append_async(events)) });
        waited.unwrap();
        assert_eq!(appended.unwrap().last(), awaited);
        assert!(self.log().ends().durable >= awaited);
    }

    fn trim(&mut self, before: Position) {
        let old_first = self.plain.first();
        let would = self.log().trim(TrimTo::Before { position: before, dry_run: true }).unwrap();
        let did = self.log().trim(TrimTo::Before { position: before, dry_run: false }).unwrap();
        let numbers = |outcome: eventlog::TrimOutcome| (outcome.events, outcome.dropped, outcome.segments);
        assert_eq!(numbers(would), numbers(did));
        assert_eq!(would.first, old_first, "a dry run does nothing");
        assert!(old_first <= did.first, "{did:?}");
        assert!(self.plain.events_before(did.first) <= self.plain.events_before(before), "{did:?}");
        if before > self.plain.last() {
            assert_eq!(did.first, self.plain.next(), "up to the head everything goes");
        }
        assert_eq!((did.events, did.held_back_at), (self.plain.events_before(did.first), None));
        self.plain.trim(did.first);
        if did.segments > 0 {
            assert_eq!(self.log().ends().durable, self.plain.last(), "a trim syncs");
        }
        // NOTE: the flush that follows a trim syncs the journal, and keeps the hole where nothing here reaches it.
        self.sync();
        self.disk = Disk::all_synced(self.dir.path());
        self.safe = self.plain.last();
    }

    fn reopen(&mut self) {
        self.log().close().unwrap();
        // NOTE: the directory's lock goes with the last handle, so the old log goes before the new one comes.
        self.log = None;
        self.open(None);
        assert_eq!(*self.log().recovery(), Recovery::default());
        self.check_opened();
    }

    fn kill(&mut self) {
        self.open(Some(copy_as_killed(self.dir.path())));
        assert_eq!(*self.log().recovery(), Recovery::default());
        self.check_opened();
    }

    fn cut_power(&mut self, tail: Tail, mark: Option<u64>) {
        if self.settings.sync != Sync::Os {
            // NOTE: else a sync could end between our looks, and we would take more than a power cut.
            self.sync();
        }
        let durable = self.log().ends().durable;
        let copy = copy_as_killed(self.dir.path());
        self.look(copy.path());
        self.disk.cut_power(copy.path(), tail);
        if let Some(seed) = mark {
            tear_mark(copy.path(), seed);
        }
        self.open(Some(copy));
        let recovery = self.log().recovery();
        assert_eq!(recovery.lost_tail, None);
        assert!(recovery.notes.iter().all(|note| note.contains("were no whole batch")), "{recovery:?}");
        let last = self.log().ends().next.before();
        assert!(last >= durable, "{last} is left, {durable} was durable");
        if self.settings.sync == Sync::Always || matches!(tail, Tail::Keep) {
            assert_eq!(last, self.plain.last(), "acknowledged or kept");
        }
        self.plain.cut(last, self.read_meta());
        self.check_opened();
    }

    fn lose_tail(&mut self, place: u64, is_cut: bool) {
        self.sync();
        let last = self.plain.last();
        if last < Position::FIRST {
            return;
        }
        self.read(last, ALL);
        self.log().close().unwrap();
        self.log = None;
        self.disk.look(self.dir.path(), last, last);
        self.disk.lose_tail(self.dir.path(), place, is_cut);
        self.open(None);
        self.is_index_whole = false;
        self.plain.age(self.safe, self.read_meta());
        // NOTE: without a hole all of it was in tables already.
        let Some(hole) = self.log().recovery().lost_tail else { return self.check_opened() };
        assert!(hole.lo > self.safe && hole.hi == last, "{hole:?} is not of {} to {last}", self.safe);
        self.plain.lose(hole.lo.before());
        assert!(is_same(&[hole], self.plain.hole_at(last).as_slice()), "{hole:?}");
        let Stretch::Events(told) = self.log().read(last.next(), ALL).unwrap() else { panic!("a hole") };
        let [told] = told.as_slice() else { panic!("{told:?}") };
        let Decoded::Event(gap @ Event::Gap(it)) = &told.event else { panic!("{told:?}") };
        assert_eq!((it.what.as_str(), it.reason.as_str(), it.events), ("log", "lost_tail", hole.positions()));
        assert!(it.from <= it.to && it.to <= it.time, "{it:?}");
        self.plain.told(gap);
        self.check_opened();
    }

    /// Opens what is in another directory now, or in the same.
    fn open(&mut self, dir: Option<TempDir>) {
        let path = dir.as_ref().unwrap_or(&self.dir).path();
        let log = EventLog::open(path, &host(), self.settings).unwrap();
        self.disk = Disk::all_synced(path);
        self.plain.close_block();
        self.log = Some(log);
        self.dir = dir.unwrap_or_else(|| std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap()));
    }

    /// After every opening: all of it is there and durable, and writing goes on.
    fn check_opened(&mut self) {
        assert_eq!(self.log().info(), self.info);
        (self.durable, self.safe) = (self.plain.last(), self.plain.last());
        let (first, next) = (self.plain.first(), self.plain.next());
        assert_eq!(self.log().ends(), Ends { first, next, durable: self.durable });
        assert!(is_same(&self.log().holes().unwrap(), &self.plain.holes()), "{:?}", self.plain.holes());
        let mut from = Position::FIRST;
        while from < next {
            self.read(from, ALL);
            from = self.plain.hole_at(from).map_or(self.plain.run_end(from), |hole| hole.hi).next();
        }
        self.check_numbers();
        self.check_meta();
        self.append(1, None);
    }

    fn check_numbers(&self) {
        let events = self.plain.events_before(self.plain.next());
        let stat = self.log().stat().unwrap();
        assert_eq!((stat.events, stat.lost_events), (events, self.plain.lost_events));
        let found = self.log().verify(|_, _| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!((found.events, found.damage.as_slice()), (events, [].as_slice()), "{found:?}");
        assert!(is_same(&found.holes, &self.plain.holes()), "{found:?}");
        assert!(found.wrong_blocks == 0 || !self.is_index_whole, "{found:?}");
    }

    fn read_meta(&self) -> Meta {
        let value = |key| self.log().state(&[key]).unwrap()?.first().copied();
        (0..3).filter_map(|key| Some((key, value(key)?))).collect()
    }

    fn check_meta(&self) {
        assert_eq!(self.read_meta(), *self.plain.meta());
    }

    fn check_ends(&mut self) {
        let ends = self.log().ends();
        assert_eq!((ends.first, ends.next), (self.plain.first(), self.plain.next()));
        assert!(ends.durable < ends.next, "{ends:?}");
        assert!(ends.durable >= self.durable, "durable went back from {} to {ends:?}", self.durable);
        self.durable = ends.durable;
    }

    /// What every sequence of steps ends with.
    pub(crate) fn end(&mut self) {
        self.sync();
        self.kill();
        self.reopen();
    }
}

/// The same holes; a checksum that we do not know may be any.
fn is_same(found: &[event::Hole], expected: &[event::Hole]) -> bool {
    let is_same = |(found, expected): (&event::Hole, &event::Hole)| {
        let checksum = expected.checksum.or(found.checksum);
        *found == event::Hole { checksum, ..*expected }
    };
    found.len() == expected.len() && found.iter().zip(expected).all(is_same)
}
