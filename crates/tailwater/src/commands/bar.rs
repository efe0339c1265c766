//! Bars on the terminal that show how far long work is.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts events; nothing where there is no terminal.
#[must_use]
pub(crate) fn of_events() -> ProgressBar {
    styled("{bar:30} {human_pos}/{human_len} events, {per_sec}, {eta} to go", Some(0))
}

fn styled(template: &str, total: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
