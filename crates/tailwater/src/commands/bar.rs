//! Bars on the terminal that show how far long work is.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};

use indicatif::{HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};

/// A bar that counts events; nothing where there is no terminal.
#[must_use]
pub(crate) fn of_events() -> ProgressBar {
    styled("{bar:30} {human_pos}/{human_len} events, {pace}, {eta} to go", Some(0))
}

/// A bar of work that counts one thing first and then another.
#[must_use]
pub(crate) fn of_parts() -> ProgressBar {
    styled("{bar:30} {percent} %, {eta} to go", Some(0))
}

/// A bar of a table that is done piece by piece; which one is its message.
#[must_use]
pub(crate) fn of_pieces() -> ProgressBar {
    styled("{msg} {bar:30} {percent} %, {eta} to go", Some(0))
}

/// A bar that counts bytes of a whole.
#[must_use]
pub(crate) fn of_bytes(doing: &'static str, total: u64) -> ProgressBar {
    styled(
        "{msg} {bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} to go",
        Some(total),
    )
    .with_message(doing)
}

/// A counter of bytes, where nobody knows how many there are.
#[must_use]
pub(crate) fn of_unknown_bytes(doing: &'static str) -> ProgressBar {
    styled("{msg} {binary_bytes}, {binary_bytes_per_sec}", None).with_message(doing)
}

fn styled(template: &str, total: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("pace", pace));
    bar
}

/// So many a second, without a fraction.
fn pace(state: &ProgressState, text: &mut dyn Write) {
    // NOTE: a pace that cannot be written is not shown, and nothing else.
    let _ = write!(text, "{}/s", HumanFloatCount(state.per_sec().round()));
}
