//! The fields of Codex CLI's lines that tell usage, and which lines are worth a look.

use std::sync::LazyLock;

use event::Text;
use event::limits::NAME_BYTES_MAX;
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::loose::{Object, Scalar};

/// The words that only lines worth parsing have as a whole string of their own; in a text their quotes are escaped.
static WORDS: LazyLock<[Finder<'static>; 7]> = LazyLock::new(|| {
    [
        "\"token_count\"",
        "\"turn_context\"",
        "\"session_meta\"",
        "\"token_usage_record\"",
        "\"compacted\"",
        "\"turn.completed\"",
        "\"thread.started\"",
    ]
    .map(Finder::new)
});

/// What was said and done: most of a transcript.
static ITEM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"type\":\"response_item\""));
/// Where the type of a line stands at the latest: behind its time.
const TYPE_BYTES: usize = 96;

/// Whether a line can tell anything about usage.
pub(super) fn is_worth_parsing(line: &[u8]) -> bool {
    let head = line.get(..TYPE_BYTES).unwrap_or(line);
    ITEM.find(head).is_none() && WORDS.iter().any(|word| word.find(line).is_some())
}

/// A line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    pub(super) timestamp: Scalar,
    pub(super) r#type: Scalar,
    pub(super) payload: Object<Payload>,
    /// Of a line that `codex exec --json` writes, which has no payload.
    pub(super) thread_id: Scalar,
    pub(super) usage: Object<Usage>,
    pub(super) model: Scalar,
}

/// What any of the lines carries.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    pub(super) r#type: Scalar,
    pub(super) id: Scalar,
    pub(super) timestamp: Scalar,
    pub(super) cwd: Scalar,
    forked_from_id: Scalar,
    source: Object<Source>,
    model: Scalar,
    model_name: Scalar,
    pub(super) info: Object<Info>,
    pub(super) response_id: Scalar,
    pub(super) compaction_response_id: Scalar,
    pub(super) usage: Object<Usage>,
    pub(super) thread_token_usage: Object<Usage>,
}

/// What a session came from.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    subagent: Object<Subagent>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subagent {
    thread_spawn: Object<Spawn>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spawn {
    parent_thread_id: Scalar,
}

/// What is told of the tokens at the end of a call.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) total_token_usage: Object<Usage>,
    pub(super) last_token_usage: Object<Usage>,
    model: Scalar,
    model_name: Scalar,
}

/// Counts as Codex writes them: what the cache held is part of the input.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) input_tokens: Scalar,
    pub(super) cached_input_tokens: Scalar,
    pub(super) cache_write_input_tokens: Scalar,
    pub(super) cache_creation_input_tokens: Scalar,
    pub(super) output_tokens: Scalar,
    pub(super) reasoning_output_tokens: Scalar,
    pub(super) total_tokens: Scalar,
}

impl Payload {
    /// The session that this one began as a copy of, if it did.
    pub(super) fn parent(&self) -> Option<&Text> {
        let spawn = self.source.0.as_ref().and_then(|it| it.subagent.0.as_ref()?.thread_spawn.0.as_ref());
        name(&self.forked_from_id).or_else(|| name(&spawn?.parent_thread_id))
    }

    /// The model that the line names.
    pub(super) fn named_model(&self) -> Option<&Scalar> {
        let info = self.info.0.as_ref();
        [Some(&self.model), Some(&self.model_name), info.map(|it| &it.model), info.map(|it| &it.model_name)]
            .into_iter()
            .flatten()
            .find(|model| model.text().is_some())
    }
}

/// Text that can be an id.
pub(super) fn name(value: &Scalar) -> Option<&Text> {
    value.text().filter(|text| text.len() <= NAME_BYTES_MAX)
}
