//! What a database refuses in one batch, and when it is too much.

use std::collections::HashMap;

use event::Position;
use event::wire::Decoded;
use projector::{Entry, ErrorKind, TargetError};

use super::{BATCH_MAX, DROPPED, UNKNOWN_KIND};

/// Why an event is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// Five letters.
    pub(crate) sqlstate: String,
    /// One line.
    pub(crate) message: String,
}

impl Reason {
    /// The database took the row without an error, and has none.
    pub(crate) fn dropped(table: &str) -> Self {
        let message = format!(
            "{table} has no row of it, though there was no error: a trigger that returns NULL or changes the key?"
        );
        Self { sqlstate: DROPPED.to_owned(), message }
    }

    fn unknown(kind: u8, version: u8) -> Self {
        let message = format!(
            "a newer tailwater wrote it (kind {kind}, version {version}), which this one does not know; upgrade, \
             then run `tailwater quarantine retry`"
        );
        Self { sqlstate: UNKNOWN_KIND.to_owned(), message }
    }

    /// Whether it counts towards a schema error.
    pub(super) fn is_limited(&self) -> bool {
        self.sqlstate != UNKNOWN_KIND
    }
}

/// Whether many refusals are an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Yes.
    SchemaError,
    /// No: the events are in quarantine already.
    None,
}

/// The refusals of one transaction.
#[derive(Debug)]
pub(crate) struct Refusals {
    limit: Limit,
    refused: HashMap<Position, Reason>,
    /// For each SQLSTATE how often, and the first.
    counts: HashMap<String, (usize, Position)>,
}

impl Refusals {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, refused: HashMap::new(), counts: HashMap::new() }
    }

    /// Notes a refusal.
    ///
    /// # Errors
    /// Fatal, when it is one too many.
    pub(crate) fn add(&mut self, position: Position, reason: Reason) -> Result<(), TargetError> {
        let (count, first) = self.counts.entry(reason.sqlstate.clone()).or_insert((0, position));
        *count += 1;
        let (count, first, is_limited) = (*count, *first, reason.is_limited());
        let sqlstate = reason.sqlstate.clone();
        self.refused.insert(position, reason);
        if self.limit == Limit::SchemaError && is_limited && count > BATCH_MAX {
            let told = format!("{count} in one batch, where at most {BATCH_MAX} are taken for single events");
            return Err(self.schema_error(&sqlstate, &told, first));
        }
        Ok(())
    }

    /// The events that were refused.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.refused.keys().copied()
    }

    /// Notes the events that a newer version wrote; `count` is how many there are.
    pub(crate) fn add_unknown(&mut self, entries: &[Entry], count: usize) -> Result<(), TargetError> {
        if count == 0 {
            return Ok(());
        }
        for entry in entries {
            if let Decoded::Unknown { kind, version, .. } = &entry.event {
                self.add(entry.position, Reason::unknown(*kind, *version))?;
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.refused.len()
    }

    pub(crate) fn of(&self, position: Position) -> Option<&Reason> {
        self.refused.get(&position)
    }

    /// The SQLSTATEs that count towards a schema error; none where there is no limit.
    pub(super) fn limited_states(&self) -> Vec<&str> {
        let states = self.counts.keys().map(String::as_str).filter(|state| *state != UNKNOWN_KIND);
        if self.limit == Limit::SchemaError { states.collect() } else { Vec::new() }
    }

    /// The first refusal with an SQLSTATE.
    pub(super) fn first_of(&self, sqlstate: &str) -> Position {
        self.counts.get(sqlstate).map(|(_, first)| *first).unwrap_or_default()
    }

    /// The schema is wrong, not the events.
    pub(super) fn schema_error(&self, sqlstate: &str, told: &str, first: Position) -> TargetError {
        let message = self.of(first).map(|reason| reason.message.as_str()).unwrap_or_default();
        let message = format!(
            "the database refuses events with SQLSTATE {sqlstate}: {told}; the first of this batch, at position \
             {first}: {message}; nothing was applied or quarantined for it: change what refuses them (a CHECK, an \
             index, a trigger, a type), then start tailwater again"
        );
        TargetError::new(ErrorKind::Fatal, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(sqlstate: &str, number: u64) -> Reason {
        Reason { sqlstate: sqlstate.to_owned(), message: format!("no {number}") }
    }

    #[test]
    fn one_too_many_of_one_sqlstate_is_a_schema_error() {
        let mut refusals = Refusals::new(Limit::SchemaError);
        for number in 1..=100 {
            refusals.add(Position(number), reason("23514", number)).unwrap();
            refusals.add(Position(1_000 + number), reason("22001", number)).unwrap();
        }
        let error = refusals.add(Position(101), reason("23514", 101)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fatal);
        let told = error.to_string();
        assert!(told.contains("23514: 101 in one batch") && told.contains("at position 1: no 1;"), "{told}");
        assert!(!told.contains('\n'));
    }

    #[test]
    fn events_of_a_newer_version_and_retries_have_no_limit() {
        let unknown = |position| Entry {
            position: Position(position),
            checksum: 0,
            bytes: 0,
            event: Decoded::Unknown { kind: 9, version: 2, payload: Box::default() },
        };
        let entries: Vec<Entry> = (1..=2_000).map(unknown).collect();
        let mut refusals = Refusals::new(Limit::SchemaError);
        refusals.add_unknown(&entries, entries.len()).unwrap();
        assert_eq!(refusals.len(), 2_000);
        assert_eq!(refusals.limited_states(), [""; 0]);
        let told = &refusals.of(Position(7)).unwrap().message;
        assert!(told.contains("kind 9, version 2"), "{told}");

        let mut refusals = Refusals::new(Limit::None);
        for number in 1..=2_000 {
            refusals.add(Position(number), reason("23514", number)).unwrap();
        }
        assert_eq!(refusals.limited_states(), [""; 0]);
    }
}
