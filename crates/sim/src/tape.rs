//! What a simulation writes down of every decision: two runs of a seed must write the same.

use std::collections::VecDeque;
use std::fmt::{Display, Write};

use tokio::time::Instant;

/// How many of the last lines are kept to be read.
const LINES_KEPT: usize = 60;

/// A tape: what was written on it, as one number, and its end as text.
#[derive(Debug)]
pub struct Tape {
    began: Instant,
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
}

impl Default for Tape {
    fn default() -> Self {
        // FNV-1a, whose value is the same everywhere.
        Self { began: Instant::now(), hash: 0xcbf2_9ce4_8422_2325, lines: 0, last: VecDeque::new() }
    }
}

impl Tape {
    /// Writes a line, with the time since the tape began.
    pub fn write(&mut self, what: impl Display) {
        let micros = self.began.elapsed().as_micros();
        let mut line = String::new();
        write!(line, "{micros:>12} {what}").unwrap();
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.last.len() == LINES_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The number of all that was written, and how many lines that was.
    pub const fn sum(&self) -> (u64, u64) {
        (self.hash, self.lines)
    }

    /// The last lines.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}
