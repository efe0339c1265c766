//! What standard output is: a terminal of some width or anything else, with colours or without.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size_of};

/// Where an answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Whether a person looks at it.
    pub is_terminal: bool,
    /// How many columns it has, where that is known. Nothing is cut for anything but a terminal.
    pub width: Option<usize>,
    /// Whether colours are wanted.
    pub is_coloured: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Odd,
    /// Something is wrong.
    Bad,
    /// Of little interest.
    Faint,
}

impl Screen {
    /// What standard output is.
    #[must_use]
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let size = terminal_size_of(&stdout).filter(|_| is_terminal);
        let width = size.map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0);
        Self { is_terminal, width, is_coloured: is_coloured(is_terminal, |name| std::env::var_os(name)) }
    }

    /// A text that is not as important as the rest.
    #[must_use]
    pub(crate) fn faint(&self, text: &str) -> String {
        self.styled(text, "2")
    }

    /// A text that is drawn rather than written.
    #[must_use]
    pub(crate) fn drawn(&self, text: &str) -> String {
        self.styled(text, "36")
    }

    fn styled(&self, text: &str, code: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// What the colour of a state says, of an agent, a sampler or a projection; other cells have none.
#[must_use]
pub(crate) fn tone_of_state(column: &str, cell: &str) -> Tone {
    let is_told = column == "state" || column == "projection" || column == "recording";
    if !is_told && !column.starts_with("agent.") && !column.starts_with("sampler.") {
        return if column.ends_with(".error") { Tone::Bad } else { Tone::Plain };
    }
    match cell.split([';', ' ']).next().unwrap_or_default() {
        "working" | "live" | "ok" => Tone::Good,
        "stuck" | "waiting" | "catching_up" => Tone::Odd,
        "error" | "halted" | "failing" | "failed" | "full" => Tone::Bad,
        "idle" | "done" | "stopped" | "disabled" | "unknown" => Tone::Faint,
        _ => Tone::Plain,
    }
}

/// `NO_COLOR` says no, else `CLICOLOR_FORCE` says yes, else a terminal does that is not dumb.
fn is_coloured(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|text| !text.is_empty());
    match () {
        () if is_set("NO_COLOR") => false,
        () if is_set("CLICOLOR_FORCE") && variable("CLICOLOR_FORCE").is_none_or(|text| text != "0") => true,
        () => is_terminal && variable("TERM").is_none_or(|text| text != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_colours_and_names_have_none() {
        for (column, cell, expected) in [
            ("state", "working", Tone::Good),
            ("state", "", Tone::Plain),
            ("agent_name", "error", Tone::Plain),
            ("agent.zen", "stuck; worker; up 1h 30m", Tone::Odd),
            ("sampler.host", "failing; error it hangs", Tone::Bad),
            ("projection", "halted", Tone::Bad),
            ("projection.error", "it is gone", Tone::Bad),
            ("projection.rate", "working", Tone::Plain),
        ] {
            assert_eq!(tone_of_state(column, cell), expected, "{column} {cell}");
        }
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        let check = |is_terminal: bool, variables: &[(&str, &str)], expected: bool| {
            let get = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, text)| OsString::from(text))
            };
            assert_eq!(is_coloured(is_terminal, get), expected, "{is_terminal} {variables:?}");
        };
        check(true, &[], true);
        check(false, &[], false);
        check(true, &[("TERM", "dumb")], false);
        check(true, &[("NO_COLOR", "")], true);
        check(true, &[("NO_COLOR", "0")], false);
        check(false, &[("CLICOLOR_FORCE", "1")], true);
        check(false, &[("CLICOLOR_FORCE", "0")], false);
        check(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false);
    }
}
