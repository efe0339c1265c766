//! What became of token usage, in numbers, shared with whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Counters of one ledger since it was made. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    known: AtomicU64,
    matched: AtomicU64,
    superseded: AtomicU64,
    unmatched: AtomicU64,
    late: AtomicU64,
    waiting: AtomicU64,
}

/// The counters at one moment, in events: the object `usage` of `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tellings that were no larger than what the log had: nothing was kept for them.
    pub known: u64,
    /// Telemetry that turned out to be of a call that a transcript tells.
    pub matched: u64,
    /// Telemetry that was dropped, for a transcript of its session tells the calls.
    pub superseded: u64,
    /// Telemetry that no transcript has explained in time: it was kept as a call of its own.
    pub unmatched: u64,
    /// Usage that is so old that an earlier telling of it may have been forgotten: it was kept.
    pub late: u64,
    /// Telemetry that waits now.
    pub waiting: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Known,
    Matched,
    Superseded,
    Unmatched,
    Late,
}

impl Counters {
    /// The counters now.
    #[must_use]
    pub fn get(&self) -> Counts {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let Cells { known, matched, superseded, unmatched, late, waiting } = &*self.0;
        Counts {
            known: read(known),
            matched: read(matched),
            superseded: read(superseded),
            unmatched: read(unmatched),
            late: read(late),
            waiting: read(waiting),
        }
    }

    pub(super) fn add(&self, count: Count) {
        let cell = match count {
            Count::Known => &self.0.known,
            Count::Matched => &self.0.matched,
            Count::Superseded => &self.0.superseded,
            Count::Unmatched => &self.0.unmatched,
            Count::Late => &self.0.late,
        };
        cell.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, waiting: usize) {
        self.0.waiting.store(waiting as u64, Ordering::Relaxed);
    }
}
