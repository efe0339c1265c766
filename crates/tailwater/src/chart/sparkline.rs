//! A series as a line of block characters, for a terminal.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::{Chart, SERIES_MAX, Series};
use crate::output::{Screen, count, harmless, shortened, shortened_inside};

const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most columns for a name.
const NAME_WIDTH_MAX: usize = 32;
/// With less for the marks, the numbers go.
const MARKS_WIDTH_MIN: usize = 16;
/// The width of a terminal that does not tell it.
const WIDTH: usize = 80;

/// The marks of a series: each from 0 to `most`, a space where nothing was measured. Where there are more buckets than
/// columns, a mark is the greatest value of several.
#[must_use]
pub(crate) fn sparkline(points: &BTreeMap<usize, f64>, buckets: usize, width: usize, most: f64) -> String {
    let marks = buckets.min(width);
    let border = |mark: usize| mark * buckets / marks.max(1);
    let mark = |number: usize| {
        let inside = points.range(border(number)..border(number + 1)).map(|(_, value)| *value);
        inside.reduce(f64::max).map_or(' ', |value| level(value, most))
    };
    (0..marks).map(mark).collect()
}

fn level(value: f64, most: f64) -> char {
    let parts = MARKS.iter().zip(1_u8..);
    let reached = parts.take_while(|(_, part)| value > most * f64::from(part - 1) / 8.0).last();
    reached.map_or(MARKS[0], |(mark, _)| *mark)
}

impl Chart {
    /// The series below a table; empty where one bucket is all there is.
    #[must_use]
    pub(crate) fn sparklines(&self, screen: &Screen) -> Vec<String> {
        if self.starts.len() < 2 || self.series.iter().all(|series| series.points.is_empty()) {
            return Vec::new();
        }
        let (unit, most, width) = (self.measure.unit, self.most(), screen.width.unwrap_or(WIDTH));
        let mut shown: Vec<&Series> = self.series.iter().collect();
        if shown.len() > SERIES_MAX {
            shown.sort_by(|a, b| b.most().total_cmp(&a.most()));
            shown.truncate(SERIES_MAX);
            shown.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let names: Vec<String> =
            shown.iter().map(|it| shortened_inside(&harmless(&it.name), NAME_WIDTH_MAX)).collect();
        let name_width = names.iter().map(|name| name.width()).max().unwrap_or_default();
        let numbers: Vec<String> = shown.iter().map(|it| self.numbers(it)).collect();
        let number_width = numbers.iter().map(|text| text.width() + 2).max().unwrap_or_default();
        let room = width.saturating_sub(name_width + 3);
        let (marks, has_numbers) = match room.checked_sub(number_width) {
            Some(marks) if marks >= MARKS_WIDTH_MIN => (marks, true),
            _ => (room.max(1), false),
        };
        let told = format!(" {}, from 0 to {}", self.measure.title, unit.show(most));
        let mut lines = vec![screen.faint(&shortened(&told, width))];
        for ((series, name), numbers) in shown.iter().zip(names).zip(numbers) {
            let line = sparkline(&series.points, self.starts.len(), marks, most);
            let space = " ".repeat(name_width - name.width());
            let marks = screen.drawn(&line);
            let behind = if has_numbers { format!("  {}", screen.faint(&numbers)) } else { String::new() };
            lines.push(format!(" {name}{space}  {marks}{behind}"));
        }
        if let Some(more) = self.series.len().checked_sub(SERIES_MAX).filter(|more| *more > 0) {
            lines.push(screen.faint(&format!(" and {} more with less", count(more as u64))));
        }
        lines
    }

    fn numbers(&self, series: &Series) -> String {
        let last = series.points.values().next_back();
        let show = |value: f64| self.measure.unit.show(value);
        last.map(|last| format!("max {}, last {}", show(series.most()), show(*last))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_from_nothing_to_the_most_and_gaps_are_spaces() {
        let check = |values: &[Option<f64>], width: usize, most: f64, expected: &str| {
            let points = values.iter().enumerate().filter_map(|(number, value)| Some((number, (*value)?)));
            assert_eq!(sparkline(&points.collect(), values.len(), width, most), expected, "{values:?}");
        };
        let all: Vec<Option<f64>> = (0..=8).map(|number| Some(f64::from(number))).collect();
        check(&all, 20, 8.0, "▁▁▂▃▄▅▆▇█");
        check(&[Some(0.0), None, Some(50.0), Some(100.0)], 20, 100.0, "▁ ▄█");
        check(&[Some(0.0), Some(0.0)], 20, 0.0, "▁▁");
        check(&[None, None], 20, 0.0, "  ");
        check(&[Some(1.0), Some(8.0), None, None, Some(2.0), Some(1.0)], 3, 8.0, "█ ▂");
        check(&[Some(8.0), None, None, None, Some(1.0)], 2, 8.0, "█▁");
    }
}
