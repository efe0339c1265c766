//! What can be asked.

use event::Time;

use crate::error::RequestError;
use crate::{AgentFilter, Buckets, SystemFilter, TimeRange};

/// Systems over time, in buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemSeries {
    /// When, and how finely.
    pub buckets: Buckets,
    /// Which systems.
    pub filter: SystemFilter,
}

/// Agents over time, in buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSeries {
    /// When, and how finely.
    pub buckets: Buckets,
    /// Which agents.
    pub filter: AgentFilter,
}

/// The newest sample of each agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentLatest {
    /// Within which times; an agent without a sample in it is not in the answer.
    pub range: TimeRange,
    /// Which agents.
    pub filter: AgentFilter,
}

impl AgentLatest {
    /// How far `latest` looks back when it is not told.
    pub const LOOK_BACK_SECONDS: u64 = 24 * 3_600;

    /// Reads `from` and `to` as a series does, but without `from` it looks back 24 hours.
    ///
    /// # Errors
    /// When one of them is no time, or `from` is not before `to`.
    pub fn parse_range(from: Option<&str>, to: Option<&str>, now: Time) -> Result<TimeRange, RequestError> {
        TimeRange::parse_looking_back(from, to, now, Self::LOOK_BACK_SECONDS)
    }
}
