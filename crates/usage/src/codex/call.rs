//! A call that was found and may have to wait until it is known whose it is, in the state of a reader too.

use event::{Text, Time, TokenUsage};
use serde::{Deserialize, Serialize};

use crate::Tool;
use crate::codex::counts::Counts;

/// A call that is understood, and may not be the session's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) id: String,
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) model: String,
    pub(super) counts: Counts,
}

impl Found {
    /// The usage that it is in this session. A call is over when Codex tells of it.
    pub(super) fn usage(&self, session: &str) -> TokenUsage {
        TokenUsage {
            time: Time::from_micros(self.time),
            model: self.model.as_str().into(),
            tool: Tool::Codex.name().into(),
            session_id: Text::from(session),
            message_id: self.id.as_str().into(),
            r#final: true,
            ..self.counts.usage()
        }
    }
}
