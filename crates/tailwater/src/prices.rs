//! The prices of this data directory: those of the program, and `prices.toml`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::PriceRow;
use usage::prices::{Price, Prices};

/// The file that adds prices and stands over the embedded ones.
#[must_use]
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("prices.toml")
}

/// Reads them. What is wrong with the file is told in one line; then the embedded ones are all there are.
pub(crate) fn load(data_dir: &Path) -> (Prices, Option<String>) {
    let path = path(data_dir);
    let read = match fs::read_to_string(&path) {
        Ok(text) => Prices::with_own(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Prices::embedded()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(prices) => (prices, None),
        Err(problem) => {
            let problem = format!("cannot use the prices of {}: {problem}", path.display());
            (Prices::embedded(), Some(problem))
        }
    }
}

/// The rows for a database. A bad file is warned of, and the embedded prices are taken alone.
pub(crate) fn rows(data_dir: &Path) -> Arc<[PriceRow]> {
    let (prices, problem) = load(data_dir);
    if let Some(problem) = problem {
        tracing::warn!(
            "{problem}; only the embedded ones count until it is mended and the program started again"
        );
    }
    prices.rows().iter().map(row).collect()
}

fn row(price: &Price) -> PriceRow {
    let rates = price.rates;
    PriceRow {
        provider: price.provider.to_string(),
        model: price.model.to_string(),
        covers: price.covers.as_str(),
        effective_from: price.effective_from,
        effective_to: price.effective_to,
        context_from: price.context_from,
        rates: [rates.input, rates.output, rates.cache_write_5m, rates.cache_write_1h, rates.cache_read],
        source: price.source.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_told_and_the_embedded_prices_stay() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()), (Prices::embedded(), None));
        fs::write(path(dir.path()), "[[price]]\nmodel = \"acme\"\ninput = 1.0\n").unwrap();
        let (prices, problem) = load(dir.path());
        assert_eq!((prices.rows().len(), problem), (Prices::embedded().rows().len() + 1, None));
        fs::write(path(dir.path()), "[[price]]\nmodel = \"acme\"\ninput = \"1\"\n").unwrap();
        let (prices, problem) = load(dir.path());
        let problem = problem.unwrap();
        assert_eq!(prices, Prices::embedded());
        assert!(problem.contains("prices.toml: line 3: ") && !problem.contains('\n'), "{problem}");
        assert_eq!(rows(dir.path()).len(), prices.rows().len());
    }
}
