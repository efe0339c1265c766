//! From when to when a request asks.

use std::time::Duration;

use event::limits::{TIME_END, TIME_MIN};
use event::{Time, span};

use crate::error::RequestError;

const HOUR_SECONDS: u64 = 3_600;

/// The times `from <= time < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    from: Time,
    to: Time,
}

impl TimeRange {
    /// The range between two times, brought within 2000-01-01 to 2200-01-01, outside which no event lies.
    ///
    /// # Errors
    /// When `from` is not before `to`.
    pub fn new(from: Time, to: Time) -> Result<Self, RequestError> {
        if from >= to {
            return Err(RequestError::new("from", format!("{from} is not before to, which is {to}")));
        }
        Ok(Self { from: from.clamp(TIME_MIN, TIME_END), to: to.clamp(TIME_MIN, TIME_END) })
    }

    /// Reads `from` and `to`: RFC 3339, or relative to `now` (`-1h`, `-30m`, `-2d`, `-90s`, `now`).
    /// Without `to` it is now, without `from` an hour before `to`.
    ///
    /// # Errors
    /// When one of them is no time, or `from` is not before `to`.
    pub fn parse(from: Option<&str>, to: Option<&str>, now: Time) -> Result<Self, RequestError> {
        Self::parse_looking_back(from, to, now, HOUR_SECONDS)
    }

    /// The same, but without `from` it is so many seconds before `to`.
    ///
    /// # Errors
    /// When one of them is no time, or `from` is not before `to`.
    pub fn parse_looking_back(
        from: Option<&str>,
        to: Option<&str>,
        now: Time,
        look_back_seconds: u64,
    ) -> Result<Self, RequestError> {
        let end = to.map_or(Ok(now), |text| parse_time("to", text, now))?;
        let start = match from {
            Some(text) => parse_time("from", text, now)?,
            None => before(end, Duration::from_secs(look_back_seconds)),
        };
        if start < end {
            return Self::new(start, end);
        }
        let problem = match from {
            Some(text) => format!("{text:?} ({start}) is not before to ({end})"),
            None => format!("{end} leaves nothing before it"),
        };
        Err(RequestError::new(if from.is_some() { "from" } else { "to" }, problem))
    }

    /// The first time in it.
    #[must_use]
    pub const fn from(self) -> Time {
        self.from
    }

    /// The first time behind it.
    #[must_use]
    pub const fn to(self) -> Time {
        self.to
    }

    /// Whether it has this time in it.
    #[must_use]
    pub fn contains(self, time: Time) -> bool {
        self.from <= time && time < self.to
    }

    /// Its length in words such as `90m`, rounded up to whole seconds.
    pub(crate) fn length(self) -> String {
        span::display(Duration::from_secs(self.to.micros().abs_diff(self.from.micros()).div_ceil(1_000_000)))
    }
}

/// Reads one time: RFC 3339, or relative to `now` (`-1h`, `-30m`, `-2d`, `-90s`, `now`).
///
/// # Errors
/// When it is none: `parameter` is what the error names.
pub fn parse_time(parameter: &'static str, text: &str, now: Time) -> Result<Time, RequestError> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = text.strip_prefix('-').and_then(span::parse) {
        return Ok(before(now, span));
    }
    text.parse().map_err(|_| {
        let allowed =
            "use RFC 3339 such as 2026-01-02T03:04:05Z, or a time relative to now: -90s, -30m, -1h, -2d, now";
        RequestError::new(parameter, format!("{text:?} is not a time: {allowed}"))
    })
}

/// So much earlier; before the first second of i64 there is nothing.
fn before(time: Time, span: Duration) -> Time {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    time.plus_micros(-micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05.678901Z";

    fn check(from: Option<&str>, to: Option<&str>, says: &str) {
        let said = match TimeRange::parse(from, to, NOW.parse().unwrap()) {
            Ok(range) => format!("{} to {}", range.from(), range.to()),
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(says), "{from:?} {to:?} -> {said}");
    }

    #[test]
    fn the_last_hour_unless_said_otherwise() {
        check(None, None, "2026-01-02T02:04:05.678901Z to 2026-01-02T03:04:05.678901Z");
        check(None, Some("-1d"), "2026-01-01T02:04:05.678901Z to 2026-01-01T03:04:05.678901Z");
        check(Some("-2d"), None, "2025-12-31T03:04:05.678901Z to 2026-01-02T03:04:05.678901Z");
    }

    #[test]
    fn times_are_rfc_3339_or_relative_to_now() {
        check(Some("-90s"), Some("now"), "2026-01-02T03:02:35.678901Z to 2026-01-02T03:04:05.678901Z");
        check(Some("-30m"), Some("-10m"), "2026-01-02T02:34:05.678901Z to 2026-01-02T02:54:05.678901Z");
        check(
            Some("2026-01-01T00:00:00Z"),
            Some("2026-01-01T05:00:00+02:00"),
            "2026-01-01T00:00:00.000000Z to 2026-01-01T03:00:00.000000Z",
        );
    }

    #[test]
    fn no_time_is_too_far_away() {
        let all = "2000-01-01T00:00:00.000000Z to 2200-01-01T00:00:00.000000Z";
        check(Some("0001-01-01T00:00:00Z"), Some("9999-01-01T00:00:00Z"), all);
        check(Some("-18446744073709551615s"), Some("9999-01-01T00:00:00Z"), all);
    }

    #[test]
    fn errors_name_the_parameter_and_what_is_allowed() {
        check(Some("yesterday"), None, "from: \"yesterday\" is not a time: use RFC 3339 such as");
        check(None, Some("1h"), "to: \"1h\" is not a time: use RFC 3339");
        check(Some("2026-01-01"), None, "from: \"2026-01-01\" is not a time");
        check(Some(""), None, "from: \"\" is not a time");
        check(
            Some("-1h"),
            Some("-2h"),
            "from: \"-1h\" (2026-01-02T02:04:05.678901Z) is not before to (2026-",
        );
        check(Some("now"), None, "from: \"now\" (2026-01-02T03:04:05.678901Z) is not before to");
        check(Some("-1x"), None, "from: \"-1x\" is not a time");
    }
}
