//! `tailwater completions` and `tailwater man`: the command line, for shells and for `man`.

use std::fs;
use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;
use crate::output::{self, counted};

/// Prints what a shell reads to complete commands and flags.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn completions(args: CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tailwater", &mut script);
    output::lines(&String::from_utf8_lossy(&script))
}

/// Prints the page of `tailwater`, or writes the pages of all commands into a folder.
///
/// # Errors
/// When standard output or the folder cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        let (_, page) =
            page(&command).map_err(|error| Failure::error(format!("cannot make the page: {error}")))?;
        return output::lines(&page);
    };
    let failed =
        |error: io::Error| Failure::error(format!("cannot write pages into {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    let mut waiting = vec![&command];
    let mut written = 0;
    while let Some(command) = waiting.pop() {
        let (name, text) = page(command).map_err(failed)?;
        fs::write(dir.join(name), text).map_err(failed)?;
        written += 1;
        waiting.extend(command.get_subcommands());
    }
    output::line(&format!("wrote {} into {}", counted(written, "page"), dir.display()))
}

/// The name and the text of a command's page.
fn page(command: &Command) -> io::Result<(String, String)> {
    let notes = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().after_help(None::<&str>));
    let name = man.get_filename();
    let mut text = Vec::new();
    man.render(&mut text)?;
    if let Some(notes) = notes {
        // NOTE: `man` would fill the lines of examples otherwise.
        let mut below = Roff::new();
        below.control("SH", ["NOTES AND EXAMPLES"]).control("nf", []);
        for line in notes.lines() {
            below.text([roman(line)]);
        }
        below.control("fi", []);
        below.to_writer(&mut text)?;
    }
    Ok((name, String::from_utf8_lossy(&text).into_owned()))
}
