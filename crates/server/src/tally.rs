//! What the server has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What the server has done since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests of every kind.
    pub requests: u64,
    /// Requests that were answered with an error, a rate's included.
    pub rejected: u64,
    /// Events that `POST /api/events` has kept.
    pub events: u64,
    /// Requests to `/v1/logs` that were acknowledged.
    pub otlp_logs: u64,
    /// Log records in them.
    pub otlp_log_records: u64,
    /// Those that tell of token usage, handed on to be kept.
    pub otlp_usage_events: u64,
    /// Those that tell of token usage and could not be understood.
    pub otlp_malformed_records: u64,
    /// Data points that came to `/v1/metrics`, were acknowledged and not kept.
    pub otlp_metrics_ignored: u64,
    /// Requests to `/v1/traces`, acknowledged and not looked at.
    pub otlp_traces_ignored: u64,
}

/// The same while it is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: Counter,
    pub(crate) rejected: Counter,
    pub(crate) events: Counter,
    pub(crate) otlp_logs: Counter,
    pub(crate) otlp_log_records: Counter,
    pub(crate) otlp_usage_events: Counter,
    pub(crate) otlp_malformed_records: Counter,
    pub(crate) otlp_metrics_ignored: Counter,
    pub(crate) otlp_traces_ignored: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it and gives what it was.
    pub(crate) fn add(&self, number: u64) -> u64 {
        self.0.fetch_add(number, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            requests: self.requests.get(),
            rejected: self.rejected.get(),
            events: self.events.get(),
            otlp_logs: self.otlp_logs.get(),
            otlp_log_records: self.otlp_log_records.get(),
            otlp_usage_events: self.otlp_usage_events.get(),
            otlp_malformed_records: self.otlp_malformed_records.get(),
            otlp_metrics_ignored: self.otlp_metrics_ignored.get(),
            otlp_traces_ignored: self.otlp_traces_ignored.get(),
        }
    }
}
