//! What a call costs by the list prices of its day: rows of prices, which row a call falls under, and its cost.
//!
//! A row names a model and from when to when it holds. Of the rows that fit a call's model and time the most specific
//! wins: one for exactly this name, then the longest name, then one for the model before one for its family, then the
//! owner's before an embedded one, then the one that began last. What has no rate has no cost, and never the cost 0.
//!
//! IMPORTANT: the database computes the same in SQL (the view `token_costs`), from the same rows. Whoever changes the
//! rule here changes it there; a test of the store feeds both and compares.
//!
//! NOTE: an event does not tell the service tier of a call, so "fast" and "priority" are priced as the standard tier.

mod name;
mod read;

use std::cmp::Ordering;

use event::{Time, TokenUsage};

pub use name::plain_name;
pub use read::PricesError;

/// What is shipped, one file for each provider.
const EMBEDDED: [&str; 3] =
    [include_str!("anthropic.toml"), include_str!("google.toml"), include_str!("openai.toml")];

/// A rate is for so many tokens.
const TOKENS_PER_RATE: f64 = 1_000_000.0;

/// Which names of models a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matches {
    /// Every name that begins with the row's, up to a boundary: `llama-3` and `llama-3.1-70b`, not `llama-30`.
    Family,
    /// The model with its releases: `gpt-5` and `gpt-5-2025-08-07`, neither `gpt-5-nano` nor `gpt-50`.
    Model,
    /// This name alone, as the event has it.
    Exact,
}

impl Matches {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Family, Self::Model, Self::Exact];

    /// The word for it, in the files and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Model => "model",
            Self::Exact => "exact",
        }
    }
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// It is shipped.
    Embedded,
    /// The owner's `prices.toml`.
    Own,
}

/// Whether somebody has compared a row with what the provider publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Yes.
    Checked,
    /// No: it is what is generally said.
    Unchecked,
}

/// US dollars for a million tokens of each category; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Input that no cache held.
    pub input: Option<f64>,
    /// Output, reasoning included.
    pub output: Option<f64>,
    /// Written to the cache for five minutes.
    pub cache_write_5m: Option<f64>,
    /// Written to the cache for an hour.
    pub cache_write_1h: Option<f64>,
    /// Read from the cache.
    pub cache_read: Option<f64>,
}

/// The rates of calls with a long context: they hold for the whole call, not for what is above the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongContext {
    /// A call is long when its input, with all of the cache, has more tokens.
    pub above_tokens: u64,
    /// What it costs then.
    pub rates: Rates,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Who sells it; a label, nothing is chosen by it.
    pub provider: String,
    /// The model, by its [`plain_name`]; of an exact row the name itself, in small letters.
    pub model: String,
    /// Which names it is for.
    pub matches: Matches,
    /// From when it holds; `None` is always.
    pub effective_from: Option<Time>,
    /// Until when, not included; `None` is for ever.
    pub effective_to: Option<Time>,
    /// What it costs.
    pub rates: Rates,
    /// What a long call costs, where that differs.
    pub long_context: Option<LongContext>,
    /// Whether it was checked.
    pub trust: Trust,
    /// Where it comes from.
    pub origin: Origin,
}

impl Price {
    fn holds_at(&self, time: Time) -> bool {
        self.effective_from.is_none_or(|from| from <= time) && self.effective_to.is_none_or(|to| time < to)
    }

    fn fits(&self, written: &str, plain: &str) -> bool {
        match self.matches {
            Matches::Exact => self.model == written,
            Matches::Model => plain.strip_prefix(&self.model).is_some_and(name::is_release),
            Matches::Family => plain.strip_prefix(&self.model).is_some_and(name::is_bounded),
        }
    }

    /// Which of two rows that fit the same call is the more specific one.
    fn rank(&self, other: &Self) -> Ordering {
        let rank = |it: &Self| {
            (it.matches == Matches::Exact, it.model.chars().count(), it.matches, it.origin, it.effective_from)
        };
        rank(self).cmp(&rank(other))
    }

    /// The rates for a call with so many tokens of input, the cache included.
    const fn rates_for(&self, context_tokens: u128) -> &Rates {
        match &self.long_context {
            Some(long) if context_tokens > long.above_tokens as u128 => &long.rates,
            _ => &self.rates,
        }
    }

    /// What a call costs by this row; `None` when it used what has no rate.
    #[must_use]
    pub fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        let context = [usage.input_tokens, usage.cache_read, usage.cache_create];
        let rates = self.rates_for(context.into_iter().map(u128::from).sum());
        let hour = usage.cache_create_1h.min(usage.cache_create);
        let parts = [
            (usage.input_tokens, rates.input),
            (usage.output_tokens, rates.output),
            (usage.cache_read, rates.cache_read),
            (usage.cache_create - hour, rates.cache_write_5m),
            (hour, rates.cache_write_1h),
        ];
        let costs = parts.into_iter().map(|(tokens, rate)| part(tokens, rate));
        costs.sum::<Option<f64>>().map(|sum| sum / TOKENS_PER_RATE)
    }
}

/// NOTE: nothing of a category costs nothing, whether its rate is known or not.
#[expect(
    clippy::cast_precision_loss,
    reason = "a call with 2^53 tokens is not exact to the token, nor its price"
)]
fn part(tokens: u64, rate: Option<f64>) -> Option<f64> {
    if tokens == 0 { Some(0.0) } else { rate.map(|rate| tokens as f64 * rate) }
}

/// All the rows that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    rows: Vec<Price>,
}

impl Prices {
    /// The rows that are shipped.
    ///
    /// # Errors
    /// Never, as a test sees to.
    pub fn embedded() -> Result<Self, PricesError> {
        let mut rows = Vec::new();
        for text in EMBEDDED {
            rows.append(&mut read::rows(text, Origin::Embedded)?);
        }
        Ok(Self { rows })
    }

    /// These rows and those of a `prices.toml`, of which each comes before what it is as specific as.
    ///
    /// # Errors
    /// The first thing that is wrong with the text, in one line: with its line, its row and its field.
    pub fn with_own(mut self, text: &str) -> Result<Self, PricesError> {
        self.rows.append(&mut read::rows(text, Origin::Own)?);
        Ok(self)
    }

    /// The rows, in no order that means anything.
    #[must_use]
    pub fn rows(&self) -> &[Price] {
        &self.rows
    }

    /// The row that a call of this model at this time falls under.
    #[must_use]
    pub fn find(&self, model: &str, time: Time) -> Option<&Price> {
        let written = model.to_ascii_lowercase();
        let plain = plain_name(model);
        let fitting = self.rows.iter().filter(|row| row.holds_at(time) && row.fits(&written, &plain));
        fitting.max_by(|a, b| a.rank(b))
    }

    /// What a call costs by the list; `None` when that is not known.
    #[must_use]
    pub fn computed_cost(&self, usage: &TokenUsage) -> Option<f64> {
        self.find(&usage.model, usage.time)?.cost(usage)
    }

    /// What counts as a call's cost, US dollars: what was reported, else what is computed; `None` when neither is known.
    #[must_use]
    pub fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        usage.cost_usd.or_else(|| self.computed_cost(usage))
    }
}

#[cfg(test)]
mod tests;
