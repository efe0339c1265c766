//! Counts of tokens as Codex CLI tells them, and which of them are new.
//!
//! Each line tells the session's total and the last call. It tells them again whenever anything beside them changes:
//! only a total that moved is a call. The total begins again from zero when the tool does.

use event::TokenUsage;
use serde::{Deserialize, Serialize};

use crate::codex::line::{Info, Usage};
use crate::loose::Scalar;

/// Counts of one call, or of all of a session's so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    input: u64,
    cached: u64,
    written: u64,
    output: u64,
    reasoning: u64,
    total: u64,
}

impl Counts {
    /// Reads counts; or tells which field has none. What is absent is 0.
    pub(super) fn of(usage: &Usage) -> Result<Self, String> {
        let written = [&usage.cache_write_input_tokens, &usage.cache_creation_input_tokens];
        let written = written.into_iter().find(|it| **it != Scalar::Absent).unwrap_or(&Scalar::Absent);
        Ok(Self {
            input: count("input_tokens", &usage.input_tokens)?,
            cached: count("cached_input_tokens", &usage.cached_input_tokens)?,
            written: count("cache_write_input_tokens", written)?,
            output: count("output_tokens", &usage.output_tokens)?,
            reasoning: count("reasoning_output_tokens", &usage.reasoning_output_tokens)?,
            total: count("total_tokens", &usage.total_tokens)?,
        })
    }

    /// Whether no token was used, whatever the total says: an estimate of the context is told as a total alone.
    pub(super) fn is_nothing(&self) -> bool {
        Self { total: 0, ..*self } == Self::default()
    }

    /// Whether these are the counts of the same call; a total beside them is not always told.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { total: 0, ..*self } == Self { total: 0, ..*other }
    }

    /// What was used since an earlier total; all of it when the counter began again.
    fn since(&self, earlier: &Self) -> Self {
        self.less(earlier).unwrap_or(*self)
    }

    fn less(&self, other: &Self) -> Option<Self> {
        Some(Self {
            input: self.input.checked_sub(other.input)?,
            cached: self.cached.checked_sub(other.cached)?,
            written: self.written.checked_sub(other.written)?,
            output: self.output.checked_sub(other.output)?,
            reasoning: self.reasoning.checked_sub(other.reasoning)?,
            total: self.total.saturating_sub(other.total),
        })
    }

    /// The counts as an event has them: disjoint.
    pub(super) fn usage(&self) -> TokenUsage {
        let cache_read = self.cached.min(self.input);
        let cache_create = self.written.min(self.input - cache_read);
        TokenUsage {
            input_tokens: self.input - cache_read - cache_create,
            output_tokens: self.output,
            cache_read,
            cache_create,
            reasoning_tokens: self.reasoning.min(self.output),
            ..TokenUsage::default()
        }
    }
}

fn count(field: &str, value: &Scalar) -> Result<u64, String> {
    value.count().map(Option::unwrap_or_default).map_err(|_| format!("{field} is no count"))
}

/// Counts that a line may not have.
pub(super) fn told(usage: Option<&Usage>) -> Result<Option<Counts>, String> {
    usage.map(Counts::of).transpose()
}

/// Finds the calls among the lines that tell counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counter {
    total: Option<Counts>,
}

/// A call that a line told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counted {
    /// Its counts.
    pub(super) counts: Counts,
    /// The session's total with it, where it was told.
    pub(super) total: Option<Counts>,
}

impl Counter {
    /// The call that the line tells, unless it only tells again what was told before.
    pub(super) fn take(&mut self, info: &Info) -> Result<Option<Counted>, String> {
        let last = told(info.last_token_usage.0.as_ref())?;
        let total = told(info.total_token_usage.0.as_ref())?;
        if total.is_some() && total == self.total {
            return Ok(None);
        }
        let before = self.total.unwrap_or_default();
        self.total = total.or(self.total);
        let counts = last.or(total.map(|total| total.since(&before)));
        Ok(counts.filter(|it| !it.is_nothing()).map(|counts| Counted { counts, total }))
    }
}
