//! What must hold for any bytes that are taken for a transcript.

use std::io::{BufRead, Cursor};
use std::path::Path;
use std::sync::Arc;

use event::{Event, TokenUsage, limits};
use usage::Tool;
use usage::transcript::{Family, Told};

/// The longest problem: it names a kind and a field, and quotes nothing.
const PROBLEM_BYTES_MAX: usize = 200;

/// A family in which every session's transcript is the same.
struct Same(Vec<u8>);

impl Family for Same {
    fn transcript(&self, _: &str) -> Option<Box<dyn BufRead + Send>> {
        Some(Box::new(Cursor::new(self.0.clone())))
    }
}

/// Whatever is told is valid, and the same when the reader goes on from its state. Tells how many calls there are.
pub fn check(tool: Tool, bytes: &[u8]) -> usize {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let whole = read(tool, bytes, &lines, &[]);
    let (first, second) = lines.split_at(lines.len() / 2);
    assert_eq!(read(tool, bytes, first, second), whole, "read in two parts");
    for call in &whole.calls {
        let usage = TokenUsage { agent_name: "-".into(), ..call.usage.clone() };
        limits::check(&Event::TokenUsage(usage)).expect("a call is a valid event");
    }
    for problem in &whole.problems {
        assert!(problem.len() <= PROBLEM_BYTES_MAX && !problem.contains('\n'), "{problem}");
    }
    whole.calls.len()
}

fn read(tool: Tool, bytes: &[u8], first: &[&[u8]], second: &[&[u8]]) -> Told {
    let path = Path::new("rollout-22222222-2222-4222-8222-222222222222.jsonl");
    let family = Arc::new(Same(bytes.to_vec()));
    let mut told = Told::default();
    let mut reader = tool.reader(path, None, family.clone()).expect("there is no state");
    first.iter().for_each(|line| reader.line(line, &mut told));
    let mut reader = tool.reader(path, Some(&reader.state()), family).expect("the state is its own");
    second.iter().for_each(|line| reader.line(line, &mut told));
    reader.quiet(&mut told);
    told
}
