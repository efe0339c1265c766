//! What stands before the log: it decides, in the order of positions, what becomes of token usage.
//!
//! The same model call is told several times: by snapshots that grow, by copies of a session, by a transcript and by
//! telemetry. Which tellings are one call is known to a [`Gate`], which is not of this crate. It runs on the writer
//! thread, in front of the commit, so that what it decides and what it remembers (on its [`Shelf`], the keyspace
//! `state`) are kept in one batch, or not at all. A log without a gate keeps everything.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event::{Event, Time, TokenUsage};
use fjall::Keyspace;

use crate::append::{Encoded, MetaEntry, Teller};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::state::KeyValue;

/// Decides what becomes of token usage before it is kept.
///
/// After any error, and whenever the log is opened again, [`Gate::open`] is called before anything else: what a gate
/// remembers beside its shelf may be of a batch that was not kept.
pub trait Gate: Send {
    /// The log has been opened: what the gate remembers in memory is read from the shelf, which it does not change.
    ///
    /// # Errors
    /// When the shelf cannot be read.
    fn open(&mut self, shelf: &mut Shelf<'_>, now: Time) -> Result<(), GateError>;

    /// Takes one usage event and adds to `kept` what is to be kept in its place, which may be nothing.
    ///
    /// # Errors
    /// When the shelf cannot be read.
    fn pass(
        &mut self,
        usage: TokenUsage,
        teller: Teller,
        now: Time,
        shelf: &mut Shelf<'_>,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<Fate, GateError>;

    /// In how long it wants to be woken; `None` when it waits for nothing.
    fn due(&self, now: Time) -> Option<Duration>;

    /// Adds to `kept` what is to be kept now that its time has come.
    ///
    /// # Errors
    /// When the shelf cannot be read.
    fn wake(&mut self, now: Time, shelf: &mut Shelf<'_>, kept: &mut Vec<TokenUsage>)
    -> Result<(), GateError>;
}

/// What became of a usage event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was kept, perhaps under the identity of an earlier one.
    Kept,
    /// The log knew as much already.
    Known,
    /// It waits on the shelf for what may explain it.
    Waits,
}

/// A gate that cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("the gate of token usage cannot go on")]
pub struct GateError(#[source] Box<dyn Error + Send + Sync>);

impl GateError {
    /// With this cause.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl From<GateError> for EngineError {
    fn from(error: GateError) -> Self {
        Self::told(crate::error::chain(&error))
    }
}

/// What a gate remembers: keys and values in the log, as this batch leaves them so far.
pub struct Shelf<'a> {
    kept: &'a Keyspace,
    /// What this batch changes.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Shelf<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Self { kept: &engine.state, changes: BTreeMap::new() }
    }

    /// The value under this key.
    ///
    /// # Errors
    /// When fjall cannot read it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.clone());
        }
        Ok(self.kept.get(key)?.map(|value| value.to_vec()))
    }

    /// Puts a value under a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// The first `most` keys that begin with `prefix` and come after `after`, in order, with their values.
    ///
    /// # Errors
    /// When fjall cannot read them.
    pub fn scan(&self, prefix: &[u8], after: &[u8], most: usize) -> Result<Vec<KeyValue>, EngineError> {
        let begin = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let range = (begin, Bound::Unbounded);
        let changes = self.changes.range::<[u8], _>(range).take_while(|(key, _)| key.starts_with(prefix));
        let changed: Vec<_> = changes.collect();
        let hidden: HashSet<&[u8]> = changed.iter().map(|(key, _)| key.as_slice()).collect();
        let mut found: Vec<KeyValue> = Vec::new();
        for guard in self.kept.range::<&[u8], _>(range) {
            let (key, value) = guard.into_inner()?;
            if found.len() >= most || !key.starts_with(prefix) {
                break;
            }
            if !hidden.contains(&*key) {
                found.push((key.to_vec(), value.to_vec()));
            }
        }
        let put = changed.into_iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        found.extend(put);
        found.sort_unstable();
        found.truncate(most);
        Ok(found)
    }

    fn into_meta(self) -> impl Iterator<Item = MetaEntry> {
        self.changes.into_iter().map(|(key, value)| MetaEntry { key, value })
    }
}

/// The gate of a log, if it has one, beside its writer.
pub(crate) struct Gatekeeper(Option<Box<dyn Gate>>);

impl Gatekeeper {
    pub(crate) const fn new(gate: Option<Box<dyn Gate>>) -> Self {
        Self(gate)
    }

    /// The log has been opened.
    pub(crate) fn open(&mut self, engine: &Arc<Engine>) -> Result<(), EngineError> {
        let Some(gate) = &mut self.0 else { return Ok(()) };
        Ok(gate.open(&mut Shelf::new(engine), crate::commit::now())?)
    }

    /// Lets the usage of these appends pass, in their order. Gives what else is to be kept in the same batch: what
    /// the gate lets go now, if it may, and what it remembers.
    pub(crate) fn pass<'e>(
        &mut self,
        appends: impl Iterator<Item = &'e mut Encoded>,
        engine: &Engine,
        letting_go: LettingGo,
    ) -> Result<Option<Encoded>, EngineError> {
        let Some(gate) = &mut self.0 else { return Ok(None) };
        let now = Time::from(SystemTime::now());
        let mut shelf = Shelf::new(engine);
        for encoded in appends.filter(|encoded| !encoded.usage.is_empty()) {
            replace_usage(gate.as_mut(), encoded, now, &mut shelf)?;
        }
        let mut kept = Vec::new();
        if letting_go == LettingGo::Now && gate.due(now).is_some_and(|due| due.is_zero()) {
            gate.wake(now, &mut shelf, &mut kept)?;
        }
        let meta = shelf.into_meta().collect();
        let mut own = Encoded { meta, is_on_shelf: true, ..Encoded::default() };
        for usage in kept {
            push(&mut own, &Event::TokenUsage(usage))?;
        }
        let is_something = !(own.ends.is_empty() && own.meta.is_empty());
        Ok(is_something.then_some(own))
    }

    /// In how long there is something to do without being asked.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.0.as_ref()?.due(Time::from(SystemTime::now()))
    }
}

/// Whether the gate may keep what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LettingGo {
    /// It may.
    Now,
    /// There is no room for it: it stays on the shelf.
    Later,
}

/// Puts in the place of each usage event what the gate makes of it.
fn replace_usage(
    gate: &mut dyn Gate,
    encoded: &mut Encoded,
    now: Time,
    shelf: &mut Shelf<'_>,
) -> Result<(), EngineError> {
    let records = std::mem::take(&mut encoded.records);
    let ends = std::mem::take(&mut encoded.ends);
    let mut usage = std::mem::take(&mut encoded.usage).into_iter().peekable();
    let mut kept = Vec::new();
    let mut start = 0;
    for (index, it) in ends.into_iter().enumerate() {
        match usage.next_if(|(at, _)| *at == index) {
            None => {
                encoded.records.extend_from_slice(records.get(start..it.end).unwrap_or_default());
                encoded.ends.push(crate::append::RecordEnd { end: encoded.records.len(), ..it });
            }
            Some((_, usage)) => {
                match gate.pass(usage, encoded.teller, now, shelf, &mut kept)? {
                    Fate::Kept => {}
                    Fate::Known => encoded.usage_known += 1,
                    Fate::Waits => encoded.usage_waiting += 1,
                }
                for usage in kept.drain(..) {
                    push(encoded, &Event::TokenUsage(usage))?;
                }
            }
        }
        start = it.end;
    }
    Ok(())
}

fn push(encoded: &mut Encoded, event: &Event) -> Result<(), EngineError> {
    let index = encoded.ends.len();
    encoded.push(index, event).map_err(|error| EngineError::told(crate::error::chain(&error)))
}
