//! The command line of `tailwater query`: each subcommand a topic, each flag a parameter.

use clap::{Args, Subcommand, ValueEnum};

use super::{FormatArgs, examples};

/// What to read.
#[derive(Debug, Subcommand)]
pub(crate) enum QueryCommand {
    /// Agents over time
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// Systems (hosts, databases, daemons) over time
    #[command(after_help = examples::SYSTEM)]
    System(Printed<SystemArgs>),
    /// Channels over time: messages, members and reactions
    #[command(after_help = examples::CHANNELS)]
    Channels(Printed<ChannelArgs>),
    /// Tokens and what they cost, over time or by the day
    #[command(after_help = examples::TOKENS)]
    Tokens(Printed<TokenArgs>),
    /// Known losses: what is missing in the log, and why
    #[command(after_help = examples::GAPS)]
    Gaps(Printed<GapArgs>),
}

/// What to read of agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// CPU in percent of one core, averages
    #[command(after_help = examples::AGENTS_CPU)]
    Cpu(Printed<AgentSeriesArgs>),
    /// Memory, averages
    #[command(after_help = examples::AGENTS_MEM)]
    Mem(Printed<AgentSeriesArgs>),
    /// Network counters and rates
    #[command(after_help = examples::AGENTS_NET)]
    Net(Printed<AgentSeriesArgs>),
    /// Disk counters and rates
    #[command(after_help = examples::AGENTS_DISK)]
    Disk(Printed<AgentSeriesArgs>),
    /// The newest sample of each agent
    #[command(after_help = examples::AGENTS_LATEST)]
    Latest(Printed<AgentLatestArgs>),
    /// What one agent did in a range
    #[command(after_help = examples::AGENTS_SUMMARY)]
    Summary(Printed<AgentSummaryArgs>),
    /// What agents said of themselves
    #[command(after_help = examples::AGENTS_STATES)]
    States(Printed<AgentStatesArgs>),
}

/// A question, and how its answer is printed.
#[derive(Debug, Args)]
pub(crate) struct Printed<T: Args> {
    /// What to read
    #[command(flatten)]
    pub question: T,
    /// How to print it
    #[command(flatten)]
    pub format: FormatArgs,
}

/// A range of time.
#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// The start, RFC 3339 or relative such as -6h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// The end, RFC 3339 or relative
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
}

/// Flags of an agents' series.
#[derive(Debug, Args)]
pub(crate) struct AgentSeriesArgs {
    /// When; the last hour
    #[command(flatten)]
    pub range: RangeArgs,
    /// The length of a bucket: 30s, 5m, 1h, 1d, … [default: 5m]
    #[arg(long, value_name = "LENGTH")]
    pub interval: Option<String>,
    /// Rows for empty buckets too
    #[arg(long)]
    pub fill: bool,
    /// Which agents
    #[command(flatten)]
    pub filter: AgentFilterArgs,
}

/// Flags of `latest`.
#[derive(Debug, Args)]
pub(crate) struct AgentLatestArgs {
    /// When; the last 24 hours
    #[command(flatten)]
    pub range: RangeArgs,
    /// Which agents
    #[command(flatten)]
    pub filter: AgentFilterArgs,
}

/// Flags of `summary`.
#[derive(Debug, Args)]
pub(crate) struct AgentSummaryArgs {
    /// The agent's name
    pub agent: String,
    /// When; the last hour
    #[command(flatten)]
    pub range: RangeArgs,
}

/// Flags of `states`.
#[derive(Debug, Args)]
pub(crate) struct AgentStatesArgs {
    /// When; the last 24 hours
    #[command(flatten)]
    pub range: RangeArgs,
    /// How many at the most, the newest [default: 1000]
    #[arg(long, value_name = "N")]
    pub limit: Option<String>,
    /// Which agents
    #[command(flatten)]
    pub filter: AgentFilterArgs,
}

/// Which agents; every list is comma-separated.
#[derive(Debug, Args)]
pub(crate) struct AgentFilterArgs {
    /// Only these agents, comma-separated
    #[arg(long, value_name = "NAMES")]
    pub agent: Option<String>,
    /// Only these roles, comma-separated
    #[arg(long, value_name = "ROLES")]
    pub role: Option<String>,
    /// Only these tools, comma-separated
    #[arg(long, value_name = "TOOLS")]
    pub tool: Option<String>,
    /// Only these runtimes, comma-separated
    #[arg(long, value_name = "RUNTIMES")]
    pub runtime: Option<String>,
    /// Only these states, comma-separated
    #[arg(long, value_name = "STATES")]
    pub state: Option<String>,
    /// Only these hosts, comma-separated
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
}

/// Flags of a systems' series.
#[derive(Debug, Args)]
pub(crate) struct SystemArgs {
    /// What to show in the table; JSON and CSV carry everything
    #[arg(value_enum)]
    pub metric: Metric,
    /// When; the last hour
    #[command(flatten)]
    pub range: RangeArgs,
    /// The length of a bucket: 30s, 5m, 1h, 1d, … [default: 5m]
    #[arg(long, value_name = "LENGTH")]
    pub interval: Option<String>,
    /// Rows for empty buckets too
    #[arg(long)]
    pub fill: bool,
    /// Only these systems, comma-separated
    #[arg(long, value_name = "NAMES")]
    pub system: Option<String>,
    /// Only these hosts, comma-separated
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
}

/// Flags of a channels' series.
#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// When; the last hour
    #[command(flatten)]
    pub range: RangeArgs,
    /// The length of a bucket: 30s, 5m, 1h, 1d, … [default: 5m]
    #[arg(long, value_name = "LENGTH")]
    pub interval: Option<String>,
    /// Rows for empty buckets too
    #[arg(long)]
    pub fill: bool,
    /// Only these channels, comma-separated
    #[arg(long, value_name = "NAMES")]
    pub channel: Option<String>,
    /// Only these hosts, comma-separated
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
}

/// Flags of `tokens`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// When; the last hour
    #[command(flatten)]
    pub range: RangeArgs,
    /// The length of a bucket: 30s, 5m, 1h, 1d, …; all: one row for the whole range [default: 5m]
    #[arg(long, value_name = "LENGTH", conflicts_with = "day")]
    pub interval: Option<String>,
    /// One row for each day
    #[arg(long)]
    pub day: bool,
    /// Whose days: a time zone such as Europe/Berlin [default: this machine's, else UTC]
    #[arg(long, value_name = "ZONE", requires = "day")]
    pub tz: Option<String>,
    /// What has rows of its own, comma-separated: agent, model, host; or none [default: all three]
    #[arg(long, value_name = "KEYS")]
    pub by: Option<String>,
    /// Only these agents, comma-separated
    #[arg(long, value_name = "NAMES")]
    pub agent: Option<String>,
    /// Only these models, comma-separated
    #[arg(long, value_name = "NAMES")]
    pub model: Option<String>,
    /// Only these hosts, comma-separated
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
    /// Only these tools, comma-separated
    #[arg(long, value_name = "TOOLS")]
    pub tool: Option<String>,
}

/// Flags of `gaps`.
#[derive(Debug, Args)]
pub(crate) struct GapArgs {
    /// When; the last 24 hours
    #[command(flatten)]
    pub range: RangeArgs,
    /// How many at the most, the newest [default: 1000]
    #[arg(long, value_name = "N")]
    pub limit: Option<String>,
    /// Only these hosts, comma-separated
    #[arg(long, value_name = "HOSTS")]
    pub host: Option<String>,
}

/// What a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// CPU in percent of one core, averages
    Cpu,
    /// Memory, averages
    Mem,
    /// Network counters and rates
    Net,
    /// Disk counters and rates
    Disk,
}
