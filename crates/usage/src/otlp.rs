//! Usage that coding tools export by OpenTelemetry: the plain attributes of a log record in, token usage out.
//!
//! Two records tell of a model call: `claude_code.api_request` of Claude Code, whose counts are disjoint already, and
//! `codex.sse_event` of Codex CLI when its `event.kind` is `response.completed`, whose input includes what came from
//! the cache. Exporters write a number as an integer, as a double or as text: all three are read. Neither tells a
//! message id, so a record gets one of its own, made of what a record that is sent again has as well. Nothing else of
//! a record is looked at: what people and tools said to each other stays where it was.

use std::fmt;

use event::{Event, Text, Time, TokenUsage, limits};

use crate::Tool;

/// The record of Claude Code that tells of a call.
pub const CLAUDE_CALL: &str = "claude_code.api_request";
/// The record of Codex CLI that tells of a call, when its `event.kind` is [`CODEX_COMPLETED`].
pub const CODEX_CALL: &str = "codex.sse_event";
/// The kind of [`CODEX_CALL`] that has the counts.
pub const CODEX_COMPLETED: &str = "response.completed";

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Whole(i64),
    /// Any number.
    Number(f64),
    /// Something else, which no usage is told by.
    Other,
}

/// A name and its value.
pub type Attribute<'a> = (&'a str, Value<'a>);

/// A log record, as far as usage goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The name of the event, in the field that newer exporters fill; may be empty.
    pub event_name: &'a str,
    /// The body, when it is text; may be empty.
    pub body: &'a str,
    /// When it happened, nanoseconds since the epoch; 0 when unknown.
    pub time_unix_nano: u64,
    /// When the exporter saw it, the same.
    pub observed_time_unix_nano: u64,
    /// What it says.
    pub attributes: &'a [Attribute<'a>],
    /// What is said of the process that wrote it.
    pub resource: &'a [Attribute<'a>],
}

/// A record that tells of a call and cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which record.
    pub event: &'static str,
    /// Which field of it, or of the usage that it tells.
    pub field: &'static str,
    /// What is wrong with it. It holds nothing of what stands there.
    pub problem: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.event, self.field, self.problem)
    }
}

impl std::error::Error for Malformed {}

/// What a record tells of a call; `None` when it tells of something else.
///
/// # Errors
/// When it tells of a call and a field is missing or is not what it must be.
pub fn usage(record: &Record<'_>) -> Result<Option<TokenUsage>, Malformed> {
    let (event, usage) = if record.is(CLAUDE_CALL) {
        (CLAUDE_CALL, claude(&Call { record, event: CLAUDE_CALL })?)
    } else if record.is(CODEX_CALL) && record.text("event.kind") == Some(CODEX_COMPLETED) {
        (CODEX_CALL, codex(&Call { record, event: CODEX_CALL })?)
    } else {
        return Ok(None);
    };
    let broken = |field| Malformed { event, field, problem: "breaks its limit".to_owned() };
    limits::check(&Event::TokenUsage(usage.clone())).map_err(|invalid| broken(invalid.field))?;
    Ok(Some(usage))
}

fn claude(call: &Call<'_>) -> Result<TokenUsage, Malformed> {
    let sequence = call.maybe_count("event.sequence")?;
    let usage = TokenUsage {
        tool: "claude".into(),
        session_id: call.record.text("session.id").unwrap_or_default().into(),
        input_tokens: call.count("input_tokens")?,
        output_tokens: call.count("output_tokens")?,
        cache_read: call.maybe_count("cache_read_tokens")?.unwrap_or_default(),
        cache_create: call.maybe_count("cache_creation_tokens")?.unwrap_or_default(),
        cost_usd: call.record.cost("cost_usd"),
        ..call.common()?
    };
    Ok(TokenUsage { message_id: own_id(&usage, sequence), ..usage })
}

fn codex(call: &Call<'_>) -> Result<TokenUsage, Malformed> {
    let sequence = call.maybe_count("event.sequence")?;
    let cached = call.maybe_count("cached_token_count")?.unwrap_or_default();
    let output = call.count("output_token_count")?;
    let usage = TokenUsage {
        tool: "codex".into(),
        session_id: call.record.text("conversation.id").unwrap_or_default().into(),
        // NOTE: its input includes what came from the cache; an event's counts are disjoint.
        input_tokens: call.count("input_token_count")?.saturating_sub(cached),
        output_tokens: output,
        cache_read: cached,
        reasoning_tokens: call.maybe_count("reasoning_token_count")?.unwrap_or_default().min(output),
        cost_usd: call.record.cost("cost_usd"),
        ..call.common()?
    };
    Ok(TokenUsage { message_id: own_id(&usage, sequence), ..usage })
}

/// An id that the same record has whenever it is sent, and no other.
///
/// NOTE: the sequence alone is none: it begins anew with a process that goes on with an old session.
fn own_id(usage: &TokenUsage, sequence: Option<u64>) -> Text {
    let counts = [usage.input_tokens, usage.output_tokens, usage.cache_read, usage.cache_create];
    let mut hash = Fnv::new();
    hash.add(usage.session_id.as_bytes());
    hash.add(usage.model.as_bytes());
    hash.add(&usage.time.micros().to_be_bytes());
    for count in counts {
        hash.add(&count.to_be_bytes());
    }
    let sequence = sequence.map(|sequence| format!("{sequence}-")).unwrap_or_default();
    format!("otlp-{sequence}{:016x}", hash.0).into()
}

/// FNV-1a of 64 bits: the same in every version of ours, which the standard library's hash does not promise.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a part, with an end that no text has inside.
    fn add(&mut self, part: &[u8]) {
        for byte in part.iter().chain([&0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// A record that tells of a call.
struct Call<'a> {
    record: &'a Record<'a>,
    event: &'static str,
}

impl Call<'_> {
    /// Whose call it is.
    fn tool(&self) -> Tool {
        if self.event == CODEX_CALL { Tool::Codex } else { Tool::Claude }
    }

    fn malformed(&self, field: &'static str, problem: &str) -> Malformed {
        Malformed { event: self.event, field, problem: problem.to_owned() }
    }

    /// What both tools tell alike.
    fn common(&self) -> Result<TokenUsage, Malformed> {
        let model = self.record.text("model").filter(|model| !model.is_empty());
        Ok(TokenUsage {
            time: self.record.time().ok_or_else(|| self.malformed("time", "is missing"))?,
            agent_name: self.record.agent_name().unwrap_or_else(|| self.tool().name().into()),
            model: model.ok_or_else(|| self.malformed("model", "is missing"))?.into(),
            r#final: true,
            ..TokenUsage::default()
        })
    }

    fn count(&self, name: &'static str) -> Result<u64, Malformed> {
        self.maybe_count(name)?.ok_or_else(|| self.malformed(name, "is missing"))
    }

    fn maybe_count(&self, name: &'static str) -> Result<Option<u64>, Malformed> {
        let Some(value) = self.record.attribute(name) else { return Ok(None) };
        let count = match value {
            Value::Whole(number) => u64::try_from(number).ok(),
            Value::Number(number) => whole(number),
            Value::Text(text) => text.parse().ok().or_else(|| whole(text.parse().ok()?)),
            Value::Other => None,
        };
        count.map(Some).ok_or_else(|| self.malformed(name, "is not a whole number from 0"))
    }
}

/// The whole number that a double is.
fn whole(number: f64) -> Option<u64> {
    /// Beyond 2 to the 53rd a double no longer holds every whole number.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let is_whole = (0.0..=MOST).contains(&number) && number.fract() == 0.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    is_whole.then_some(number as u64)
}

impl<'a> Record<'a> {
    /// Whether this is its name, wherever its exporter writes it.
    fn is(&self, name: &str) -> bool {
        self.body == name
            || self.event_name == name
            || self.text("event.name").is_some_and(|said| {
                // NOTE: Claude Code leaves its own name out there; nobody else's record has such a body or service.
                said == name || name.strip_prefix("claude_code.") == Some(said) && self.is_claude()
            })
    }

    fn is_claude(&self) -> bool {
        self.body.starts_with("claude_code.")
            || text(self.resource, "service.name").is_some_and(|name| name.starts_with("claude-code"))
    }

    fn attribute(&self, name: &str) -> Option<Value<'a>> {
        find(self.attributes, name)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        text(self.attributes, name)
    }

    /// Who made the call, as the process that exports it was told; else which program it is.
    fn agent_name(&self) -> Option<Text> {
        let names = ["tailwater.agent", "agent.name", "service.name"];
        let name = names.iter().find_map(|name| text(self.resource, name).filter(|name| !name.is_empty()));
        name.map(Text::from)
    }

    fn time(&self) -> Option<Time> {
        let told = |nanos: u64| (nanos > 0).then(|| from_nanos(nanos));
        let said = || self.text("event.timestamp").and_then(|text| text.parse().ok());
        told(self.time_unix_nano).or_else(said).or_else(|| told(self.observed_time_unix_nano))
    }

    /// A cost that makes no sense is left out: the counts are worth more than it.
    fn cost(&self, name: &str) -> Option<f64> {
        let cost = match self.attribute(name)? {
            #[expect(clippy::cast_precision_loss, reason = "a cost needs no 53 bits")]
            Value::Whole(number) => number as f64,
            Value::Number(number) => number,
            Value::Text(text) => text.parse().ok()?,
            Value::Other => return None,
        };
        Some(cost).filter(|cost| cost.is_finite() && *cost >= 0.0)
    }
}

fn from_nanos(nanos: u64) -> Time {
    Time::from_micros(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX))
}

fn find<'a>(attributes: &[Attribute<'a>], name: &str) -> Option<Value<'a>> {
    attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

fn text<'a>(attributes: &[Attribute<'a>], name: &str) -> Option<&'a str> {
    match find(attributes, name)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
