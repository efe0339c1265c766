//! `docs/events.md` says what the code does: its examples parse, its tables have every field and kind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests panic as tests do")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use event::{Event, Kind, Rule, json};

const RESOURCES: &str = "the eight [resources](#resources)";

fn document() -> String {
    fs::read_to_string(support::repository("docs/events.md")).unwrap()
}

/// The lines of every fenced block of JSON.
fn examples(document: &str) -> Vec<&str> {
    let blocks = document.split("```json\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).collect()
}

/// The text below a heading, up to the next one.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let below = document.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}")).1;
    below.split("\n## ").next().unwrap()
}

/// The cells of each row of the tables of a section, without their backquotes.
fn rows(section: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    section.lines().filter(|line| line.starts_with('|')).map(cells).map(|cells| cells[1..].to_vec()).collect()
}

#[test]
fn every_example_is_an_event() {
    let document = document();
    let mut kinds = BTreeSet::new();
    for line in examples(&document) {
        let event = json::parse_line(line.as_bytes()).unwrap_or_else(|problem| panic!("{line}: {problem}"));
        assert_eq!(json::parse_line(json::to_line(&event).as_bytes()), Ok(event.clone()), "{line}");
        kinds.insert(event.kind());
    }
    assert_eq!(kinds, Kind::ALL.into(), "every kind has an example");
}

#[test]
fn every_line_that_looks_like_an_event_is_an_example() {
    let document = document();
    let lines = document.lines().filter(|line| line.starts_with(r#"{"kind""#));
    assert_eq!(lines.collect::<Vec<_>>(), examples(&document));
}

/// Name, type and whether it is required, of every field of every kind, in the order of the payload.
#[test]
fn every_field_is_in_the_table_of_its_kind() {
    let document = document();
    for event in support::full() {
        let mut described = described(&document, "Fields of every kind");
        described.extend(self::described(&document, event.kind().name()));
        assert_eq!(described.remove(0), ("kind".into(), "one of the six names".into(), true));
        assert_eq!(described, actual(&event), "{}", event.kind());
    }
}

type Described = (String, String, bool);

fn described(document: &str, heading: &str) -> Vec<Described> {
    let mut fields = Vec::new();
    for row in rows(section(document, heading)).iter().skip(2) {
        if row[0] == RESOURCES {
            let resources = rows(section(document, "Resources"));
            fields.extend(resources.iter().skip(2).map(|row| (row[0].clone(), row[1].clone(), false)));
        } else {
            fields.push((row[0].clone(), row[1].clone(), row[2] == "required"));
        }
    }
    fields
}

fn actual(event: &Event) -> Vec<Described> {
    let mut fields = Vec::new();
    event.fields(|field| {
        let mut object: serde_json::Map<_, _> = serde_json::from_str(&json::to_line(event)).unwrap();
        object.remove(field.name).unwrap();
        let without = serde_json::to_string(&object).unwrap();
        let read = json::parse_line(without.as_bytes());
        let required = read.is_err_and(|problem| problem.to_string().ends_with("is missing"));
        fields.push((field.name.to_owned(), type_name(field.rule).to_owned(), required));
    });
    fields
}

fn type_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Time => "time",
        Rule::Name => "name",
        Rule::Label => "label",
        Rule::Text => "text",
        Rule::State => "state",
        Rule::Count => "count",
        Rule::Number => "number",
        Rule::Flag => "flag",
    }
}

#[test]
fn the_numbers_of_the_kinds_are_those_of_records() {
    let document = document();
    let rows = rows(section(&document, "Records"));
    let told: BTreeMap<_, _> = rows.iter().skip(2).map(|row| (row[0].clone(), row[1].clone())).collect();
    let real = Kind::ALL.map(|kind| (kind.name().to_owned(), kind.number().to_string()));
    assert_eq!(told, real.into());
}
