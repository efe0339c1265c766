//! The schemas of answers (JSON Schema 2020-12), made from what writes them: the columns of rows, the types of objects.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::v1::SummaryV1;
use super::v1::workspace::WorkspaceV1;
use crate::Topic;

/// The schema of the answer to a question of this topic, as JSON.
#[must_use]
pub fn answer_schema(topic: Topic) -> Value {
    match topic {
        Topic::Summary => of::<SummaryV1<'_>>(),
        _ => json!({"type": "array", "items": row(topic.columns())}),
    }
}

/// The schema of [`crate::WorkspaceStats`].
#[must_use]
pub fn workspace_schema() -> Value {
    of::<WorkspaceV1<'_>>()
}

/// The schema of a type, whole within itself.
#[must_use]
pub fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}

fn row(columns: &[&str]) -> Value {
    let properties: Map<String, Value> =
        columns.iter().map(|name| ((*name).to_owned(), column(name))).collect();
    json!({"type": "object", "properties": properties, "required": columns, "additionalProperties": false})
}

fn column(name: &str) -> Value {
    let time = |kind: Value| json!({"type": kind, "format": "date-time"});
    let count = |kind: Value, unit: &str| json!({"type": kind, "minimum": 0, "description": unit});
    let number = |unit: &str| json!({"type": ["number", "null"], "minimum": 0, "description": unit});
    let maybe = || json!(["integer", "null"]);
    match name {
        "time" | "from" | "to" => time(json!("string")),
        "started_at" => time(json!(["string", "null"])),
        "cpu_percent" => number("percent of one core"),
        "mem_percent" => number("percent of the limit"),
        "cost_usd" => number("US dollars: as reported, else as computed; null when neither is known"),
        "reported_cost_usd" => number("US dollars, as the tools reported them"),
        "member_count" => count(maybe(), "members"),
        "message_count" => count(json!("integer"), "messages"),
        "reaction_count" => count(json!("integer"), "reactions"),
        "unpriced_events" => count(json!("integer"), "calls without any cost"),
        "events" => count(json!("integer"), "events that are lost"),
        "input_tokens" | "output_tokens" | "cache_read" | "cache_create" => count(json!("integer"), "tokens"),
        name if name.ends_with("_bytes") => count(maybe(), "bytes"),
        name if name.ends_with("_per_second") => number("bytes per second"),
        _ => json!({"type": "string"}),
    }
}
