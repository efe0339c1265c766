//! A range cut into the days of somebody's clock.

use event::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::TimeRange;
use crate::error::RequestError;

/// The days that a range touches, at most [`Days::MAX`].
///
/// A day begins with its first instant in the time zone, so that it has 23 hours or 25 where the clock is changed.
/// Readers are given the starts, and so agree whatever they know of time zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    range: TimeRange,
    /// One or more; the first one is not behind the range's start.
    starts: Vec<Time>,
}

impl Days {
    /// The most days in one answer.
    pub const MAX: usize = 10_000;

    /// Cuts a range by the days of a time zone: an IANA name such as `Europe/Berlin`, or `UTC`.
    ///
    /// # Errors
    /// When there is no such time zone, or the range has more than [`Days::MAX`] days.
    pub fn new(range: TimeRange, zone: &str) -> Result<Self, RequestError> {
        let zone = TimeZone::get(zone).map_err(|_| {
            let problem = format!("{zone:?} is no time zone: write one such as Europe/Berlin or UTC");
            RequestError::new("tz", problem)
        })?;
        let mut starts = Vec::new();
        let mut day = date_of(range.from(), &zone)?;
        loop {
            let start = start_of(day, &zone)?;
            if start >= range.to() && !starts.is_empty() {
                return Ok(Self { range, starts });
            }
            if starts.len() == Self::MAX {
                let problem = format!("has more than {} days: take a shorter range", Self::MAX);
                return Err(RequestError::new("from", problem));
            }
            starts.push(start);
            day = day.checked_add(1.day()).map_err(|_| out_of_range(range.to()))?;
        }
    }

    /// The range that is cut.
    #[must_use]
    pub const fn range(&self) -> TimeRange {
        self.range
    }

    /// When each day begins, the earliest first.
    #[must_use]
    pub fn starts(&self) -> &[Time] {
        &self.starts
    }

    /// The start of the day that this time of the range lies in.
    #[must_use]
    pub fn start_of(&self, time: Time) -> Time {
        let behind = self.starts.partition_point(|start| *start <= time);
        self.starts.get(behind.saturating_sub(1)).copied().unwrap_or(time)
    }
}

/// The name of this machine's time zone, where it has one that is known by its name.
#[must_use]
pub fn local_zone() -> Option<String> {
    TimeZone::try_system().ok()?.iana_name().map(str::to_owned)
}

fn date_of(time: Time, zone: &TimeZone) -> Result<Date, RequestError> {
    let timestamp = Timestamp::from_microsecond(time.micros()).map_err(|_| out_of_range(time))?;
    Ok(timestamp.to_zoned(zone.clone()).date())
}

fn start_of(day: Date, zone: &TimeZone) -> Result<Time, RequestError> {
    let start = day.to_zoned(zone.clone()).and_then(|midnight| midnight.start_of_day());
    let start = start.map_err(|error| RequestError::new("from", error.to_string()))?;
    Ok(Time::from_micros(start.timestamp().as_microsecond()))
}

fn out_of_range(time: Time) -> RequestError {
    RequestError::new("from", format!("{time} is beyond every calendar"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, to: &str, zone: &str) -> Result<Days, RequestError> {
        Days::new(TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap(), zone)
    }

    fn check(from: &str, to: &str, zone: &str, expected: &[&str]) {
        let days = days(from, to, zone).unwrap();
        let starts: Vec<String> = days.starts().iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected.iter().map(|start| format!("{start}:00.000000Z")).collect();
        assert_eq!(starts, expected, "{from} {to} {zone}");
        for (index, start) in days.starts().iter().enumerate() {
            let next = days.starts().get(index + 1).copied().unwrap_or(days.range().to());
            assert_eq!(days.start_of(*start), *start);
            assert_eq!(days.start_of(next.plus_micros(-1)), *start);
        }
    }

    #[test]
    fn days_are_those_of_the_clock_with_23_hours_and_25() {
        check("2026-01-02T10:00:00Z", "2026-01-03T00:00:00Z", "UTC", &["2026-01-02T00:00"]);
        check(
            "2026-01-02T10:00:00Z",
            "2026-01-03T00:00:01Z",
            "UTC",
            &["2026-01-02T00:00", "2026-01-03T00:00"],
        );
        let spring = ["2026-03-28T23:00", "2026-03-29T22:00"];
        check("2026-03-29T10:00:00Z", "2026-03-30T10:00:00Z", "Europe/Berlin", &spring);
        let autumn = ["2026-10-24T22:00", "2026-10-25T23:00"];
        check("2026-10-25T10:00:00Z", "2026-10-26T10:00:00Z", "Europe/Berlin", &autumn);
        check("2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z", "Asia/Kathmandu", &["2026-01-01T18:15"]);
        // In this one the clock skips midnight itself.
        check("2018-11-04T12:00:00Z", "2018-11-04T13:00:00Z", "America/Sao_Paulo", &["2018-11-04T03:00"]);
    }

    #[test]
    fn errors_say_what_to_change() {
        let error = days("2026-01-02T10:00:00Z", "2026-01-02T11:00:00Z", "Mars/Olympus").unwrap_err();
        assert_eq!(
            error.to_string(),
            "tz: \"Mars/Olympus\" is no time zone: write one such as Europe/Berlin or UTC"
        );
        let error = days("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "UTC").unwrap_err();
        assert_eq!(error.to_string(), "from: has more than 10000 days: take a shorter range");
        assert!(days("1990-01-01T00:00:00Z", "1991-01-01T00:00:00Z", "UTC").is_ok(), "before all events");
    }
}
