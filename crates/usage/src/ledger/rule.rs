//! Which of two tellings of one call is the larger: (final, output tokens, the sum of the others, a reported cost).
//!
//! It is the rule of the projection too. The sum is in u128: each count may be as large as an i64. Of two that are
//! equal else the one that has a reported cost is larger, so that a cost that comes later is not lost.

use event::TokenUsage;

/// What tellings of one call are compared by.
pub(super) fn rank(usage: &TokenUsage) -> (bool, u64, u128, bool) {
    let others = [usage.input_tokens, usage.cache_read, usage.cache_create];
    let others = others.into_iter().map(u128::from).sum();
    (usage.r#final, usage.output_tokens, others, usage.cost_usd.is_some())
}
