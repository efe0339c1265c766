//! Events to NDJSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::fields::Value;
use crate::{Event, Field};

/// An event as it is written in JSON, for serializers that embed it.
#[derive(Clone, Copy, Debug)]
pub struct JsonEvent<'a>(pub &'a Event);

impl Serialize for JsonEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.0.kind().name())?;
        let mut outcome = Ok(());
        self.0.fields(|field| {
            if outcome.is_ok() {
                outcome = write_field(&mut map, &field);
            }
        });
        outcome?;
        map.end()
    }
}

fn write_field<M: SerializeMap>(map: &mut M, field: &Field<'_>) -> Result<(), M::Error> {
    match field.value {
        Value::Absent => Ok(()),
        Value::Time(time) => map.serialize_entry(field.name, &time.to_string()),
        Value::Text(text) => map.serialize_entry(field.name, text),
        Value::Count(count) => map.serialize_entry(field.name, &count),
        Value::Number(number) => map.serialize_entry(field.name, &number),
        Value::Flag(flag) => map.serialize_entry(field.name, &flag),
    }
}

/// One line of NDJSON without its line end.
#[must_use]
pub fn to_line(event: &Event) -> String {
    // NOTE: text and numbers into memory cannot fail; serde_json writes a number that is not finite as null.
    serde_json::to_string(&JsonEvent(event)).unwrap_or_default()
}
