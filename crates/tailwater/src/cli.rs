//! The command line.

mod asked;
mod doctor;
mod examples;
mod log;
mod manual;
mod migrate;
mod plot;
mod quarantine;
mod query;
mod record;
mod replay;
mod stats;
mod top;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::config::{Origin, Overrides};

pub(crate) use asked::Asked;
pub(crate) use doctor::DoctorArgs;
pub(crate) use log::{ExportArgs, ImportArgs, LogCommand, TailArgs, TrimArgs};
pub(crate) use manual::{CompletionsArgs, ManArgs};
pub(crate) use migrate::MigrateArgs;
pub(crate) use plot::{PictureArgs, PlotCommand};
pub(crate) use quarantine::{DropArgs, ListArgs, QuarantineCommand, RetryArgs, ShowArgs, WhichArgs};
pub(crate) use query::QueryCommand;
pub(crate) use record::{EventFlags, RecordArgs};
pub(crate) use replay::ReplayArgs;
pub(crate) use stats::StatsArgs;
pub(crate) use top::TopArgs;
pub(crate) use verify::VerifyArgs;

/// A flight recorder for hosts that run AI coding agents.
///
/// Samplers append to a durable log on this host's own disk; when a database is set, the log is projected into
/// TimescaleDB or PostgreSQL, exactly once in effect, through every outage.
#[derive(Debug, Parser)]
#[command(name = "tailwater", version, max_term_width = 110, arg_required_else_help = true)]
#[command(after_help = "Examples:
  tailwater run                                         record this host; needs no database
  tailwater run --database-url postgres://me@db/stats   and project into a database
  tailwater record < events.ndjson                      append events of your own
  tailwater query agents cpu --agent zen --from -6h     read it back

Settings come from flags, TAILWATER_* variables, tailwater.toml, defaults, in this order: `tailwater config show`.
Exit codes: 0 good, 1 unhealthy or nothing found, 2 error.")]
pub(crate) struct Cli {
    /// Settings for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Settings for every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the log lives [setting data_dir]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pub data_dir: Option<String>,
    /// The database, postgres://user:password@host:5432/database [setting database.url]
    #[arg(long, global = true, value_name = "URL", help_heading = "Settings")]
    pub database_url: Option<String>,
    /// The configuration file instead of the default one
    #[arg(long, global = true, value_name = "FILE", env = "TAILWATER_CONFIG", help_heading = "Settings")]
    pub config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sample, record and project until stopped
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Append events from standard input, one JSON object a line, or one event by flags
    #[command(after_help = record::AFTER_HELP)]
    Record(Box<RecordArgs>),
    /// Project the log into the database
    #[command(after_help = examples::PROJECT)]
    Project(ProjectArgs),
    /// Apply a part of the log again, into any database
    Replay(ReplayArgs),
    /// Read what was recorded
    #[command(subcommand, after_help = examples::QUERY)]
    Query(Box<QueryCommand>),
    /// Draw what was recorded to a file: SVG, PNG, or a page to zoom in
    #[command(subcommand, after_help = examples::PLOT)]
    Plot(Box<PlotCommand>),
    /// Tell how recording and projecting are doing
    #[command(after_help = examples::STATUS)]
    Status(StatusArgs),
    /// Tell which agents there are, and how many of them do what
    #[command(after_help = examples::STATS)]
    Stats(StatsArgs),
    /// Watch the fleet in a terminal
    #[command(after_help = top::AFTER_HELP)]
    Top(TopArgs),
    /// Look at the log, copy it, bring events in
    #[command(subcommand)]
    Log(LogCommand),
    /// Look at the events that the database has refused, try them again, give them up
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Check that the database has what the log has, and nothing else of it
    #[command(after_help = verify::AFTER_HELP)]
    Verify(VerifyArgs),
    /// Look at everything that tailwater needs, and say what is odd and what to do
    Doctor(DoctorArgs),
    /// Make or upgrade the database's tables
    Migrate(MigrateArgs),
    /// Make, check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what a shell reads to complete commands and flags
    #[command(after_help = manual::COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual for `man`, or write a page for each command
    #[command(after_help = manual::MAN_HELP)]
    Man(ManArgs),
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The address of the HTTP server, such as 127.0.0.1:9470 [setting server.listen]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// How many connections fill what an outage has left, beside the live one, from 0 to 8 [setting database.backlog_lanes]
    #[arg(long, value_name = "N")]
    pub backlog_lanes: Option<String>,
    /// How many events a second they send together at the most [setting database.backlog_rate]
    #[arg(long, value_name = "EVENTS")]
    pub backlog_rate: Option<String>,
    /// How long the database keeps events, such as 90d; older ones are dropped [setting database.retention]
    #[arg(long, value_name = "LENGTH")]
    pub retention: Option<String>,
}

/// Flags of `project`.
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// Stop when everything that is in the log now is in the database
    #[arg(long)]
    pub until_head: bool,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
    /// How many connections fill what was missed, beside the live one, from 0 to 8 [setting database.backlog_lanes]
    #[arg(long, value_name = "N")]
    pub lanes: Option<String>,
    /// How many events a second they send together at the most [setting database.backlog_rate]
    #[arg(long, value_name = "EVENTS")]
    pub rate: Option<String>,
    /// How long the database keeps events, such as 90d; older ones are not sent [setting database.retention]
    #[arg(long, value_name = "LENGTH")]
    pub retention: Option<String>,
}

/// How to print an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// The flag of every reading command.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Flags of `status`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: StatusFormat,
}

/// How to print the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// Metrics, as Prometheus reads them.
    Prometheus,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented configuration file, if there is none
    #[command(after_help = examples::CONFIG_INIT)]
    Init,
    /// Check the configuration
    #[command(after_help = examples::CONFIG_CHECK)]
    Check,
    /// Print each setting with where it came from; passwords are never printed
    #[command(after_help = examples::CONFIG_SHOW)]
    Show(FormatArgs),
}

impl Cli {
    /// The settings that the flags set.
    #[must_use]
    pub(crate) fn overrides(&self) -> Overrides {
        let flag = |name, value: &Option<String>| value.clone().map(|text| (name, text));
        let (listen, lanes, rate) = match &self.command {
            Command::Run(run) => (
                flag("--listen", &run.listen),
                flag("--backlog-lanes", &run.backlog_lanes),
                flag("--backlog-rate", &run.backlog_rate),
            ),
            Command::Project(it) => (None, flag("--lanes", &it.lanes), flag("--rate", &it.rate)),
            _ => (None, None, None),
        };
        let retention = match &self.command {
            Command::Run(RunArgs { retention, .. }) | Command::Project(ProjectArgs { retention, .. }) => {
                flag("--retention", retention)
            }
            _ => None,
        };
        let flags = [
            ("data_dir", flag("--data-dir", &self.global.data_dir)),
            ("database.url", flag("--database-url", &self.global.database_url)),
            ("server.listen", listen),
            ("database.backlog_lanes", lanes),
            ("database.backlog_rate", rate),
            ("database.retention", retention),
        ];
        flags
            .into_iter()
            .filter_map(|(key, typed)| {
                let (flag, text) = typed?;
                Some((key, crate::config::RawValue { text, origin: Origin::Flag(flag.to_owned()) }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
