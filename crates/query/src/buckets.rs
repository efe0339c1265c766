//! The grid of buckets that a series is cut into.

use event::Time;

use crate::error::RequestError;
use crate::{Interval, TimeRange};

/// A range cut into buckets: at most [`Buckets::MAX`] of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    range: TimeRange,
    interval: Interval,
}

impl Buckets {
    /// 2000-01-03T00:00Z, a Monday: where `time_bucket` counts from.
    pub const ORIGIN: Time = Time::from_micros(946_857_600_000_000);

    /// The most buckets of one answer, per series: more than any screen has columns, and a bound for memory.
    pub const MAX: u64 = 10_000;

    /// Cuts a range.
    ///
    /// # Errors
    /// When that makes more than [`Buckets::MAX`] buckets: it says how many, and which interval would do.
    pub fn new(range: TimeRange, interval: Interval) -> Result<Self, RequestError> {
        let buckets = Self { range, interval };
        let count = buckets.count();
        if count <= Self::MAX {
            return Ok(buckets);
        }
        let (length, most, enough) = (range.length(), Self::MAX, buckets.interval_that_does());
        Err(RequestError::new(
            "interval",
            format!(
                "{interval} cuts the {length} from {} to {} into {count} buckets, the most is {most}: \
                 take an interval of {enough} or longer, or a shorter range",
                range.from(),
                range.to()
            ),
        ))
    }

    /// The range that is cut.
    #[must_use]
    pub const fn range(self) -> TimeRange {
        self.range
    }

    /// The length of a bucket.
    #[must_use]
    pub const fn interval(self) -> Interval {
        self.interval
    }

    /// The start of the bucket that this time lies in.
    #[must_use]
    pub const fn start_of(self, time: Time) -> Time {
        let micros = self.interval.micros();
        Self::ORIGIN.plus_micros(self.number(time).saturating_mul(micros))
    }

    /// How many buckets the range touches; 0 when there is nothing in it.
    #[must_use]
    pub fn count(self) -> u64 {
        let last = self.range.to().plus_micros(-1);
        if last < self.range.from() {
            return 0;
        }
        self.number(last).abs_diff(self.number(self.range.from())) + 1
    }

    /// The start of each bucket that the range touches, in order.
    pub fn starts(self) -> impl Iterator<Item = Time> {
        let (first, micros) = (self.start_of(self.range.from()), self.interval.micros());
        (0_i64..).map(move |number| first.plus_micros(number.saturating_mul(micros))).take(self.count_usize())
    }

    fn count_usize(self) -> usize {
        usize::try_from(self.count()).unwrap_or(usize::MAX)
    }

    const fn number(self, time: Time) -> i64 {
        time.micros().saturating_sub(Self::ORIGIN.micros()).div_euclid(self.interval.micros())
    }

    /// The shortest interval that does, rounded up to a whole unit where that is little.
    fn interval_that_does(self) -> Interval {
        let micros = self.range.to().micros().abs_diff(self.range.from().micros());
        // A range of n intervals touches n + 1 buckets at most.
        let seconds = micros.div_ceil((Self::MAX - 1) * 1_000_000);
        let unit = match seconds {
            0..=120 => 1,
            121..=7_200 => 60,
            7_201..=172_800 => 3_600,
            _ => 86_400,
        };
        Interval::from_seconds(seconds.next_multiple_of(unit)).unwrap_or(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(from: &str, to: &str, interval: &str) -> Result<Buckets, RequestError> {
        let range = TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
        Buckets::new(range, Interval::parse(Some(interval)).unwrap())
    }

    fn check(time: &str, interval: &str, start: &str) {
        let buckets = buckets("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", interval).unwrap();
        assert_eq!(buckets.start_of(time.parse().unwrap()).to_string(), start, "{time} by {interval}");
    }

    #[test]
    fn buckets_start_at_whole_intervals_from_the_origin() {
        assert_eq!(Buckets::ORIGIN.to_string(), "2000-01-03T00:00:00.000000Z");
        check("2000-01-03T00:00:00Z", "7d", "2000-01-03T00:00:00.000000Z");
        check("2000-01-02T23:59:59.999999Z", "7d", "1999-12-27T00:00:00.000000Z");
        check("2026-01-02T03:04:59.999999Z", "5m", "2026-01-02T03:00:00.000000Z");
        check("2026-01-02T03:05:00Z", "5m", "2026-01-02T03:05:00.000000Z");
        // A Monday: 2026-01-02 is a Friday.
        check("2026-01-02T03:04:05Z", "7d", "2025-12-29T00:00:00.000000Z");
        check("2000-01-01T00:00:00Z", "7s", "1999-12-31T23:59:58.000000Z");
    }

    #[test]
    fn too_many_buckets_are_an_error_that_says_what_to_change() {
        assert_eq!(buckets("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "5m").unwrap().count(), 288);
        assert_eq!(buckets("2026-01-01T00:00:01Z", "2026-01-02T00:00:01Z", "5m").unwrap().count(), 289);
        assert_eq!(
            buckets("2026-01-01T00:00:00Z", "2026-01-01T02:46:40Z", "1s").unwrap().count(),
            Buckets::MAX
        );
        let error = buckets("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "1s").unwrap_err();
        assert_eq!(
            error.to_string(),
            "interval: 1s cuts the 1d from 2026-01-01T00:00:00.000000Z to 2026-01-02T00:00:00.000000Z into \
             86400 buckets, the most is 10000: take an interval of 9s or longer, or a shorter range"
        );
    }

    #[test]
    fn the_interval_that_it_names_does() {
        for (from, to) in [
            ("2026-01-01T00:00:00.5Z", "2026-01-01T02:46:41.1Z"),
            ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "2200-01-01T00:00:00Z"),
        ] {
            let error = buckets(from, to, "1s").unwrap_err().problem;
            let (_, named) = error.split_once("an interval of ").unwrap();
            let interval = named.split(' ').next().unwrap();
            assert!(buckets(from, to, interval).is_ok(), "{from} {to} {interval}");
        }
    }

    #[test]
    fn a_range_outside_of_all_events_has_no_buckets() {
        assert_eq!(buckets("1990-01-01T00:00:00Z", "1991-01-01T00:00:00Z", "1s").unwrap().count(), 0);
    }
}
