//! The command line of `tailwater stats`.

use clap::Args;

use super::FormatArgs;

/// Flags of `stats`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatsArgs {
    /// How to print it
    #[command(flatten)]
    pub format: FormatArgs,
}
