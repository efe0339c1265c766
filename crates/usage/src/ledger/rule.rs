//! Which of two tellings of one call is the larger: (final, output tokens, the sum of the others).
//!
//! It is the rule of the projection too. The sum is in u128: each count may be as large as an i64.

use event::TokenUsage;

/// What tellings of one call are compared by.
pub(super) fn rank(usage: &TokenUsage) -> (bool, u64, u128) {
    let others = [usage.input_tokens, usage.cache_read, usage.cache_create];
    (usage.r#final, usage.output_tokens, others.into_iter().map(u128::from).sum())
}
