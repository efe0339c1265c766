//! The command line of `tailwater stats`.

use clap::Args;

use super::FormatArgs;

pub(crate) const AFTER_HELP: &str =
    "Agents are those of the configuration, and those that were seen or heard in the \
last 24 hours. An agent is active
while it lives and is not done, stopped or in error; utilization is the part of them that is working.
Without a daemon the answer is what the log has: the latest samples and states.

Exit code 1 when there are no agents.";

/// Flags of `stats`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatsArgs {
    /// How to print it
    #[command(flatten)]
    pub format: FormatArgs,
}
