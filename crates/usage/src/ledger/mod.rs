//! Which tellings are of one call: every usage event passes here before it is kept, whatever told of it.
//!
//! | a telling | becomes |
//! | --- | --- |
//! | without a message id | kept as it is: nothing tells two of them apart but their key |
//! | the first of its call | kept; its time, host, agent, model and message id (`key.rs`) are the call's from here on |
//! | a later one that is larger (`rule.rs`) | kept, under the call's identity, with the reported cost that is known |
//! | a later one that is not | dropped and counted as known, but for the first cost that is reported |
//! | telemetry of a call whose end was told with a message id (`near.rs`) | that call with the cost that telemetry reports |
//! | other telemetry with a session | waits for five minutes (`waiting.rs`), for the end of its call |
//! | what has waited so long, of a call that was told with a message id, but not its end | a final telling of that call |
//! | else | dropped as superseded, if a transcript tells of its session; else kept as it is |
//! | a call with a message id that telemetry alone has told before | a later telling of that call |
//!
//! So a call is one row in a database, wherever and however often it is told. What is remembered lies on a [`Shelf`]
//! and is kept in one batch with the events; it is forgotten 90 days after the last append that touched it
//! (`sweep.rs`). A telling that comes later than that is kept under its own time, which copies of a transcript carry
//! along, and counted as late when an earlier one may have been forgotten.

mod counters;
mod key;
mod near;
mod shelf;
mod sweep;
mod value;
mod waiting;

use event::{Time, TokenUsage};

pub use counters::{Counters, Counts};
pub use shelf::{KeyValue, Shelf, ShelfError};

use counters::Count;
use key::{CALLS, Id, SESSIONS, kept_message_id};
use near::{End, Near, NearCall};
use sweep::{KEPT_DAYS, Sweep};
use value::{By, Call, Explained, Known, day};
use waiting::Waiting;

/// When the first usage passed, i64 microseconds: nothing can have been forgotten before.
const BEGAN: &[u8] = b"usage/began";
/// How long telemetry that was kept as a call of its own can be found again, microseconds.
const TELEMETRY_MICROS: i64 = KEPT_DAYS as i64 * 86_400_000_000;

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Somebody who knows message ids, or has none.
    Anybody,
    /// The transcript of a coding tool.
    Transcript,
    /// A coding tool's telemetry, with ids of its own.
    Telemetry,
}

/// What became of a telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, perhaps under the identity of its call.
    Kept,
    /// As much was known.
    Known,
    /// It waits.
    Waits,
}

/// Decides what becomes of usage.
#[derive(Debug, Default)]
pub struct Ledger {
    near: Near,
    waiting: Waiting,
    sweep: Sweep,
    began: Option<Time>,
    counters: Counters,
}

/// One telling on its way.
struct Telling<'a> {
    now: Time,
    shelf: &'a mut dyn Shelf,
    kept: &'a mut Vec<TokenUsage>,
}

impl Ledger {
    /// A ledger that remembers nothing until it is opened.
    #[must_use]
    pub fn new(counters: Counters) -> Self {
        Self { counters, ..Self::default() }
    }

    /// Reads what is remembered, in place of what was in memory.
    ///
    /// # Errors
    /// When the shelf cannot be read.
    pub fn open(&mut self, shelf: &dyn Shelf, now: Time) -> Result<(), ShelfError> {
        self.near.open(shelf)?;
        self.waiting.open(shelf, now)?;
        self.sweep.open(now);
        let began = shelf.get(BEGAN)?.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
        self.began = began.map(Time::from_micros);
        self.counters.set_waiting(self.waiting.len());
        Ok(())
    }

    /// Takes one telling and adds to `kept` what is to be kept now.
    ///
    /// # Errors
    /// When the shelf cannot be read. What is in memory may then differ from the shelf: open again.
    pub fn pass(
        &mut self,
        usage: TokenUsage,
        teller: Teller,
        now: Time,
        shelf: &mut dyn Shelf,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<Fate, ShelfError> {
        let Some(id) = Id::of_call(&usage) else {
            kept.push(usage);
            return Ok(Fate::Kept);
        };
        let mut telling = Telling { now, shelf, kept };
        telling.begin(&mut self.began);
        let session = Id::of_session(&usage);
        let fate = match (teller, session) {
            (Teller::Telemetry, Some(session)) => self.telemetry(id, session, usage, &mut telling)?,
            (Teller::Transcript, Some(session)) => {
                telling.touch_session(session)?;
                self.named(id, session, usage, &mut telling)?
            }
            (Teller::Anybody, Some(session)) => self.named(id, session, usage, &mut telling)?,
            (_, None) => self.tell(id, usage, &mut telling)?.1,
        };
        self.counters.set_waiting(self.waiting.len());
        Ok(fate)
    }

    /// When there is something to do without being asked.
    #[must_use]
    pub fn due(&self) -> Option<Time> {
        [self.waiting.first_due(), self.sweep.due()].into_iter().flatten().min()
    }

    /// Lets go of what has waited long enough, and forgets what is old.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub fn wake(
        &mut self,
        now: Time,
        shelf: &mut dyn Shelf,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<(), ShelfError> {
        let mut telling = Telling { now, shelf, kept };
        while let Some((id, session, usage)) = self.waiting.take_due(now, telling.shelf) {
            self.let_go(id, session, usage, &mut telling)?;
        }
        self.counters.set_waiting(self.waiting.len());
        if self.sweep.pass(now, telling.shelf)? {
            self.near.expire(now, TELEMETRY_MICROS, telling.shelf);
        }
        Ok(())
    }

    fn telemetry(
        &mut self,
        id: Id,
        session: Id,
        usage: TokenUsage,
        telling: &mut Telling<'_>,
    ) -> Result<Fate, ShelfError> {
        if telling.recall(id)?.is_some() {
            return Ok(self.tell(id, usage, telling)?.1);
        }
        if self.waiting.has(id) {
            self.counters.add(Count::Known);
            return Ok(Fate::Known);
        }
        if let Some(call) = self.near.nearest(session, By::Named, End::Told, &usage) {
            return self.explain(id, session, call, usage, telling);
        }
        self.waiting.put(id, session, usage, telling.now, telling.shelf);
        while let Some((id, session, usage)) =
            self.waiting.take_due(Time::from_micros(i64::MIN), telling.shelf)
        {
            self.let_go(id, session, usage, telling)?;
        }
        Ok(Fate::Waits)
    }

    /// A telling with the message id that a transcript has as well, whoever tells it.
    fn named(
        &mut self,
        id: Id,
        session: Id,
        usage: TokenUsage,
        telling: &mut Telling<'_>,
    ) -> Result<Fate, ShelfError> {
        let is_new = telling.recall(id)?.is_none();
        let alone = is_new.then(|| self.near.nearest(session, By::Telemetry, End::Told, &usage)).flatten();
        if let Some(call) = alone {
            self.near.remove(session, call, telling.shelf);
            self.join(id, call, telling)?;
        }
        let last = usage.time;
        let (call, fate) = self.tell(id, usage, telling)?;
        let Some((call, known)) = telling.recall(call)? else { return Ok(fate) };
        if known.explained == Explained::Yes {
            return Ok(fate);
        }
        let near = NearCall::new(call, By::Named, &known.usage, last, telling.now);
        // NOTE: what a call is at its end tells it apart from others like it; until then telemetry waits.
        let ended = (near.end == End::Told).then(|| self.waiting.nearest(session, &near)).flatten();
        if let Some(waiting) = ended {
            if let Some((_, usage)) = self.waiting.take(waiting, telling.shelf) {
                self.explain(waiting, session, call, usage, telling)?;
            }
        } else if telling.now.micros().saturating_sub(last.micros()) <= near::NAMED_MICROS {
            self.near.put(session, near, telling.shelf);
        }
        Ok(fate)
    }

    /// Telemetry `id` is of `call`, which was told with a message id: a final telling of it, or the cost of one that had ended.
    fn explain(
        &mut self,
        id: Id,
        session: Id,
        call: Id,
        mut usage: TokenUsage,
        telling: &mut Telling<'_>,
    ) -> Result<Fate, ShelfError> {
        self.near.remove(session, call, telling.shelf);
        usage.r#final = true;
        match self.join(id, call, telling)? {
            // IMPORTANT: what was told to its end is never changed by telemetry, but for the cost.
            Some(told) if told.r#final => {
                usage = TokenUsage { cost_usd: told.cost_usd.or(usage.cost_usd), ..told }
            }
            Some(told) => {
                // NOTE: telemetry does not tell the subsets, which the price depends on.
                usage.cache_create_1h = told.cache_create_1h.min(usage.cache_create);
                let reasoning = usage.reasoning_tokens.max(told.reasoning_tokens);
                usage.reasoning_tokens = reasoning.min(usage.output_tokens);
            }
            None => {}
        }
        Ok(self.tell(call, usage, telling)?.1)
    }

    /// What `id` tells of is `call`: one of them has a message id, the other is telemetry's. Returns what is known.
    fn join(&self, id: Id, call: Id, telling: &mut Telling<'_>) -> Result<Option<TokenUsage>, ShelfError> {
        self.counters.add(Count::Matched);
        telling.shelf.put(id.key(CALLS), Call::Also(call).encode());
        let Some((call, mut known)) = telling.recall(call)? else { return Ok(None) };
        let told = known.usage.clone();
        known.explained = Explained::Yes;
        telling.shelf.put(call.key(CALLS), Call::Itself(known).encode());
        Ok(Some(told))
    }

    /// Telemetry that nothing has explained in time.
    fn let_go(
        &mut self,
        id: Id,
        session: Id,
        usage: TokenUsage,
        telling: &mut Telling<'_>,
    ) -> Result<(), ShelfError> {
        if let Some(call) = self.near.nearest(session, By::Named, End::Awaited, &usage) {
            return self.explain(id, session, call, usage, telling).map(drop);
        }
        if telling.shelf.get(&session.key(SESSIONS))?.is_some() {
            self.counters.add(Count::Superseded);
            return Ok(());
        }
        self.counters.add(Count::Unmatched);
        let near = NearCall::new(id, By::Telemetry, &usage, usage.time, telling.now);
        self.tell(id, usage, telling)?;
        self.near.put(session, near, telling.shelf);
        Ok(())
    }

    /// A telling of the call `id`, or of the one that it turned out to be; returns which.
    fn tell(
        &self,
        id: Id,
        mut usage: TokenUsage,
        telling: &mut Telling<'_>,
    ) -> Result<(Id, Fate), ShelfError> {
        let touched = day(telling.now);
        let Some((call, mut known)) = telling.recall(id)? else {
            self.count_late(&usage, telling.now);
            usage.message_id = kept_message_id(&usage);
            telling.keep(id, Known { usage, touched, explained: Explained::No });
            return Ok((id, Fate::Kept));
        };
        // NOTE: a cost may come before the end of its call or after it, and with tellings that are not the largest.
        let cost_usd = usage.cost_usd.or(known.usage.cost_usd);
        usage.cost_usd = cost_usd;
        if usage.rank() <= known.usage.rank() {
            if known.usage.cost_usd.is_none() && cost_usd.is_some() {
                known.usage.cost_usd = cost_usd;
                known.touched = touched;
                telling.keep(call, *known);
                return Ok((call, Fate::Kept));
            }
            if known.touched != touched {
                known.touched = touched;
                telling.shelf.put(call.key(CALLS), Call::Itself(known).encode());
            }
            self.counters.add(Count::Known);
            return Ok((call, Fate::Known));
        }
        let first = known.usage;
        usage.time = first.time;
        usage.host = first.host;
        usage.agent_name = first.agent_name;
        usage.model = first.model;
        usage.message_id = first.message_id;
        telling.keep(call, Known { usage, touched, explained: known.explained });
        Ok((call, Fate::Kept))
    }

    fn count_late(&self, usage: &TokenUsage, now: Time) {
        let forgotten = now.plus_micros(-TELEMETRY_MICROS);
        if usage.time < forgotten && self.began.is_some_and(|began| began < forgotten) {
            self.counters.add(Count::Late);
        }
    }
}

impl Telling<'_> {
    /// The call of this id, or the one that it turned out to be.
    fn recall(&self, id: Id) -> Result<Option<(Id, Box<Known>)>, ShelfError> {
        let read = |id: Id| Ok(self.shelf.get(&id.key(CALLS))?.and_then(|bytes| Call::decode(&bytes)));
        Ok(match read(id)? {
            Some(Call::Itself(known)) => Some((id, known)),
            Some(Call::Also(call)) => match read(call)? {
                Some(Call::Itself(known)) => Some((call, known)),
                _ => None,
            },
            None => None,
        })
    }

    fn keep(&mut self, call: Id, known: Known) {
        let known = Box::new(known);
        self.kept.push(known.usage.clone());
        self.shelf.put(call.key(CALLS), Call::Itself(known).encode());
    }

    /// A transcript tells of this session, today.
    fn touch_session(&mut self, session: Id) -> Result<(), ShelfError> {
        let (key, today) = (session.key(SESSIONS), day(self.now));
        let touched = self.shelf.get(&key)?.and_then(|bytes| value::decode_session(&bytes));
        if touched != Some(today) {
            self.shelf.put(key, value::encode_session(today));
        }
        Ok(())
    }

    fn begin(&mut self, began: &mut Option<Time>) {
        if began.is_none() {
            *began = Some(self.now);
            self.shelf.put(BEGAN.to_vec(), self.now.micros().to_be_bytes().to_vec());
        }
    }
}

#[cfg(test)]
mod tests;
