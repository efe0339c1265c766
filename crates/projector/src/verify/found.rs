//! What a verification has found.

use std::collections::BTreeMap;
use std::fmt;

use event::{Kind, Position, Time};

use super::Row;
use super::positions::Positions;

/// How many extra rows are named one by one; the others are counted.
const EXTRA_NAMED_MAX: usize = 100;

const HOUR_MICROS: i64 = 3_600_000_000;

/// What a database has of a log:
/// `events = rows + present + quarantined + pending + expired + missing`, up to the head that was verified.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// The last position that was verified.
    pub head: Position,
    /// Events that the log has.
    pub events: u64,
    /// Events with a row of their own.
    pub rows: u64,
    /// Events whose key has a row that wins over them, or another log's.
    pub present: u64,
    /// Events in quarantine.
    pub quarantined: u64,
    /// Events that a range has yet to apply.
    pub pending: u64,
    /// Events older than what the database keeps, whether or not their row is still there.
    pub expired: u64,
    /// Events that the database should have and has not.
    pub missing: Positions,
    /// Rows of the log that no event of it explains.
    pub extra: u64,
    /// The first of them.
    pub extra_rows: Vec<ExtraRow>,
    /// Rows whose events are in holes of the log: nothing to compare them with.
    pub unavailable: u64,
    /// The hours in which something is missing or extra, by time and kind.
    pub hours: Vec<HourFound>,
}

impl Verification {
    /// Whether the database has what the log has, and nothing else of it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.extra == 0
    }
}

/// A kind by its number in records, which a newer version may have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindNumber(pub u8);

impl From<Kind> for KindNumber {
    fn from(kind: Kind) -> Self {
        Self(kind.number())
    }
}

impl fmt::Display for KindNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Kind::from_number(self.0) {
            Some(kind) => f.pad(kind.name()),
            None => f.pad(&format!("unknown({})", self.0)),
        }
    }
}

/// An hour of one kind in which log and database differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourFound {
    /// When it begins; `None` for events whose time nobody here can read.
    pub time: Option<Time>,
    /// Of what.
    pub kind: KindNumber,
    /// Events that the log has.
    pub log: u64,
    /// Rows that the database has of the log.
    pub database: u64,
    /// Events without a row.
    pub missing: u64,
    /// Rows without an event.
    pub extra: u64,
}

/// A row of the log that no event of it explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtraRow {
    /// In the table of this kind.
    pub kind: Kind,
    /// Where it says that it comes from.
    pub row: Row,
}

/// Counts for each hour of each kind.
#[derive(Debug, Default)]
pub(super) struct Hours {
    counts: BTreeMap<(Option<i64>, KindNumber), Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) log: u64,
    pub(super) database: u64,
    pub(super) missing: u64,
    pub(super) extra: u64,
}

impl Hours {
    pub(super) fn at(&mut self, kind: impl Into<KindNumber>, time: Option<Time>) -> &mut Counts {
        let hour = time.map(|time| time.micros().div_euclid(HOUR_MICROS));
        self.counts.entry((hour, kind.into())).or_default()
    }

    /// Those in which something is missing or extra.
    fn found(&self) -> Vec<HourFound> {
        let differing = self.counts.iter().filter(|(_, counts)| counts.missing + counts.extra > 0);
        let found = |(&(hour, kind), &counts): (&(Option<i64>, KindNumber), &Counts)| {
            let Counts { log, database, missing, extra } = counts;
            let time = hour.map(|hour| Time::from_micros(hour.saturating_mul(HOUR_MICROS)));
            HourFound { time, kind, log, database, missing, extra }
        };
        differing.map(found).collect()
    }
}

/// What is found, as it grows.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) told: Verification,
    pub(super) hours: Hours,
}

impl Findings {
    pub(super) fn miss(&mut self, kind: KindNumber, position: Position, time: Option<Time>) {
        self.told.missing.insert(position);
        self.hours.at(kind, time).missing += 1;
    }

    pub(super) fn extra(&mut self, kind: Kind, row: Row) {
        self.told.extra += 1;
        self.hours.at(kind, Some(row.time)).extra += 1;
        if self.told.extra_rows.len() < EXTRA_NAMED_MAX {
            self.told.extra_rows.push(ExtraRow { kind, row });
        }
    }

    pub(super) fn finish(mut self) -> Verification {
        self.told.hours = self.hours.found();
        self.told
    }
}
