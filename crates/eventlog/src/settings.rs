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

/// What the operator tunes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When to fsync.
    pub sync: Sync,
    /// How many appends may wait for the writer thread before appenders wait themselves.
    pub queue_appends_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sync: Sync::default(), queue_appends_max: 1_024 }
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
