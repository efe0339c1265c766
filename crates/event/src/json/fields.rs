//! The fields of one JSON object, taken one by one by name; what is left over is unknown.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Number, Value};

use super::read::{Problem, shown};
use crate::limits::COUNT_MAX;
use crate::{Resources, State, Text, Time};

/// The members of one JSON object in their order.
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// Reads one JSON object, nothing behind it.
    pub(super) fn parse(line: &str) -> Result<Self, Problem> {
        let current = RefCell::new(None);
        let mut json = serde_json::Deserializer::from_str(line);
        let members = Members { current: &current }.deserialize(&mut json).and_then(|members| {
            json.end()?;
            Ok(members)
        });
        members.map(Self).map_err(|error| Problem {
            field: current.into_inner(),
            message: format!("not a JSON object of fields: {error}"),
        })
    }

    /// Everything must have been taken by now.
    pub(super) fn finish(self, kind: &str) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(Problem::of(&name, format!("unknown field of {kind}"))),
            None => Ok(()),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(member, _)| member == name)?;
        Some(self.0.swap_remove(index).1).filter(|value| !value.is_null())
    }

    fn required<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
        value.ok_or_else(|| Problem::of(name, "is missing".to_owned()))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<Text>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(other) => Err(wrong_type(name, "text", &other)),
        }
    }

    pub(super) fn text_or_empty(&mut self, name: &str) -> Result<Text, Problem> {
        Ok(self.text(name)?.unwrap_or_default())
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<Text, Problem> {
        let text = self.text(name)?;
        Self::required(name, text)
    }

    pub(super) fn state(&mut self) -> Result<State, Problem> {
        let word = self.text_or_empty("state")?;
        State::from_word(&word).ok_or_else(|| {
            let words = State::ALL.map(State::as_str).join(" ");
            Problem::of("state", format!("\"{}\" is not one of:{words}", shown(&word)))
        })
    }

    pub(super) fn time(&mut self, name: &str) -> Result<Option<Time>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse() {
            Ok(time) => Ok(Some(time)),
            Err(error) => Err(Problem::of(name, format!("\"{}\" {error}", shown(&text)))),
        }
    }

    pub(super) fn required_time(&mut self, name: &str) -> Result<Time, Problem> {
        let time = self.time(name)?;
        Self::required(name, time)
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => whole(name, &number).map(Some),
            Some(other) => Err(wrong_type(name, "a whole number", &other)),
        }
    }

    pub(super) fn count_or_zero(&mut self, name: &str) -> Result<u64, Problem> {
        Ok(self.count(name)?.unwrap_or_default())
    }

    pub(super) fn required_count(&mut self, name: &str) -> Result<u64, Problem> {
        let count = self.count(name)?;
        Self::required(name, count)
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(other) => Err(wrong_type(name, "a number", &other)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong_type(name, "true or false", &other)),
        }
    }

    pub(super) fn resources(&mut self) -> Result<Resources, Problem> {
        Ok(Resources {
            cpu_percent: self.number("cpu_percent")?,
            mem_used_bytes: self.count("mem_used_bytes")?,
            mem_limit_bytes: self.count("mem_limit_bytes")?,
            mem_percent: self.number("mem_percent")?,
            net_rx_bytes: self.count("net_rx_bytes")?,
            net_tx_bytes: self.count("net_tx_bytes")?,
            disk_read_bytes: self.count("disk_read_bytes")?,
            disk_write_bytes: self.count("disk_write_bytes")?,
        })
    }
}

fn whole(name: &str, number: &Number) -> Result<u64, Problem> {
    number
        .as_u64()
        .filter(|count| *count <= COUNT_MAX)
        .ok_or_else(|| Problem::of(name, format!("{number} is not a whole number from 0 to {COUNT_MAX}")))
}

fn wrong_type(name: &str, wanted: &str, found: &Value) -> Problem {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Problem::of(name, format!("must be {wanted}, not {found}"))
}

/// Reads an object's members and remembers which one it is at, so that a syntax error can name it.
struct Members<'a> {
    current: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<(String, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::with_capacity(20);
        while let Some(name) = map.next_key::<String>()? {
            *self.current.borrow_mut() = Some(name.clone());
            if members.iter().any(|(member, _)| *member == name) {
                return Err(serde::de::Error::custom("the field stands here twice"));
            }
            let value = map.next_value()?;
            self.current.borrow_mut().take();
            members.push((name, value));
        }
        Ok(members)
    }
}
