//! Channels over time: what is asked and what is answered.

use event::{Text, Time};

use crate::error::RequestError;
use crate::row::{Row, Value};
use crate::{Buckets, Names};

/// Channels over time, in buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSeries {
    /// When, and how finely.
    pub buckets: Buckets,
    /// Which channels.
    pub filter: ChannelFilter,
}

/// Which channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelFilter {
    /// `channel=a,b`.
    pub channel_name: Names,
    /// `host=`.
    pub host: Names,
}

impl ChannelFilter {
    /// Reads the parameters channel and host; `get` gives the text of one by its name.
    ///
    /// # Errors
    /// When one of them is no list of names.
    pub fn parse<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, RequestError> {
        Ok(Self {
            channel_name: Names::parse("channel", get("channel"))?,
            host: Names::parse("host", get("host"))?,
        })
    }

    /// Whether this series is chosen.
    #[must_use]
    pub fn has_series(&self, channel_name: &str, host: &str) -> bool {
        self.channel_name.has(channel_name) && self.host.has(host)
    }
}

/// One bucket of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelRow {
    /// The bucket's start.
    pub time: Time,
    /// Which channel.
    pub channel_name: Text,
    /// Messages within the bucket, at most `i64::MAX`.
    pub message_count: u64,
    /// Members at its last sample.
    pub member_count: Option<u64>,
    /// Reactions within the bucket, at most `i64::MAX`.
    pub reaction_count: u64,
    /// Where.
    pub host: Text,
}

impl Row for ChannelRow {
    const COLUMNS: &'static [&'static str] =
        &["time", "channel_name", "message_count", "member_count", "reaction_count", "host"];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        [
            Value::Time(self.time),
            Value::Text(&self.channel_name),
            Value::Count(self.message_count),
            self.member_count.into(),
            Value::Count(self.reaction_count),
            Value::Text(&self.host),
        ]
        .into_iter()
    }
}
