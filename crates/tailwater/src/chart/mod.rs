//! Answers as lines: what each series has measured in each bucket. Where it has measured nothing is a gap, never 0.

mod measure;
mod page;
mod pick;
mod picture;
mod sparkline;
mod ticks;
mod unit;

use std::collections::BTreeMap;

use event::Time;
use query::{Cut, Question, TimeRange};
use serde_json::Value;

pub(crate) use measure::{COST, CPU, DISK, MEM, MEMBERS, MESSAGES, Measure, NET, REACTIONS, TOKENS};
pub(crate) use page::html;
pub(crate) use pick::SERIES_MAX;
pub(crate) use picture::{png, svg};
pub(crate) use sparkline::sparkline;
pub(crate) use unit::{Unit, brief};

/// The last day of an answer is drawn as long as most are.
const DAY_MICROS: i64 = 86_400_000_000;

/// The series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// What was measured.
    pub measure: &'static Measure,
    /// From when to when was asked.
    pub range: TimeRange,
    /// When each bucket begins.
    pub starts: Vec<Time>,
    /// When the last one ends.
    pub end: Time,
    /// The lines, by name.
    pub series: Vec<Series>,
}

/// What stands above a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heading {
    /// What it is.
    pub title: String,
    /// From when to when, how finely, from where.
    pub subtitle: String,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    /// Whose it is.
    pub name: String,
    /// What was measured, by the bucket's number; where nothing was there is no point.
    pub points: BTreeMap<usize, f64>,
}

impl Series {
    /// The greatest value.
    #[must_use]
    pub(crate) fn most(&self) -> f64 {
        self.points.values().copied().fold(0.0, f64::max)
    }
}

impl Chart {
    /// The series of an answer; `None` when the question is not about time.
    #[must_use]
    pub(crate) fn of(question: &Question, measure: &'static Measure, rows: &[Value]) -> Option<Self> {
        let (range, starts, end) = buckets(question)?;
        let numbers: BTreeMap<Time, usize> =
            starts.iter().enumerate().map(|(number, start)| (*start, number)).collect();
        let hosts = || rows.iter().filter_map(|row| row.get("host"));
        let has_hosts = hosts().any(|host| Some(host) != hosts().next());
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        for row in rows {
            let time = row.get("time").and_then(Value::as_str).and_then(|text| text.parse::<Time>().ok());
            let Some(number) = time.and_then(|time| numbers.get(&time)) else { continue };
            for (columns, word) in measure.lines {
                let name = name_of(row, word, has_hosts);
                let line = series.entry(name.clone()).or_insert_with(|| Series { name, ..Series::default() });
                if let Some(value) = sum(row, columns) {
                    *line.points.entry(*number).or_default() += value;
                }
            }
        }
        Some(Self { measure, range, starts, end, series: series.into_values().collect() })
    }

    /// The greatest value of all.
    #[must_use]
    pub(crate) fn most(&self) -> f64 {
        self.series.iter().map(Series::most).fold(0.0, f64::max)
    }
}

/// The range, the starts of its buckets, and the end of the last one.
fn buckets(question: &Question) -> Option<(TimeRange, Vec<Time>, Time)> {
    let of = |buckets: query::Buckets| {
        let starts: Vec<Time> = buckets.starts().collect();
        let end =
            starts.last().map_or(buckets.range().to(), |it| it.plus_micros(buckets.interval().micros()));
        Some((buckets.range(), starts, end))
    };
    match question {
        Question::System(asked, _) => of(asked.buckets),
        Question::Agents(asked, _) => of(asked.buckets),
        Question::Channels(asked, _) => of(asked.buckets),
        Question::Tokens(asked) => match &asked.cut {
            Cut::Buckets(buckets) => of(*buckets),
            Cut::Days(days) => {
                let starts = days.starts().to_vec();
                let end = starts.last().map_or(days.range().to(), |day| day.plus_micros(DAY_MICROS));
                Some((days.range(), starts, end))
            }
            Cut::Whole(range) => Some((*range, vec![range.from()], range.to())),
        },
        Question::Latest(_) | Question::Summary { .. } | Question::States(_) | Question::Gaps(_) => None,
    }
}

/// What tells this row's series from others: `zen`, `zen claude-sonnet-4-5`, `zen@laptop received`.
fn name_of(row: &Value, word: &str, has_hosts: bool) -> String {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let whose = ["agent_name", "system_name", "channel_name"].map(text).concat();
    let host =
        if has_hosts && !text("host").is_empty() { format!("@{}", text("host")) } else { String::new() };
    let parts = [whose + &host, text("model").to_owned(), word.to_owned()];
    let name = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    if name.is_empty() { "all".to_owned() } else { name }
}

/// The sum of what is known; `None` where nothing is.
fn sum(row: &Value, columns: &[&str]) -> Option<f64> {
    let known = columns.iter().filter_map(|column| row.get(*column)?.as_f64());
    known.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests;
