//! What calls cost, for whoever holds a log: the embedded prices and those of the data directory's `prices.toml`.
//!
//! NOTE: a file that is not understood is left out as a whole and told; nothing that records or projects waits for it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use event::HostName;
use store::{ModelPrice, PriceList, PriceSource};
use usage::prices::{Origin, Price, Prices, Rates, Trust};

use crate::failure::chain;

/// The owner's prices, in the data directory.
pub(crate) const FILE: &str = "prices.toml";

/// What became of the owner's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnFile {
    /// There is none.
    Absent,
    /// It has so many rows.
    Read(usize),
    /// It is left out, and why: one line.
    Refused(String),
}

/// The prices that are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    /// The rows.
    pub prices: Prices,
    /// What became of the owner's.
    pub own: OwnFile,
}

impl Known {
    /// Reads the prices of a data directory.
    #[must_use]
    pub(crate) fn of(data_dir: &Path) -> Self {
        let embedded = Prices::embedded().unwrap_or_default();
        let path = data_dir.join(FILE);
        let refused = |what: String| OwnFile::Refused(format!("{}: {what}", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Self { prices: embedded, own: OwnFile::Absent };
            }
            Err(error) => return Self { prices: embedded, own: refused(format!("cannot be read: {error}")) },
        };
        match embedded.clone().with_own(&text) {
            Ok(prices) => {
                let own = OwnFile::Read(prices.rows().len() - embedded.rows().len());
                Self { prices, own }
            }
            Err(error) => Self { prices: embedded, own: refused(chain(&error)) },
        }
    }

    /// What is wrong with the owner's file.
    #[must_use]
    pub(crate) fn problem(&self) -> Option<&str> {
        match &self.own {
            OwnFile::Refused(problem) => Some(problem),
            OwnFile::Absent | OwnFile::Read(_) => None,
        }
    }

    /// What an operator should know of these prices of a data directory: that the owner's are left out, or not the
    /// ones that the file has now.
    #[must_use]
    pub(crate) fn warning(&self, data_dir: &Path) -> Option<String> {
        if *self != Self::of(data_dir) {
            let path = data_dir.join(FILE);
            return Some(format!("{} has changed since: start tailwater again to take it", path.display()));
        }
        self.problem().map(|problem| format!("the embedded prices alone hold: {problem}"))
    }

    /// The rows for the database of a log with this host.
    #[must_use]
    pub(crate) fn list(&self, host: &HostName) -> Arc<PriceList> {
        Arc::new(PriceList { host: host.to_string(), rows: self.prices.rows().iter().map(row).collect() })
    }
}

/// The embedded rows alone, for who has no log.
#[must_use]
pub(crate) fn embedded_list() -> PriceList {
    let prices = Prices::embedded().unwrap_or_default();
    PriceList { host: String::new(), rows: prices.rows().iter().map(row).collect() }
}

fn row(price: &Price) -> ModelPrice {
    ModelPrice {
        provider: price.provider.clone(),
        model: price.model.clone(),
        matches: price.matches.as_str(),
        effective_from: price.effective_from,
        effective_to: price.effective_to,
        rates: rates(&price.rates),
        long_context_above_tokens: price.long_context.map(|long| long.above_tokens),
        long_rates: price.long_context.map_or([None; 5], |long| rates(&long.rates)),
        source: match price.origin {
            Origin::Embedded => PriceSource::Embedded,
            Origin::Own => PriceSource::Own,
        },
        is_checked: price.trust == Trust::Checked,
    }
}

fn rates(rates: &Rates) -> [Option<f64>; 5] {
    [rates.input, rates.output, rates.cache_write_5m, rates.cache_write_1h, rates.cache_read]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_understood_leaves_the_embedded_prices() {
        let dir = tempfile::tempdir().unwrap();
        let embedded = Prices::embedded().unwrap();
        assert_eq!(Known::of(dir.path()).own, OwnFile::Absent);
        let path = dir.path().join(FILE);
        std::fs::write(&path, "[[price]]\nmodel = 'm'\ninput = 1\n").unwrap();
        let known = Known::of(dir.path());
        assert_eq!(
            (known.own.clone(), known.prices.rows().len()),
            (OwnFile::Read(1), embedded.rows().len() + 1)
        );
        let list = known.list(&HostName::new("laptop".to_owned()).unwrap());
        assert_eq!((list.host.as_str(), list.rows.last().unwrap().source), ("laptop", PriceSource::Own));
        std::fs::write(&path, "[[price]]\nmodel = 'm'\ninput = 'much'\n").unwrap();
        let known = Known::of(dir.path());
        assert_eq!(known.prices, embedded);
        assert_eq!(
            known.warning(dir.path()).unwrap(),
            format!("the embedded prices alone hold: {}", known.problem().unwrap())
        );
        let changed = format!("{} has changed since: start tailwater again to take it", path.display());
        assert_eq!(Known { own: OwnFile::Read(1), ..known.clone() }.warning(dir.path()), Some(changed));
        let told = known.problem().unwrap();
        assert!(told.contains("prices.toml: line 3: price 1: input: "), "{told}");
    }
}
