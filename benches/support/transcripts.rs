//! Transcripts as a day of work makes them: most bytes are what was read and said, and about one line in three tells
//! usage.

#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part")]

use serde_json::{Value, json};
use usage::Tool;

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
        text += random.choice(PIECES).unwrap_or_default();
    }
    text
}

/// A time of the transcript; each line has its own.
fn time(line: usize) -> String {
    let (minute, second, milli) = (line / 60_000 % 60, line / 1_000 % 60, line % 1_000);
    format!("2026-03-01T10:{minute:02}:{second:02}.{milli:03}Z")
}

/// A call of Claude Code, with what is read before the next.
fn claude(session: &str, call: usize, random: &mut fastrand::Rng) -> Vec<Value> {
    let around = |kind: &str, number: usize, message: Value| {
        json!({"parentUuid": "b2c4", "isSidechain": false, "userType": "external", "cwd": "/work/shop",
            "sessionId": session, "version": "2.1.0", "gitBranch": "main",
            "type": kind, "message": message, "requestId": format!("req_{session}_{call}"), "uuid": format!("u-{session}-{call}-{number}"),
            "timestamp": time(call * 10 + number)})
    };
    let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 900, "cache_read_input_tokens": 90_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 900},
        "output_tokens": 300 + call % 100, "service_tier": "standard"});
    let mut block = |number: usize| {
        let said = text(random.usize(100..2_000), random);
        let content =
            json!([{"type": "tool_use", "id": "toolu_1", "name": "Edit", "input": {"new_string": said}}]);
        let message = json!({"id": format!("msg_{session}_{call}"), "type": "message", "role": "assistant",
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

/// A call of Codex, with what is read before the next.
fn codex(call: usize, random: &mut fastrand::Rng) -> Vec<Value> {
    let around = |kind: &str, number: usize, payload: Value| codex_line(call * 10 + number, kind, &payload);
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

fn codex_line(line: usize, kind: &str, payload: &Value) -> Value {
    json!({"timestamp": time(line), "type": kind, "payload": payload})
}

/// The lines of a session of so many bytes at least, and how many calls are in it.
pub fn transcript(
    tool: Tool,
    session: &str,
    bytes: usize,
    random: &mut fastrand::Rng,
) -> (Vec<String>, usize) {
    let mut lines = match tool {
        Tool::Claude => Vec::new(),
        Tool::Codex => {
            vec![codex_line(0, "session_meta", &json!({"id": session, "cwd": "/work/shop"})).to_string()]
        }
    };
    let (mut made, mut calls) = (0, 0);
    while made < bytes {
        let call = match tool {
            Tool::Claude => claude(session, calls, random),
            Tool::Codex => codex(calls, random),
        };
        for line in call {
            let line = line.to_string();
            made += line.len() + 1;
            lines.push(line);
        }
        calls += 1;
    }
    (lines, calls)
}
