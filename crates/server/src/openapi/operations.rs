//! What each route takes and answers.

use query::Topic;
use query::wire::schema::{answer_schema, workspace_schema};
use serde_json::{Map, Value, json};

use super::parameters;
use crate::routes::Route;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A route as an operation.
pub(super) fn operation(path: &str, route: Route) -> Value {
    let mut operation = match route {
        Route::Topic(topic) => question(topic),
        Route::Summary => summary(),
        Route::Workspace => told("The agents by state, and how busy they are", JSON, &workspace_schema()),
        Route::Status => told("How recording and projecting are doing", JSON, &json!({"type": "object"})),
        Route::Log => told("The log's ends, size and holes", JSON, &json!({"type": "object"})),
        Route::Quarantine => told("Events that the database refuses, the first 500", JSON, &quarantine()),
        Route::Live => live(),
        Route::Metrics => told("Metrics for Prometheus", "text/plain; version=0.0.4; charset=utf-8", &text()),
        Route::Ready => told("Whether all is well; 503 says why somebody should look", TEXT, &text()),
        Route::Health => told("Whether the server listens; needs no token", TEXT, &text()),
        Route::Document => told("This document", JSON, &json!({"type": "object"})),
        Route::Events => events(),
        Route::OtlpLogs => otlp("Token usage by OTLP logs; other records are counted"),
        Route::OtlpMetrics => otlp("OTLP metrics: acknowledged, counted and not kept"),
        Route::OtlpTraces => otlp("OTLP traces: acknowledged, counted and not kept"),
    };
    operation["operationId"] = json!(id(path, route));
    operation
}

/// The path in words, with what is done.
fn id(path: &str, route: Route) -> String {
    let words: Vec<&str> =
        path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "api").collect();
    format!("{}_{}", route.method().as_str().to_ascii_lowercase(), words.join("_"))
}

/// RFC 9457.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what is wrong, where, and what to do"},
            "item": {"type": "integer", "description": "which event of the request, from 0"},
            "line": {"type": "integer", "description": "which line of the request, from 1"},
            "field": {"type": "string", "description": "which field or parameter"},
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": false,
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

/// An answer, and the problems that may come in its place.
fn responses(good: (u16, Value), problems: &[u16]) -> Value {
    let of_problem = json!({
        "description": "a problem",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let mut responses = Map::from_iter([(good.0.to_string(), good.1)]);
    // NOTE: whoever may ask, and what fails within, is the same everywhere.
    for status in [400, 401, 403, 500, 503].iter().chain(problems) {
        responses.insert(status.to_string(), of_problem.clone());
    }
    Value::Object(responses)
}

fn told(summary: &str, media_type: &str, schema: &Value) -> Value {
    let good = json!({"description": "the answer", "content": {media_type: {"schema": schema}}});
    json!({"summary": summary, "responses": responses((200, good), &[])})
}

fn question(topic: Topic) -> Value {
    let summary = match topic {
        Topic::System => "Systems over time",
        Topic::Agents => "Agents over time",
        Topic::Latest => "The newest sample of each agent",
        Topic::Summary => "All that one agent did",
        Topic::Channels => "Channels over time",
        Topic::Tokens => "Tokens and their cost over time",
        Topic::States => "What agents said of themselves",
        Topic::Gaps => "What is known to be lost",
    };
    let mut content = json!({JSON: {"schema": answer_schema(topic)}});
    if topic != Topic::Summary {
        content["text/csv; charset=utf-8; header=present"] = json!({"schema": text()});
    }
    let header = |description: &str| json!({"schema": text(), "description": description});
    let good = json!({
        "description": "the answer",
        "headers": {
            "tailwater-source": {"schema": {"type": "string", "enum": ["database", "log"]}},
            "tailwater-covers-from": header("the earliest time of which the log has something"),
            "tailwater-covers-hosts": header("the hosts of which the log has something"),
        },
        "content": content,
    });
    let parameters = parameters::of_topic(topic);
    json!({"summary": summary, "parameters": parameters, "responses": responses((200, good), &[406])})
}

fn summary() -> Value {
    let mut operation = question(Topic::Summary);
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(parameters::in_path("name", "which agent"));
    }
    operation["responses"]["404"] = operation["responses"]["400"].clone();
    operation
}

fn quarantine() -> Value {
    let position = json!({"type": "integer", "minimum": 1});
    let properties = json!({
        "position": position,
        "kind": text(),
        "sqlstate": text(),
        "message": text(),
        "at": {"type": "string", "format": "date-time"},
    });
    let required = ["position", "kind", "sqlstate", "message", "at"];
    let row = json!({"type": "object", "properties": properties, "required": required});
    json!({"type": "array", "items": row})
}

fn live() -> Value {
    let mut operation =
        told("Events as they become durable, by server-sent events", "text/event-stream", &text());
    operation["parameters"] = json!(parameters::of_live());
    operation
}

fn events() -> Value {
    let event = json!({"$ref": "#/components/schemas/Event"});
    let lines = json!({"schema": text()});
    let kept = json!({
        "type": "object",
        "properties": {
            "accepted": {"type": "integer", "minimum": 0},
            "first_position": {"type": ["integer", "null"]},
            "last_position": {"type": ["integer", "null"]},
            "known": {"type": "integer", "description": "token usage that the log knew as much of"},
            "skipped": {"type": "integer", "description": "events that were wrong"},
        },
        "required": ["accepted", "first_position", "last_position"],
        "additionalProperties": false,
    });
    let good = json!({"description": "they are in the log", "content": {JSON: {"schema": kept}}});
    json!({
        "summary": "Takes events: all of them, or none",
        "parameters": [parameters::parameter("skip_invalid")],
        "requestBody": {
            "required": true,
            "content": {
                JSON: {"schema": {"oneOf": [{"type": "array", "items": event}, event]}},
                "application/x-ndjson": lines, "application/ndjson": lines, "application/jsonl": lines,
            },
        },
        "responses": responses((202, good), &[408, 413, 415, 429]),
    })
}

fn otlp(summary: &str) -> Value {
    let any = json!({JSON: {"schema": {"type": "object"}}, "application/x-protobuf": {"schema": {}}});
    let answer = |description: &str| json!({"description": description, "content": any});
    let mut responses = Map::from_iter([("200".to_owned(), answer("what was done"))]);
    for status in [400, 408, 413, 429, 500, 503] {
        responses.insert(status.to_string(), answer("google.rpc.Status, as OTLP wants it"));
    }
    let refused = json!({
        "description": "a problem",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    for status in [401, 403, 415] {
        responses.insert(status.to_string(), refused.clone());
    }
    json!({"summary": summary, "requestBody": {"required": true, "content": any}, "responses": responses})
}
