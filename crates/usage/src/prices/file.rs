//! Prices as TOML: the embedded ones, and `prices.toml`.

use event::{Text, Time};
use serde::Deserialize;
use toml::Spanned;

use super::{Covers, Price, PriceSource, Rates, plain};

const EMBEDDED: &str = include_str!("embedded.toml");

/// A `prices.toml` that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct PricesError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there, and what it must be.
    pub problem: String,
}

/// The whole file as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    price: Vec<Spanned<RawPrice>>,
}

/// One row as typed, for one model or several.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPrice {
    provider: String,
    model: Option<String>,
    models: Vec<String>,
    covers: Option<String>,
    effective_from: Option<String>,
    effective_to: Option<String>,
    context_from: u64,
    unchecked: bool,
    input: Option<f64>,
    output: Option<f64>,
    cache_write_5m: Option<f64>,
    cache_write_1h: Option<f64>,
    cache_read: Option<f64>,
}

/// The embedded rows.
pub(super) fn embedded() -> Result<Vec<Price>, PricesError> {
    read(EMBEDDED, PriceSource::Embedded)
}

/// The rows of a `prices.toml`.
pub(super) fn own(text: &str) -> Result<Vec<Price>, PricesError> {
    read(text, PriceSource::Own)
}

fn read(text: &str, source: PriceSource) -> Result<Vec<Price>, PricesError> {
    let file: RawFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        PricesError { line: line(text, at), problem: error.message().replace('\n', ", ") }
    })?;
    let mut rows = Vec::new();
    for raw in file.price {
        let at = line(text, raw.span().start);
        rows.extend(raw.into_inner().meant(source).map_err(|problem| PricesError { line: at, problem })?);
    }
    Ok(rows)
}

/// The line that a byte is on.
fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

impl RawPrice {
    fn meant(self, source: PriceSource) -> Result<Vec<Price>, String> {
        let covers = match self.covers.as_deref() {
            None | Some("prefix") => Covers::Prefix,
            Some("exact") => Covers::Exact,
            Some(other) => return Err(format!("covers is {other:?}, and must be prefix or exact")),
        };
        let rates = Rates {
            input: rate("input", self.input)?,
            output: rate("output", self.output)?,
            cache_write_5m: rate("cache_write_5m", self.cache_write_5m)?,
            cache_write_1h: rate("cache_write_1h", self.cache_write_1h)?,
            cache_read: rate("cache_read", self.cache_read)?,
        };
        let (effective_from, effective_to) =
            (time("effective_from", self.effective_from)?, time("effective_to", self.effective_to)?);
        if effective_from.zip(effective_to).is_some_and(|(from, to)| to <= from) {
            return Err("effective_to is not after effective_from: no call would have this price".to_owned());
        }
        let context_from = Some(self.context_from).filter(|it| i64::try_from(*it).is_ok());
        let context_from = context_from.ok_or("context_from is too large")?;
        let source =
            if self.unchecked && source == PriceSource::Embedded { PriceSource::Unchecked } else { source };
        let provider = name("provider", &self.provider)?;
        let models: Vec<String> = self.model.into_iter().chain(self.models).collect();
        if models.is_empty() {
            return Err("a price has no model: give model, or models as a list".to_owned());
        }
        let row = |model: &String| {
            let model = name("model", &plain(model))?;
            if model.is_empty() {
                return Err("a model's name is empty".to_owned());
            }
            let provider = provider.clone();
            Ok(Price { provider, model, covers, effective_from, effective_to, context_from, rates, source })
        };
        models.iter().map(row).collect()
    }
}

fn name(field: &str, text: &str) -> Result<Text, String> {
    if text.len() > event::limits::NAME_BYTES_MAX || text.contains('\0') {
        return Err(format!("{field} has more than {} bytes, or a NUL", event::limits::NAME_BYTES_MAX));
    }
    Ok(Text::new(text))
}

fn rate(field: &str, rate: Option<f64>) -> Result<Option<f64>, String> {
    match rate {
        Some(rate) if !rate.is_finite() || rate < 0.0 => {
            Err(format!("{field} is {rate}, and must be US dollars for a million tokens, from 0"))
        }
        rate => Ok(rate),
    }
}

/// A day is its beginning, UTC.
fn time(field: &str, text: Option<String>) -> Result<Option<Time>, String> {
    let Some(text) = text else { return Ok(None) };
    let whole = if text.contains('T') { text.clone() } else { format!("{text}T00:00:00Z") };
    let time: Result<Time, _> = whole.parse();
    let time = time.ok().filter(|time| (event::limits::TIME_MIN..event::limits::TIME_END).contains(time));
    time.map(Some).ok_or_else(|| {
        format!("{field} is {text:?}, and must be a day such as \"2026-01-31\" or a time such as \"2026-01-31T12:00:00Z\"")
    })
}
