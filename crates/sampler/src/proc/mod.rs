//! What the kernel tells as text: pure parsers, from bytes to plain data, one file of /proc each.
//!
//! Every byte of this is foreign. A parser never panics, whatever it is given; a file of one record gives a
//! record or a [`ParseError`], a file of many lines gives what it understood and the problems.

pub mod cpu;
pub mod diskstats;
mod folder;
pub mod meminfo;
pub mod mounts;
pub mod net_dev;
pub mod pid_io;
pub mod pid_stat;
mod words;

use std::fmt;

pub(crate) use folder::{Folder, Presence};
pub(crate) use words::show;

/// The number of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text of the kernel that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is missing or not a number")]
pub struct ParseError {
    /// The field that was looked for.
    pub field: &'static str,
}

/// What a file of many lines held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// One item for each line that was understood.
    pub items: Vec<T>,
    /// One line of text for each that was not.
    pub problems: Vec<String>,
}

impl<T> Default for Parsed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), problems: Vec::new() }
    }
}
