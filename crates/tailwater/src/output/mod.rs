//! What commands print: answers on standard output, everything else on standard error.

mod screen;
mod sheet;

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

pub(crate) use screen::{Screen, Tone, tone_of_state};
pub(crate) use sheet::{FIELDS, Look, Sheet, shortened, shortened_inside};

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

/// Text from anywhere for a terminal: control characters are escaped, they could move the cursor or worse.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown
}

/// A time without the fraction of its second; any other text as it is.
#[must_use]
pub(crate) fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, fraction)) if fraction.ends_with('Z') => format!("{whole}Z"),
        _ => time.to_owned(),
    }
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
