//! Calls by session, for as long as something may match them: what somebody who knows message ids told of in the last
//! hour, a transcript most often, and what telemetry alone has told.
//!
//! Telemetry knows no message ids. It can be of a call that was told with one when the session and the model are the
//! same, the cache counts are equal, its time lies within a minute of the call's tellings, and the output fits: equal
//! where the end of the call was told, at least as much where it has not. Of several such calls it is
//! the nearest in time, each once.

use std::collections::HashMap;

use event::{Text, Time, TokenUsage};

use super::key::{Id, NEAR};
use super::shelf::{Shelf, ShelfError};
use super::value::{self, By, Call};

/// How far apart the times of one call may be.
const WINDOW_MICROS: i64 = 60_000_000;
/// For how long a call with a message id can be matched.
pub(super) const NAMED_MICROS: i64 = 3_600_000_000;
/// Values that are read at once.
const PAGE: usize = 1_024;

/// A call that something may match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NearCall {
    pub(super) call: Id,
    pub(super) by: By,
    model: Text,
    caches: (u64, u64),
    output: u64,
    pub(super) end: End,
    first: Time,
    last: Time,
    at: Time,
}

/// Whether the last telling of a call was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Told,
    Awaited,
}

/// All of them, by session; the shelf has the same.
#[derive(Debug, Default)]
pub(super) struct Near(HashMap<Id, Vec<NearCall>>);

impl NearCall {
    /// The call that is kept as `known`, told at `last`.
    pub(super) fn new(call: Id, by: By, known: &TokenUsage, last: Time, at: Time) -> Self {
        let caches = (known.cache_read, known.cache_create);
        let (first, last) = (known.time.min(last), last.max(known.time));
        let end = if known.r#final { End::Told } else { End::Awaited };
        let (model, output) = (known.model.clone(), known.output_tokens);
        Self { call, by, model, caches, output, end, first, last, at }
    }

    /// How far its times are from those of `usage`, microseconds; `None` when it is no telling of it.
    pub(super) fn distance(&self, usage: &TokenUsage) -> Option<i64> {
        let is_alike = self.model == usage.model && self.caches == (usage.cache_read, usage.cache_create);
        let has_the_output = match (self.end, usage.r#final) {
            (End::Told, true) => self.output == usage.output_tokens,
            (End::Awaited, _) => self.output <= usage.output_tokens,
            (End::Told, false) => usage.output_tokens <= self.output,
        };
        let before = self.first.micros().saturating_sub(usage.time.micros());
        let after = usage.time.micros().saturating_sub(self.last.micros());
        let distance = before.max(after).max(0);
        (is_alike && has_the_output && distance <= WINDOW_MICROS).then_some(distance)
    }
}

impl Near {
    pub(super) fn open(&mut self, shelf: &dyn Shelf) -> Result<(), ShelfError> {
        self.0.clear();
        let mut after = Vec::new();
        loop {
            let page = shelf.scan(NEAR, &after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (key, bytes) in page {
                self.load(&key, &bytes, shelf)?;
            }
        }
    }

    fn load(&mut self, key: &[u8], bytes: &[u8], shelf: &dyn Shelf) -> Result<(), ShelfError> {
        let session = key.get(NEAR.len()..NEAR.len() + 16).and_then(Id::at_end_of);
        let (Some(session), Some(call)) = (session, Id::at_end_of(key)) else { return Ok(()) };
        let Some((by, last, at)) = value::decode_near(bytes) else { return Ok(()) };
        let known = shelf.get(&call.key(super::key::CALLS))?.and_then(|bytes| Call::decode(&bytes));
        if let Some(Call::Itself(known)) = known {
            let near = NearCall::new(call, by, &known.usage, last, at);
            self.0.entry(session).or_default().push(near);
        }
        Ok(())
    }

    /// The nearest call of a session, told by `by` and ended or not, that `usage` may be a telling of.
    pub(super) fn nearest(&self, session: Id, by: By, end: End, usage: &TokenUsage) -> Option<Id> {
        let calls = self.0.get(&session)?.iter().filter(|near| near.by == by && near.end == end);
        let near = calls.filter_map(|near| Some((near.distance(usage)?, near.call)));
        near.min().map(|(_, call)| call)
    }

    /// Puts a call there, or its newer telling in its place.
    pub(super) fn put(&mut self, session: Id, near: NearCall, shelf: &mut dyn Shelf) {
        let key = session.key_within(NEAR, near.call);
        shelf.put(key, value::encode_near(near.by, near.last, near.at));
        let calls = self.0.entry(session).or_default();
        match calls.iter_mut().find(|it| it.call == near.call) {
            Some(it) => *it = near,
            None => calls.push(near),
        }
    }

    /// Takes a call away, if it is there.
    pub(super) fn remove(&mut self, session: Id, call: Id, shelf: &mut dyn Shelf) {
        let Some(calls) = self.0.get_mut(&session) else { return };
        let before = calls.len();
        calls.retain(|near| near.call != call);
        if calls.len() < before {
            shelf.remove(session.key_within(NEAR, call));
        }
        if calls.is_empty() {
            self.0.remove(&session);
        }
    }

    /// Lets go of what nothing will match any more.
    pub(super) fn expire(&mut self, now: Time, telemetry_micros: i64, shelf: &mut dyn Shelf) {
        let age = |near: &NearCall| now.micros().saturating_sub(near.at.micros());
        for (session, calls) in &mut self.0 {
            calls.retain(|near| {
                let most = if near.by == By::Named { NAMED_MICROS } else { telemetry_micros };
                let stays = age(near) <= most;
                if !stays {
                    shelf.remove(session.key_within(NEAR, near.call));
                }
                stays
            });
        }
        self.0.retain(|_, calls| !calls.is_empty());
    }
}
