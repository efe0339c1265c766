//! What commands print: answers on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::Format;
use crate::failure::Failure;

/// Prints a line of an answer. A reader that has gone away (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::error(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints whole lines as they come.
///
/// # Errors
/// When standard output cannot be written; [`Failure::unread`] when its reader has gone away.
pub(crate) fn lines(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::unread(),
        _ => Failure::error(format!("cannot write to standard output: {error}")),
    })
}

/// Tells a person something beside the answer.
pub(crate) fn notice(text: &str) {
    // NOTE: it may quote what an engine or a database has said. A standard error that is closed cannot be told of.
    let shown: Vec<String> = text.split('\n').map(harmless).collect();
    let _ = writeln!(io::stderr().lock(), "{}", shown.join("\n"));
}

/// Prints an answer as JSON in one line.
///
/// # Errors
/// When it cannot be encoded or written.
pub(crate) fn json(answer: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(answer)
        .map_err(|error| Failure::error(format!("cannot encode the answer: {error}")))?;
    line(&text)
}

/// Named rows of text: what a table and CSV show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
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
            Format::Table | Format::Json => line(&self.table()),
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| harmless(cell)));
        table.load_style(presets::NOTHING).set_header(&self.columns).add_rows(rows);
        if io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            let cells = || self.rows.iter().filter_map(|row| row.get(index)).filter(|cell| !cell.is_empty());
            if cells().next().is_some() && cells().all(|cell| cell.parse::<f64>().is_ok()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }
}

/// Text from anywhere for a terminal: control characters are escaped, they could move the cursor or worse.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown
}

/// One line of CSV (RFC 4180).
pub(crate) fn csv_line(cells: &[String]) -> String {
    cells.iter().map(|cell| query::csv_cell(cell)).collect::<Vec<_>>().join(",")
}

/// Bytes for people.
#[must_use]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    if value < 1024.0 {
        return format!("{count} B");
    }
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// A number with its noun: "1 event", "2,000 events".
#[must_use]
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A count for people: 1,234,567.
#[must_use]
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn bytes_have_units() {
        for (number, text) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (64 << 20, "64.0 MiB")] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(harmless("a\u{1b}[31mred\u{7}\nb"), "a\\u{1b}[31mred\\u{7}\\nb");
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let cells = ["a", "b,c", "d\"e", ""].map(str::to_owned);
        assert_eq!(csv_line(&cells), "a,\"b,c\",\"d\"\"e\",");
    }
}
