//! The schema of events, made from the table of their fields.

use event::limits::{COUNT_MAX, NAME_BYTES_MAX, NUMBER_MAX, TEXT_BYTES_MAX};
use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Kind, Rule, State, SystemSample, TokenUsage,
};
use serde_json::{Map, Value, json};

/// The schema of one event.
pub(super) fn schema() -> Value {
    let kinds: Vec<Value> = Kind::ALL.iter().map(|kind| of_kind(*kind)).collect();
    json!({"oneOf": kinds, "discriminator": {"propertyName": "kind"}})
}

fn of_kind(kind: Kind) -> Value {
    let mut properties = Map::new();
    properties.insert("kind".to_owned(), json!({"const": kind.name()}));
    let required = required(kind);
    example(kind).fields(|field| {
        let mut schema = of_rule(field.rule);
        if !required.contains(&field.name) {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        properties.insert(field.name.to_owned(), schema);
    });
    json!({
        "type": "object", "title": kind.name(), "properties": properties, "required": required,
        "additionalProperties": false,
    })
}

fn of_rule(rule: Rule) -> Value {
    // NOTE: the limits are of bytes; so many characters of ASCII always fit.
    let text = |least: usize, most: usize| json!({"type": "string", "minLength": least, "maxLength": most});
    match rule {
        Rule::Time => json!({"type": "string", "format": "date-time", "description": "2000 to 2199"}),
        Rule::Name => text(1, NAME_BYTES_MAX),
        Rule::Label => text(0, NAME_BYTES_MAX),
        Rule::Text => text(0, TEXT_BYTES_MAX),
        Rule::State => {
            let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
            json!({"type": "string", "enum": states})
        }
        Rule::Count => json!({"type": "integer", "minimum": 0, "maximum": COUNT_MAX}),
        Rule::Number => json!({"type": "number", "minimum": 0, "maximum": NUMBER_MAX}),
        Rule::Flag => json!({"type": "boolean"}),
    }
}

/// The fields that must be there.
const fn required(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::AgentSample | Kind::AgentState => &["kind", "time", "agent_name"],
        Kind::SystemSample => &["kind", "time", "system_name"],
        Kind::ChannelSample => &["kind", "time", "channel_name", "message_count", "reaction_count"],
        Kind::TokenUsage => &["kind", "time", "agent_name", "model", "input_tokens", "output_tokens"],
        Kind::Gap => &["kind", "time", "from", "to", "events", "what", "reason"],
    }
}

fn example(kind: Kind) -> Event {
    match kind {
        Kind::AgentSample => Event::AgentSample(AgentSample::default()),
        Kind::SystemSample => Event::SystemSample(SystemSample::default()),
        Kind::ChannelSample => Event::ChannelSample(ChannelSample::default()),
        Kind::TokenUsage => Event::TokenUsage(TokenUsage::default()),
        Kind::AgentState => Event::AgentState(AgentState::default()),
        Kind::Gap => Event::Gap(Gap::default()),
    }
}

#[cfg(test)]
mod tests {
    use event::json::parse_line;

    use super::*;

    /// A value that fits a field's schema.
    fn value(name: &str, schema: &Value) -> Value {
        match (name, schema["type"].as_str()) {
            ("time" | "from" | "to", _) => json!("2026-01-02T03:04:05Z"),
            ("kind", _) => schema["const"].clone(),
            (_, Some("string")) => json!("x"),
            _ => json!(1),
        }
    }

    #[test]
    fn what_is_required_is_what_the_reader_wants() {
        for kind in of_all() {
            let properties = kind["properties"].as_object().unwrap();
            let required: Vec<&str> =
                kind["required"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
            let least: Map<String, Value> =
                required.iter().map(|name| ((*name).to_owned(), value(name, &properties[*name]))).collect();
            let parse = |object: &Map<String, Value>| {
                parse_line(serde_json::to_string(object).unwrap().as_bytes()).map_err(|it| it.to_string())
            };
            assert!(parse(&least).is_ok(), "{least:?}: {:?}", parse(&least));
            for name in required {
                let mut lacking = least.clone();
                lacking.remove(name);
                assert_eq!(parse(&lacking).unwrap_err(), format!("field {name}: is missing"));
            }
            for name in properties.keys() {
                let mut nulled = least.clone();
                if nulled.insert(name.clone(), Value::Null).is_none() {
                    assert!(parse(&nulled).is_ok(), "{name} may be null");
                }
            }
        }
    }

    fn of_all() -> Vec<Value> {
        schema()["oneOf"].as_array().unwrap().clone()
    }
}
