//! The command line of `tailwater record`: events from standard input, or one that flags spell out.
//!
//! What flags say becomes the JSON object that a line would be, and goes the same way: one reader judges both.

use clap::{Args, Subcommand};
use serde::Serialize;

pub(crate) const AFTER_HELP: &str = "Examples:
  echo '{\"kind\":\"agent_state\",\"time\":\"2026-01-02T03:04:05Z\",\"agent_name\":\"zen\",\"state\":\"working\"}' \\
    | tailwater record
  tailwater record state --agent zen --state working

Prints {\"accepted\":N,\"first_position\":A,\"last_position\":B} after the acknowledgement that log.sync promises.
A bad line refuses the whole request, unless --skip-invalid.";

/// Flags of `record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Record the valid lines and count the others
    #[arg(long)]
    pub skip_invalid: bool,
    /// One event instead of standard input.
    #[command(subcommand)]
    pub event: Option<EventFlags>,
}

/// One event, by flags; the field `kind` of its JSON object is the variant.
#[derive(Debug, Subcommand, Serialize)]
#[serde(tag = "kind")]
pub(crate) enum EventFlags {
    /// A sample of an agent
    #[command(after_help = "Example:
  tailwater record agent --agent zen --cpu-percent 12.5 --mem-used-bytes 734003200")]
    #[serde(rename = "agent_sample")]
    Agent(AgentFlags),
    /// A sample of a system, such as a database
    #[command(after_help = "Example:
  tailwater record system --system db --cpu-percent 3")]
    #[serde(rename = "system_sample")]
    System(SystemFlags),
    /// What happened in a channel since its last sample
    #[command(after_help = "Example:
  tailwater record channel --channel general --messages 4 --reactions 1 --members 12")]
    #[serde(rename = "channel_sample")]
    Channel(ChannelFlags),
    /// The tokens of a model call
    #[command(after_help = "Example:
  tailwater record token --agent zen --model some-model --input-tokens 1200 --output-tokens 80 --message-id msg_1

Counts are disjoint: input has no cache in it. A call that is told again under its message id counts once.")]
    #[serde(rename = "token_usage")]
    Token(TokenFlags),
    /// What an agent does now; for its hooks
    #[command(after_help = "Example:
  tailwater record state --agent zen --state working")]
    #[serde(rename = "agent_state")]
    State(StateFlags),
}

/// When and where.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Whence {
    /// When, RFC 3339; now unless given
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// On which host; this one unless given
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// What is measured; what is not given is unknown.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Measures {
    /// CPU; 100 is one core
    #[arg(long, value_name = "PERCENT", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Memory in use
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_used_bytes: Option<u64>,
    /// Memory that may be used
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit_bytes: Option<u64>,
    /// Memory in use, of that
    #[arg(long, value_name = "PERCENT", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_percent: Option<f64>,
    /// Bytes received since it began
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_rx_bytes: Option<u64>,
    /// Bytes sent since it began
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_tx_bytes: Option<u64>,
    /// Bytes read from disks since it began
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes: Option<u64>,
    /// Bytes written to disks since it began
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_write_bytes: Option<u64>,
}

/// Which agent, and what kind of one.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Agent {
    /// The agent
    #[arg(long = "agent", value_name = "NAME")]
    pub agent_name: String,
    /// Its role
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its coding tool
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What it runs in
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

/// Flags of `record agent`.
#[derive(Debug, Args, Serialize)]
pub(crate) struct AgentFlags {
    #[command(flatten)]
    #[serde(flatten)]
    pub agent: Agent,
    /// What it does: idle, working, done, stuck, error or stopped
    #[arg(long, value_name = "STATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub measures: Measures,
    #[command(flatten)]
    #[serde(flatten)]
    pub whence: Whence,
}

/// Flags of `record system`.
#[derive(Debug, Args, Serialize)]
pub(crate) struct SystemFlags {
    /// The system
    #[arg(long = "system", value_name = "NAME")]
    pub system_name: String,
    #[command(flatten)]
    #[serde(flatten)]
    pub measures: Measures,
    #[command(flatten)]
    #[serde(flatten)]
    pub whence: Whence,
}

/// Flags of `record channel`.
#[derive(Debug, Args, Serialize)]
pub(crate) struct ChannelFlags {
    /// The channel
    #[arg(long = "channel", value_name = "NAME")]
    pub channel_name: String,
    /// Messages since the last sample
    #[arg(long = "messages", value_name = "N")]
    pub message_count: u64,
    /// Reactions since the last sample
    #[arg(long = "reactions", value_name = "N", default_value_t = 0)]
    pub reaction_count: u64,
    /// Members now
    #[arg(long = "members", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_count: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub whence: Whence,
}

/// Flags of `record token`.
#[derive(Debug, Args, Serialize)]
pub(crate) struct TokenFlags {
    /// The agent
    #[arg(long = "agent", value_name = "NAME")]
    pub agent_name: String,
    /// The model
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// Tokens of the prompt, without what came from the cache or went into it
    #[arg(long, value_name = "N")]
    pub input_tokens: u64,
    /// Tokens of the answer
    #[arg(long, value_name = "N")]
    pub output_tokens: u64,
    /// Tokens read from the cache
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cache_read: u64,
    /// Tokens written to the cache
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cache_create: u64,
    /// Those of them that stay for an hour
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub cache_create_1h: u64,
    /// Tokens of the answer that were reasoning
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub reasoning_tokens: u64,
    /// What the call cost, as the tool reports it
    #[arg(long, value_name = "USD", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The coding tool
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The tool's session
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The call's message, by which it is known again
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The counts are the last ones of this call
    #[arg(long = "final")]
    #[serde(rename = "final")]
    pub is_final: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub whence: Whence,
}

/// Flags of `record state`.
#[derive(Debug, Args, Serialize)]
pub(crate) struct StateFlags {
    #[command(flatten)]
    #[serde(flatten)]
    pub agent: Agent,
    /// What it does: idle, working, done, stuck, error or stopped
    #[arg(long, value_name = "STATE")]
    pub state: String,
    /// When it was started, RFC 3339
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub whence: Whence,
}

/// NOTE: JSON has no word for the others, and would leave them out.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("is no finite number".to_owned()) }
}
