//! Rows of prices as TOML: an array of tables `[[price]]`.
//!
//! What is wrong is told in one line with its line, its row and its field. A file is taken whole or not at all: half of
//! somebody's prices would be a wrong bill that looks like a right one.

use std::collections::HashSet;
use std::ops::Range;

use event::Time;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::name::plain_name;
use super::{LongContext, Matches, Origin, Price, Rates, Trust};

/// What is wrong with a file of prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PricesError {
    /// Where, from 1.
    pub line: usize,
    what: String,
}

type Value<'i> = Spanned<DeValue<'i>>;

/// The rows of a file.
pub(super) fn rows(text: &str, origin: Origin) -> Result<Vec<Price>, PricesError> {
    let at = |span: Range<usize>, what: String| PricesError { line: line(text, span.start), what };
    let table = DeTable::parse(text).map_err(|error| {
        at(error.span().unwrap_or_default(), error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    let mut rows = Vec::new();
    for (key, value) in table.get_ref() {
        let prices = match (key.get_ref().as_ref(), value.get_ref()) {
            ("price", DeValue::Array(prices)) => prices,
            ("price", _) => return Err(at(key.span(), "rows are written as tables `[[price]]`".to_owned())),
            (other, _) => return Err(at(key.span(), format!("`{other}` is unknown; rows are `[[price]]`"))),
        };
        for (index, value) in prices.iter().enumerate() {
            let row = row(value, origin)
                .map_err(|(span, what)| at(span, format!("price {}: {what}", index + 1)))?;
            rows.push((value.span(), row));
        }
    }
    refuse_twice(&rows).map_err(|(span, what)| at(span, what))?;
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// What is wrong, and which bytes of the file are.
type Wrong = (Range<usize>, String);

/// NOTE: of two rows for the same names from the same day nobody could tell which one holds.
fn refuse_twice(rows: &[(Range<usize>, Price)]) -> Result<(), Wrong> {
    let mut seen = HashSet::new();
    for (index, (span, row)) in rows.iter().enumerate() {
        if !seen.insert((&row.model, row.matches, row.effective_from)) {
            let what = format!(
                "price {}: model: {} ({}) has a price from the same time on already",
                index + 1,
                row.model,
                row.matches.as_str()
            );
            return Err((span.clone(), what));
        }
    }
    Ok(())
}

fn row(value: &Value<'_>, origin: Origin) -> Result<Price, Wrong> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err((value.span(), "is not a table".to_owned()));
    };
    let mut raw = Raw::default();
    for (key, value) in table {
        let told = raw.set(key.get_ref(), value);
        told.map_err(|(span, what)| (span, format!("{}: {what}", key.get_ref())))?;
    }
    raw.checked(origin).map_err(|what| (value.span(), what))
}

/// A row as it is written.
#[derive(Default)]
struct Raw {
    provider: Option<String>,
    model: Option<String>,
    matches: Option<Matches>,
    effective_from: Option<Time>,
    effective_to: Option<Time>,
    rates: Rates,
    long_context: Option<LongContext>,
    is_unchecked: bool,
}

impl Raw {
    fn set(&mut self, field: &str, value: &Value<'_>) -> Result<(), Wrong> {
        match field {
            "provider" => self.provider = Some(word(value)?),
            "model" => self.model = Some(word(value)?),
            "match" => self.matches = Some(matches(value)?),
            "effective_from" => self.effective_from = Some(time(value)?),
            "effective_to" => self.effective_to = Some(time(value)?),
            "long_context" => self.long_context = Some(long_context(value)?),
            "unchecked" => self.is_unchecked = boolean(value)?,
            rate => *rate_of(&mut self.rates, rate).ok_or_else(|| unknown(value))? = Some(number(value)?),
        }
        Ok(())
    }

    fn checked(self, origin: Origin) -> Result<Price, String> {
        let model = self.model.ok_or("model: is missing")?;
        let matches = self.matches.unwrap_or(Matches::Model);
        let model = match matches {
            Matches::Exact => model.to_ascii_lowercase(),
            Matches::Model | Matches::Family => plain_name(&model),
        };
        if model.is_empty() {
            return Err("model: names no model".to_owned());
        }
        if let (Some(from), Some(to)) = (self.effective_from, self.effective_to)
            && to <= from
        {
            return Err("effective_to: is not after effective_from".to_owned());
        }
        if self.rates == Rates::default() {
            return Err("input: is missing, and so is every other rate".to_owned());
        }
        Ok(Price {
            provider: self.provider.unwrap_or_default(),
            model,
            matches,
            effective_from: self.effective_from,
            effective_to: self.effective_to,
            rates: self.rates,
            long_context: self.long_context,
            trust: if self.is_unchecked { Trust::Unchecked } else { Trust::Checked },
            origin,
        })
    }
}

fn rate_of<'r>(rates: &'r mut Rates, field: &str) -> Option<&'r mut Option<f64>> {
    match field {
        "input" => Some(&mut rates.input),
        "output" => Some(&mut rates.output),
        "cache_write_5m" => Some(&mut rates.cache_write_5m),
        "cache_write_1h" => Some(&mut rates.cache_write_1h),
        "cache_read" => Some(&mut rates.cache_read),
        _ => None,
    }
}

fn long_context(value: &Value<'_>) -> Result<LongContext, Wrong> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err((value.span(), "is not a table".to_owned()));
    };
    let (mut above_tokens, mut rates) = (None, Rates::default());
    for (key, value) in table {
        let field = key.get_ref().as_ref();
        let set = match field {
            "above_tokens" => whole(value).map(|tokens| above_tokens = Some(tokens)),
            rate => match rate_of(&mut rates, rate) {
                Some(rate) => number(value).map(|number| *rate = Some(number)),
                None => Err(unknown(value)),
            },
        };
        set.map_err(|(span, what)| (span, format!("{field}: {what}")))?;
    }
    let above_tokens = above_tokens.ok_or_else(|| (value.span(), "above_tokens: is missing".to_owned()))?;
    Ok(LongContext { above_tokens, rates })
}

fn unknown(value: &Value<'_>) -> Wrong {
    (value.span(), "is unknown".to_owned())
}

/// NOTE: a NUL, which a database cannot keep in text, is refused like any other control character.
fn word(value: &Value<'_>) -> Result<String, Wrong> {
    let text = value.get_ref().as_str().filter(|text| !text.is_empty() && text.len() <= 255);
    let text = text.filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned).ok_or_else(|| (value.span(), "is not a text of 1 to 255 bytes".to_owned()))
}

fn matches(value: &Value<'_>) -> Result<Matches, Wrong> {
    let found = Matches::ALL.into_iter().find(|matches| Some(matches.as_str()) == value.get_ref().as_str());
    found.ok_or_else(|| (value.span(), "is not \"model\", \"family\" or \"exact\"".to_owned()))
}

fn boolean(value: &Value<'_>) -> Result<bool, Wrong> {
    value.get_ref().as_bool().ok_or_else(|| (value.span(), "is not true or false".to_owned()))
}

/// A day is its first instant in UTC.
///
/// NOTE: nothing was sold by the token before 1970, and a database reads no year 0.
fn time(value: &Value<'_>) -> Result<Time, Wrong> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        _ => String::new(),
    };
    let whole = if text.len() == "2026-01-02".len() { format!("{text}T00:00:00Z") } else { text };
    let time = whole.parse().ok().filter(|time: &Time| time.micros() >= 0);
    time.ok_or_else(|| (value.span(), "is not a day such as 2026-01-02, nor an RFC 3339 time".to_owned()))
}

fn number(value: &Value<'_>) -> Result<f64, Wrong> {
    let number: Option<f64> = match value.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| {
        (value.span(), "is not a number of US dollars for a million tokens, 0 or more".to_owned())
    })
}

fn whole(value: &Value<'_>) -> Result<u64, Wrong> {
    let digits = value.get_ref().as_integer().filter(|integer| integer.radix() == 10);
    let number = digits.and_then(|integer| integer.as_str().parse().ok());
    let number = number.filter(|number: &u64| i64::try_from(*number).is_ok());
    number.ok_or_else(|| (value.span(), "is not a whole number of tokens".to_owned()))
}
