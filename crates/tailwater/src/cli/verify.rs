//! The command line of `tailwater verify`.

use clap::Args;

use super::FormatArgs;

/// What `tailwater verify --help` tells at its end.
pub(crate) const AFTER_HELP: &str = "Examples:
  tailwater verify                                          against the database of the settings
  tailwater verify --database-url postgres://me@db/stats    against another one
  tailwater verify --mend --dry-run                         what would be replayed
  tailwater verify --mend                                   replay just what is missing

The database is read in one snapshot; it may be projected into meanwhile. What a range has yet to apply is pending and no
finding. Extra rows are told and never deleted. `tailwater log verify` checks the log itself.
Exit code 1 when something is missing or extra, or the database has never seen this log; 2 when nobody can say.";

/// Flags of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Replay what is missing, and nothing else
    #[arg(long)]
    pub mend: bool,
    /// Only tell what would be replayed
    #[arg(long, requires = "mend")]
    pub dry_run: bool,
    /// How to print the answer
    #[command(flatten)]
    pub format: FormatArgs,
}
