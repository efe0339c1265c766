//! Telemetry that nothing has explained yet. It lies on the shelf, so that it waits through restarts.

use std::collections::{BTreeSet, HashMap};

use event::{Time, TokenUsage};

use super::key::{Id, WAITING};
use super::near::NearCall;
use super::shelf::{Shelf, ShelfError};
use super::value;

/// How long telemetry waits for the transcript of its session.
pub(super) const WAIT_MICROS: i64 = 300_000_000;
/// After an opening everything waits at least as long: transcripts were not read meanwhile.
const GRACE_MICROS: i64 = 60_000_000;
/// The most that waits in memory, about 20 MB; when more comes, the oldest waits no longer.
const WAITING_MAX: usize = 65_536;
/// Values that are read at once.
const PAGE: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    calls: HashMap<Id, (Time, Id, TokenUsage)>,
    by_session: HashMap<Id, Vec<Id>>,
    by_due: BTreeSet<(Time, Id)>,
}

impl Waiting {
    pub(super) fn open(&mut self, shelf: &dyn Shelf, now: Time) -> Result<(), ShelfError> {
        *self = Self::default();
        let mut after = Vec::new();
        loop {
            let page = shelf.scan(WAITING, &after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (key, bytes) in page {
                let Some((due, usage)) = value::decode_waiting(&bytes) else { continue };
                let (Some(call), Some(session)) = (Id::at_end_of(&key), Id::of_session(&usage)) else {
                    continue;
                };
                // NOTE: a clock that was set back meanwhile must not make it wait for ever.
                let (least, most) = (now.plus_micros(GRACE_MICROS), now.plus_micros(WAIT_MICROS));
                self.keep(call, session, usage, due.clamp(least, most));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn has(&self, call: Id) -> bool {
        self.calls.contains_key(&call)
    }

    /// When the first of it has waited long enough.
    pub(super) fn first_due(&self) -> Option<Time> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Lets `usage` wait.
    pub(super) fn put(&mut self, call: Id, session: Id, usage: TokenUsage, now: Time, shelf: &mut dyn Shelf) {
        let due = now.plus_micros(WAIT_MICROS);
        shelf.put(call.key(WAITING), value::encode_waiting(due, &usage));
        self.keep(call, session, usage, due);
    }

    fn keep(&mut self, call: Id, session: Id, usage: TokenUsage, due: Time) {
        self.calls.insert(call, (due, session, usage));
        self.by_session.entry(session).or_default().push(call);
        self.by_due.insert((due, call));
    }

    /// The telemetry of this session that tells of this call: the nearest in time.
    pub(super) fn nearest(&self, session: Id, near: &NearCall) -> Option<Id> {
        let calls = self.by_session.get(&session)?.iter();
        let alike = calls.filter_map(|call| Some((near.distance(&self.calls.get(call)?.2)?, *call)));
        alike.min().map(|(_, call)| call)
    }

    /// Takes one that has waited long enough, or that there is no room for.
    pub(super) fn take_due(&mut self, now: Time, shelf: &mut dyn Shelf) -> Option<(Id, Id, TokenUsage)> {
        let (due, call) = *self.by_due.first()?;
        if due > now && self.calls.len() <= WAITING_MAX {
            return None;
        }
        self.take(call, shelf).map(|(session, usage)| (call, session, usage))
    }

    /// Takes this one: its session and what it told.
    pub(super) fn take(&mut self, call: Id, shelf: &mut dyn Shelf) -> Option<(Id, TokenUsage)> {
        let (due, session, usage) = self.calls.remove(&call)?;
        self.by_due.remove(&(due, call));
        if let Some(calls) = self.by_session.get_mut(&session) {
            calls.retain(|it| *it != call);
            if calls.is_empty() {
                self.by_session.remove(&session);
            }
        }
        shelf.remove(call.key(WAITING));
        Some((session, usage))
    }
}
