//! Rows for empty buckets, for who draws lines: made here, alike for every backend.

use std::collections::{BTreeMap, BTreeSet};

use event::{Text, Time};

use crate::{AgentRow, Buckets, ChannelRow, ReadError, ReadErrorKind, SystemRow};

/// Whether buckets without a sample have rows too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// They have none.
    #[default]
    Nothing,
    /// Every series of the answer has a row for each bucket that the range touches.
    Empty,
}

/// The most rows of an answer that is filled.
const ROWS_MAX: u64 = 1_000_000;

/// A row of a series of buckets.
pub(crate) trait Bucket: Sized {
    /// Its series: name and host.
    fn series(&self) -> (&Text, &Text);

    /// The start of its bucket.
    fn time(&self) -> Time;

    /// A row of a bucket without a sample: nothing was measured, and nobody said anything.
    fn empty(time: Time, name: Text, host: Text) -> Self;
}

impl Bucket for SystemRow {
    fn series(&self) -> (&Text, &Text) {
        (&self.system_name, &self.host)
    }

    fn time(&self) -> Time {
        self.time
    }

    fn empty(time: Time, system_name: Text, host: Text) -> Self {
        Self { time, system_name, host, ..Self::default() }
    }
}

impl Bucket for AgentRow {
    fn series(&self) -> (&Text, &Text) {
        (&self.agent_name, &self.host)
    }

    fn time(&self) -> Time {
        self.time
    }

    fn empty(time: Time, agent_name: Text, host: Text) -> Self {
        Self { time, agent_name, host, ..Self::default() }
    }
}

impl Bucket for ChannelRow {
    fn series(&self) -> (&Text, &Text) {
        (&self.channel_name, &self.host)
    }

    fn time(&self) -> Time {
        self.time
    }

    fn empty(time: Time, channel_name: Text, host: Text) -> Self {
        Self { time, channel_name, host, ..Self::default() }
    }
}

/// Fills an answer; its rows are ordered by time, name and host, before and after.
///
/// # Errors
/// When that would be more than 1,000,000 rows.
pub(crate) fn fill<B: Bucket>(rows: Vec<B>, buckets: Buckets) -> Result<Vec<B>, ReadError> {
    let series: BTreeSet<(Text, Text)> =
        rows.iter().map(|row| (row.series().0.clone(), row.series().1.clone())).collect();
    let count = buckets.count().saturating_mul(series.len() as u64);
    if count > ROWS_MAX {
        let message = format!(
            "filled, the answer has {count} rows, the most is {ROWS_MAX}: take a longer interval, a shorter range, or leave \
             out fill"
        );
        return Err(ReadError::new(ReadErrorKind::Invalid, message));
    }
    let mut there: BTreeMap<Time, Vec<B>> = BTreeMap::new();
    for row in rows {
        there.entry(row.time()).or_default().push(row);
    }
    let mut filled = Vec::new();
    for time in buckets.starts() {
        let mut present = there.remove(&time).unwrap_or_default().into_iter().peekable();
        for (name, host) in &series {
            match present.next_if(|row| row.series() == (name, host)) {
                Some(row) => filled.push(row),
                None => filled.push(B::empty(time, name.clone(), host.clone())),
            }
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interval, TimeRange};

    fn at(seconds: i64) -> Time {
        Time::from_micros((1_767_355_200 + seconds) * 1_000_000)
    }

    fn buckets(from: i64, to: i64, seconds: u64) -> Buckets {
        let range = TimeRange::new(at(from), at(to)).unwrap();
        Buckets::new(range, Interval::from_seconds(seconds).unwrap()).unwrap()
    }

    fn row(seconds: i64, name: &str, messages: u64) -> ChannelRow {
        let (time, channel_name) = (at(seconds), name.into());
        ChannelRow { time, channel_name, message_count: messages, ..ChannelRow::default() }
    }

    #[test]
    fn every_series_has_every_bucket_that_the_range_touches() {
        let rows = vec![row(0, "b", 1), row(60, "a", 2), row(60, "b", 3)];
        let filled = fill(rows, buckets(30, 150, 60)).unwrap();
        let told: Vec<_> =
            filled.iter().map(|row| (row.time, row.channel_name.as_str(), row.message_count)).collect();
        let expected = [
            (at(0), "a", 0),
            (at(0), "b", 1),
            (at(60), "a", 2),
            (at(60), "b", 3),
            (at(120), "a", 0),
            (at(120), "b", 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(
            fill(Vec::<ChannelRow>::new(), buckets(0, 600, 60)).unwrap(),
            [],
            "of nobody nothing is known"
        );
    }

    #[test]
    fn too_many_rows_are_an_error_with_a_way_out() {
        let rows = (0..101).map(|number| row(0, &number.to_string(), 1)).collect();
        let error = fill(rows, buckets(0, 10_000, 1)).unwrap_err();
        assert!(
            error.kind() == ReadErrorKind::Invalid && error.to_string().contains("1010000 rows"),
            "{error}"
        );
    }
}
