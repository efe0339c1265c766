//! The time of an event: microseconds since the Unix epoch, UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// As text it is RFC 3339 with six digits of a second: `2026-01-02T03:04:05.678901Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// The time so many microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This time and `micros` microseconds; the ends of i64 are walls.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Self(micros)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.6}"),
            Err(_) => write!(f, "{} us since the epoch", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = ParseTimeError;

    /// Reads RFC 3339 with any offset; digits below the microsecond are cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let timestamp: Timestamp = text.parse().map_err(|source| ParseTimeError { source })?;
        Ok(Self(timestamp.as_nanosecond().div_euclid(1_000).try_into().unwrap_or(i64::MAX)))
    }
}

/// Text that is no RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("is not an RFC 3339 time such as 2026-01-02T03:04:05.678901Z")]
pub struct ParseTimeError {
    source: jiff::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_six_digits_and_comes_back() {
        let check = |text: &str, micros: i64, back: &str| {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.micros(), micros, "{text}");
            assert_eq!(time.to_string(), back, "{text}");
        };
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000000Z");
        check("2026-01-02T03:04:05.678901Z", 1_767_323_045_678_901, "2026-01-02T03:04:05.678901Z");
        check("2026-01-02T05:04:05.6789019+02:00", 1_767_323_045_678_901, "2026-01-02T03:04:05.678901Z");
        check("1969-12-31T23:59:59.999999999Z", -1, "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn text_that_is_no_time_is_refused() {
        for text in ["", "yesterday", "300000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05"]
        {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
