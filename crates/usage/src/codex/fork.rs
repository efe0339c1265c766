//! The head of a session that began as a copy of another one: whose calls are whose.
//!
//! A fork's transcript, and a subagent's, begins with all that its parent's held, usage too, mostly with the time of
//! the copy. Those calls are the parent's. As long as the calls are the parent's, one after the other, they are copies.
//! Where the parent is gone, or the copy is not its beginning, the times tell: a copy is written in one go, and a
//! model takes seconds to answer.
//!
//! IMPORTANT: calls are numbered before they come here, so that one which is the session's own has the same number
//! whatever is known of the parent.

use serde::{Deserialize, Serialize};

use crate::codex::call::Found;
use crate::codex::parent::{Next, Parent};

/// The longest pause within a copy. Copies were seen to take 10 to 40 ms, and the first answer behind them to come
/// after 5.8 s and more.
const PAUSE_MICROS: i64 = 1_000_000;
/// So soon behind the head no model has answered.
const AT_ONCE_MICROS: i64 = 100_000;

/// A session that began as a copy, until its own first call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fork {
    /// The session it is a copy of.
    parent: String,
    /// When its head was written.
    at: Option<i64>,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    /// So many calls were the parent's, the last of them at this time.
    Parent { like: u64, last: Option<i64> },
    /// One call that the next one's time decides about.
    Held(Found),
    /// In a copy, by the times; the last call of it was at this one.
    Burst { last: i64 },
    /// All that comes is the session's own.
    Over,
}

impl Fork {
    /// A copy of the session `parent`, whose head was written at this time.
    pub(super) fn new(parent: &str, at: Option<i64>) -> Self {
        Self { parent: parent.to_owned(), at, stage: Stage::Parent { like: 0, last: None } }
    }

    /// Whether the copy is behind us.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Decides about the next call; those that are now known to be the session's own go to `own`.
    pub(super) fn judge(&mut self, call: Found, parent: &mut Parent, own: &mut Vec<Found>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.stage = match stage {
            Stage::Parent { like, last } => match parent.next(&self.parent, self.at, like) {
                Next::Call(counts) if counts.is_like(&call.counts) => {
                    Stage::Parent { like: like.saturating_add(1), last: Some(call.time) }
                }
                // The parent's file went in the middle of the copy: the times tell the rest.
                Next::Missing if like > 0 => by_time(last, call, own),
                _ if like > 0 => is_own(call, own),
                _ if is_within(self.at, call.time, AT_ONCE_MICROS) => Stage::Burst { last: call.time },
                _ => Stage::Held(call),
            },
            Stage::Held(first) if is_within(Some(first.time), call.time, PAUSE_MICROS) => {
                Stage::Burst { last: call.time }
            }
            Stage::Held(first) => {
                own.push(first);
                is_own(call, own)
            }
            Stage::Burst { last } => by_time(Some(last), call, own),
            Stage::Over => is_own(call, own),
        };
    }

    /// Whether a compaction at this time is the parent's.
    pub(super) fn has_copied(&self, response: &str, time: i64, parent: &Parent) -> bool {
        let before = match &self.stage {
            Stage::Parent { last, .. } => last.or(self.at),
            Stage::Held(first) => Some(first.time),
            Stage::Burst { last } => Some(*last),
            Stage::Over => return false,
        };
        parent.names(&self.parent, response).unwrap_or_else(|| is_within(before, time, PAUSE_MICROS))
    }

    /// Nothing came for a while, so a copy that was being written has ended: the call that was held is told.
    pub(super) fn quiet(&mut self) -> Option<Found> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Held(first) => Some(first),
            stage => {
                self.stage = stage;
                None
            }
        }
    }
}

/// A call goes on with the copy when it comes without a pause behind what was before it.
fn by_time(before: Option<i64>, call: Found, own: &mut Vec<Found>) -> Stage {
    if is_within(before, call.time, PAUSE_MICROS) {
        Stage::Burst { last: call.time }
    } else {
        is_own(call, own)
    }
}

fn is_own(call: Found, own: &mut Vec<Found>) -> Stage {
    own.push(call);
    Stage::Over
}

/// Whether `time` is not before, and at most `pause` behind; a clock that stepped back tells nothing.
fn is_within(before: Option<i64>, time: i64, pause: i64) -> bool {
    before.and_then(|before| time.checked_sub(before)).is_some_and(|passed| (0..=pause).contains(&passed))
}
