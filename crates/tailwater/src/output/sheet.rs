//! Named rows of text, as CSV and as a table that fits the terminal.
//!
//! What does not fit goes in this order: columns without a value, columns with one value in every row, the columns that
//! the answer can spare in their order; then long texts end in `…`, down to eight letters. A line below tells it. A sheet
//! of fields has long values in several lines instead. Nothing of this is done to what is not a terminal.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

use super::screen::{Screen, Tone, tone_of_state};
use super::{csv_line, harmless, line};
use crate::cli::Format;
use crate::failure::Failure;

/// A text is not cut to less.
const TEXT_WIDTH_MIN: usize = 8;

/// A value that every row has is told with so much of it.
const REASON_WIDTH_MAX: usize = 24;

/// Between two columns.
const GAP: usize = 2;

/// Named rows of text: what a table and CSV show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// How a table looks at a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The columns that go where there is no room, the first one first; without any, long cells are wrapped.
    pub spare: &'static [&'static str],
    /// What the colour of a cell says, by its row's first cell or its column's name.
    pub tone: fn(&str, &str) -> Tone,
}

impl Default for Look {
    fn default() -> Self {
        Self { spare: &[], tone: |_, _| Tone::Plain }
    }
}

/// An answer that is one thing, or a state of several.
pub(crate) const FIELDS: Look = Look { spare: &[], tone: tone_of_state };

/// Why a column may go now.
type Reason = fn(&Sheet, usize) -> Option<String>;

/// What was done to make it fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fitted {
    sheet: Sheet,
    left_out: Vec<String>,
}

impl Sheet {
    /// Two columns, for an answer that is one thing.
    #[must_use]
    pub(crate) fn of_fields<N: Into<String>>(fields: Vec<(N, String)>) -> Self {
        let rows = fields.into_iter().map(|(name, value)| vec![name.into(), value]).collect();
        Self { columns: vec!["field".to_owned(), "value".to_owned()], rows }
    }

    /// Prints it as a table or as CSV.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn print(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Csv => {
                line(&csv_line(&self.columns))?;
                self.rows.iter().try_for_each(|row| line(&csv_line(row)))
            }
            Format::Table | Format::Json => self.show(&Screen::of_stdout(), &Look::default()),
        }
    }

    /// Prints it as a table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn show(&self, screen: &Screen, look: &Look) -> Result<(), Failure> {
        line(&self.text(screen, look))
    }

    fn text(&self, screen: &Screen, look: &Look) -> String {
        let shown: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| harmless(cell)).collect()).collect();
        let whole = Self { columns: self.columns.clone(), rows: shown };
        let Some(width) = screen.width else { return whole.table(screen, look) };
        if look.spare.is_empty() {
            return whole.table(screen, look);
        }
        let Fitted { sheet, left_out } = whole.fitted(width, look.spare);
        let mut text = sheet.table(screen, look);
        if !left_out.is_empty() {
            let told = format!("not shown: {}; --format csv has everything", left_out.join(", "));
            let lines: Vec<String> = wrapped(&told, width).iter().map(|line| screen.faint(line)).collect();
            text.push_str(&format!("\n\n{}", lines.join("\n")));
        }
        text
    }

    fn table(&self, screen: &Screen, look: &Look) -> String {
        let mut table = Table::new();
        let head = self.columns.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold));
        table.load_style(presets::NOTHING).set_header(head);
        table.add_rows(self.rows.iter().map(|row| self.cells(row, look)));
        // NOTE: this crate asks the terminal itself unless it is told; what the screen is was decided before.
        if screen.is_coloured {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        if let Some(width) = screen.width.filter(|_| look.spare.is_empty()) {
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        // NOTE: behind a coloured cell the space is not at the line's end, and would not be trimmed.
        if let Some(last) = table.column_iter_mut().last() {
            last.set_padding((1, 0));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            if self.is_numeric(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    fn cells(&self, row: &[String], look: &Look) -> Vec<Cell> {
        let is_fields = self.columns.first().is_some_and(|name| name == "field");
        let names = self.columns.iter().zip(row).map(|(column, cell)| {
            let key = if is_fields { row.first().unwrap_or(column) } else { column };
            let is_name = is_fields && column == "field";
            (cell, if is_name { Tone::Faint } else { (look.tone)(key, cell) })
        });
        names.map(|(cell, tone)| coloured(Cell::new(cell), tone)).collect()
    }

    fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.cells_of(column).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(is_number)
    }

    fn cells_of(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str)
    }

    fn width_of(&self, column: usize) -> usize {
        let name = self.columns.get(column).map_or(0, |name| name.width());
        self.cells_of(column).map(UnicodeWidthStr::width).max().unwrap_or(0).max(name)
    }

    /// The columns' widths with what lies between; the space before the first one counts.
    fn width(&self) -> usize {
        (0..self.columns.len()).map(|column| self.width_of(column) + GAP).sum::<usize>().saturating_sub(1)
    }

    fn fitted(mut self, width: usize, spare: &[&str]) -> Fitted {
        let mut left_out = Vec::new();
        let rounds: [Reason; 3] = [
            |it, column| it.cells_of(column).all(str::is_empty).then(|| "empty".to_owned()),
            |it, column| {
                it.only_value(column)
                    .map(|value| format!("{} in every row", shortened(value, REASON_WIDTH_MAX)))
            },
            |_, _| Some(String::new()),
        ];
        for goes in rounds {
            for name in spare {
                if self.width() <= width {
                    break;
                }
                let Some(column) = self.columns.iter().position(|known| known == name) else { continue };
                if let Some(why) = goes(&self, column) {
                    left_out.push(if why.is_empty() {
                        (*name).to_owned()
                    } else {
                        format!("{name} ({why})")
                    });
                    self.remove(column);
                }
            }
        }
        self.shorten(width);
        Fitted { sheet: self, left_out }
    }

    /// What every row has here; of a single row that says nothing.
    fn only_value(&self, column: usize) -> Option<&str> {
        let mut cells = self.cells_of(column);
        let first = cells.next()?;
        (self.rows.len() > 1 && cells.all(|cell| cell == first)).then_some(first)
    }

    fn remove(&mut self, column: usize) {
        self.columns.remove(column);
        for row in self.rows.iter_mut().filter(|row| column < row.len()) {
            row.remove(column);
        }
    }

    /// Cuts texts, those of the widest column first. Numbers and times are whole or not there.
    fn shorten(&mut self, width: usize) {
        while let Some(excess) = self.width().checked_sub(width).filter(|excess| *excess > 0) {
            let is_text = |column: &usize| {
                !self.is_numeric(*column) && self.columns.get(*column).is_some_and(|name| name != "time")
            };
            let longest = (0..self.columns.len()).filter(is_text).max_by_key(|column| self.width_of(*column));
            let Some(column) = longest.filter(|column| self.width_of(*column) > TEXT_WIDTH_MIN) else {
                return;
            };
            let wanted = self.width_of(column).saturating_sub(excess).max(TEXT_WIDTH_MIN);
            let before = self.width();
            let cells = self.rows.iter_mut().filter_map(|row| row.get_mut(column));
            for cell in self.columns.get_mut(column).into_iter().chain(cells) {
                *cell = shortened(cell, wanted);
            }
            if self.width() >= before {
                return;
            }
        }
    }
}

fn coloured(cell: Cell, tone: Tone) -> Cell {
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Odd => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Tone::Faint => cell.add_attribute(Attribute::Dim),
    }
}

/// `12`, `1.5 GiB`, `3.0 KiB/s`.
fn is_number(cell: &str) -> bool {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let unit = unit.strip_suffix("/s").unwrap_or(unit);
    number.parse::<f64>().is_ok() && (unit.is_empty() || unit.ends_with('B') && unit.len() <= 3)
}

/// The text in so many columns of a terminal; one that is longer ends in `…`.
#[must_use]
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if kept.width() >= width {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// The same, with its end: `a-long-na…received`.
#[must_use]
pub(crate) fn shortened_inside(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let end: String =
        shortened(&text.chars().rev().collect::<String>(), width / 2 + 1).chars().rev().collect();
    let head = shortened(text, width.saturating_sub(end.width()) + 1);
    head + end.trim_start_matches('…')
}

/// The words in lines of so many columns; one that is longer has a line to itself.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= width) {
            Some(line) => line.push_str(&format!(" {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARE: &[&str] = &["runtime", "host", "state"];

    fn sheet(columns: &[&str], rows: &[&[&str]]) -> Sheet {
        let own = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        Sheet { columns: own(columns), rows: rows.iter().map(|row| own(row)).collect() }
    }

    fn agents() -> Sheet {
        sheet(
            &["time", "agent_name", "host", "runtime", "state", "cpu_percent"],
            &[
                &["2026-01-02T03:00:00Z", "zen", "db1", "", "working", "1.50"],
                &["2026-01-02T03:05:00Z", "a-name-of-some-length", "db1", "", "", "100.00"],
            ],
        )
    }

    fn shown(sheet: &Sheet, width: Option<usize>) -> String {
        sheet.text(
            &Screen { is_terminal: true, width, is_coloured: false },
            &Look { spare: SPARE, ..Look::default() },
        )
    }

    #[test]
    fn columns_go_in_their_order_and_then_texts_are_cut() {
        let check = |width: usize, left_out: &[&str], names: [&str; 2]| {
            let fitted = agents().fitted(width, SPARE);
            assert_eq!(fitted.left_out, left_out, "{width}");
            let column = fitted.sheet.columns.iter().position(|name| name.starts_with("agent")).unwrap();
            assert_eq!(fitted.sheet.cells_of(column).collect::<Vec<_>>(), names, "{width}");
            assert!(fitted.sheet.width() <= width, "{width}: {}", fitted.sheet.width());
        };
        let long = "a-name-of-some-length";
        check(200, &[], ["zen", long]);
        check(72, &["runtime (empty)"], ["zen", long]);
        check(71, &["runtime (empty)", "host (db1 in every row)"], ["zen", long]);
        check(60, &["runtime (empty)", "host (db1 in every row)", "state"], ["zen", long]);
        check(50, &["runtime (empty)", "host (db1 in every row)", "state"], ["zen", "a-name-of-som…"]);
    }

    #[test]
    fn every_line_fits_and_what_is_missing_is_told() {
        for width in 46..90 {
            let text = shown(&agents(), Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            let told = text.split_once("\n\n").map_or("", |(_, told)| told);
            assert_eq!(told.starts_with("not shown: runtime (empty)"), width < 81, "{width} {told}");
        }
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_width() {
        let text = shown(&agents(), None);
        for cell in agents().rows.iter().flatten() {
            assert!(text.contains(cell.as_str()), "{cell} is not in {text}");
        }
        assert!(!text.contains("not shown"), "{text}");
    }

    #[test]
    fn wide_letters_count_twice() {
        for (text, width, expected) in [
            ("agent", 8, "agent"),
            ("an-agent-x", 8, "an-agen…"),
            ("代理代理代理", 8, "代理代…"),
            ("代理", 4, "代理"),
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
        ] {
            assert_eq!(shortened(text, width), expected, "{text:?}");
            assert!(shortened(text, width).width() <= width, "{text:?}");
        }
    }

    #[test]
    fn a_name_that_is_cut_inside_keeps_its_end() {
        for (text, expected) in [
            ("zen received", "zen received"),
            ("a-rather-long-name received", "a-rather…received"),
            ("代理代理代理代理代理 received", "代理代理…received"),
        ] {
            assert_eq!(shortened_inside(text, 17), expected);
            assert!(shortened_inside(text, 17).width() <= 17, "{text}");
        }
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrapped("not shown: host, a-long-one", 11), ["not shown:", "host,", "a-long-one"]);
        assert_eq!(wrapped("aaaaaa b", 3), ["aaaaaa", "b"]);
    }

    #[test]
    fn numbers_are_on_the_right() {
        for (cell, expected) in [
            ("1", true),
            ("-1.5", true),
            ("1.5 GiB", true),
            ("12 B/s", true),
            ("12 agents", false),
            ("zen", false),
        ] {
            assert_eq!(is_number(cell), expected, "{cell}");
        }
    }

    #[test]
    fn colours_are_only_there_where_they_are_wanted() {
        let look =
            Look { spare: SPARE, tone: |_, cell| if cell == "working" { Tone::Good } else { Tone::Plain } };
        let shown =
            |is_coloured| agents().text(&Screen { is_terminal: true, width: None, is_coloured }, &look);
        assert!(!shown(false).contains('\u{1b}'));
        let coloured = shown(true);
        let line = coloured.lines().find(|line| line.contains("working")).unwrap();
        assert!(line.contains("\u{1b}[38;5;10m") || line.contains("\u{1b}[32m"), "{line:?}");
    }
}
