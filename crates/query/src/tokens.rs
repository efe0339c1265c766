//! Tokens and what they cost, over time or by the day: what is asked and what is answered.

use event::{Text, Time};

use crate::error::RequestError;
use crate::row::{Row, Value};
use crate::{Buckets, Days, Names, TimeRange};

/// Tokens over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSeries {
    /// When, and how finely.
    pub cut: Cut,
    /// What has rows of its own.
    pub by: Groups,
    /// Which calls.
    pub filter: TokenFilter,
}

/// How a range is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Not at all: one row for the whole range, at its start.
    Whole(TimeRange),
    /// Into buckets of one length.
    Buckets(Buckets),
    /// Into the days of somebody's clock.
    Days(Days),
}

impl Cut {
    /// The range that is cut.
    #[must_use]
    pub const fn range(&self) -> TimeRange {
        match self {
            Self::Whole(range) => *range,
            Self::Buckets(buckets) => buckets.range(),
            Self::Days(days) => days.range(),
        }
    }

    /// The time of the row that a call at this time of the range belongs to.
    #[must_use]
    pub fn start_of(&self, time: Time) -> Time {
        match self {
            Self::Whole(range) => range.from(),
            Self::Buckets(buckets) => buckets.start_of(time),
            Self::Days(days) => days.start_of(time),
        }
    }
}

/// Which of a call's names a row tells apart; the others are empty in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    keys: [Option<GroupKey>; 3],
}

/// A name of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKey {
    /// Who made it.
    Agent,
    /// Which model answered.
    Model,
    /// Where.
    Host,
}

impl GroupKey {
    /// Every key.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Model, Self::Host];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Host => "host",
        }
    }
}

impl Groups {
    /// A row for each agent, model and host.
    pub const ALL: Self = Self { keys: [Some(GroupKey::Agent), Some(GroupKey::Model), Some(GroupKey::Host)] };

    /// A row for each combination of these.
    #[must_use]
    pub fn of(keys: &[GroupKey]) -> Self {
        Self { keys: GroupKey::ALL.map(|key| keys.contains(&key).then_some(key)) }
    }

    /// Reads keys with commas between them; absent or empty text is all of them, `none` is none of them.
    ///
    /// # Errors
    /// When one of them is no key.
    pub fn parse(text: Option<&str>) -> Result<Self, RequestError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::ALL) };
        if text == "none" {
            return Ok(Self::of(&[]));
        }
        let key = |word: &str| {
            GroupKey::ALL.into_iter().find(|key| key.as_str() == word).ok_or_else(|| {
                RequestError::new("by", format!("{word:?} is not one of: agent, model, host; or none alone"))
            })
        };
        Ok(Self::of(&text.split(',').map(key).collect::<Result<Vec<_>, _>>()?))
    }

    /// Whether rows tell this apart.
    #[must_use]
    pub fn has(self, key: GroupKey) -> bool {
        self.keys.contains(&Some(key))
    }
}

/// Which calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// `agent=a,b`.
    pub agent_name: Names,
    /// `model=`.
    pub model: Names,
    /// `host=`.
    pub host: Names,
    /// `tool=`.
    pub tool: Names,
}

impl TokenFilter {
    /// Reads the parameters agent, model, host and tool; `get` gives the text of one by its name.
    ///
    /// # Errors
    /// When one of them is no list of names.
    pub fn parse<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, RequestError> {
        Ok(Self {
            agent_name: Names::parse("agent", get("agent"))?,
            model: Names::parse("model", get("model"))?,
            host: Names::parse("host", get("host"))?,
            tool: Names::parse_label("tool", get("tool"))?,
        })
    }
}

/// What the calls of one row used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenRow {
    /// The start of the bucket, of the day or of the range; a day's and a bucket's can be earlier than `from`.
    pub time: Time,
    /// Who made the calls; empty when rows do not tell agents apart.
    pub agent_name: Text,
    /// Which model answered; empty when rows do not tell models apart.
    pub model: Text,
    /// What they used and cost.
    pub used: TokensUsed,
    /// Where; empty when rows do not tell hosts apart.
    pub host: Text,
}

/// What some calls used; counts are at most `i64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokensUsed {
    /// Input tokens that no cache held.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache.
    pub cache_create: u64,
    /// US dollars: of each call the reported cost, else the computed one; `None` when no call's cost is known.
    pub cost_usd: Option<f64>,
    /// US dollars that tools reported; `None` when none did.
    pub reported_cost_usd: Option<f64>,
    /// Calls whose cost is not known, and not in `cost_usd`.
    pub unpriced_events: u64,
}

impl Row for TokenRow {
    const COLUMNS: &'static [&'static str] = &[
        "time",
        "agent_name",
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read",
        "cache_create",
        "cost_usd",
        "reported_cost_usd",
        "unpriced_events",
        "host",
    ];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let used = &self.used;
        [
            Value::Time(self.time),
            Value::Text(&self.agent_name),
            Value::Text(&self.model),
            Value::Count(used.input_tokens),
            Value::Count(used.output_tokens),
            Value::Count(used.cache_read),
            Value::Count(used.cache_create),
            used.cost_usd.into(),
            used.reported_cost_usd.into(),
            Value::Count(used.unpriced_events),
            Value::Text(&self.host),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_words_with_commas() {
        let groups = Groups::parse(Some("model,agent")).unwrap();
        assert_eq!(groups, Groups::of(&[GroupKey::Agent, GroupKey::Model]));
        assert!(groups.has(GroupKey::Model) && !groups.has(GroupKey::Host));
        assert_eq!(Groups::parse(None), Ok(Groups::ALL));
        assert_eq!(Groups::parse(Some("none")), Ok(Groups::of(&[])));
        let error = Groups::parse(Some("model,day")).unwrap_err();
        assert_eq!(error.to_string(), "by: \"day\" is not one of: agent, model, host; or none alone");
    }
}
