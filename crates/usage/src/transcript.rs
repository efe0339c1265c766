//! What a transcript is: a file of JSON lines that a coding tool appends to, and a reader that makes usage of it.
//!
//! A reader takes whole lines in the order of the file. What it must remember from line to line is its state, which
//! whoever reads the file keeps together with the offset behind the last line that was taken: a reader that is made
//! of that state goes on as if it had never stopped.

use std::io::BufRead;

use event::{Text, TokenUsage};

/// Reads one transcript.
pub trait TranscriptReader: Send {
    /// Takes the next whole line, without its line end, and adds what it tells to `told`.
    ///
    /// A line that is no JSON or has not what it should is a problem and changes nothing else: the reader goes on.
    fn line(&mut self, line: &[u8], told: &mut Told);

    /// Tells what the reader still held back, when nothing may come any more for a while: the file has been quiet.
    fn quiet(&mut self, told: &mut Told);

    /// What it must remember, in a form of its own, at most a few kilobytes.
    fn state(&self) -> Vec<u8>;
}

/// What lines of a transcript told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The calls, in the order of their lines; snapshots of one call can come several times.
    pub calls: Vec<Call>,
    /// What could not be understood, one line each.
    pub problems: Vec<String>,
}

/// A model call, as a transcript tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Its usage. `agent_name` is empty and `host` absent: who reads the file knows whose it is.
    pub usage: TokenUsage,
    /// The working directory that the tool told last; empty when it has not.
    pub directory: Text,
}

/// Finds the transcripts of other sessions, for those that begin with a copy of another one's.
///
/// A reader keeps its own handle and asks while it reads: whose copy it has before it is told by its first line.
pub trait Family: Send + Sync {
    /// The transcript of this session from its beginning, if it is there.
    fn transcript(&self, session_id: &str) -> Option<Box<dyn BufRead + Send>>;
}

/// A state that cannot be gone on from: it is of another version, or damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kept state of a {tool} transcript cannot be read: {problem}")]
pub struct StateError {
    /// The coding tool.
    pub tool: &'static str,
    /// What is wrong with it.
    pub problem: String,
}
