//! What the operator tunes of the log.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// When the log fsyncs, and so what an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before every acknowledgement; many waiting appenders share one fsync.
    Always,
    /// At most this long after an append.
    Interval(Duration),
    /// When the kernel likes, and at the end.
    Os,
}

impl Default for Sync {
    fn default() -> Self {
        Self::Interval(Duration::from_millis(200))
    }
}

/// Text that is no sync mode.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a sync mode: use always, os, or interval:200ms (from 1ms to 60s)")]
pub struct ParseSyncError(String);

impl FromStr for Sync {
    type Err = ParseSyncError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "os" => Ok(Self::Os),
            _ => interval(text).map(Self::Interval).ok_or_else(|| ParseSyncError(text.to_owned())),
        }
    }
}

/// Reads `interval:200ms` or `interval:2s`.
fn interval(text: &str) -> Option<Duration> {
    let length = text.strip_prefix("interval:")?;
    let millis = match length.strip_suffix("ms") {
        Some(millis) => millis.parse().ok()?,
        None => length.strip_suffix('s')?.parse::<u64>().ok()?.checked_mul(1_000)?,
    };
    (1..=60_000).contains(&millis).then(|| Duration::from_millis(millis))
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Interval(interval) => write!(f, "interval:{}ms", interval.as_millis()),
            Self::Os => f.write_str("os"),
        }
    }
}

/// What an appender gets while the queue to the writer thread is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backpressure {
    /// It waits for a place, for so long at the most.
    Wait(Duration),
    /// A refusal, at once.
    Refuse,
}

/// What happens when the events that no database has yet exceed the bound alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// New events are refused.
    #[default]
    Refuse,
    /// The oldest events are dropped.
    DropOldest,
}

/// Whether a log trims itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trims {
    /// It does, as soon as its bounds allow.
    Itself,
    /// Only when it is asked to.
    #[default]
    WhenAsked,
}

/// How much of the past a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long after a segment was filled its events are kept; `None` is for ever.
    pub keep: Option<Duration>,
    /// How many bytes the log may take on the disk, fjall's journals included.
    pub max_bytes: u64,
    /// What happens when nothing that may be trimmed is left.
    pub when_full: WhenFull,
    /// Who trims.
    pub trims: Trims,
}

impl Default for Bounds {
    fn default() -> Self {
        let max_bytes = 8 * 1024 * 1024 * 1024;
        Self { keep: None, max_bytes, when_full: WhenFull::default(), trims: Trims::default() }
    }
}

/// A segment has at most so many bytes of records, about half of it on the disk.
const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Less would be many keyspaces for nothing.
const SEGMENT_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// What the operator tunes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When to fsync.
    pub sync: Sync,
    /// How many appends may wait for the writer thread.
    pub queue_appends_max: usize,
    /// What an appender gets while they are as many.
    pub backpressure: Backpressure,
    /// How much of the past to keep.
    pub bounds: Bounds,
    /// How many bytes of records make a segment; `None`: what suits the bounds.
    pub segment_bytes_max: Option<u64>,
}

impl Settings {
    /// A sixteenth of the bound, so that trimming frees little more than it must.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let suited = (self.bounds.max_bytes / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self.segment_bytes_max.unwrap_or(suited)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync: Sync::default(),
            queue_appends_max: 1_024,
            backpressure: Backpressure::Wait(Duration::from_secs(10)),
            bounds: Bounds::default(),
            segment_bytes_max: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_modes_are_read_and_written() {
        for text in ["always", "os", "interval:200ms", "interval:1ms", "interval:60000ms"] {
            assert_eq!(text.parse::<Sync>().unwrap().to_string(), text);
        }
        assert_eq!("interval:2s".parse(), Ok(Sync::Interval(Duration::from_secs(2))));
        for text in ["", "never", "interval", "interval:", "interval:0ms", "interval:61s", "interval:-1s"] {
            let error = text.parse::<Sync>().unwrap_err().to_string();
            assert!(error.contains("use always, os, or interval:200ms"), "{text}: {error}");
        }
    }
}
