//! How much the log may hold, and what happens at the bound: the settings `log.keep`, `log.max_bytes`,
//! `log.when_full` and `log.backpressure`.

use std::time::Duration;

use event::span;
use eventlog::{Backpressure, Bounds, Trims, WhenFull};

use super::meaning::required;
use super::raw::{ConfigError, RawConfig};

/// The least that a log can be bounded to: fjall's journals alone take up to 192 MiB for a moment.
const MAX_BYTES_LEAST: u64 = 256 << 20;
/// The longest time that an event can be kept and not for ever: a hundred years, as long as a bucket can be.
const KEEP_MOST: Duration = Duration::from_secs(36_500 * 86_400);

/// The bounds of the log, and what an appender gets while the writer is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// How much of the past to keep. Who trims is not a setting: `run` does.
    pub bounds: Bounds,
    /// What an appender gets when the queue to the writer thread is full.
    pub backpressure: Backpressure,
}

impl LogBounds {
    /// Checks what was typed.
    pub(super) fn new(raw: &RawConfig) -> Result<Self, ConfigError> {
        let bounds = Bounds {
            keep: required(raw, "log.keep", keep)?,
            max_bytes: required(raw, "log.max_bytes", max_bytes)?,
            when_full: required(raw, "log.when_full", when_full)?,
            trims: Trims::WhenAsked,
        };
        Ok(Self { bounds, backpressure: required(raw, "log.backpressure", backpressure)? })
    }
}

fn keep(text: &str) -> Result<Option<Duration>, String> {
    if text == "all" {
        return Ok(None);
    }
    let kept = span::parse(text).filter(|span| (Duration::from_secs(1)..=KEEP_MOST).contains(span));
    kept.map(Some).ok_or_else(|| {
        format!("{text:?} is neither all nor a length of time from 1s to 36500d, such as 12h or 30d")
    })
}

fn max_bytes(text: &str) -> Result<u64, String> {
    size(text).filter(|bytes| (MAX_BYTES_LEAST..=i64::MAX as u64).contains(bytes)).ok_or_else(|| {
        format!("{text:?} is not a size from 256MiB on: use bytes, or a unit up to TB or TiB, such as 8GiB or 500MB")
    })
}

fn when_full(text: &str) -> Result<WhenFull, String> {
    match text {
        "refuse" => Ok(WhenFull::Refuse),
        "drop_oldest" => Ok(WhenFull::DropOldest),
        _ => Err(format!("{text:?} is neither refuse (new events) nor drop_oldest")),
    }
}

fn backpressure(text: &str) -> Result<Backpressure, String> {
    if text == "refuse" {
        return Ok(Backpressure::Refuse);
    }
    let span = text.strip_prefix("wait:").and_then(span::parse);
    span.filter(|span| (Duration::from_secs(1)..=Duration::from_secs(600)).contains(span))
        .map(Backpressure::Wait)
        .ok_or_else(|| {
            format!(
                "{text:?} is neither refuse nor wait: and a length of time from 1s to 10m, such as wait:10s"
            )
        })
}

/// Reads a size: a whole number of bytes, or of a unit.
fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, bytes) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_for_ever_or_for_a_time() {
        assert_eq!(keep("all"), Ok(None));
        assert_eq!(keep("30d"), Ok(Some(Duration::from_secs(30 * 86_400))));
        assert_eq!(keep("12h"), Ok(Some(Duration::from_secs(43_200))));
        for text in ["", "none", "30", "0s", "36501d", "-1d"] {
            assert!(keep(text).unwrap_err().contains("neither all nor a length of time"), "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_both_sorts() {
        for (text, bytes) in [
            ("268435456", 268_435_456),
            ("500MB", 500_000_000),
            ("256MiB", 268_435_456),
            ("8GiB", 8_589_934_592),
            ("1TB", 1_000_000_000_000),
            ("268435456B", 268_435_456),
        ] {
            assert_eq!(max_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "8", "255MiB", "8G", "8 GiB", "-8GiB", "1.5GiB", "GiB", "8gib", "99999999TiB"] {
            assert!(max_bytes(text).unwrap_err().contains("not a size from 256MiB on"), "{text}");
        }
    }

    #[test]
    fn what_happens_at_the_bound_is_a_word() {
        assert_eq!(when_full("refuse"), Ok(WhenFull::Refuse));
        assert_eq!(when_full("drop_oldest"), Ok(WhenFull::DropOldest));
        assert!(when_full("drop").is_err());
        assert_eq!(backpressure("refuse"), Ok(Backpressure::Refuse));
        assert_eq!(backpressure("wait:10s"), Ok(Backpressure::Wait(Duration::from_secs(10))));
        for text in ["", "wait", "wait:", "wait:10", "wait:500ms", "wait:11m", "10s"] {
            assert!(backpressure(text).unwrap_err().contains("from 1s to 10m"), "{text}");
        }
    }
}
