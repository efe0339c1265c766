//! The command line of `tailwater quarantine`.

use clap::{ArgGroup, Args, Subcommand};

use super::FormatArgs;

/// What to do with the events that the database has refused.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "The quarantine is in the database, with the reason of each refusal; only the events of this log are touched.
Every one of them works with the daemon, which then does the work, and without."
)]
pub(crate) enum QuarantineCommand {
    /// Show which events are there, and why
    #[command(after_help = "Examples:
  tailwater quarantine list
  tailwater quarantine list --kind token_usage --format json | jq '.[].message'

Nothing there is good news: exit code 0, an empty list.")]
    List(ListArgs),
    /// Show one event whole
    #[command(after_help = "Example:
  tailwater quarantine show 4711

Exit code 1 when it is not in quarantine.")]
    Show(ShowArgs),
    /// Try events again, after what refused them was changed
    #[command(after_help = "Examples:
  tailwater quarantine retry --dry-run           try, tell what would land, and take it all back
  tailwater quarantine retry --sqlstate 23514    those that a CHECK has refused

What lands leaves the quarantine; what is refused again stays, with the newest reason, and makes exit code 1.")]
    Retry(RetryArgs),
    /// Give events up: the database will never have them, the log keeps them
    #[command(after_help = "Examples:
  tailwater quarantine drop --dry-run --all      how many there are
  tailwater quarantine drop --from 4711 --to 4712
  tailwater quarantine drop --all")]
    Drop(DropArgs),
}

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Only those that were refused with this SQLSTATE
    #[arg(long, value_name = "CODE")]
    pub sqlstate: Option<String>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Begin at this position
    #[arg(long, value_name = "POS")]
    pub from: Option<u64>,
    /// End before this position
    #[arg(long, value_name = "POS")]
    pub to: Option<u64>,
}

/// Flags of `quarantine list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Which events; all of them
    #[command(flatten)]
    pub which: WhichArgs,
    /// How to print them
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Flags of `quarantine show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The event's position
    pub position: u64,
    /// How to print it
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Flags of `quarantine retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Which events; all of them
    #[command(flatten)]
    pub which: WhichArgs,
    /// Take it all back at the end
    #[arg(long)]
    pub dry_run: bool,
    /// How to print the answer
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Flags of `quarantine drop`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").args(["sqlstate", "kind", "from", "to", "all"]).required(true).multiple(true))]
pub(crate) struct DropArgs {
    /// Which events
    #[command(flatten)]
    pub which: WhichArgs,
    /// All of them
    #[arg(long, conflicts_with_all = ["sqlstate", "kind", "from", "to"])]
    pub all: bool,
    /// Only tell how many would go
    #[arg(long)]
    pub dry_run: bool,
    /// How to print the answer
    #[command(flatten)]
    pub format: FormatArgs,
}
