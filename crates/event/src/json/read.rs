//! Events from NDJSON, strictly.

use std::fmt;

use super::fields::Fields;
use crate::Kind;
use crate::limits::{self, LINE_BYTES_MAX};
use crate::model::{AgentSample, AgentState, ChannelSample, Event, Gap, SystemSample, TokenUsage};

/// What is wrong with a line, and with which field of it if one can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's name.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    pub(super) fn of(field: &str, message: String) -> Self {
        Self { field: Some(field.to_owned()), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field {}: {}", shown(field), self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Foreign text as a message shows it: on one line without control characters, and not the whole of a long one.
pub(super) fn shown(text: &str) -> String {
    /// Longer than any field's name or time; a line can have a megabyte.
    const CHARS_MAX: usize = 100;
    let mut escaped = text.chars().flat_map(char::escape_debug);
    let mut shown: String = escaped.by_ref().take(CHARS_MAX).collect();
    if escaped.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A line that is no valid event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// Which line, from 1; empty lines count.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Reads NDJSON line by line: each is an event or an error, an empty line is nothing; the last line needs no
/// line end. Nothing is gathered, so a file of the wrong kind costs no memory.
pub fn parse_lines(bytes: &[u8]) -> impl Iterator<Item = Result<Event, ParseError>> + '_ {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| parse_line(line).map_err(|problem| ParseError { line: index + 1, problem }))
}

/// Reads one line.
///
/// # Errors
/// What is wrong with it: too long, not UTF-8, no JSON object, or a field that breaks its type or limit.
pub fn parse_line(line: &[u8]) -> Result<Event, Problem> {
    if let Some(beginning) = line.get(..LINE_BYTES_MAX).filter(|_| line.len() > LINE_BYTES_MAX) {
        let message = format!("the line has {} bytes, the most is {LINE_BYTES_MAX}", line.len());
        return Err(Problem { field: field_at_the_end_of(beginning), message });
    }
    let text = std::str::from_utf8(line).map_err(|error| Problem {
        field: line.get(..error.valid_up_to()).and_then(field_at_the_end_of),
        message: format!("the line is not UTF-8 from byte {} on", error.valid_up_to() + 1),
    })?;
    let mut fields = Fields::parse(text)?;
    let name = fields.required_text("kind")?;
    let kind = Kind::from_name(&name).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        Problem::of("kind", format!("\"{}\" is not one of: {names}", shown(&name)))
    })?;
    let event = take_event(kind, &mut fields)?;
    fields.finish(kind.name())?;
    limits::check(&event).map_err(|invalid| Problem::of(invalid.field, invalid.problem))?;
    Ok(event)
}

/// The field in which this beginning of a line breaks off.
fn field_at_the_end_of(beginning: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    Fields::parse(valid).err()?.field
}

fn take_event(kind: Kind, fields: &mut Fields) -> Result<Event, Problem> {
    Ok(match kind {
        Kind::AgentSample => Event::AgentSample(agent_sample(fields)?),
        Kind::SystemSample => Event::SystemSample(system_sample(fields)?),
        Kind::ChannelSample => Event::ChannelSample(channel_sample(fields)?),
        Kind::TokenUsage => Event::TokenUsage(token_usage(fields)?),
        Kind::AgentState => Event::AgentState(agent_state(fields)?),
        Kind::Gap => Event::Gap(gap(fields)?),
    })
}

fn agent_sample(fields: &mut Fields) -> Result<AgentSample, Problem> {
    Ok(AgentSample {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        agent_name: fields.required_text("agent_name")?,
        role: fields.text_or_empty("role")?,
        tool: fields.text_or_empty("tool")?,
        runtime: fields.text_or_empty("runtime")?,
        state: fields.state()?,
        resources: fields.resources()?,
    })
}

fn system_sample(fields: &mut Fields) -> Result<SystemSample, Problem> {
    Ok(SystemSample {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        system_name: fields.required_text("system_name")?,
        resources: fields.resources()?,
    })
}

fn channel_sample(fields: &mut Fields) -> Result<ChannelSample, Problem> {
    Ok(ChannelSample {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        channel_name: fields.required_text("channel_name")?,
        message_count: fields.required_count("message_count")?,
        member_count: fields.count("member_count")?,
        reaction_count: fields.required_count("reaction_count")?,
    })
}

fn token_usage(fields: &mut Fields) -> Result<TokenUsage, Problem> {
    Ok(TokenUsage {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        agent_name: fields.required_text("agent_name")?,
        model: fields.required_text("model")?,
        tool: fields.text_or_empty("tool")?,
        session_id: fields.text_or_empty("session_id")?,
        message_id: fields.text_or_empty("message_id")?,
        input_tokens: fields.required_count("input_tokens")?,
        output_tokens: fields.required_count("output_tokens")?,
        cache_read: fields.count_or_zero("cache_read")?,
        cache_create: fields.count_or_zero("cache_create")?,
        cache_create_1h: fields.count_or_zero("cache_create_1h")?,
        reasoning_tokens: fields.count_or_zero("reasoning_tokens")?,
        cost_usd: fields.number("cost_usd")?,
        r#final: fields.flag("final")?,
    })
}

fn agent_state(fields: &mut Fields) -> Result<AgentState, Problem> {
    Ok(AgentState {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        agent_name: fields.required_text("agent_name")?,
        role: fields.text_or_empty("role")?,
        tool: fields.text_or_empty("tool")?,
        runtime: fields.text_or_empty("runtime")?,
        state: fields.state()?,
        started_at: fields.time("started_at")?,
    })
}

fn gap(fields: &mut Fields) -> Result<Gap, Problem> {
    Ok(Gap {
        time: fields.required_time("time")?,
        host: fields.text("host")?,
        from: fields.required_time("from")?,
        to: fields.required_time("to")?,
        events: fields.required_count("events")?,
        what: fields.required_text("what")?,
        reason: fields.required_text("reason")?,
    })
}

#[cfg(test)]
mod tests;
