//! The transcript that a session began as a copy of.

use std::io::BufRead;
use std::sync::Arc;

use memchr::memmem;

use crate::codex::counts::{Counter, Counts};
use crate::codex::line::{Line, is_worth_parsing};
use crate::line::{parse, time};
use crate::transcript::Family;

/// Reads the parent beside its copy, as far as the copy goes.
pub(super) struct Parent {
    family: Arc<dyn Family>,
    open: Option<Calls>,
}

/// What the parent has next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// A call with these counts.
    Call(Counts),
    /// Nothing more, up to the fork.
    End,
    /// There is no such transcript.
    Missing,
}

impl Parent {
    pub(super) fn new(family: Arc<dyn Family>) -> Self {
        Self { family, open: None }
    }

    /// The next call of `session` up to the time of the fork; `skip` have been taken already.
    pub(super) fn next(&mut self, session: &str, fork: Option<i64>, skip: u64) -> Next {
        if self.open.is_none() {
            let Some(lines) = self.family.transcript(session) else { return Next::Missing };
            let mut calls = Calls { lines, fork, counter: Counter::default(), line: Vec::new() };
            for _ in 0..skip {
                if calls.next().is_none() {
                    break;
                }
            }
            self.open = Some(calls);
        }
        self.open.as_mut().and_then(Iterator::next).map_or(Next::End, Next::Call)
    }

    /// Whether the transcript of `session` names this response; nothing when there is none.
    pub(super) fn names(&self, session: &str, response: &str) -> Option<bool> {
        let mut lines = self.family.transcript(session)?;
        let needle = memmem::Finder::new(response);
        let mut line = Vec::new();
        while next_line(&mut *lines, &mut line) {
            if needle.find(&line).is_some() {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Closes the file; it is opened again at the next look into it.
    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

/// The calls of a transcript up to a time, its own copied head with them.
struct Calls {
    lines: Box<dyn BufRead + Send>,
    fork: Option<i64>,
    counter: Counter,
    line: Vec<u8>,
}

impl Calls {
    /// The call that the current line tells, with its time.
    fn call(&mut self) -> Option<(Counts, Option<i64>)> {
        let bytes = self.line.trim_ascii();
        if !is_worth_parsing(bytes) {
            return None;
        }
        let line: Line = parse(bytes).ok()?;
        let payload = line.payload.0.as_ref().filter(|it| it.r#type.is_text("token_count"))?;
        let counted = self.counter.take(payload.info.0.as_ref()?).ok()??;
        Some((counted.counts, time(&line.timestamp).ok().map(event::Time::micros)))
    }
}

impl Iterator for Calls {
    type Item = Counts;

    fn next(&mut self) -> Option<Counts> {
        while next_line(&mut *self.lines, &mut self.line) {
            if let Some((counts, time)) = self.call() {
                let is_later = time.zip(self.fork).is_some_and(|(time, fork)| time > fork);
                return (!is_later).then_some(counts);
            }
        }
        None
    }
}

/// Reads a line; false at the end, or where the file cannot be read further.
fn next_line(lines: &mut dyn BufRead, line: &mut Vec<u8>) -> bool {
    line.clear();
    lines.read_until(b'\n', line).is_ok_and(|bytes| bytes > 0)
}
