//! What a valid event is. A valid event is one that a database of ours cannot refuse for its content.

use crate::fields::{Field, Rule, Value};
use crate::{Event, Time};

/// The most bytes of a name, a host or a message id.
///
/// NOTE: all of a key's texts together must fit a PostgreSQL index entry (about 2,700 bytes): four of these do.
pub const NAME_BYTES_MAX: usize = 255;
/// The most bytes of any other text.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// The most bytes of an event's payload in the log.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of one NDJSON line.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of one request of NDJSON lines.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The earliest time: 2000-01-01T00:00:00Z.
pub const TIME_MIN: Time = Time::from_micros(946_684_800_000_000);
/// The first time that is too late: 2200-01-01T00:00:00Z.
pub const TIME_END: Time = Time::from_micros(7_258_118_400_000_000);
/// The largest count: what a database's bigint holds.
pub const COUNT_MAX: u64 = i64::MAX as u64;
/// The largest number: more than anything measures, and sums of it stay far from what a double holds.
pub const NUMBER_MAX: f64 = 1e30;

/// An event that breaks a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {problem}")]
pub struct Invalid {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it, and what it must be.
    pub problem: String,
}

/// Checks every field of an event.
///
/// # Errors
/// The first field that breaks its rule, or a count that is more than the one it is a part of.
pub fn check(event: &Event) -> Result<(), Invalid> {
    let mut first = None;
    event.fields(|field| {
        if first.is_none() {
            first = problem(&field).map(|problem| Invalid { field: field.name, problem });
        }
    });
    first.or_else(|| subset_problem(event)).map_or(Ok(()), Err)
}

/// A count that is more than the one it is a part of.
fn subset_problem(event: &Event) -> Option<Invalid> {
    let Event::TokenUsage(it) = event else { return None };
    let subsets = [
        ("cache_create_1h", it.cache_create_1h, "cache_create", it.cache_create),
        ("reasoning_tokens", it.reasoning_tokens, "output_tokens", it.output_tokens),
    ];
    let (field, part, whole, count) = subsets.into_iter().find(|(_, part, _, count)| part > count)?;
    let problem = format!("{part} is more than {whole}, of which it is a part: {count}");
    Some(Invalid { field, problem })
}

fn problem(field: &Field<'_>) -> Option<String> {
    match field.value {
        Value::Absent | Value::Flag(_) => None,
        Value::Time(time) => time_problem(time),
        Value::Text(text) => text_problem(text, field.rule),
        Value::Count(count) => (count > COUNT_MAX).then(|| format!("{count} is more than {COUNT_MAX}")),
        Value::Number(number) => {
            let is_good = (0.0..=NUMBER_MAX).contains(&number);
            (!is_good).then(|| format!("{number:?} is not a number from 0 to {NUMBER_MAX:e}"))
        }
    }
}

fn time_problem(time: Time) -> Option<String> {
    (time < TIME_MIN || time >= TIME_END)
        .then(|| format!("{time} is not from {TIME_MIN} to before {TIME_END}"))
}

fn text_problem(text: &str, rule: Rule) -> Option<String> {
    let most = match rule {
        Rule::Name | Rule::Label => NAME_BYTES_MAX,
        _ => TEXT_BYTES_MAX,
    };
    if rule == Rule::Name && text.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if text.len() > most {
        return Some(format!("has {} bytes, the most is {most}", text.len()));
    }
    text.contains('\0').then(|| "has a NUL character, which no database text can hold".to_owned())
}
