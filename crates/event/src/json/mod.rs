//! Events as NDJSON: one JSON object a line, `{"kind":"agent_sample","time":"2026-01-02T03:04:05.678901Z",…}`.
//!
//! Reading is strict: an unknown field, a wrong type, a repeated field or a broken limit is an error that
//! names the line and the field. Absent and `null` mean the same. Writing leaves out what is absent.

mod fields;
mod read;
mod write;

pub use read::{ParseError, Problem, parse_line, parse_lines};
pub use write::{JsonEvent, to_line};
