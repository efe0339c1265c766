//! Rows as named values: the one source of field names for JSON, CSV and tables.

use std::fmt;

use event::Time;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not measured or not known.
    Null,
    /// A time.
    Time(Time),
    /// Text.
    Text(&'a str),
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
}

impl From<Option<u64>> for Value<'_> {
    fn from(count: Option<u64>) -> Self {
        count.map_or(Self::Null, Self::Count)
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }
}

/// As in a cell of CSV or of a table, unquoted; null is empty.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad(""),
            Self::Time(time) => f.pad(&time.to_string()),
            Self::Text(text) => f.pad(text),
            Self::Count(count) => fmt::Display::fmt(count, f),
            Self::Number(number) => fmt::Display::fmt(number, f),
        }
    }
}

/// An answer with one value for each of its columns.
pub trait Row {
    /// The names, as JSON spells them; of nested objects with a dot between, such as `cpu.avg_percent`.
    const COLUMNS: &'static [&'static str];

    /// The values, one for each column, in their order.
    fn values(&self) -> impl Iterator<Item = Value<'_>>;
}
