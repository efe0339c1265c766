//! How the engine's JSON is read: field by field, so that an odd one costs itself and not the whole answer.

use event::{Time, limits};
use serde_json::Value;

/// An answer of which nothing can be understood. IMPORTANT: it never holds what was in the answer, for a container's
/// environment may hold passwords.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON.
    #[error("the answer is not JSON")]
    Syntax(#[source] serde_json::Error),
    /// It is JSON of another shape.
    #[error("the answer is not {0}")]
    Shape(&'static str),
}

/// Reads a JSON object.
pub(super) fn object(text: &[u8]) -> Result<Value, AnswerError> {
    let value: Value = serde_json::from_slice(text).map_err(AnswerError::Syntax)?;
    if value.is_object() { Ok(value) } else { Err(AnswerError::Shape("an object")) }
}

/// Reads single fields, named by JSON pointers such as `/memory_stats/usage`. Null is absent; what is of the wrong
/// type is absent and a problem.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<String>,
}

impl Reader {
    /// A count that an event can carry.
    pub(super) fn count(&mut self, value: &Value, pointer: &str) -> Option<u64> {
        let count = |found: &Value| found.as_u64().filter(|count| *count <= limits::COUNT_MAX);
        self.read(value, pointer, "a count", count)
    }

    /// An array.
    pub(super) fn array<'a>(&mut self, value: &'a Value, pointer: &str) -> Option<&'a Vec<Value>> {
        self.read(value, pointer, "an array", Value::as_array)
    }

    fn read<'a, T>(
        &mut self,
        value: &'a Value,
        pointer: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let found = value.pointer(pointer).filter(|found| !found.is_null())?;
        let read = read(found);
        if read.is_none() {
            self.problems.push(format!("{pointer} is not {what}"));
        }
        read
    }
}

/// A time that an event could have. The engine writes the year 1 for what has not been.
pub(super) fn time(value: &Value, pointer: &str) -> Option<Time> {
    let time: Time = value.pointer(pointer)?.as_str()?.parse().ok()?;
    (limits::TIME_MIN..limits::TIME_END).contains(&time).then_some(time)
}

/// A text, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
