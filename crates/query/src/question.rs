//! Questions as text: what HTTP and the command line ask by a topic and parameters, and the answers as JSON.

use event::Time;
use event::limits::NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::error::RequestError;
use crate::fill::{Bucket, Fill, fill};
use crate::filter::check_name;
use crate::{
    AgentFilter, AgentLatest, AgentRow, AgentSeries, AgentStates, AgentSummary, Buckets, ChannelFilter,
    ChannelRow, ChannelSeries, Cut, Days, GapRow, Gaps, Groups, Interval, Limit, Names, ReadError, Reader,
    Row, StateRow, SystemFilter, SystemRow, SystemSeries, TimeRange, TokenFilter, TokenRow, TokenSeries,
};

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Systems over time.
    System,
    /// Agents over time.
    Agents,
    /// The newest sample of each agent.
    Latest,
    /// All that one agent did.
    Summary,
    /// Channels over time.
    Channels,
    /// Tokens and their cost over time.
    Tokens,
    /// What agents said of themselves.
    States,
    /// Known losses.
    Gaps,
}

impl Topic {
    /// Whether its answers have costs.
    #[must_use]
    pub const fn has_costs(self) -> bool {
        matches!(self, Self::Summary | Self::Tokens)
    }

    /// The parameters that it understands.
    #[must_use]
    pub const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::System => &["from", "to", "interval", "fill", "system", "host"],
            Self::Agents => {
                &["from", "to", "interval", "fill", "agent", "role", "tool", "runtime", "host", "state"]
            }
            Self::Latest => &["from", "to", "agent", "role", "tool", "runtime", "host", "state"],
            Self::Summary => &["from", "to", "agent"],
            Self::Channels => &["from", "to", "interval", "fill", "channel", "host"],
            Self::Tokens => &["from", "to", "interval", "day", "tz", "by", "agent", "model", "host", "tool"],
            Self::States => &["from", "to", "limit", "agent", "role", "tool", "runtime", "host", "state"],
            Self::Gaps => &["from", "to", "limit", "host"],
        }
    }

    /// The names of its answer's fields, in the order of columns; of nested objects with a dot between.
    #[must_use]
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::System => SystemRow::COLUMNS,
            Self::Agents | Self::Latest => AgentRow::COLUMNS,
            Self::Summary => AgentSummary::COLUMNS,
            Self::Channels => ChannelRow::COLUMNS,
            Self::Tokens => TokenRow::COLUMNS,
            Self::States => StateRow::COLUMNS,
            Self::Gaps => GapRow::COLUMNS,
        }
    }
}

/// A question that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Systems over time.
    System(SystemSeries, Fill),
    /// Agents over time.
    Agents(AgentSeries, Fill),
    /// The newest sample of each agent.
    Latest(AgentLatest),
    /// All that the agents of one name did.
    Summary {
        /// Whose.
        agent_name: String,
        /// When.
        range: TimeRange,
    },
    /// Channels over time.
    Channels(ChannelSeries, Fill),
    /// Tokens and their cost over time.
    Tokens(TokenSeries),
    /// What agents said of themselves.
    States(AgentStates),
    /// Known losses.
    Gaps(Gaps),
}

/// What is answered. As JSON, rows are a bare array, and a summary is an object or null.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "they are named like the questions")]
pub enum Answer {
    System(Vec<SystemRow>),
    Agents(Vec<AgentRow>),
    Summary(Option<Box<AgentSummary>>),
    Channels(Vec<ChannelRow>),
    Tokens(Vec<TokenRow>),
    States(Vec<StateRow>),
    Gaps(Vec<GapRow>),
}

impl Question {
    /// Reads a question from its parameters; relative times are relative to `now`.
    ///
    /// # Errors
    /// The first parameter that the topic does not know, that comes twice, or that is not as it must be.
    pub fn parse(topic: Topic, parameters: &[(String, String)], now: Time) -> Result<Self, RequestError> {
        for (index, (name, _)) in parameters.iter().enumerate() {
            if !topic.parameters().contains(&name.as_str()) {
                let known = topic.parameters().join(", ");
                return Err(RequestError::new(
                    name.clone(),
                    format!("is no parameter here; there are: {known}"),
                ));
            }
            if parameters.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(RequestError::new(name.clone(), "is there twice"));
            }
        }
        let get =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        let range = || TimeRange::parse(get("from"), get("to"), now);
        let day =
            || TimeRange::parse_looking_back(get("from"), get("to"), now, AgentLatest::LOOK_BACK_SECONDS);
        let buckets = || Buckets::new(range()?, Interval::parse(get("interval"))?);
        let fill = match truth(get, "fill")? {
            true => Fill::Empty,
            false => Fill::Nothing,
        };
        Ok(match topic {
            Topic::System => {
                Self::System(SystemSeries { buckets: buckets()?, filter: SystemFilter::parse(get)? }, fill)
            }
            Topic::Agents => {
                Self::Agents(AgentSeries { buckets: buckets()?, filter: AgentFilter::parse(get)? }, fill)
            }
            Topic::Latest => Self::Latest(AgentLatest { range: day()?, filter: AgentFilter::parse(get)? }),
            Topic::Summary => Self::Summary { agent_name: one_agent(get("agent"))?, range: range()? },
            Topic::Channels => Self::Channels(
                ChannelSeries { buckets: buckets()?, filter: ChannelFilter::parse(get)? },
                fill,
            ),
            Topic::Tokens => {
                let (by, filter) = (Groups::parse(get("by"))?, TokenFilter::parse(get)?);
                Self::Tokens(TokenSeries { cut: cut(get, range()?)?, by, filter })
            }
            Topic::States => {
                let (limit, filter) = (Limit::parse(get("limit"))?, AgentFilter::parse(get)?);
                Self::States(AgentStates { range: day()?, filter, limit })
            }
            Topic::Gaps => {
                let (limit, host) = (Limit::parse(get("limit"))?, Names::parse("host", get("host"))?);
                Self::Gaps(Gaps { range: day()?, host, limit })
            }
        })
    }

    /// Has it answered.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    pub async fn ask(&self, reader: &impl Reader) -> Result<Answer, ReadError> {
        Ok(match self {
            Self::System(request, wanted) => {
                Answer::System(filled(reader.system_series(request).await?, request.buckets, *wanted)?)
            }
            Self::Agents(request, wanted) => {
                Answer::Agents(filled(reader.agent_series(request).await?, request.buckets, *wanted)?)
            }
            Self::Latest(request) => Answer::Agents(reader.agent_latest(request).await?),
            Self::Summary { agent_name, range } => {
                Answer::Summary(reader.agent_summary(agent_name, *range).await?.map(Box::new))
            }
            Self::Channels(request, wanted) => {
                Answer::Channels(filled(reader.channel_series(request).await?, request.buckets, *wanted)?)
            }
            Self::Tokens(request) => Answer::Tokens(reader.token_series(request).await?),
            Self::States(request) => Answer::States(reader.agent_states(request).await?),
            Self::Gaps(request) => Answer::Gaps(reader.gaps(request).await?),
        })
    }
}

impl Answer {
    /// The rows as CSV (RFC 4180) with a line of names; what is not known is empty.
    #[must_use]
    pub fn to_csv(&self) -> String {
        match self {
            Self::System(rows) => csv(rows),
            Self::Agents(rows) => csv(rows),
            Self::Summary(summary) => csv(summary.as_deref().map(std::slice::from_ref).unwrap_or_default()),
            Self::Channels(rows) => csv(rows),
            Self::Tokens(rows) => csv(rows),
            Self::States(rows) => csv(rows),
            Self::Gaps(rows) => csv(rows),
        }
    }
}

fn csv<R: Row>(rows: &[R]) -> String {
    let mut text = R::COLUMNS.join(",") + "\r\n";
    for row in rows {
        let cells: Vec<String> = row.values().map(|value| csv_cell(&value.to_string())).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// A cell of CSV (RFC 4180), in quotes where it must be.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// `day=true` cuts by days of the time zone `tz`, `interval=all` not at all, any other interval into buckets.
fn cut<'a>(get: impl Fn(&str) -> Option<&'a str>, range: TimeRange) -> Result<Cut, RequestError> {
    let is_daily = truth(&get, "day")?;
    if !is_daily && get("tz").is_some() {
        return Err(RequestError::new("tz", "is for days: say day=true, or leave it out"));
    }
    Ok(match (is_daily, get("interval")) {
        (true, Some(_)) => return Err(RequestError::new("interval", "and day exclude each other")),
        (true, None) => Cut::Days(Days::new(range, get("tz").unwrap_or("UTC"))?),
        (false, Some("all")) => Cut::Whole(range),
        (false, interval) => Cut::Buckets(Buckets::new(range, Interval::parse(interval)?)?),
    })
}

fn filled<B: Bucket>(rows: Vec<B>, buckets: Buckets, wanted: Fill) -> Result<Vec<B>, ReadError> {
    match wanted {
        Fill::Nothing => Ok(rows),
        Fill::Empty => fill(rows, buckets),
    }
}

fn truth<'a>(get: impl Fn(&str) -> Option<&'a str>, name: &'static str) -> Result<bool, RequestError> {
    match get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(RequestError::new(name, format!("{other:?} is neither true nor false"))),
    }
}

/// A name as it is, commas and all.
fn one_agent(text: Option<&str>) -> Result<String, RequestError> {
    let name = text.ok_or_else(|| RequestError::new("agent", "is missing: whose summary?"))?;
    check_name("agent", name, NAME_BYTES_MAX).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_767_323_045_000_000);

    fn parse(topic: Topic, parameters: &[(&str, &str)]) -> Result<Question, RequestError> {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Question::parse(topic, &parameters.iter().map(own).collect::<Vec<_>>(), NOW)
    }

    #[test]
    fn each_topic_is_asked_with_its_parameters() {
        let Ok(Question::Agents(agents, Fill::Nothing)) =
            parse(Topic::Agents, &[("agent", "a,b"), ("interval", "1h")])
        else {
            panic!("agents")
        };
        assert_eq!((agents.filter.agent_name, agents.buckets.count()), (Names::only(["a", "b"]), 2));
        let Ok(Question::Latest(latest)) = parse(Topic::Latest, &[]) else { panic!("latest") };
        assert_eq!(latest.range.from(), NOW.plus_micros(-86_400_000_000));
        let Ok(Question::Tokens(tokens)) =
            parse(Topic::Tokens, &[("day", "true"), ("by", "model"), ("from", "-3d")])
        else {
            panic!("tokens")
        };
        let Cut::Days(days) = tokens.cut else { panic!("days") };
        assert_eq!(days.starts().len(), 4);
        let Ok(Question::Tokens(tokens)) = parse(Topic::Tokens, &[("interval", "all")]) else {
            panic!("tokens")
        };
        assert!(matches!(tokens.cut, Cut::Whole(range) if range.to() == NOW));
        for topic in [Topic::System, Topic::Channels, Topic::States, Topic::Gaps] {
            parse(topic, &[("host", "h"), ("from", "-2h")]).unwrap();
        }
        assert!(matches!(parse(Topic::Summary, &[("agent", "a")]), Ok(Question::Summary { .. })));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |topic: Topic, parameters: &[(&str, &str)], says: &str| {
            assert_eq!(parse(topic, parameters).unwrap_err().to_string(), says);
        };
        let known = "is no parameter here; there are: from, to, limit, host";
        check(Topic::Gaps, &[("agent", "a")], &format!("agent: {known}"));
        check(Topic::Gaps, &[("host", "a"), ("host", "b")], "host: is there twice");
        check(Topic::Summary, &[], "agent: is missing: whose summary?");
        check(Topic::Summary, &[("agent", "a\0")], "agent: has a name with a NUL character");
        check(Topic::Tokens, &[("tz", "UTC")], "tz: is for days: say day=true, or leave it out");
        check(Topic::Tokens, &[("day", "yes")], "day: \"yes\" is neither true nor false");
        check(Topic::Tokens, &[("day", "true"), ("interval", "1h")], "interval: and day exclude each other");
    }

    #[test]
    fn rows_are_a_bare_array_and_nothing_is_null() {
        let json = |answer: &Answer| serde_json::to_string(answer).unwrap();
        assert_eq!(json(&Answer::Gaps(Vec::new())), "[]");
        assert_eq!(json(&Answer::Summary(None)), "null");
        let row = ChannelRow { channel_name: "a,\"b\"".into(), member_count: None, ..ChannelRow::default() };
        let csv = Answer::Channels(vec![row]).to_csv();
        let expected = "time,channel_name,message_count,member_count,reaction_count,host\r\n\
                        1970-01-01T00:00:00.000000Z,\"a,\"\"b\"\"\",0,,0,\r\n";
        assert_eq!(csv, expected);
        assert_eq!(Answer::Summary(None).to_csv().lines().count(), 1);
        assert!(json(&Answer::Channels(vec![ChannelRow::default()])).starts_with("[{\"time\":"));
    }
}
