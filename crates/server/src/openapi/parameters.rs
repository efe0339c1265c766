//! The parameters of questions: what each is, and what it may be.

use event::{Kind, State};
use query::Topic;
use serde_json::{Value, json};

/// RFC 3339, or relative to now.
const TIME: &str = "^(now|-[0-9]{1,5}[smhd]|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))$";

/// The parameters of a topic that stand behind the `?`.
pub(super) fn of_topic(topic: Topic) -> Vec<Value> {
    let in_path = |name: &str| topic == Topic::Summary && name == "agent";
    topic.parameters().iter().filter(|name| !in_path(name)).map(|name| parameter(name)).collect()
}

/// Those of the stream of events.
pub(super) fn of_live() -> Vec<Value> {
    let mut parameters: Vec<Value> = crate::live::PARAMETERS.iter().map(|name| parameter(name)).collect();
    parameters.push(json!({
        "name": "Last-Event-ID", "in": "header", "schema": position(), "description": "as after, and before it",
    }));
    parameters
}

/// A parameter in a path.
pub(super) fn in_path(name: &str, description: &str) -> Value {
    let schema = json!({"type": "string", "minLength": 1, "maxLength": 255});
    json!({"name": name, "in": "path", "required": true, "schema": schema, "description": description})
}

/// A parameter behind the `?`.
pub(super) fn parameter(name: &str) -> Value {
    let (schema, description) = described(name);
    json!({"name": name, "in": "query", "schema": schema, "description": description})
}

fn described(name: &str) -> (Value, &'static str) {
    let names = || json!({"type": "string"});
    let truth = || json!({"type": "string", "enum": ["true", "false"]});
    let time =
        || json!({"type": "string", "pattern": TIME, "examples": ["-1h", "2026-01-02T03:04:05Z", "now"]});
    let words = |words: &str| json!({"type": "string", "pattern": format!("^({words})(,({words}))*$")});
    match name {
        "from" => {
            (time(), "the beginning: RFC 3339, or relative to now such as -90s, -30m, -1h, -2d; default -1h")
        }
        "to" => (time(), "the end, exclusive; default now"),
        "interval" => (
            json!({"type": "string", "pattern": "^([1-9][0-9]{0,5}[smhd]|all)$", "examples": ["30s", "5m", "1h", "1d"]}),
            "the length of a bucket; default 5m; of tokens also `all`: one bucket",
        ),
        "fill" => (truth(), "whether buckets without anything have rows as well, with nulls"),
        "day" => (truth(), "whether a bucket is a day of the time zone"),
        "tz" => {
            (json!({"type": "string", "examples": ["Europe/Berlin"]}), "the time zone of days; default UTC")
        }
        "by" => (
            words("agent|model|host"),
            "what has rows of its own, with commas: agent, model, host; default agent,model,host",
        ),
        "limit" => (
            json!({"type": "string", "pattern": "^[0-9]+$", "examples": ["100"]}),
            "the most rows, the newest ones",
        ),
        "state" => (
            // NOTE: who said nothing has a state without a word, which nobody can ask for.
            words(State::ALL.map(State::as_str).join("|").trim_matches('|')),
            "states with commas",
        ),
        "kind" => (words(&Kind::ALL.map(Kind::name).join("|")), "kinds of event with commas"),
        "after" => (position(), "begin behind this position; 0 is the beginning, absent is now"),
        "skip_invalid" => (truth(), "whether events that are wrong are left out, and the others taken"),
        "agent" => (names(), "names of agents with commas"),
        "system" => (names(), "names of systems with commas"),
        "channel" => (names(), "names of channels with commas"),
        "model" => (names(), "names of models with commas"),
        "host" => (names(), "names of hosts with commas"),
        "role" => (names(), "roles with commas"),
        "tool" => (names(), "coding tools with commas"),
        _ => (names(), "what agents run in, with commas"),
    }
}

fn position() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+$", "examples": ["4711"]})
}
