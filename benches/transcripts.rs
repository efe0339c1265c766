//! What reading transcripts costs: megabytes a second of one core, for each coding tool.
//!
//! The transcripts are made in memory. The floor is a JSON parser that throws away each line it has parsed; that is
//! what reading costs without a look at the line first.

#![expect(clippy::print_stdout, reason = "the report of a benchmark goes to standard output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

#[path = "support/transcripts.rs"]
mod transcripts;

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use transcripts::transcript;
use usage::Tool;
use usage::transcript::{Family, Told};

const BYTES: usize = 200 << 20;
const ROUNDS: usize = 5;
const SESSION: &str = "22222222-2222-4222-8222-222222222222";

struct Nobody;

impl Family for Nobody {
    fn transcript(&self, _: &str) -> Option<Box<dyn BufRead + Send>> {
        None
    }
}

fn read(tool: Tool, lines: &[String], calls: usize) {
    let path = Path::new("rollout-2026-03-01T10-00-00-22222222-2222-4222-8222-222222222222.jsonl");
    let mut reader = tool.reader(path, None, Arc::new(Nobody)).unwrap();
    let mut told = Told::default();
    lines.iter().for_each(|line| reader.line(line.as_bytes(), &mut told));
    assert_eq!((told.calls.len(), &told.problems), (calls, &Vec::new()));
}

fn parse_all(lines: &[String]) {
    for line in lines {
        let _: IgnoredAny = serde_json::from_str(line).unwrap();
    }
}

fn timed(work: impl Fn()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn main() {
    for tool in Tool::ALL {
        let (lines, calls) = transcript(tool, SESSION, BYTES, &mut fastrand::Rng::with_seed(7));
        let megabytes = lines.iter().map(|line| line.len() + 1).sum::<usize>() as f64 / 1e6;
        let mut rates: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| {
                let (ours, floor) = (timed(|| read(tool, &lines, calls)), timed(|| parse_all(&lines)));
                (megabytes / ours.as_secs_f64(), megabytes / floor.as_secs_f64())
            })
            .collect();
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ours, floor) = rates.get(ROUNDS / 2).unwrap();
        let name = tool.name();
        println!(
            "transcripts/{name}: {megabytes:.0} MB, {} lines, {calls} calls: {ours:.0} MB/s",
            lines.len()
        );
        println!("transcripts/{name}: a parser of every line: {floor:.0} MB/s, ratio {:.1}", ours / floor);
    }
}
