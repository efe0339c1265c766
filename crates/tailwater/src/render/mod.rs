//! Entries and holes of the log as text: NDJSON for `log export`, lines for people and programs for `log tail`.

mod people;

use event::json::{JsonEvent, to_line};
use event::wire::Decoded;
use event::{
    AgentSample, AgentState, ChannelSample, Entry, Event, Gap, Hole, HostName, Kind, Position, SystemSample,
    Text, TokenUsage, Value,
};
use serde::Serialize;
use serde_json::json;

use crate::cli::Format;
use crate::output::csv_line;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// NDJSON that can be imported: nothing but events. Holes are told to people.
    Export,
    /// Everything in its place, with positions.
    Tail(Format),
}

/// Turns entries into text.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    style: Style,
    /// The host that events without one belong to. Elsewhere nobody knows it, so it is spelled out.
    host: HostName,
    columns: Vec<&'static str>,
}

/// What came of some entries and holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Whole lines.
    pub lines: String,
    /// What people are told beside them, a line each.
    pub notices: Vec<String>,
    /// How many events are in it.
    pub events: u64,
    /// How many others there are: events that only a newer version can read.
    pub unknown: u64,
}

impl Renderer {
    /// A renderer of a log that was made on `host`.
    #[must_use]
    pub(crate) fn new(style: Style, host: HostName) -> Self {
        let columns = if style == Style::Tail(Format::Csv) { csv_columns() } else { Vec::new() };
        Self { style, host, columns }
    }

    /// Adds an entry to a page.
    pub(crate) fn entry(&self, entry: Entry, page: &mut Page) {
        let position = entry.position;
        let mut event = match entry.event {
            Decoded::Event(event) => event,
            Decoded::Unknown { kind, version, .. } => {
                page.unknown += 1;
                return self.unknown(position, kind, version, page);
            }
        };
        page.events += 1;
        if self.style == Style::Tail(Format::Table) {
            return push_line(&mut page.lines, &people::event(position, &event, &self.host));
        }
        event.host_mut().get_or_insert_with(|| Text::new(self.host.as_str()));
        let line = match self.style {
            Style::Export => to_line(&event),
            Style::Tail(Format::Csv) => self.csv(position, &event),
            Style::Tail(_) => json_line(&Placed { position: position.0, event: JsonEvent(&event) }),
        };
        push_line(&mut page.lines, &line);
    }

    /// Adds a hole to a page.
    pub(crate) fn hole(&self, hole: &Hole, page: &mut Page) {
        let line = match self.style {
            Style::Export => {
                return page.notices.push(format!("{}: {}", people::positions(hole), people::hole(hole)));
            }
            Style::Tail(Format::Table) => {
                people::placed(&people::range(hole), "", "hole", &people::hole(hole))
            }
            Style::Tail(Format::Json) => json_line(&json!({
                "hole": { "from": hole.lo.0, "to": hole.hi.0, "cause": hole.cause.as_str() }
            })),
            Style::Tail(Format::Csv) => self.csv_row(|column| match column {
                "position" => hole.lo.to_string(),
                "kind" => "hole".to_owned(),
                "events" => hole.positions().to_string(),
                "reason" => hole.cause.to_string(),
                _ => String::new(),
            }),
        };
        push_line(&mut page.lines, &line);
    }

    fn unknown(&self, position: Position, kind: u8, version: u8, page: &mut Page) {
        let line = match self.style {
            // NOTE: there is no JSON for it; the count of them is told at the end.
            Style::Export => return,
            Style::Tail(Format::Table) => {
                people::placed(&position.to_string(), "", "unknown", &people::unknown(kind, version))
            }
            Style::Tail(Format::Json) => json_line(&json!({
                "position": position.0, "unknown": { "kind": kind, "version": version }
            })),
            Style::Tail(Format::Csv) => self.csv_row(|column| match column {
                "position" => position.to_string(),
                "kind" => format!("unknown {kind} version {version}"),
                _ => String::new(),
            }),
        };
        push_line(&mut page.lines, &line);
    }

    fn csv(&self, position: Position, event: &Event) -> String {
        let mut cells = vec![String::new(); self.columns.len()];
        let mut put = |name: &str, text: String| {
            let index = self.columns.iter().position(|column| *column == name);
            if let Some(cell) = index.and_then(|index| cells.get_mut(index)) {
                *cell = text;
            }
        };
        put("position", position.to_string());
        put("kind", event.kind().name().to_owned());
        event.fields(|field| put(field.name, cell(&field.value)));
        csv_line(&cells)
    }

    fn csv_row(&self, cell: impl Fn(&str) -> String) -> String {
        csv_line(&self.columns.iter().map(|column| cell(column)).collect::<Vec<_>>())
    }
}

/// The first line of a CSV tail. A hole is a row of kind `hole`: how many positions in `events`, why in `reason`.
#[must_use]
pub(crate) fn csv_head() -> String {
    csv_columns().join(",")
}

/// Position and kind, then every field of every kind, each name once, in the order of the documentation.
fn csv_columns() -> Vec<&'static str> {
    let mut columns = vec!["position", "kind"];
    for kind in Kind::ALL {
        empty(kind).fields(|field| {
            if !columns.contains(&field.name) {
                columns.push(field.name);
            }
        });
    }
    columns
}

fn empty(kind: Kind) -> Event {
    match kind {
        Kind::AgentSample => Event::AgentSample(AgentSample::default()),
        Kind::SystemSample => Event::SystemSample(SystemSample::default()),
        Kind::ChannelSample => Event::ChannelSample(ChannelSample::default()),
        Kind::TokenUsage => Event::TokenUsage(TokenUsage::default()),
        Kind::AgentState => Event::AgentState(AgentState::default()),
        Kind::Gap => Event::Gap(Gap::default()),
    }
}

fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Time(time) => time.to_string(),
        Value::Text(text) => (*text).to_owned(),
        Value::Count(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// An event with its place.
#[derive(Serialize)]
struct Placed<'a> {
    position: u64,
    #[serde(flatten)]
    event: JsonEvent<'a>,
}

fn json_line(value: &impl Serialize) -> String {
    // NOTE: text and numbers into memory cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn push_line(lines: &mut String, line: &str) {
    lines.push_str(line);
    lines.push('\n');
}

#[cfg(test)]
mod tests;
