//! The command line of `tailwater replay`.

use std::num::NonZeroU32;

use clap::Args;

/// Flags of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tailwater replay --database-url postgres://me@db/fresh            the whole log, into any database
  tailwater replay --from -7d --kind token_usage --dry-run          what that would send
  tailwater replay --from 1000001 --to 2000001 --rate 5000          a million positions, gently

It first tells how many events that is, then replays them with a bar. Whatever is in the database already stays as it is,
so that a replay can be given again at any time. Stopped or killed, the same command goes on where it was; what a time
relative to now meant is told in its last line. A place is a position, which is a whole number, or a time: RFC 3339, or
relative to now such as -90s, -6h, -2d. A time chooses events by their own time, wherever they lie. Ends are exclusive.")]
pub(crate) struct ReplayArgs {
    /// Begin at this position or time; the beginning of the log
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End before this position or time; what is the end of the log now
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Only these kinds, comma-separated
    #[arg(long, value_name = "KINDS")]
    pub kind: Option<String>,
    /// How many events a second are sent at the most
    #[arg(long, value_name = "EVENTS")]
    pub rate: Option<NonZeroU32>,
    /// How many connections send them, from 1 to 8
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub lanes: u32,
    /// Only tell what would be replayed; the database is not changed, and need not be there
    #[arg(long)]
    pub dry_run: bool,
    /// Begin anew, and forget the unfinished replay of the same events
    #[arg(long)]
    pub restart: bool,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}
