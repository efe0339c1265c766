//! The events themselves: plain data, one type per kind.
//!
//! NOTE: these types do not derive `Serialize`. What is stored lives in [`crate::wire`], what is sent in
//! [`crate::json`]; each converts explicitly, so that a renamed field here can never change a byte on a disk.

use std::fmt;

use crate::{Kind, Text, Time};

/// One fact with a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Resources of one agent.
    AgentSample(AgentSample),
    /// Resources of one system.
    SystemSample(SystemSample),
    /// Activity of one channel.
    ChannelSample(ChannelSample),
    /// Tokens of one model call.
    TokenUsage(TokenUsage),
    /// What an agent says it is doing.
    AgentState(AgentState),
    /// A known loss.
    Gap(Gap),
}

impl Event {
    /// The kind of this event.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::AgentSample(_) => Kind::AgentSample,
            Self::SystemSample(_) => Kind::SystemSample,
            Self::ChannelSample(_) => Kind::ChannelSample,
            Self::TokenUsage(_) => Kind::TokenUsage,
            Self::AgentState(_) => Kind::AgentState,
            Self::Gap(_) => Kind::Gap,
        }
    }

    /// When the fact was so.
    #[must_use]
    pub const fn time(&self) -> Time {
        match self {
            Self::AgentSample(event) => event.time,
            Self::SystemSample(event) => event.time,
            Self::ChannelSample(event) => event.time,
            Self::TokenUsage(event) => event.time,
            Self::AgentState(event) => event.time,
            Self::Gap(event) => event.time,
        }
    }

    /// The host it tells about; `None` is the host that the log was created on.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::AgentSample(event) => event.host.as_deref(),
            Self::SystemSample(event) => event.host.as_deref(),
            Self::ChannelSample(event) => event.host.as_deref(),
            Self::TokenUsage(event) => event.host.as_deref(),
            Self::AgentState(event) => event.host.as_deref(),
            Self::Gap(event) => event.host.as_deref(),
        }
    }

    /// The host, to be set.
    #[must_use]
    pub fn host_mut(&mut self) -> &mut Option<Text> {
        match self {
            Self::AgentSample(event) => &mut event.host,
            Self::SystemSample(event) => &mut event.host,
            Self::ChannelSample(event) => &mut event.host,
            Self::TokenUsage(event) => &mut event.host,
            Self::AgentState(event) => &mut event.host,
            Self::Gap(event) => &mut event.host,
        }
    }
}

/// The eight numbers of a sample. What could not be measured is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// CPU use in percent; 100 is one core.
    pub cpu_percent: Option<f64>,
    /// Memory in use, bytes.
    pub mem_used_bytes: Option<u64>,
    /// The most memory it may use, bytes.
    pub mem_limit_bytes: Option<u64>,
    /// Memory in use as a percentage of the limit.
    pub mem_percent: Option<f64>,
    /// Bytes received since it began; a counter that restarts at zero with it.
    pub net_rx_bytes: Option<u64>,
    /// Bytes sent since it began.
    pub net_tx_bytes: Option<u64>,
    /// Bytes read from disks since it began.
    pub disk_read_bytes: Option<u64>,
    /// Bytes written to disks since it began.
    pub disk_write_bytes: Option<u64>,
}

/// Resources of one agent at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentSample {
    /// When it was measured.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// Which agent.
    pub agent_name: Text,
    /// What it is for, such as `worker` or `coordinator`; may be empty.
    pub role: Text,
    /// The coding tool that it runs, such as `claude`; may be empty.
    pub tool: Text,
    /// What it runs in, such as `tmux` or `docker`; may be empty.
    pub runtime: Text,
    /// What it was doing.
    pub state: State,
    /// What it used.
    pub resources: Resources,
}

/// Resources of one system at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemSample {
    /// When it was measured.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// Which system.
    pub system_name: Text,
    /// What it used.
    pub resources: Resources,
}

/// Activity of one channel within the interval that ends at `time`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelSample {
    /// The end of the interval.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// Which channel.
    pub channel_name: Text,
    /// Messages within the interval.
    pub message_count: u64,
    /// Members at `time`.
    pub member_count: Option<u64>,
    /// Reactions within the interval.
    pub reaction_count: u64,
}

/// Tokens that one model call used, or a snapshot of it while it runs.
///
/// The counts are disjoint (input excludes the cache) but for two subsets: `reasoning_tokens` of
/// `output_tokens`, and `cache_create_1h` of `cache_create`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenUsage {
    /// When the call was made.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// Which agent made it.
    pub agent_name: Text,
    /// Which model answered.
    pub model: Text,
    /// The coding tool that told of it; may be empty.
    pub tool: Text,
    /// The tool's session; may be empty.
    pub session_id: Text,
    /// The provider's id of the answer; may be empty.
    pub message_id: Text,
    /// Input tokens that no cache held.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache.
    pub cache_create: u64,
    /// Of those, the ones written for an hour.
    pub cache_create_1h: u64,
    /// Of the output tokens, the ones spent on reasoning.
    pub reasoning_tokens: u64,
    /// The cost that the tool reported, US dollars.
    pub cost_usd: Option<f64>,
    /// Whether the call was over when this was told.
    pub r#final: bool,
}

/// What an agent says it is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentState {
    /// Since when.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// Which agent.
    pub agent_name: Text,
    /// What it is for; may be empty.
    pub role: Text,
    /// The coding tool that it runs; may be empty.
    pub tool: Text,
    /// What it runs in; may be empty.
    pub runtime: Text,
    /// What it is doing.
    pub state: State,
    /// When the agent began.
    pub started_at: Option<Time>,
}

/// A known loss: how many events, of what, from when to when, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gap {
    /// When it was noticed.
    pub time: Time,
    /// Where; `None` is the log's own host.
    pub host: Option<Text>,
    /// The start of what is lost.
    pub from: Time,
    /// The end of what is lost.
    pub to: Time,
    /// How many events are lost.
    pub events: u64,
    /// Of what: a sampler, a kind, a series.
    pub what: Text,
    /// Why, such as `clock_step`.
    pub reason: Text,
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Nobody said.
    #[default]
    Unknown,
    /// Waiting for work.
    Idle,
    /// At work.
    Working,
    /// Through with its work.
    Done,
    /// At work without progress.
    Stuck,
    /// Failed.
    Error,
    /// Not running.
    Stopped,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Unknown, Self::Idle, Self::Working, Self::Done, Self::Stuck, Self::Error, Self::Stopped];

    /// The word for it; empty when unknown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Done => "done",
            Self::Stuck => "stuck",
            Self::Error => "error",
            Self::Stopped => "stopped",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
