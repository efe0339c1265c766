//! Codex CLI: a line at the end of each call that tells its usage and the session's total.
//!
//! A call has no id of its own there, so it gets one: its number in the transcript. Re-emitted counts have none, and
//! copies of a parent's calls have one, though they are not told: so the number of a call never depends on what else
//! is there to be read. An archived transcript is the same bytes, and so the same ids.

mod call;
mod compaction;
mod counts;
mod fork;
mod line;
mod parent;

use std::path::Path;
use std::sync::Arc;

use event::{Text, Time};
use serde::{Deserialize, Serialize};

use crate::Tool;
use crate::codex::call::Found;
use crate::codex::compaction::{Compactions, Request};
use crate::codex::counts::{Counter, Counts};
use crate::codex::fork::Fork;
use crate::codex::line::{Line, Payload, is_worth_parsing, name};
use crate::codex::parent::Parent;
use crate::line::{directory, looks_whole, parse, restore, tell, time};
use crate::loose::Scalar;
use crate::model::{UNKNOWN_MODEL, known};
use crate::tool::stem;
use crate::transcript::{Family, StateError, Told, TranscriptReader};

/// A reader of one transcript of Codex CLI.
pub(crate) struct Reader {
    parent: Parent,
    kept: Kept,
}

/// What is kept of a [`Reader`].
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u8,
    session: String,
    /// Whether the session's own head was read: another one behind it is part of a copy, or of a resumption.
    head: Head,
    directory: String,
    model: String,
    counter: Counter,
    /// The number of the last call.
    number: u64,
    fork: Option<Fork>,
    compactions: Compactions,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Head {
    Awaited,
    Read,
}

const VERSION: u8 = 1;

impl Reader {
    pub(crate) fn new(
        path: &Path,
        state: Option<&[u8]>,
        family: Arc<dyn Family>,
    ) -> Result<Self, StateError> {
        let kept = match state {
            None => Kept::beginning(path),
            Some(state) => restore(Tool::Codex, VERSION, state, |kept: &Kept| kept.version)?,
        };
        Ok(Self { parent: Parent::new(family), kept })
    }

    fn take(&mut self, line: &Line, told: &mut Told) {
        let Some(kind) = line.r#type.text() else { return };
        let payload = line.payload.0.as_ref();
        let result = match (kind.as_str(), payload) {
            ("session_meta", Some(head)) => self.head(line, head),
            ("turn_context", Some(turn)) => self.turn(turn),
            ("event_msg", Some(counts)) => self.counts(line, counts, told),
            ("token_usage_record", Some(record)) => self.record(line, record, told),
            ("compacted", Some(compacted)) => self.compacted(compacted, told),
            ("thread.started", _) => self.started(line),
            ("turn.completed", _) => self.completed(line, told),
            _ => Ok(()),
        };
        told.problems.extend(result.err().map(|problem| format!("{kind}: {problem}")));
    }

    fn head(&mut self, line: &Line, head: &Payload) -> Result<(), String> {
        if self.kept.head == Head::Read || self.kept.number > 0 {
            return Ok(());
        }
        self.kept.head = Head::Read;
        if let Some(id) = name(&head.id) {
            self.kept.session = id.to_string();
        }
        self.kept.remember(&head.cwd);
        let at = time(&line.timestamp).or_else(|_| time(&head.timestamp)).map(Time::micros);
        if let Some(parent) = head.parent().filter(|parent| **parent != self.kept.session) {
            self.kept.fork = Some(Fork::new(parent, at.as_ref().ok().copied()));
            at?;
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Payload) -> Result<(), String> {
        self.kept.remember(&turn.cwd);
        self.kept.remember_model(turn.named_model());
        Ok(())
    }

    fn counts(&mut self, line: &Line, payload: &Payload, told: &mut Told) -> Result<(), String> {
        let info = payload.info.0.as_ref().filter(|_| payload.r#type.is_text("token_count"));
        let Some(info) = info else { return Ok(()) };
        let Some(counted) = self.kept.counter.take(info)? else { return Ok(()) };
        self.kept.compactions.counted(&counted);
        self.kept.remember_model(payload.named_model());
        self.call(&line.timestamp, counted.counts, told)
    }

    /// A numbered call.
    fn call(&mut self, timestamp: &Scalar, counts: Counts, told: &mut Told) -> Result<(), String> {
        self.kept.number = self.kept.number.saturating_add(1);
        let call = self.kept.found(format!("call-{}", self.kept.number), time(timestamp)?, counts);
        let mut own = Vec::new();
        match &mut self.kept.fork {
            None => own.push(call),
            Some(fork) => fork.judge(call, &mut self.parent, &mut own),
        }
        own.iter().for_each(|call| self.tell(call, told));
        self.end_copy();
        Ok(())
    }

    fn record(&mut self, line: &Line, record: &Payload, told: &mut Told) -> Result<(), String> {
        let Some(id) = name(&record.response_id) else { return Ok(()) };
        let Some(counts) = counts::told(record.usage.0.as_ref())?.filter(|it| !it.is_nothing()) else {
            return Ok(());
        };
        let mut call = self.kept.found(id.to_string(), time(&line.timestamp)?, counts);
        if let Some(model) = record.named_model() {
            call.model = known(model).into();
        }
        let total = counts::told(record.thread_token_usage.0.as_ref())?;
        let found = self.kept.compactions.request(Request { call, total });
        self.compaction(found, told);
        Ok(())
    }

    fn compacted(&mut self, compacted: &Payload, told: &mut Told) -> Result<(), String> {
        let found = name(&compacted.compaction_response_id).and_then(|id| self.kept.compactions.named(id));
        self.compaction(found, told);
        Ok(())
    }

    fn compaction(&self, found: Option<Found>, told: &mut Told) {
        let Some(call) = found else { return };
        let fork = self.kept.fork.as_ref();
        if !fork.is_some_and(|fork| fork.has_copied(&call.id, call.time, &self.parent)) {
            self.tell(&call, told);
        }
    }

    /// The head that `codex exec --json` writes.
    fn started(&mut self, line: &Line) -> Result<(), String> {
        if let Some(id) = name(&line.thread_id).filter(|_| self.kept.number == 0) {
            self.kept.session = id.to_string();
        }
        Ok(())
    }

    /// A turn that `codex exec --json` tells: the usage of all its calls.
    fn completed(&mut self, line: &Line, told: &mut Told) -> Result<(), String> {
        let counts = counts::told(line.usage.0.as_ref())?.filter(|it| !it.is_nothing());
        let Some(counts) = counts else { return Ok(()) };
        self.kept.remember_model(Some(&line.model).filter(|it| it.text().is_some()));
        self.call(&line.timestamp, counts, told)
    }

    fn tell(&self, call: &Found, told: &mut Told) {
        tell("token_count", call.usage(&self.kept.session), &Text::from(self.kept.directory.as_str()), told);
    }

    fn end_copy(&mut self) {
        if self.kept.fork.as_ref().is_some_and(Fork::is_over) {
            self.kept.fork = None;
            self.parent.close();
        }
    }
}

impl Kept {
    fn beginning(path: &Path) -> Self {
        // Without a session's id, two files must still not have the same calls.
        let session = Tool::Codex.session_of(path).map_or_else(|| stem(path).to_owned(), String::from);
        Self {
            version: VERSION,
            session,
            head: Head::Awaited,
            directory: String::new(),
            model: UNKNOWN_MODEL.to_owned(),
            counter: Counter::default(),
            number: 0,
            fork: None,
            compactions: Compactions::default(),
        }
    }

    fn found(&self, id: String, time: Time, counts: Counts) -> Found {
        Found { id, time: time.micros(), model: self.model.clone(), counts }
    }

    fn remember(&mut self, cwd: &Scalar) {
        if let Some(told) = directory(cwd) {
            self.directory = told.to_string();
        }
    }

    fn remember_model(&mut self, model: Option<&Scalar>) {
        if let Some(model) = model {
            self.model = known(model).into();
        }
    }
}

impl TranscriptReader for Reader {
    fn line(&mut self, line: &[u8], told: &mut Told) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        if !is_worth_parsing(line) {
            told.problems.extend(looks_whole(line).err());
            return;
        }
        match parse(line) {
            Ok(line) => self.take(&line, told),
            Err(problem) => told.problems.push(problem),
        }
    }

    fn quiet(&mut self, told: &mut Told) {
        if let Some(call) = self.kept.fork.as_mut().and_then(Fork::quiet) {
            self.tell(&call, told);
        }
        self.end_copy();
        self.parent.close();
    }

    fn state(&self) -> Vec<u8> {
        serde_json::to_vec(&self.kept).unwrap_or_default()
    }
}
