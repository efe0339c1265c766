//! What the projector traces, kept for the test to read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// One traced line.
#[derive(Clone, Debug)]
pub struct Trace {
    /// How loud.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The other fields, as text.
    pub fields: BTreeMap<&'static str, String>,
}

/// What this thread has traced since the capture began.
#[derive(Debug)]
pub struct Traces {
    lines: Arc<Mutex<Vec<Trace>>>,
    _guard: DefaultGuard,
}

impl Traces {
    /// Captures what this thread traces; a runtime of one thread runs all its tasks on it.
    pub fn capture() -> Self {
        let lines = Arc::default();
        let guard = tracing::subscriber::set_default(Capture { lines: Arc::clone(&lines) });
        Self { lines, _guard: guard }
    }

    /// All lines above DEBUG.
    pub fn all(&self) -> Vec<Trace> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|trace| trace.level <= Level::INFO).cloned().collect()
    }

    /// All lines of this level.
    pub fn of(&self, level: Level) -> Vec<Trace> {
        self.lines.lock().unwrap().iter().filter(|trace| trace.level == level).cloned().collect()
    }

    /// The texts of all warnings and errors.
    pub fn loud(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|trace| trace.level <= Level::WARN).map(|trace| trace.message.clone()).collect()
    }
}

impl Trace {
    /// A field that is a whole number.
    pub fn number(&self, field: &str) -> u64 {
        self.fields[field].parse().unwrap()
    }
}

struct Capture {
    lines: Arc<Mutex<Vec<Trace>>>,
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("projector")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let trace = Trace { level: *event.metadata().level(), message, fields: fields.0 };
        self.lines.lock().unwrap().push(trace);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
