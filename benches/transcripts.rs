//! What reading transcripts costs: megabytes a second of one core, for each coding tool.
//!
//! The transcripts are made here, in memory, as a day of work makes them: most bytes are what was read and said, and
//! about one line in three tells usage. The floor is a JSON parser that throws away each line it has parsed; that is
//! what reading costs without a look at the line first.

#![expect(clippy::print_stdout, reason = "the report of a benchmark goes to standard output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use usage::Tool;
use usage::transcript::{Family, Told};

const BYTES: usize = 200 << 20;
const ROUNDS: usize = 5;

struct Nobody;

impl Family for Nobody {
    fn transcript(&self, _: &str) -> Option<Box<dyn BufRead + Send>> {
        None
    }
}

/// Text as tools return it: code, with quotes, line ends and other writing.
fn text(bytes: usize, random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 8] = [
        "fn main() {\n",
        "    println!(\"{}\", usage.tokens);\n",
        "\"type\":\"token_count\" ",
        "// Straße, 東京\n",
        "\tlet total = first + second;\n",
        "error[E0308]: mismatched types\n",
        "    --> crates/shop/src/lib.rs:42:17\n",
        "}\n\n",
    ];
    let mut text = String::with_capacity(bytes + 64);
    while text.len() < bytes {
        text += random.choice(PIECES).unwrap();
    }
    text
}

/// A time of the transcript; each line has its own.
fn time(line: usize) -> String {
    let (minute, second, milli) = (line / 60_000 % 60, line / 1_000 % 60, line % 1_000);
    format!("2026-03-01T10:{minute:02}:{second:02}.{milli:03}Z")
}

fn claude(call: usize, random: &mut fastrand::Rng) -> Vec<Value> {
    let around = |kind: &str, number: usize, message: Value| {
        json!({"parentUuid": "b2c4", "isSidechain": false, "userType": "external", "cwd": "/work/shop",
            "sessionId": "11111111-1111-4111-8111-111111111111", "version": "2.1.0", "gitBranch": "main",
            "type": kind, "message": message, "requestId": format!("req_{call}"), "uuid": format!("u-{call}-{number}"),
            "timestamp": time(call * 10 + number)})
    };
    let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 900, "cache_read_input_tokens": 90_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 900},
        "output_tokens": 300 + call % 100, "service_tier": "standard"});
    let mut block = |number: usize| {
        let said = text(random.usize(100..2_000), random);
        let content =
            json!([{"type": "tool_use", "id": "toolu_1", "name": "Edit", "input": {"new_string": said}}]);
        let message = json!({"id": format!("msg_{call}"), "type": "message", "role": "assistant",
            "model": "claude-opus-4-6", "content": content, "stop_reason": "tool_use", "usage": usage});
        around("assistant", number, message)
    };
    let blocks = [block(0), block(1)];
    let mut result = |number: usize| {
        let content = json!([{"type": "tool_result", "content": text(random.usize(500..16_000), random)}]);
        around("user", number, json!({"role": "user", "content": content}))
    };
    let results = [result(2), result(3), result(4), result(5)];
    blocks.into_iter().chain(results).collect()
}

fn codex(call: usize, random: &mut fastrand::Rng) -> Vec<Value> {
    let around = |kind: &str, number: usize, payload: Value| json!({"timestamp": time(call * 10 + number), "type": kind, "payload": payload});
    let mut item = |number: usize| {
        let output = text(random.usize(500..12_000), random);
        around(
            "response_item",
            number,
            json!({"type": "function_call_output", "call_id": "c", "output": output}),
        )
    };
    let items = [item(0), item(1), item(2)];
    let used = |calls: usize| {
        json!({"input_tokens": 90_000 * calls, "cached_input_tokens": 80_000 * calls, "output_tokens": 300 * calls,
            "reasoning_output_tokens": 100 * calls, "total_tokens": 90_300 * calls})
    };
    let info = json!({"total_token_usage": used(call + 1), "last_token_usage": used(1), "model_context_window": 272_000});
    let limits = json!({"primary": {"used_percent": 3.0, "window_minutes": 300, "resets_at": 1_772_000_000}});
    let counts = json!({"type": "token_count", "info": info, "rate_limits": limits});
    let said = json!({"type": "agent_message", "message": text(random.usize(100..1_000), random)});
    let turn = json!({"cwd": "/work/shop", "model": "gpt-5.2-codex", "effort": "high"});
    let others =
        [around("turn_context", 3, turn), around("event_msg", 4, said), around("event_msg", 5, counts)];
    items.into_iter().chain(others).collect()
}

/// A transcript of the tool and how many calls are in it.
fn transcript(tool: Tool) -> (Vec<String>, usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut lines, mut bytes, mut calls) = (Vec::new(), 0, 0);
    while bytes < BYTES {
        let call = match tool {
            Tool::Claude => claude(calls, &mut random),
            Tool::Codex => codex(calls, &mut random),
        };
        for line in call {
            let line = line.to_string();
            bytes += line.len() + 1;
            lines.push(line);
        }
        calls += 1;
    }
    (lines, calls)
}

fn read(tool: Tool, lines: &[String], calls: usize) {
    let path = Path::new("rollout-22222222-2222-4222-8222-222222222222.jsonl");
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
        let (lines, calls) = transcript(tool);
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
