//! Which of two tellings of one call is the larger: (final, output tokens, the sum of the others, a reported cost).
//!
//! The ledger, the projection and the reads go by this one rule. The sum is in u128: each count may be as large as an
//! i64. Of two that are equal else the one that has a reported cost is larger, so that a cost that comes later is not
//! lost.

use crate::TokenUsage;

/// What tellings of one call are compared by; the larger one counts, and of equal ones the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageRank {
    is_final: bool,
    output: u64,
    others: u128,
    has_cost: bool,
}

impl TokenUsage {
    /// How large this telling of its call is.
    #[must_use]
    pub fn rank(&self) -> UsageRank {
        let others = [self.input_tokens, self.cache_read, self.cache_create];
        UsageRank {
            is_final: self.r#final,
            output: self.output_tokens,
            others: others.into_iter().map(u128::from).sum(),
            has_cost: self.cost_usd.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_call_is_larger_than_any_count_and_a_cost_decides_last() {
        let usage = |is_final: bool, output: u64, input: u64, cost_usd: Option<f64>| TokenUsage {
            r#final: is_final,
            output_tokens: output,
            input_tokens: input,
            cost_usd,
            ..TokenUsage::default()
        };
        let rising = [
            usage(false, 1, 9, None),
            usage(false, 2, 0, None),
            usage(false, 2, 0, Some(0.0)),
            usage(false, 2, 1, None),
            usage(true, 0, 0, None),
            usage(true, 0, u64::MAX, None),
        ];
        assert!(rising.is_sorted_by(|one, other| one.rank() < other.rank()));
        let wide =
            TokenUsage { cache_read: u64::MAX, cache_create: u64::MAX, ..usage(true, 0, u64::MAX, None) };
        assert!(wide.rank() > rising[5].rank(), "the sum does not overflow");
        assert_eq!(rising[0].rank(), rising[0].clone().rank());
    }
}
