//! What a number is of, and how a person reads it.

use crate::output;

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Percent; of CPU, 100 is one core.
    Percent,
    /// Bytes, with IEC prefixes.
    Bytes,
    /// Bytes per second, with IEC prefixes.
    BytesPerSecond,
    /// Tokens.
    Tokens,
    /// US dollars.
    Dollars,
    /// Anything that is counted.
    Count,
}

impl Unit {
    /// What the numbers of a column are of, where that needs to be said.
    #[must_use]
    pub(crate) fn of_column(column: &str) -> Option<Self> {
        let is = |ending: &str| column.ends_with(ending);
        match () {
            () if is("_percent") => Some(Self::Percent),
            () if is("_bytes") => Some(Self::Bytes),
            () if is("_per_second") => Some(Self::BytesPerSecond),
            () if is("_usd") => Some(Self::Dollars),
            () => None,
        }
    }

    /// The number with its unit.
    #[must_use]
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{} %", decimal(value)),
            Self::Bytes => bytes(value, |value| format!("{value:.1}")),
            Self::BytesPerSecond => Self::Bytes.show(value) + "/s",
            Self::Dollars if value.abs() >= 1.0 || value == 0.0 => format!("${value:.2}"),
            Self::Dollars => format!("${value:.4}"),
            Self::Tokens | Self::Count => {
                let (value, prefix) = scaled(value, 1000.0, &["", "k", "M", "G", "T"]);
                decimal(value) + prefix
            }
        }
    }

    /// The number at a mark of an axis whose marks are so far apart.
    #[must_use]
    pub(crate) fn tick(self, value: f64, step: f64) -> String {
        match self {
            Self::Bytes => bytes(value, decimal),
            Self::BytesPerSecond => bytes(value, decimal) + "/s",
            Self::Dollars if step < 0.01 => format!("${value:.4}"),
            Self::Dollars => format!("${value:.2}"),
            other => other.show(value),
        }
    }

    /// The word at an axis.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Tokens => "tokens",
            Self::Dollars => "$",
            Self::Count => "count",
        }
    }
}

/// At most two digits behind the point, and no zeros at the end.
fn decimal(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bytes(value: f64, digits: impl Fn(f64) -> String) -> String {
    match scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]) {
        (value, "B") => format!("{} B", decimal(value)),
        (value, prefix) => format!("{} {prefix}", digits(value)),
    }
}

fn scaled(value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let (mut value, mut prefixes) = (value, prefixes.iter().copied().peekable());
    let mut prefix = prefixes.next().unwrap_or_default();
    while value.abs() >= base && prefixes.peek().is_some() {
        value /= base;
        prefix = prefixes.next().unwrap_or_default();
    }
    (value, prefix)
}

/// A cell of a table for a person: bytes have prefixes, times no fractions.
#[must_use]
pub(crate) fn brief(column: &str, cell: String, number: Option<f64>) -> String {
    match (Unit::of_column(column), number) {
        (Some(unit @ (Unit::Bytes | Unit::BytesPerSecond)), Some(number)) => unit.show(number),
        _ if matches!(column, "time" | "from" | "to" | "started_at") => output::to_the_second(&cell),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_unit() {
        for (unit, value, expected) in [
            (Unit::Percent, 12.0, "12 %"),
            (Unit::Percent, 99.256, "99.26 %"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, 1024.0 * 1024.0 * 1024.0, "1.0 GiB"),
            (Unit::BytesPerSecond, 512.0, "512 B/s"),
            (Unit::Tokens, 999.0, "999"),
            (Unit::Tokens, 1_250_000.0, "1.25M"),
            (Unit::Dollars, 0.0123, "$0.0123"),
            (Unit::Dollars, 12.3, "$12.30"),
            (Unit::Count, 1000.0, "1k"),
            (Unit::Count, 1e18, "1000000T"),
        ] {
            assert_eq!(unit.show(value), expected, "{unit:?} {value}");
        }
    }

    #[test]
    fn a_cell_for_a_person_is_short() {
        let check = |column: &str, cell: &str, number: Option<f64>, expected: &str| {
            assert_eq!(brief(column, cell.to_owned(), number), expected, "{column}");
        };
        check("mem_used_bytes", "1048576", Some(1_048_576.0), "1.0 MiB");
        check("mem_used_bytes", "", None, "");
        check("memory.avg_bytes", "1536.00", Some(1536.0), "1.5 KiB");
        check("net_rx_per_second", "2048.00", Some(2048.0), "2.0 KiB/s");
        check("time", "2026-01-02T03:04:05.678901Z", None, "2026-01-02T03:04:05Z");
        check("agent_name", "a.b", None, "a.b");
        check("cpu_percent", "1.50", Some(1.5), "1.50");
    }
}
