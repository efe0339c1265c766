//! Everything that a database and the way to it can do wrong, for real: the binary records on, says so once, and
//! has all that it acknowledged arrive once when it is mended.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod link;
mod refusal;
mod server;
