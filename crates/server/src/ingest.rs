//! Events from the body of a request: NDJSON, a JSON array, or one JSON object; all of them, or none.

use std::cell::Cell;
use std::fmt;

use event::Event;
use event::json::{self, Problem};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How the events of a body are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An array of objects, or one object.
    Json,
    /// An object a line.
    Ndjson,
}

/// What happens to an event that is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Invalid {
    /// It refuses the whole request.
    #[default]
    Refuse,
    /// It is skipped and counted.
    Skip,
}

/// The events of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// Those that are right, in their order.
    pub events: Vec<Event>,
    /// How many were wrong and skipped.
    pub skipped: u64,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which event, from 0; `None` when the body as a whole is wrong.
    pub item: Option<usize>,
    /// Which line, from 1, when the body has lines.
    pub line: Option<usize>,
    /// What is wrong, and with which field.
    pub problem: Problem,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.item) {
            (Some(line), _) => write!(f, "line {line}: {}", self.problem),
            (None, Some(item)) => write!(f, "item {item}: {}", self.problem),
            (None, None) => write!(f, "{}", self.problem),
        }
    }
}

/// The form of a body that does not say which it is: an array begins with a bracket.
#[must_use]
pub fn guess(body: &[u8]) -> Form {
    if body.trim_ascii_start().starts_with(b"[") { Form::Json } else { Form::Ndjson }
}

/// Reads the events of a body.
///
/// # Errors
/// The first event that is wrong, unless such are skipped; or that the body is no JSON at all.
pub fn read(body: &[u8], form: Form, invalid: Invalid) -> Result<Read, Refusal> {
    let mut taking = Taking { read: Read::default(), invalid, next_item: 0 };
    match form {
        Form::Ndjson => {
            for line in json::parse_lines(body) {
                let number = line.as_ref().err().map(|error| error.line);
                taking.take(line.map_err(|error| error.problem), number)?;
            }
        }
        Form::Json if body.trim_ascii_start().starts_with(b"[") => taking.take_array(body)?,
        Form::Json => {
            let one = json::parse_line(body);
            // NOTE: it is the whole request: there is nothing to skip it for.
            taking.read.events.push(one.map_err(|problem| Refusal { item: None, line: None, problem })?);
        }
    }
    Ok(taking.read)
}

/// A body in the middle of being read.
struct Taking {
    read: Read,
    invalid: Invalid,
    next_item: usize,
}

impl Taking {
    fn take(&mut self, event: Result<Event, Problem>, line: Option<usize>) -> Result<(), Refusal> {
        let item = self.next_item;
        self.next_item += 1;
        match (event, self.invalid) {
            (Ok(event), _) => self.read.events.push(event),
            (Err(_), Invalid::Skip) => self.read.skipped += 1,
            (Err(problem), Invalid::Refuse) => return Err(Refusal { item: Some(item), line, problem }),
        }
        Ok(())
    }

    fn take_array(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let not_utf8 = |error: std::str::Utf8Error| {
            whole(format!("the body is not UTF-8 from byte {} on", error.valid_up_to() + 1))
        };
        let text = std::str::from_utf8(body).map_err(not_utf8)?;
        let refusal = Cell::new(None);
        let mut json = serde_json::Deserializer::from_str(text);
        let items = Items { taking: self, refusal: &refusal };
        let outcome = json.deserialize_seq(items).and_then(|()| json.end());
        match (refusal.take(), outcome) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => {
                let problem =
                    Problem { field: None, message: format!("not a JSON array of events: {error}") };
                Err(Refusal { item: Some(self.next_item), line: None, problem })
            }
        }
    }
}

fn whole(message: String) -> Refusal {
    Refusal { item: None, line: None, problem: Problem { field: None, message } }
}

/// Takes the items of an array one by one, as they stand there: an event's own reader is stricter than serde.
struct Items<'a> {
    taking: &'a mut Taking,
    refusal: &'a Cell<Option<Refusal>>,
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if let Err(refusal) = self.taking.take(json::parse_line(item.get().as_bytes()), None) {
                self.refusal.set(Some(refusal));
                return Err(serde::de::Error::custom("an event is wrong"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"kind":"system_sample","time":"2026-01-02T03:04:05Z","system_name":"s"}"#;
    const BAD: &str = r#"{"kind":"system_sample","time":"2026-01-02T03:04:05Z","system_name":7}"#;

    fn refusal(body: &str, form: Form) -> String {
        let refusal = read(body.as_bytes(), form, Invalid::Refuse).unwrap_err();
        format!("{:?} {:?} {:?} | {refusal}", refusal.item, refusal.line, refusal.problem.field)
    }

    #[test]
    fn one_event_is_the_same_in_every_form() {
        let one = read(GOOD.as_bytes(), Form::Ndjson, Invalid::Refuse).unwrap();
        assert_eq!(one.events.len(), 1);
        let spread = GOOD.replace(',', " ,\n  ");
        for (body, form) in [
            (GOOD.to_owned(), Form::Json),
            (spread.clone(), Form::Json),
            (format!(" [ {GOOD} ] \n"), Form::Json),
            (format!("[\n{spread}\n]"), Form::Json),
            (format!("\n\n{GOOD}\r\n\n"), Form::Ndjson),
        ] {
            assert_eq!(read(body.as_bytes(), form, Invalid::Refuse).as_ref(), Ok(&one), "{body}");
        }
        let three = format!("[{GOOD},{GOOD},{GOOD}]");
        assert_eq!(read(three.as_bytes(), Form::Json, Invalid::Refuse).unwrap().events.len(), 3);
        for empty in ["", "\n\n"] {
            assert_eq!(read(empty.as_bytes(), Form::Ndjson, Invalid::Refuse), Ok(Read::default()));
        }
        assert_eq!(read(b"[]", Form::Json, Invalid::Refuse), Ok(Read::default()));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let check = |body: &str, form, begins: &str| {
            let told = refusal(body, form);
            assert!(told.starts_with(begins) && !told.contains('\n'), "{told}");
        };
        check(
            &format!("[{GOOD},{BAD}]"),
            Form::Json,
            "Some(1) None Some(\"system_name\") | item 1: field system_name",
        );
        check(
            &format!("{GOOD}\n\n{BAD}"),
            Form::Ndjson,
            "Some(1) Some(3) Some(\"system_name\") | line 3: field sys",
        );
        check(BAD, Form::Json, "None None Some(\"system_name\") | field system_name");
        check(&format!("[{GOOD},"), Form::Json, "Some(1) None None | item 1: not a JSON array of events");
        check(&format!("[{GOOD}] x"), Form::Json, "Some(1) None None | item 1: not a JSON array of events");
        check(&format!("[{GOOD},7]"), Form::Json, "Some(1) None None | item 1: not a JSON object of fields");
        check("", Form::Json, "None None None | not a JSON object of fields");
        check("7", Form::Json, "None None None | not a JSON object of fields");
        let not_utf8 = read(b"[\xff]", Form::Json, Invalid::Refuse).unwrap_err();
        assert_eq!(not_utf8.to_string(), "the body is not UTF-8 from byte 2 on");
    }

    #[test]
    fn what_is_wrong_can_be_skipped() {
        let check = |body: String, form| {
            let read = read(body.as_bytes(), form, Invalid::Skip).unwrap();
            assert_eq!((read.events.len(), read.skipped), (2, 1));
        };
        check(format!("[{GOOD},{BAD},{GOOD}]"), Form::Json);
        check(format!("{GOOD}\n{BAD}\n{GOOD}"), Form::Ndjson);
        assert!(read(b"[{]", Form::Json, Invalid::Skip).is_err(), "behind this no event can be found");
    }
}
