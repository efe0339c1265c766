//! What a model call costs: prices as data with effective dates, joined by the event's time when they are read.
//!
//! ```text
//! a model's name     made plain (`plain.rs`): claude-opus-4-5, whoever sells it and whatever its date
//! rows that fit      exact: this name; prefix: this name, and what goes on behind a dash
//!                    effective_from <= time < effective_to, context_from <= input + cache_read + cache_create
//! the one that wins  the longest name, exact before prefix, one's own before an embedded one, the largest
//!                    context_from, the latest effective_from, the latest in the file
//! cost               the sum of tokens x rate / 1,000,000 over input, output, cache_read, cache_create_1h (1h rate) and
//!                    the rest of cache_create (5m rate)
//! ```
//!
//! A context row is for the whole call, not for what is above its bound. Nothing is guessed: a model without a row,
//! and tokens whose rate is not known, have no cost (`None`), which is not 0. The view `token_costs` of the database
//! follows the same rules in SQL; a test compares the two.

mod file;
mod plain;

use event::{Text, Time, TokenUsage};

pub use file::PricesError;
pub use plain::plain;

/// Tokens that a rate is for.
const TOKENS_PER_RATE: f64 = 1e6;

/// A price: US dollars for a million tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Who sells it; may be empty.
    pub provider: Text,
    /// The model's name, made [`plain`].
    pub model: Text,
    /// Which models it is for.
    pub covers: Covers,
    /// From when on; `None` is from ever.
    pub effective_from: Option<Time>,
    /// Until before when; `None` is for ever.
    pub effective_to: Option<Time>,
    /// For calls of so many tokens of context or more.
    pub context_from: u64,
    /// The rates.
    pub rates: Rates,
    /// Where it comes from.
    pub source: PriceSource,
}

/// US dollars for a million tokens of each category; `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Input that no cache held.
    pub input: Option<f64>,
    /// Output, reasoning included.
    pub output: Option<f64>,
    /// Written to the cache for five minutes, or for nobody knows how long.
    pub cache_write_5m: Option<f64>,
    /// Written to the cache for an hour.
    pub cache_write_1h: Option<f64>,
    /// Read from the cache.
    pub cache_read: Option<f64>,
}

/// Which models a price is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Covers {
    /// The model of this name, and those whose names go on behind it with a dash.
    #[default]
    Prefix,
    /// The model of this name alone.
    Exact,
}

impl Covers {
    /// The word for it in files and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "exact",
        }
    }
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceSource {
    /// The program, by one source only.
    Unchecked,
    /// The program.
    Embedded,
    /// `prices.toml`.
    Own,
}

impl PriceSource {
    /// The word for it in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "embedded, unchecked",
            Self::Embedded => "embedded",
            Self::Own => "prices.toml",
        }
    }
}

/// All prices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    rows: Vec<Price>,
}

impl Prices {
    /// The embedded ones.
    #[must_use]
    pub fn embedded() -> Self {
        // NOTE: a test reads them, so they can be read.
        Self { rows: file::embedded().unwrap_or_default() }
    }

    /// The embedded ones and those of a `prices.toml`, which stand over them.
    ///
    /// # Errors
    /// When the text is not what it should be: where, and what is wrong.
    pub fn with_own(text: &str) -> Result<Self, PricesError> {
        let mut prices = Self::embedded();
        prices.rows.extend(file::own(text)?);
        Ok(prices)
    }

    /// Every row.
    #[must_use]
    pub fn rows(&self) -> &[Price] {
        &self.rows
    }

    /// The price of a call of this model at this time with so many tokens of context.
    #[must_use]
    pub fn price(&self, model: &str, time: Time, context: u64) -> Option<&Price> {
        let name = plain(model);
        let fits = self.rows.iter().filter(|price| price.fits(&name, time, context));
        // NOTE: of equal ones the last counts.
        fits.max_by_key(|price| price.rank())
    }

    /// What a call costs by these prices, US dollars; `None` when that is not known.
    #[must_use]
    pub fn computed(&self, usage: &TokenUsage) -> Option<f64> {
        let context = usage.input_tokens.saturating_add(usage.cache_read).saturating_add(usage.cache_create);
        self.price(&usage.model, usage.time, context)?.rates.cost(usage)
    }

    /// What a call cost: as its tool reported it, else by these prices; `None` when that is not known.
    #[must_use]
    pub fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        usage.cost_usd.or_else(|| self.computed(usage))
    }
}

impl Price {
    fn fits(&self, name: &str, time: Time, context: u64) -> bool {
        let is_of = match (name.strip_prefix(self.model.as_str()), self.covers) {
            (Some(rest), Covers::Exact) => rest.is_empty(),
            (Some(rest), Covers::Prefix) => rest.is_empty() || rest.starts_with('-'),
            (None, _) => false,
        };
        is_of
            && self.effective_from.is_none_or(|from| from <= time)
            && self.effective_to.is_none_or(|to| time < to)
            && self.context_from <= context
    }

    fn rank(&self) -> (usize, bool, bool, u64, Option<Time>) {
        let is_own = self.source == PriceSource::Own;
        (self.model.len(), self.covers == Covers::Exact, is_own, self.context_from, self.effective_from)
    }
}

impl Rates {
    fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        let written_1h = usage.cache_create_1h.min(usage.cache_create);
        let parts = [
            (usage.input_tokens, self.input),
            (usage.output_tokens, self.output),
            (usage.cache_read, self.cache_read),
            (usage.cache_create - written_1h, self.cache_write_5m),
            (written_1h, self.cache_write_1h),
        ];
        let mut sum = 0.0;
        for (tokens, rate) in parts.into_iter().filter(|(tokens, _)| *tokens > 0) {
            #[expect(clippy::cast_precision_loss, reason = "a cost needs no 53 bits")]
            let tokens = tokens as f64;
            sum += tokens * rate? / TOKENS_PER_RATE;
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests;
