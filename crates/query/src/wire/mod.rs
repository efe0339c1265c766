//! Answers as they are sent, by version. Clients build on these: a version never changes its fields' meaning.

pub mod v1;
