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

use event::limits::NAME_BYTES_MAX;
use event::{Text, TokenUsage};
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
            false => Self::of(&[tool, session_id, &bare_message_id(usage, &scope(usage))]),
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

    /// The first eight bytes, in sixteen hexadecimal digits.
    fn short(self) -> String {
        let Self([a, b, c, d, e, f, g, h, ..]) = self;
        format!("{:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// The message id under which a call is kept. Two calls of one agent, model and time must differ in it: one that is not
/// unique in the world stands behind what tells its tool and session apart, `caaea6f9292ab7cb/call-1`. An id that
/// is of this form already stays as it is.
pub(super) fn kept_message_id(usage: &TokenUsage) -> Text {
    let scope = scope(usage);
    if scope.is_empty() {
        return usage.message_id.clone();
    }
    let bare = bare_message_id(usage, &scope);
    Text::from(scope + &bare)
}

/// What stands before a message id to tell tool and session apart; empty when they need not be.
fn scope(usage: &TokenUsage) -> String {
    let TokenUsage { tool, session_id, message_id, .. } = usage;
    let is_unique = message_id.is_empty() || message_id.starts_with(UNIQUE_PREFIX);
    if is_unique || (tool.is_empty() && session_id.is_empty()) {
        return String::new();
    }
    Id::of(&[tool, session_id]).short() + "/"
}

/// The message id without its scope; the hash of one that has no room behind a scope.
fn bare_message_id(usage: &TokenUsage, scope: &str) -> String {
    let bare = usage.message_id.strip_prefix(scope).unwrap_or(&usage.message_id);
    if bare.len() + scope.len() > NAME_BYTES_MAX { Id::of(&[bare]).short() } else { bare.to_owned() }
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
    fn what_is_kept_tells_sessions_apart_and_is_the_same_call() {
        let kept = |tool: &str, session: &str, message: &str| {
            let told = usage(tool, session, message);
            let kept = TokenUsage { message_id: kept_message_id(&told), ..told.clone() };
            assert_eq!(Id::of_call(&kept), Id::of_call(&told), "the same call");
            assert_eq!(kept_message_id(&kept), kept.message_id, "what was kept stays as it is");
            assert!(kept.message_id.len() <= NAME_BYTES_MAX);
            kept.message_id.to_string()
        };
        assert_eq!(kept("codex", "a", "call-1"), "caaea6f9292ab7cb/call-1");
        assert_ne!(kept("codex", "a", "call-1"), kept("codex", "b", "call-1"));
        assert_ne!(kept("codex", "a", "call-1"), kept("", "a", "call-1"));
        assert_eq!(kept("claude", "a", "msg_1"), "msg_1");
        assert_eq!(kept("", "", "1"), "1");
        assert_eq!(kept("claude", "a", ""), "");
        let long = |last: &str| kept("codex", "a", &("x".repeat(240) + last));
        assert_eq!(long("1").len(), 33);
        assert_ne!(long("1"), long("2"));
        assert_eq!(kept("codex", "a", &"x".repeat(238)).len(), 255);
    }

    #[test]
    fn a_key_is_read_back() {
        let id = Id::of_call(&usage("a", "b", "c")).unwrap();
        assert_eq!(Id::at_end_of(&id.key(CALLS)), Some(id));
        assert_eq!(Id::at_end_of(b"short"), None);
    }
}
