//! Whose a call is: by home, by directory, by where an agent in tmux works, else by the project, with the real daemon.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use support::eventually;
use support::host::Host;
use support::log::lines;

/// A call in a transcript of Claude Code, made in this directory.
fn claude(path: &Path, message: &str, directory: &Path) {
    let usage = json!({"input_tokens": 3, "output_tokens": 4});
    let call = json!({"id": message, "role": "assistant", "model": "claude-sonnet-4-5", "usage": usage, "stop_reason": "end_turn"});
    append(
        path,
        &json!({
            "type": "assistant", "timestamp": "2026-01-02T03:04:05Z", "sessionId": path.file_stem().unwrap().to_str(),
            "cwd": directory, "requestId": format!("req-{message}"), "message": call,
        }),
    );
}

/// The beginning of a rollout of Codex and a call, made in this directory.
fn codex(path: &Path, session: &str, directory: &Path) {
    let line = |kind: &str, payload: Value| {
        append(path, &json!({"timestamp": "2026-01-02T03:04:05Z", "type": kind, "payload": payload}));
    };
    let usage = json!({"input_tokens": 9, "cached_input_tokens": 2, "output_tokens": 5, "total_tokens": 14});
    line("session_meta", json!({"id": session, "timestamp": "2026-01-02T03:04:00Z", "cwd": directory}));
    line("turn_context", json!({"cwd": directory, "model": "gpt-5"}));
    let info = json!({"total_token_usage": &usage, "last_token_usage": &usage});
    line("event_msg", json!({"type": "token_count", "info": info}));
}

fn append(path: &Path, line: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// The agent of each session's calls, once there are so many.
fn agents_of(host: &Host, calls: usize) -> BTreeMap<String, String> {
    eventually(&format!("{calls} calls are in the log"), || {
        let export = host.command().args(["log", "export", "--kind", "token_usage"]).output().unwrap();
        let events = lines(&export);
        let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
        let told = events.iter().map(|event| (text(event, "session_id"), text(event, "agent_name")));
        (events.len() == calls).then(|| told.collect())
    })
}

fn check(host: &Host, calls: usize, expected: &[(&str, &str)]) {
    let told = agents_of(host, calls);
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(session, agent)| ((*session).to_owned(), (*agent).to_owned())).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_call_is_the_agents_by_home_by_directory_by_where_it_works_or_else_the_projects() {
    let host = Host::new("");
    let at = |path: &str| host.home.path().join(path);
    host.configure(&format!(
        "transcripts.interval = \"1s\"\n[[agents]]\nname = \"homer\"\nhome = {:?}\n[[agents]]\nname = \"placer\"\ndirectory = {:?}\n\
         [[agents]]\nname = \"mux\"\nsession = \"mux\"\n[[agents]]\nname = \"one\"\nsession = \"one\"\n\
         [[agents]]\nname = \"two\"\nsession = \"two\"\n",
        at("agents/homer"),
        at("work/placer"),
    ));
    for (session, folder) in [("mux", "work/desk"), ("one", "work/both"), ("two", "work/both")] {
        fs::create_dir_all(at(folder)).unwrap();
        host.tmux.session_in(session, &at(folder), "exec sleep 600");
    }
    let daemon = host.start();
    for agent in ["mux", "one", "two"] {
        host.wait_for(agent, "");
    }

    let projects = at(".claude/projects");
    claude(&at("agents/homer/.claude/projects/-w-api/h.jsonl"), "m1", Path::new("/w/api"));
    claude(&projects.join("-w-placer/p.jsonl"), "m2", &at("work/placer/src/deep"));
    claude(&projects.join("-w-desk/m.jsonl"), "m3", &at("work/desk"));
    claude(&projects.join("-w-desk/n.jsonl"), "m4", &at("work/desk/crates/a"));
    claude(&projects.join("-w-both/b.jsonl"), "m5", &at("work/both"));
    claude(&projects.join("-w-desk-2/o.jsonl"), "m6", &at("work/desk-2"));
    claude(&projects.join("-w-api/q.jsonl"), "m7", Path::new("/w/api"));
    let sessions = at(".codex/sessions/2026/01/02");
    let rollout = |id: &str| sessions.join(format!("rollout-2026-01-02T03-04-00-{id}.jsonl"));
    let (placed, free) = ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b");
    codex(&rollout(placed), placed, &at("work/placer"));
    codex(&rollout(free), free, Path::new("/w/shop"));
    check(
        &host,
        9,
        &[
            ("h", "homer"),
            ("p", "placer"),
            ("m", "mux"),
            ("n", "mux"),
            ("b", "both"),
            ("o", "desk-2"),
            ("q", "api"),
            (placed, "placer"),
            (free, "shop"),
        ],
    );

    // What was there before the daemon knows a session of tmux is whose directory it was, all the same.
    drop(daemon);
    claude(&projects.join("-w-desk/r.jsonl"), "m8", &at("work/desk"));
    let _daemon = host.start();
    let told = agents_of(&host, 10);
    assert_eq!(told["r"], "mux", "tmux is asked before transcripts are read: {told:?}");
}
