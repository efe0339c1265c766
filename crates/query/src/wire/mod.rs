//! Answers as they are sent, by version. Clients build on these: a version never changes its fields' meaning.

pub mod schema;
pub mod v1;
