//! Events that are told as they are: what agents said of themselves, and what is known to be lost.

use event::{Text, Time};

use crate::error::RequestError;
use crate::row::{Row, Value};
use crate::{AgentFilter, Names, TimeRange};

/// The newest of some events, at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// The most that can be asked for.
    pub const MAX: u32 = 10_000;
    /// What is answered when nobody asks for more.
    pub const DEFAULT: Self = Self(1_000);

    /// Reads a whole number from 1 to 10,000; without text it is 1,000.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: Option<&str>) -> Result<Self, RequestError> {
        let Some(text) = text else { return Ok(Self::DEFAULT) };
        let number = text.parse().ok().filter(|number| (1..=Self::MAX).contains(number));
        number.map(Self).ok_or_else(|| {
            RequestError::new("limit", format!("{text:?} is not a whole number from 1 to {}", Self::MAX))
        })
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What agents said of themselves: the newest in a range, told in the order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStates {
    /// From when to when.
    pub range: TimeRange,
    /// Which agents and states.
    pub filter: AgentFilter,
    /// How many at the most.
    pub limit: Limit,
}

impl AgentStates {
    /// Whether this is asked for, whatever the limit leaves out.
    #[must_use]
    pub fn has(&self, row: &StateRow) -> bool {
        let filter = &self.filter;
        self.range.contains(row.time)
            && filter.has_series(&row.agent_name, &row.host)
            && filter.role.has(&row.role)
            && filter.tool.has(&row.tool)
            && filter.runtime.has(&row.runtime)
            && filter.state.has(&row.state)
    }
}

/// What an agent said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateRow {
    /// Since when it is so.
    pub time: Time,
    /// Which agent.
    pub agent_name: Text,
    /// What it is for.
    pub role: Text,
    /// The coding tool that it runs.
    pub tool: Text,
    /// What it runs in.
    pub runtime: Text,
    /// What it is doing, as a word; empty when unknown.
    pub state: Text,
    /// When the agent began.
    pub started_at: Option<Time>,
    /// Where.
    pub host: Text,
}

impl Row for StateRow {
    const COLUMNS: &'static [&'static str] =
        &["time", "agent_name", "role", "tool", "runtime", "state", "started_at", "host"];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let labels = [&self.agent_name, &self.role, &self.tool, &self.runtime, &self.state];
        [Value::Time(self.time)]
            .into_iter()
            .chain(labels.map(|label| Value::Text(label)))
            .chain([self.started_at.map_or(Value::Null, Value::Time), Value::Text(&self.host)])
    }
}

/// Known losses: the newest in a range, told in the order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// When they were noticed.
    pub range: TimeRange,
    /// Where.
    pub host: Names,
    /// How many at the most.
    pub limit: Limit,
}

impl Gaps {
    /// Whether this is asked for, whatever the limit leaves out.
    #[must_use]
    pub fn has(&self, row: &GapRow) -> bool {
        self.range.contains(row.time) && self.host.has(&row.host)
    }
}

/// A known loss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapRow {
    /// When it was noticed.
    pub time: Time,
    /// The start of what is lost.
    pub from: Time,
    /// The end of what is lost.
    pub to: Time,
    /// How many events.
    pub events: u64,
    /// Of what.
    pub what: Text,
    /// Why.
    pub reason: Text,
    /// Where.
    pub host: Text,
}

impl Row for GapRow {
    const COLUMNS: &'static [&'static str] = &["time", "from", "to", "events", "what", "reason", "host"];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        [
            Value::Time(self.time),
            Value::Time(self.from),
            Value::Time(self.to),
            Value::Count(self.events),
            Value::Text(&self.what),
            Value::Text(&self.reason),
            Value::Text(&self.host),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_up_to_ten_thousand() {
        assert_eq!(Limit::parse(Some("10000")).unwrap().get(), 10_000);
        assert_eq!(Limit::parse(None), Ok(Limit::DEFAULT));
        for text in ["0", "10001", "-1", "all", ""] {
            let error = Limit::parse(Some(text)).unwrap_err();
            assert_eq!(error.to_string(), format!("limit: {text:?} is not a whole number from 1 to 10000"));
        }
    }
}
