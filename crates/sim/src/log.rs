//! A log in memory, with the two ends of the real one: what was appended, and what of it is durable.
//!
//! As in the real one a sync happens when somebody asks, a record's checksum covers its place, a read that
//! meets a damaged record fails as a whole, what is not durable can be lost and its positions used anew, and
//! what was durable can be lost and is a hole for ever.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event::wire::{self, Decoded};
use event::{BirthId, Entry, Event, Found, Hole, HoleCause, HostName, LogId, Position, Stretch};
use projector::{Ends, LogIdentity, ReadLimits, Source, SourceError};
use tokio::sync::Notify;
use uuid::Uuid;

/// The host that an event without a host belongs to.
pub const HOST: &str = "here";

/// How long a sync takes.
const SYNC: Duration = Duration::from_millis(1);

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    identity: LogIdentity,
    birth: BirthId,
    state: Mutex<State>,
    /// NOTE: no watch channel: that wakes those who wait in an order of its own.
    changes: Notify,
}

#[derive(Clone, Debug)]
struct State {
    /// Dense from position 1, those in holes too.
    entries: Vec<Entry>,
    /// In order and disjoint; two can touch.
    holes: Vec<Hole>,
    durable: Position,
    damaged: Option<Position>,
    broken: Option<Position>,
    syncs: Syncs,
    syncs_asked: u64,
    access: Access,
    is_closed: bool,
    limits_seen: Vec<ReadLimits>,
}

/// Whether a sync that somebody asks for is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// At once.
    OnDemand,
    /// Not until this changes.
    Held,
}

/// Whether the log can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    Open,
    /// Not now: it has failed, and is about to open itself again.
    Away,
}

/// What a hole keeps of its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its checksum.
    Checksum,
    /// Nothing.
    Nothing,
}

impl MemoryLog {
    /// An empty log, another one each time.
    pub fn new() -> Arc<Self> {
        Self::of(LogId::random(), BirthId::random())
    }

    /// An empty log, the same for the same seed.
    pub fn of_seed(seed: u64) -> Arc<Self> {
        let id = |salt: u64| Uuid::from_u64_pair(seed, salt);
        Self::of(LogId(id(1)), BirthId(id(2)))
    }

    fn of(log_id: LogId, birth: BirthId) -> Arc<Self> {
        let state = State {
            entries: Vec::new(),
            holes: Vec::new(),
            durable: Position::default(),
            damaged: None,
            broken: None,
            syncs: Syncs::OnDemand,
            syncs_asked: 0,
            access: Access::Open,
            is_closed: false,
            limits_seen: Vec::new(),
        };
        let identity = LogIdentity { log_id, host: HostName::new(HOST).unwrap() };
        Arc::new(Self { identity, birth, state: Mutex::new(state), changes: Notify::new() })
    }

    /// A copy of this log's files: the same identity, a life of its own from here on.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self {
            identity: self.identity.clone(),
            birth: self.birth,
            state: Mutex::new(self.state().clone()),
            changes: Notify::new(),
        })
    }

    /// Appends without a sync.
    pub fn append(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            let mut payload = Vec::new();
            wire::encode(&event, &mut payload).unwrap();
            self.push(&payload, Decoded::Event(event));
        }
    }

    /// Appends an event that a newer version wrote.
    pub fn append_unknown(&self, kind: u8, version: u8) {
        let payload = [0x92, kind, version];
        let decoded = wire::decode(&payload).unwrap();
        assert!(matches!(decoded, Decoded::Unknown { .. }), "{decoded:?}");
        self.push(&payload, decoded);
    }

    fn push(&self, payload: &[u8], event: Decoded) {
        self.change(|state| {
            let position = state.next();
            let checksum = wire::checksum(&self.birth, position, payload);
            state.entries.push(Entry { position, checksum, bytes: payload.len(), event });
        });
    }

    /// Makes durable what was appended.
    pub fn sync(&self) {
        self.change(|state| state.durable = state.head());
    }

    /// From now on syncs are done like this.
    pub fn set_syncs(&self, syncs: Syncs) {
        self.change(|state| state.syncs = syncs);
    }

    /// A power cut: what is not durable is lost.
    pub fn cut_power(&self) {
        let durable = self.ends().durable;
        self.rewind(durable);
    }

    /// The log's files as they were when `head` was the last position.
    pub fn rewind(&self, head: Position) {
        self.change(|state| {
            state.entries.truncate(usize::try_from(head.0).unwrap());
            state.durable = state.head().min(state.durable);
            let others = std::mem::take(&mut state.holes);
            let end = Position(u64::MAX);
            state.holes = others.iter().flat_map(|hole| without(hole, head.next(), end)).flatten().collect();
        });
    }

    /// Takes away what lies before `first`.
    pub fn trim(&self, first: Position, kept: Kept) {
        self.make_hole(Position::FIRST, first.before(), HoleCause::Trimmed, kept);
    }

    /// What is not durable is lost, and with it the last `count` durable ones; new events come behind them.
    pub fn lose_tail(&self, count: u64) {
        self.cut_power();
        let hi = self.head();
        self.make_hole(Position(hi.next().0 - count), hi, HoleCause::LostTail, Kept::Checksum);
    }

    /// The events from `lo` to `hi`, durable ones, are gone. What lay there of other holes becomes part of it.
    pub fn make_hole(&self, lo: Position, hi: Position, cause: HoleCause, kept: Kept) {
        self.change(|state| {
            assert!(Position::FIRST <= lo && lo <= hi && hi <= state.durable, "{lo} to {hi} is no hole");
            let last = &state.entries[usize::try_from(hi.before().0).unwrap()];
            let checksum = (kept == Kept::Checksum).then_some(last.checksum);
            let others = std::mem::take(&mut state.holes);
            state.holes = others.iter().flat_map(|other| without(other, lo, hi)).flatten().collect();
            state.holes.push(Hole { lo, hi, cause, checksum });
            state.holes.sort_by_key(|hole| hole.lo);
        });
    }

    /// The log's holes, in order.
    pub fn holes(&self) -> Vec<Hole> {
        self.state().holes.clone()
    }

    /// Whether the event at `position` is gone.
    pub fn is_gone(&self, position: Position) -> bool {
        self.state().hole(position).is_some()
    }

    /// The record there has changed on the disk, or `None` has.
    pub fn damage(&self, position: impl Into<Option<Position>>) {
        let position = position.into();
        self.change(|state| state.damaged = position);
    }

    /// Whether the log can be asked from now on.
    pub fn set_access(&self, access: Access) {
        self.change(|state| state.access = access);
    }

    /// Who waits for the log learns that `position` cannot be read.
    pub fn break_at(&self, position: Position) {
        self.change(|state| state.broken = Some(position));
    }

    /// Closes the log: the process is ending.
    pub fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// The last position, durable or not; zero when there is none.
    pub fn head(&self) -> Position {
        self.state().head()
    }

    /// All that was appended, what is in holes too.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// How often somebody asked for a sync.
    pub fn syncs_asked(&self) -> u64 {
        self.state().syncs_asked
    }

    /// The limits of every read so far.
    pub fn limits_seen(&self) -> Vec<ReadLimits> {
        self.state().limits_seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.notify_waiters();
    }
}

impl State {
    fn head(&self) -> Position {
        Position(self.entries.len() as u64)
    }

    fn next(&self) -> Position {
        self.head().next()
    }

    fn ends(&self) -> Ends {
        let mut first = Position::FIRST;
        while let Some(hole) = self.hole(first) {
            first = hole.hi.next();
        }
        Ends { first, next: self.next(), durable: self.durable }
    }

    fn hole(&self, position: Position) -> Option<Hole> {
        self.holes.iter().find(|hole| hole.contains(position)).copied()
    }

    fn entry(&self, position: Position) -> Result<&Entry, SourceError> {
        let unreadable = |reason: &str| SourceError::Unreadable { position, reason: reason.to_owned() };
        if self.damaged == Some(position) {
            return Err(unreadable("the checksum differs"));
        }
        self.entries.get(usize::try_from(position.before().0).unwrap()).ok_or_else(|| unreadable("too far"))
    }

    fn find(&self, position: Position) -> Result<Found, SourceError> {
        match self.hole(position) {
            Some(hole) => Ok(Found::Hole(hole)),
            None if position > self.durable => Ok(Found::Nothing),
            None => self.entry(position).map(|entry| Found::Record(entry.checksum)),
        }
    }

    fn read(&self, from: Position, limits: ReadLimits) -> Result<Stretch, SourceError> {
        if let Some(hole) = self.hole(from) {
            return Ok(Stretch::Hole(hole));
        }
        let (mut entries, mut bytes, mut position) = (Vec::new(), 0, from);
        while position <= self.durable && self.hole(position).is_none() && entries.len() < limits.events_max {
            let entry = self.entry(position)?;
            bytes += entry.bytes;
            entries.push(entry.clone());
            position = position.next();
            if bytes >= limits.bytes_max {
                break;
            }
        }
        Ok(Stretch::Events(entries))
    }
}

/// What is left of a hole in front of `lo` and behind `hi`; only the end of a whole one keeps its checksum.
fn without(hole: &Hole, lo: Position, hi: Position) -> [Option<Hole>; 2] {
    let front = if hole.hi < lo { *hole } else { Hole { hi: lo.before(), checksum: None, ..*hole } };
    let back = Hole { lo: hole.lo.max(hi.next()), ..*hole };
    [front, back].map(|part| (part.lo <= part.hi).then_some(part))
}

impl Source for MemoryLog {
    fn identity(&self) -> LogIdentity {
        self.identity.clone()
    }

    fn ends(&self) -> Ends {
        self.state().ends()
    }

    fn find(&self, position: Position) -> Result<Found, SourceError> {
        let state = self.state();
        if state.access == Access::Away {
            return Err(SourceError::Away);
        }
        state.find(position)
    }

    async fn read(&self, from: Position, limits: ReadLimits) -> Result<Stretch, SourceError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.limits_seen.push(limits);
        if state.is_closed {
            return Err(SourceError::Closed);
        }
        if state.access == Access::Away {
            return Err(SourceError::Away);
        }
        state.read(from, limits)
    }

    async fn wait_for(&self, position: Position) -> Result<(), SourceError> {
        loop {
            let changed = self.changes.notified();
            let syncs = {
                let mut state = self.state();
                if state.durable >= position {
                    return Ok(());
                }
                if state.is_closed {
                    return Err(SourceError::Closed);
                }
                if state.access == Access::Away {
                    return Err(SourceError::Away);
                }
                if let Some(position) = state.broken {
                    return Err(SourceError::Unreadable { position, reason: "the log is broken".to_owned() });
                }
                let is_there = state.next() > position;
                state.syncs_asked += u64::from(is_there);
                if is_there { state.syncs } else { Syncs::Held }
            };
            match syncs {
                Syncs::OnDemand => {
                    tokio::time::sleep(SYNC).await;
                    self.sync();
                }
                Syncs::Held => changed.await,
            }
        }
    }
}
