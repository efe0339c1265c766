//! The command line of `tailwater log`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArgs, examples};

/// What to do with the log.
#[derive(Debug, Subcommand)]
#[command(after_help = "Every one of them works with the daemon, which then does the work, and without.
A place is a position, which is a whole number, or a time: RFC 3339, or relative to now such as -90s, -30m, -6h, -2d.
A time chooses events by their own time, wherever they lie. Ends are exclusive.")]
pub(crate) enum LogCommand {
    /// Its identity and its size
    #[command(after_help = examples::LOG_STAT)]
    Stat(FormatArgs),
    /// Show the last events, and those that come
    #[command(after_help = "Examples:
  tailwater log tail                             the last 10 events
  tailwater log tail -f -n 0                     only what comes from now on, until Ctrl-C
  tailwater log tail --from -1h --kind gap       what is known to be lost, of the last hour
  tailwater log tail --from 1200 --format json   everything from position 1200 on, one object a line

Positions that have no events any more are a line of their own: in JSON
{\"hole\":{\"from\":A,\"to\":B,\"cause\":\"trimmed\"}}, in CSV a row of kind hole.")]
    Tail(TailArgs),
    /// Write events to standard output as NDJSON, for `log import`
    #[command(after_help = "Examples:
  tailwater log export > events.ndjson                        everything
  tailwater log export --from -1d --kind token_usage | jq .   a day of usage
  tailwater log export --from 1001 --to 2001                  a thousand positions

Every event has its host spelled out, so that it is the same event in the log of another host. Positions that have
no events any more are told on standard error, a line for each run of them.")]
    Export(ExportArgs),
    /// Append the events of an NDJSON file of any size
    #[command(after_help = "Examples:
  tailwater log import events.ndjson
  zcat events.ndjson.gz | tailwater log import
  ssh other tailwater log export | tailwater log import

The whole input is checked first: a bad line refuses all of it, unless --skip-invalid. Then it is appended in parts.
Prints {\"imported\":N,\"first_position\":A,\"last_position\":B}. An event without a host belongs to this log's host.
A database keeps an event that is imported twice once; the log keeps it twice.")]
    Import(ImportArgs),
    /// Check every record: its checksum, its event, and that no position is missing
    #[command(after_help = "Examples:
  tailwater log verify
  tailwater log verify --format json | jq .damaged

Exit code 1 when something is damaged: `tailwater log repair` puts that aside and leaves holes.")]
    Verify(FormatArgs),
    /// Put aside what cannot be read, and leave holes in its place
    #[command(after_help = "Example:
  tailwater log repair

Works on a log that does not open, too. What can be read goes into a new log, which takes as much room on the disk
again; the old files are kept in a folder that the answer names. A log without damage is left as it is.")]
    Repair(FormatArgs),
    /// Let go of old events
    #[command(after_help = "Examples:
  tailwater log trim --dry-run           what log.keep and log.max_bytes would let go of now
  tailwater log trim --before -90d       whole segments of events older than that
  tailwater log trim --before 1200000    whole segments before that position

What a database has not got yet stays, unless log.when_full is drop_oldest.")]
    Trim(TrimArgs),
    /// Give this copy of a log an identity of its own
    #[command(after_help = "Example:
  tailwater log adopt

For a log that was copied or restored beside the original: a database tells the two apart from then on, and gets the
events of this one as those of a new log.")]
    Adopt(FormatArgs),
}

/// Flags of `log tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Go on with what comes, until stopped
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with = "from")]
    pub lines: u64,
    /// Begin at this position or time
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Only these kinds, comma-separated
    #[arg(long, value_name = "KINDS")]
    pub kind: Option<String>,
    /// How to print them
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Flags of `log export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Begin at this position or time; the beginning of the log
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End before this position or time; the end of the log
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Only these kinds, comma-separated
    #[arg(long, value_name = "KINDS")]
    pub kind: Option<String>,
}

/// Flags of `log trim`.
#[derive(Debug, Args)]
pub(crate) struct TrimArgs {
    /// Let go of what lies before this position or time; unset: as log.keep and log.max_bytes say
    #[arg(long, value_name = "POS|TIME", allow_hyphen_values = true)]
    pub before: Option<String>,
    /// Only tell what would go
    #[arg(long)]
    pub dry_run: bool,
    /// How to print the answer
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Flags of `log import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    pub file: PathBuf,
    /// Import the valid lines and count the others
    #[arg(long)]
    pub skip_invalid: bool,
}
