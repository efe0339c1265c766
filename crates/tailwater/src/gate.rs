//! The usage ledger as the log's gate.

use std::time::Duration;

use event::{Time, TokenUsage};
use eventlog::{Fate, Gate, GateError, Teller};
use usage::ledger::{self, KeyValue, Ledger, ShelfError};

/// The ledger in front of a log.
#[derive(Debug)]
pub(crate) struct LedgerGate(Ledger);

impl LedgerGate {
    /// A ledger that counts here.
    #[must_use]
    pub(crate) fn new(counters: ledger::Counters) -> Self {
        Self(Ledger::new(counters))
    }
}

/// The log's shelf as the ledger's.
struct OnLog<S>(S);

impl ledger::Shelf for OnLog<&mut eventlog::Shelf<'_>> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        self.0.get(key).map_err(ShelfError::new)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.put(key, value);
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.remove(key);
    }

    fn scan(&self, prefix: &[u8], after: &[u8], most: usize) -> Result<Vec<KeyValue>, ShelfError> {
        self.0.scan(prefix, after, most).map_err(ShelfError::new)
    }
}

impl Gate for LedgerGate {
    fn open(&mut self, shelf: &mut eventlog::Shelf<'_>, now: Time) -> Result<(), GateError> {
        self.0.open(&OnLog(shelf), now).map_err(GateError::new)
    }

    fn pass(
        &mut self,
        usage: TokenUsage,
        teller: Teller,
        now: Time,
        shelf: &mut eventlog::Shelf<'_>,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<Fate, GateError> {
        let teller = match teller {
            Teller::Anybody => ledger::Teller::Anybody,
            Teller::Transcript => ledger::Teller::Transcript,
            Teller::Telemetry => ledger::Teller::Telemetry,
        };
        let fate = self.0.pass(usage, teller, now, &mut OnLog(shelf), kept).map_err(GateError::new)?;
        Ok(match fate {
            ledger::Fate::Kept => Fate::Kept,
            ledger::Fate::Known => Fate::Known,
            ledger::Fate::Waits => Fate::Waits,
        })
    }

    fn due(&self, now: Time) -> Option<Duration> {
        let micros = self.0.due()?.micros().saturating_sub(now.micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
    }

    fn wake(
        &mut self,
        now: Time,
        shelf: &mut eventlog::Shelf<'_>,
        kept: &mut Vec<TokenUsage>,
    ) -> Result<(), GateError> {
        self.0.wake(now, &mut OnLog(shelf), kept).map_err(GateError::new)
    }
}
