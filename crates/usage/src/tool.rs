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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_whether_it_is_a_transcript_and_whose() {
        let check = |tool: Tool, path: &str, is_transcript: bool, session: Option<&str>| {
            let path = Path::new(path);
            assert_eq!(tool.is_transcript(path), is_transcript, "{}", path.display());
            assert_eq!(tool.session_of(path).as_deref(), session, "{}", path.display());
        };
        let id = "11111111-1111-4111-8111-111111111111";
        let at = |before: &str, after: &str| format!("{before}{id}{after}");
        check(Tool::Claude, &at("/home/a/.claude/projects/-work/", ".jsonl"), true, Some(id));
        check(Tool::Claude, &at("-work/", "/subagents/agent-7f.jsonl"), true, None);
        check(Tool::Claude, "-work/agent-acompact-7f.jsonl", true, None);
        check(Tool::Claude, "-work/sessions-index.json", false, Some("sessions-index"));
        check(Tool::Claude, "", false, None);
        let rollout = "sessions/2026/03/01/rollout-2026-03-01T10-00-00-";
        check(Tool::Codex, &at(rollout, ".jsonl"), true, Some(id));
        check(Tool::Codex, &at("archived_sessions/rollout-", ".jsonl"), true, Some(id));
        check(Tool::Codex, &at(rollout, ".jsonl.zst"), false, None);
        check(Tool::Codex, "sessions/rollout-2026.jsonl", true, None);
        check(Tool::Codex, "rollout-éééééééééééééééééé-11111111.jsonl", true, None);
        check(Tool::Codex, "history.jsonl", false, None);
    }
}
