//! The command line of what describes the command line: completions and man pages.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

pub(crate) const COMPLETIONS_HELP: &str = "\
Examples:
  tailwater completions bash > ~/.local/share/bash-completion/completions/tailwater
  tailwater completions zsh > ~/.zfunc/_tailwater                    with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  tailwater completions fish > ~/.config/fish/completions/tailwater.fish";

pub(crate) const MAN_HELP: &str = "\
Examples:
  tailwater man | man -l -                              the page of tailwater
  tailwater man --dir ~/.local/share/man/man1           a page for each command; `man tailwater-query-agents-cpu`";

/// Flags of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Whose
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Flags of `man`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder for a page of each command; it is made where it is not there
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
