//! The coding tools whose transcripts are understood, and what the path of a transcript tells.

use std::path::Path;
use std::sync::Arc;

use event::Text;

use crate::transcript::{Family, StateError, TranscriptReader};
use crate::{claude, codex};

/// A coding tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 2] = [Self::Claude, Self::Codex];

    /// The word for it in an event's `tool`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }

    /// Whether a file below the tool's roots is a transcript, by its path.
    #[must_use]
    pub fn is_transcript(self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "jsonl")
            && match self {
                Self::Claude => true,
                Self::Codex => stem(path).starts_with("rollout-"),
            }
    }

    /// The session whose own transcript this is, where the path tells it.
    #[must_use]
    pub fn session_of(self, path: &Path) -> Option<Text> {
        match self {
            Self::Claude => claude_session(path),
            Self::Codex => codex_session(path),
        }
    }

    /// A reader of the transcript at `path`, from its beginning or from where a kept state left off.
    ///
    /// # Errors
    /// When the state is of another version or damaged: begin again without one.
    pub fn reader(
        self,
        path: &Path,
        state: Option<&[u8]>,
        family: Arc<dyn Family>,
    ) -> Result<Box<dyn TranscriptReader>, StateError> {
        Ok(match self {
            Self::Claude => Box::new(claude::Reader::new(path, state)?),
            Self::Codex => Box::new(codex::Reader::new(path, state, family)?),
        })
    }
}

/// The name of the file without `.jsonl`.
pub(crate) fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

/// Its name is the session's id; a subagent's file has the agent's, and no session of its own.
fn claude_session(path: &Path) -> Option<Text> {
    let stem = stem(path);
    (!stem.is_empty() && !stem.starts_with("agent-")).then(|| stem.into())
}

/// The session's id is the UUID at the end of `rollout-<time>-<uuid>`.
fn codex_session(path: &Path) -> Option<Text> {
    let rest = stem(path).strip_prefix("rollout-")?;
    let id = rest.get(rest.len().checked_sub(UUID_LEN)?..)?;
    is_uuid(id).then(|| id.into())
}

const UUID_LEN: usize = 36;

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
