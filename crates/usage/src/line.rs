//! One line of a transcript: whether it is one at all, and how what is wrong with it is told.
//!
//! IMPORTANT: a problem goes into traces and the status, so it names the kind of a line and the field, and never
//! quotes: transcripts hold what people typed.

use event::{Event, ParseTimeError, Text, Time, TokenUsage, limits};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::Tool;
use crate::loose::{Object, Scalar};
use crate::transcript::{Call, StateError, Told};

/// The longest directory that is remembered: what Linux takes for a path.
const DIRECTORY_BYTES_MAX: usize = 4096;

/// Parses a line that is an object.
pub(crate) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    match serde_json::from_slice(line) {
        Ok(Object(Some(object))) => Ok(object),
        Ok(Object(None)) => Err(no_object(line)),
        Err(error) => Err(broken(line, &error)),
    }
}

/// Whether a line that is not worth parsing looks like a whole object.
///
/// NOTE: most bytes of a transcript are what was said and done, which has no tokens in it. To look at the ends of
/// such a line finds what a torn write leaves, at no cost.
pub(crate) fn looks_whole(line: &[u8]) -> Result<(), String> {
    match (line.first(), line.last()) {
        (Some(b'{'), Some(b'}')) => Ok(()),
        _ => Err(no_object(line)),
    }
}

fn no_object(line: &[u8]) -> String {
    format!("a line of {} bytes is no JSON object", line.len())
}

fn broken(line: &[u8], error: &serde_json::Error) -> String {
    let how = match error.classify() {
        Category::Eof => "ends in the middle of",
        Category::Syntax | Category::Data | Category::Io => "is not",
    };
    format!("a line of {} bytes {how} a JSON object: byte {}", line.len(), error.column())
}

/// The time that a line tells.
pub(crate) fn time(timestamp: &Scalar) -> Result<Time, String> {
    let text = timestamp.text().ok_or("no timestamp")?;
    text.parse().map_err(|error: ParseTimeError| format!("timestamp {error}"))
}

/// The directory that a line tells, where it does.
pub(crate) fn directory(told: &Scalar) -> Option<&Text> {
    told.text().filter(|text| text.len() <= DIRECTORY_BYTES_MAX)
}

/// Tells a call when an event can be made of it, else what hinders that.
pub(crate) fn tell(kind: &str, usage: TokenUsage, directory: &Text, told: &mut Told) {
    // The agent is not known here, and a check wants one.
    let event = Event::TokenUsage(TokenUsage { agent_name: "-".into(), ..usage });
    let checked = limits::check(&event);
    let Event::TokenUsage(usage) = event else { return };
    match checked {
        Ok(()) => told.calls.push(Call {
            usage: TokenUsage { agent_name: Text::default(), ..usage },
            directory: directory.clone(),
        }),
        Err(invalid) => told.problems.push(format!("{kind}: {invalid}")),
    }
}

/// What was kept of a reader, as JSON, with the version that `version` finds in it.
pub(crate) fn restore<T: DeserializeOwned>(
    tool: Tool,
    expected: u8,
    state: &[u8],
    version: impl Fn(&T) -> u8,
) -> Result<T, StateError> {
    let problem = match serde_json::from_slice(state) {
        Ok(kept) if version(&kept) == expected => return Ok(kept),
        Ok(kept) => format!("it is of version {}, and this one reads {expected}", version(&kept)),
        Err(error) => format!("byte {} is not as it was written", error.column()),
    };
    Err(StateError { tool: tool.name(), problem })
}
