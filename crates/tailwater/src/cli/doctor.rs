//! The command line of `tailwater doctor`.

use clap::Args;

use super::FormatArgs;

/// Flags of `doctor`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "Examples:
  tailwater doctor
  tailwater doctor --format json | jq '.[] | select(.sign != \"ok\")'

A line for each check: ok, note, warning or failure, what was found, and what to do. It changes nothing, and works with
the daemon and without, with a broken configuration, with a damaged log, and without a database.
Exit code 0 when nothing fails, also with warnings; 1 when a check fails.")]
pub(crate) struct DoctorArgs {
    /// How to print the findings
    #[command(flatten)]
    pub format: FormatArgs,
}
