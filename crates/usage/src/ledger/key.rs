//! Which tellings are of one call, and the keys under which the ledger remembers.
//!
//! ```text
//! usage/call/    sixteen bytes: a call             -> value::Call, or the call that it turned out to be
//! usage/session/ sixteen bytes: a tool's session   -> value::Session
//! usage/near/    a session, a call                 -> value::Near: what telemetry and transcripts match by
//! usage/wait/    a call                            -> value::Waiting: telemetry that nothing has explained yet
//! ```
//!
//! The sixteen bytes are the first of the SHA-256 of what makes the identity, each part behind its length.

use event::TokenUsage;
use sha2::{Digest, Sha256};

/// The beginning of every key of calls.
pub(super) const CALLS: &[u8] = b"usage/call/";
/// The beginning of every key of sessions.
pub(super) const SESSIONS: &[u8] = b"usage/session/";
/// The beginning of every key of calls by session.
pub(super) const NEAR: &[u8] = b"usage/near/";
/// The beginning of every key of telemetry that waits.
pub(super) const WAITING: &[u8] = b"usage/wait/";

/// The provider's ids are unique in the world, whatever tool or session tells of them.
const UNIQUE_PREFIX: &str = "msg_";

/// An identity in sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct Id([u8; 16]);

impl Id {
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(id)
    }

    /// The call that a telling is of; `None` without a message id: then nothing tells two of them apart.
    pub(super) fn of_call(usage: &TokenUsage) -> Option<Self> {
        let TokenUsage { tool, session_id, message_id, .. } = usage;
        if message_id.is_empty() {
            return None;
        }
        Some(match message_id.starts_with(UNIQUE_PREFIX) {
            true => Self::of(&[message_id]),
            false => Self::of(&[tool, session_id, message_id]),
        })
    }

    /// The session that a telling is of; `None` when it names none.
    pub(super) fn of_session(usage: &TokenUsage) -> Option<Self> {
        (!usage.session_id.is_empty()).then(|| Self::of(&[&usage.tool, &usage.session_id]))
    }

    /// Its key in this part of the shelf.
    pub(super) fn key(self, part: &[u8]) -> Vec<u8> {
        [part, &self.0].concat()
    }

    /// The key of something within it.
    pub(super) fn key_within(self, part: &[u8], inner: Self) -> Vec<u8> {
        [part, &self.0, &inner.0].concat()
    }

    /// The identity that a key ends with.
    pub(super) fn at_end_of(key: &[u8]) -> Option<Self> {
        key.last_chunk().copied().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use event::Text;

    use super::*;

    fn usage(tool: &str, session: &str, message: &str) -> TokenUsage {
        let [tool, session_id, message_id] = [tool, session, message].map(Text::new);
        TokenUsage { tool, session_id, message_id, ..TokenUsage::default() }
    }

    #[test]
    fn a_providers_id_is_one_call_everywhere() {
        let of = |tool, session, message| Id::of_call(&usage(tool, session, message));
        assert_eq!(of("claude", "a", "msg_1"), of("", "b", "msg_1"));
        assert_ne!(of("claude", "a", "msg_1"), of("claude", "a", "msg_2"));
        assert_ne!(of("claude", "a", "1"), of("claude", "b", "1"));
        assert_ne!(of("claude", "a", "1"), of("codex", "a", "1"));
        assert_ne!(of("a", "bc", "1"), of("ab", "c", "1"), "where a part ends matters");
        assert_eq!(of("claude", "a", ""), None);
        assert_eq!(Id::of_session(&usage("claude", "", "1")), None);
    }

    #[test]
    fn a_key_is_read_back() {
        let id = Id::of_call(&usage("a", "b", "c")).unwrap();
        assert_eq!(Id::at_end_of(&id.key(CALLS)), Some(id));
        assert_eq!(Id::at_end_of(b"short"), None);
    }
}
