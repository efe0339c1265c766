//! The length of a bucket.

use std::fmt;
use std::time::Duration;

use event::span;

use crate::error::RequestError;

/// How long a bucket is: whole seconds, from one second to 36,500 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    seconds: u32,
}

impl Interval {
    /// Five minutes.
    pub const DEFAULT: Self = Self { seconds: 300 };

    /// A hundred years or so: longer ones would be one bucket, for events have times within 200 years.
    const SECONDS_MAX: u32 = 36_500 * 86_400;

    /// Reads `30s`, `5m`, `1h`, `1d` and the like; without text it is five minutes.
    ///
    /// # Errors
    /// When it is anything else, 0, or longer than 36,500 days.
    pub fn parse(text: Option<&str>) -> Result<Self, RequestError> {
        let Some(text) = text else { return Ok(Self::DEFAULT) };
        span::parse(text).and_then(Self::from_span).ok_or_else(|| {
            let allowed = "a whole number of s, m, h or d from 1s to 36500d, such as 30s, 5m, 1h or 1d";
            RequestError::new("interval", format!("{text:?} is not {allowed}"))
        })
    }

    fn from_span(span: Duration) -> Option<Self> {
        (span.subsec_nanos() == 0).then(|| Self::from_seconds(span.as_secs()))?
    }

    /// The interval of so many seconds, unless that is 0 or too many.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = u32::try_from(seconds).ok()?;
        (1..=Self::SECONDS_MAX).contains(&seconds).then_some(Self { seconds })
    }

    /// Microseconds of it.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.seconds as i64 * 1_000_000
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&span::display(Duration::from_secs(u64::from(self.seconds))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_a_unit_are_intervals() {
        let check = |text: &str, seconds: i64| {
            let interval = Interval::parse(Some(text)).unwrap();
            assert_eq!(interval.micros(), seconds * 1_000_000, "{text}");
            assert_eq!(interval.to_string(), text);
        };
        check("1s", 1);
        check("30s", 30);
        check("5m", 300);
        check("7h", 25_200);
        check("36500d", 3_153_600_000);
        assert_eq!(Interval::parse(None).unwrap().to_string(), "5m");
    }

    #[test]
    fn everything_else_is_an_error_that_says_what_is_allowed() {
        for text in
            ["", "0s", "0d", "5", "five", "-5m", "1.5h", "36501d", "5 minutes", "99999999999999999999d"]
        {
            let error = Interval::parse(Some(text)).unwrap_err();
            assert_eq!(error.parameter, "interval");
            assert!(
                error.problem.starts_with(&format!("{text:?} is not a whole number of s, m, h or d")),
                "{error}"
            );
        }
    }
}
