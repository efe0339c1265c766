//! The Go package's tables: their columns, what each of their values must be to become ours, and the order of
//! their rows. What cannot be copied as it is has a reason; nothing is bent until it fits.

use event::limits::{NAME_BYTES_MAX, NUMBER_MAX, TEXT_BYTES_MAX, TIME_END, TIME_MIN};

use crate::tables::{Rule, TABLES, Table};

/// One of the Go package's tables. Ours has its name and its columns, and more.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: &'static str,
    columns: &'static [Column],
}

/// A column, by the Go package's name and ours.
#[derive(Debug)]
struct Column {
    name: &'static str,
    meaning: Meaning,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The row's time.
    Time,
    /// Part of the key.
    Name,
    /// Text that may be missing.
    Text,
    /// A measured number; null is not measured.
    Number,
    /// A measured whole number; null is not measured.
    Count,
    /// A whole number that our table has always; null adds nothing to any sum, so it becomes 0.
    Total,
}

use Meaning::{Count, Name, Number, Text, Time, Total};

const fn column(name: &'static str, meaning: Meaning) -> Column {
    Column { name, meaning }
}

/// What the Go package has.
pub(super) const SOURCES: [&Source; 4] = [
    &Source {
        name: "agent_metrics",
        columns: &[
            column("time", Time),
            column("agent_name", Name),
            column("role", Text),
            column("tool", Text),
            column("runtime", Text),
            column("state", Text),
            column("cpu_percent", Number),
            column("mem_used_bytes", Count),
            column("mem_limit_bytes", Count),
            column("mem_percent", Number),
            column("net_rx_bytes", Count),
            column("net_tx_bytes", Count),
            column("disk_read_bytes", Count),
            column("disk_write_bytes", Count),
        ],
    },
    &Source {
        name: "channel_metrics",
        columns: &[
            column("time", Time),
            column("channel_name", Name),
            column("message_count", Total),
            column("member_count", Count),
            column("reaction_count", Total),
        ],
    },
    &Source {
        name: "system_metrics",
        columns: &[
            column("time", Time),
            column("system_name", Name),
            column("cpu_percent", Number),
            column("mem_used_bytes", Count),
            column("mem_limit_bytes", Count),
            column("mem_percent", Number),
            column("net_rx_bytes", Count),
            column("net_tx_bytes", Count),
            column("disk_read_bytes", Count),
            column("disk_write_bytes", Count),
        ],
    },
    &Source {
        name: "token_metrics",
        columns: &[
            column("time", Time),
            column("agent_name", Name),
            column("model", Name),
            column("input_tokens", Total),
            column("output_tokens", Total),
            column("cache_read", Total),
            column("cache_create", Total),
            column("cost_usd", Number),
        ],
    },
];

/// How a value is kept in the table that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As ours keeps it, or narrower.
    Fits,
    /// A number with a fraction, where ours is whole.
    Fraction,
}

/// A table that was found, and how it keeps each column.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) source: &'static Source,
    shapes: Vec<Shape>,
}

impl Source {
    /// The Go package's table of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SOURCES.into_iter().find(|source| source.name == name)
    }

    /// What it is called once it is set aside.
    pub(super) fn kept_name(&self) -> String {
        format!("{}_bc", self.name)
    }

    /// Our table of the same name.
    pub(super) fn target(&self) -> Option<&'static Table> {
        TABLES.into_iter().find(|table| table.name == self.name)
    }

    /// Whether rows of one key are several calls, and not one thing told twice.
    pub(super) fn has_calls(&self) -> bool {
        self.target().is_some_and(|table| table.rule == Rule::Snapshot)
    }

    /// Holds the columns that a table has, each with its type, against those that it must have.
    ///
    /// # Errors
    /// What of it the Go package's table does not have, in words.
    pub(super) fn recognise(&'static self, found: &[(String, String)]) -> Result<Original, String> {
        let shape = |column: &Column| {
            let name = column.name;
            let of_it = found.iter().find(|(found, _)| found == name);
            let (_, type_) = of_it.ok_or_else(|| format!("it has no column {name}"))?;
            column.meaning.shape(type_).ok_or_else(|| format!("its column {name} has the type {type_}"))
        };
        let shapes = self.columns.iter().map(shape).collect::<Result<_, _>>()?;
        Ok(Original { source: self, shapes })
    }
}

impl Meaning {
    /// How a type of the server keeps it; `None` when it cannot.
    fn shape(self, type_: &str) -> Option<Shape> {
        match (self, type_) {
            (Time, "timestamptz" | "timestamp")
            | (Name | Text, "text" | "varchar" | "bpchar" | "name" | "enum")
            | (Number | Count | Total, "int2" | "int4" | "int8")
            | (Number, "float4" | "float8" | "numeric") => Some(Shape::Fits),
            (Count | Total, "float4" | "float8" | "numeric") => Some(Shape::Fraction),
            _ => None,
        }
    }
}

impl Column {
    /// The value before it is judged: no cast here can fail.
    fn raw(&self) -> String {
        match self.meaning {
            Time => format!("{}::timestamptz AS {}", self.quoted(), self.quoted()),
            Name | Text => format!("{}::text AS {}", self.quoted(), self.quoted()),
            Number | Count | Total => self.quoted(),
        }
    }

    /// The value as ours, of a row that was judged good.
    fn cast(&self) -> String {
        let name = self.quoted();
        let good = |value: &str| format!("CASE WHEN reason IS NULL THEN {value} END AS {name}");
        match self.meaning {
            Time | Name => name,
            Text => good(&format!("coalesce({name}, '')")),
            Number => good(&format!("{name}::double precision")),
            Count => good(&format!("{name}::bigint")),
            Total => good(&format!("coalesce({name}, 0)::bigint")),
        }
    }

    /// The branches of a CASE that say why the value cannot be copied.
    fn reasons(&self, shape: Shape) -> String {
        let Self { name, .. } = self;
        let value = self.quoted();
        let when = |bad: String, told: &str| format!(" WHEN {bad} THEN '{name} {told}'");
        let over = |bytes: usize| {
            when(format!("octet_length({value}) > {bytes}"), &format!("has more than {bytes} bytes"))
        };
        match self.meaning {
            Time => {
                when(format!("{value} IS NULL"), "is null")
                    + &when(format!("NOT ({IN_LIMITS})"), "is not from 2000 to 2199")
            }
            Name => {
                when(format!("{value} IS NULL"), "is null")
                    + &when(format!("{value} = ''"), "is empty")
                    + &over(NAME_BYTES_MAX)
            }
            Text => over(TEXT_BYTES_MAX),
            // NOTE: to the server NaN is greater than any number.
            Number => when(
                format!("NOT ({value} >= 0 AND {value} <= {NUMBER_MAX:e})"),
                &format!("is not a number from 0 to {NUMBER_MAX:e}"),
            ),
            Count | Total => {
                let is_whole = match shape {
                    Shape::Fits => String::new(),
                    Shape::Fraction => {
                        format!(" AND {value} < 9223372036854775807 AND {value} = trunc({value})")
                    }
                };
                when(format!("NOT ({value} >= 0{is_whole})"), "is not a whole number from 0")
            }
        }
    }

    /// NOTE: `time` and `role` are words of SQL.
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name)
    }
}

/// NOTE: the limits of an event's time, as the server writes them; a test compares.
const IN_LIMITS: &str = "\"time\" >= '2000-01-01 00:00:00+00' AND \"time\" < '2200-01-01 00:00:00+00'";

/// The times that a statement is about: `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: event::Time,
    pub(super) to: event::Time,
}

impl Window {
    /// Every time that an event may have.
    pub(super) const ALL: Self = Self { from: TIME_MIN, to: TIME_END };
}

impl Original {
    /// Every row of a table, its values unjudged; with `reason` why it cannot be copied, null when it can.
    pub(super) fn judged(&self, table: &str, window: Option<Window>) -> String {
        let columns = self.source.columns;
        let raw: Vec<String> = columns.iter().map(Column::raw).collect();
        let reasons = columns.iter().zip(&self.shapes).map(|(column, shape)| column.reasons(*shape));
        let within = window.map_or_else(String::new, |Window { from, to }| {
            format!("WHERE \"time\"::timestamptz >= '{from}' AND \"time\"::timestamptz < '{to}'")
        });
        format!(
            "SELECT *, CASE{reasons} END AS reason FROM (SELECT {raw} FROM {table} {within}) AS raw",
            reasons = reasons.collect::<String>(),
            raw = raw.join(", "),
        )
    }

    /// The same with `place`, its row's number in the window, and `nth`, its number among those of one key.
    pub(super) fn ranked(&self, table: &str, window: Option<Window>) -> String {
        format!(
            "SELECT *, row_number() OVER (ORDER BY {order}) AS place,
                 row_number() OVER (PARTITION BY {key}, reason IS NULL ORDER BY {order}) AS nth
             FROM ({judged}) AS judged",
            order = self.order(),
            key = self.source.key().join(", "),
            judged = self.judged(table, window),
        )
    }

    /// What is staged of a row: its columns as ours, `is_filled` where a null became 0, and where it stands.
    pub(super) fn staged(&self, table: &str, window: Window) -> String {
        let cast: Vec<String> = self.source.columns.iter().map(Column::cast).collect();
        let totals = self.source.columns.iter().filter(|column| column.meaning == Total);
        let is_filled: String = totals.map(|column| format!(" OR {} IS NULL", column.quoted())).collect();
        format!(
            "SELECT {}, false{is_filled} AS is_filled, reason, place, nth FROM ({}) AS ranked",
            cast.join(", "),
            self.ranked(table, Some(window)),
        )
    }

    /// By time, then by name; of the rows of one key the largest first, compared column by column, null smallest:
    /// so what was measured comes before what was not.
    fn order(&self) -> String {
        let by = |column: &Column| match column.meaning {
            Time => column.quoted(),
            Name => format!("{} COLLATE \"C\"", column.quoted()),
            Text => format!("{} COLLATE \"C\" DESC NULLS LAST", column.quoted()),
            Number | Count | Total => format!("{} DESC NULLS LAST", column.quoted()),
        };
        self.source.columns.iter().map(by).collect::<Vec<_>>().join(", ")
    }
}

impl Source {
    /// The Go package's columns.
    pub(super) fn columns(&self) -> Vec<String> {
        self.columns.iter().map(Column::quoted).collect()
    }

    /// The columns by which rows are of one series and one time.
    fn key(&self) -> Vec<String> {
        let key = self.columns.iter().filter(|column| matches!(column.meaning, Time | Name));
        key.map(Column::quoted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_one_of_ours_and_every_key_too() {
        for source in SOURCES {
            let target = source.target().expect("a table of ours");
            for column in source.columns {
                assert!(target.columns.contains(&column.name), "{}.{}", source.name, column.name);
            }
            let key = source.columns.iter().filter(|it| matches!(it.meaning, Time | Name));
            for column in key {
                assert!(target.key.contains(&column.name), "{}.{}", source.name, column.name);
            }
        }
    }

    #[test]
    fn the_limits_are_those_of_events() {
        let limits = format!("\"time\" >= '{TIME_MIN}' AND \"time\" < '{TIME_END}'");
        let as_server = limits.replace('T', " ").replace(".000000Z", "+00");
        assert_eq!(IN_LIMITS, as_server);
    }

    #[test]
    fn what_a_table_lacks_is_named() {
        let source = Source::named("channel_metrics").expect("a table");
        let mut found: Vec<(String, String)> =
            source.columns.iter().map(|column| (column.name.to_owned(), "int8".to_owned())).collect();
        assert_eq!(source.recognise(&found).unwrap_err(), "its column time has the type int8");
        found[0].1 = "timestamp".to_owned();
        found[1].1 = "varchar".to_owned();
        found[4].1 = "numeric".to_owned();
        let original = source.recognise(&found).expect("the Go package's");
        assert_eq!(original.shapes[4], Shape::Fraction);
        found.remove(3);
        assert_eq!(source.recognise(&found).unwrap_err(), "it has no column member_count");
    }
}
