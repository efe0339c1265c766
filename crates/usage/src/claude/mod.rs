//! Claude Code: a line for each content block of an answer, and each tells the usage of the whole answer so far.
//!
//! So one call stands in a transcript many times, mostly with equal counts, sometimes with growing ones. Each is a
//! snapshot with the same id, and whoever keeps usage takes the largest; a copy in a resumed session's transcript or
//! in a subagent's has the same id again. Only a repeat right behind its like is left out here, to save work.

mod line;

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::LazyLock;

use event::{Text, Time, TokenUsage};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::Tool;
use crate::claude::line::{Line, Message, Usage};
use crate::line::{directory, looks_whole, parse, restore, tell, time};
use crate::loose::Scalar;
use crate::model::known;
use crate::transcript::{StateError, Told, TranscriptReader};

/// The kind of the lines that tell usage.
const KIND: &str = "assistant";
/// What stands for a model in an answer that no model gave.
const SYNTHETIC: &str = "<synthetic>";
/// The type of an iteration that another model was asked for.
const ADVISOR: &str = "advisor_message";

/// A key cannot stand so in a text, where its quotes are escaped.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));

/// A reader of one transcript of Claude Code.
pub(crate) struct Reader {
    /// The session that the path tells, for lines that do not.
    session: Text,
    directory: Text,
    /// What the line before told, as [`digest`] has it.
    last: u64,
}

/// What is kept of a [`Reader`].
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u8,
    directory: String,
    last: u64,
}

const VERSION: u8 = 1;

impl Reader {
    pub(crate) fn new(path: &Path, state: Option<&[u8]>) -> Result<Self, StateError> {
        let kept = match state {
            None => Kept { version: VERSION, directory: String::new(), last: 0 },
            Some(state) => restore(Tool::Claude, VERSION, state, |kept: &Kept| kept.version)?,
        };
        Ok(Self { session: session_around(path), directory: kept.directory.into(), last: kept.last })
    }

    fn take(&mut self, line: &Line, told: &mut Told) {
        let Some((message, usage)) = line.answer() else { return };
        if let Some(told) = directory(&line.cwd) {
            self.directory.clone_from(told);
        }
        match self.calls(line, message, usage) {
            Err(problem) => told.problems.push(format!("{KIND}: {problem}")),
            Ok(calls) => {
                let digest = digest(&calls);
                if digest != self.last {
                    self.last = digest;
                    calls.into_iter().for_each(|call| tell(KIND, call, &self.directory, told));
                }
            }
        }
    }

    /// The answer's own call, and one for each time that another model was asked for advice.
    fn calls(&self, line: &Line, message: &Message, usage: &Usage) -> Result<Vec<TokenUsage>, String> {
        let ids = [&message.id, &line.request_id, &line.uuid];
        let id = ids.into_iter().find_map(Scalar::text).cloned().unwrap_or_default();
        let call = |usage: &Usage, model: &Scalar, message_id: Text| {
            Ok::<_, String>(TokenUsage {
                time: time(&line.timestamp)?,
                model: known(model),
                tool: Tool::Claude.name().into(),
                session_id: line.session_id.text().unwrap_or(&self.session).clone(),
                message_id,
                r#final: message.stop_reason != Scalar::Absent,
                ..usage.counts()?
            })
        };
        let own = TokenUsage { cost_usd: line.cost_usd.amount(), ..call(usage, &message.model, id.clone())? };
        let advisors = usage.iterations.0.iter().filter(|it| it.r#type.is_text(ADVISOR));
        let advice = advisors.enumerate().map(|(number, it)| {
            // The id begins as the answer's does: a copy in another session is the same call.
            let advice = Text::from(format!("{id}#advisor-{}", number + 1));
            let id = if id.is_empty() { id.clone() } else { advice };
            call(it.usage.0.as_deref().unwrap_or(it), &it.model, id)
        });
        std::iter::once(Ok(own)).chain(advice).collect()
    }
}

impl TranscriptReader for Reader {
    fn line(&mut self, line: &[u8], told: &mut Told) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        if USAGE.find(line).is_none() {
            told.problems.extend(looks_whole(line).err());
            return;
        }
        match parse(line) {
            Ok(line) => self.take(&line, told),
            Err(problem) => told.problems.push(problem),
        }
    }

    fn quiet(&mut self, _: &mut Told) {}

    fn state(&self) -> Vec<u8> {
        let kept = Kept { version: VERSION, directory: self.directory.to_string(), last: self.last };
        serde_json::to_vec(&kept).unwrap_or_default()
    }
}

/// What the calls of a line tell, but for the time: the lines of one answer have each their own.
///
/// NOTE: a digest that another version makes differently leaves nothing out, and that is harmless.
fn digest(calls: &[TokenUsage]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for call in calls {
        (&call.session_id, &call.message_id, &call.model, call.r#final).hash(&mut hasher);
        (call.input_tokens, call.output_tokens, call.cache_read).hash(&mut hasher);
        (call.cache_create, call.cache_create_1h, call.cost_usd.map(f64::to_bits)).hash(&mut hasher);
        // A line without an id is a call of its own, by its time.
        call.message_id.is_empty().then_some(call.time).map(Time::micros).hash(&mut hasher);
    }
    hasher.finish()
}

/// The session of the file at `path`: its own, or the one that its subagent worked for.
fn session_around(path: &Path) -> Text {
    let own = Tool::Claude.session_of(path);
    own.or_else(|| {
        let subagents = path.parent().filter(|folder| folder.file_name() == Some(OsStr::new("subagents")))?;
        Some(subagents.parent()?.file_name()?.to_str()?.into())
    })
    .unwrap_or_default()
}
