//! The kinds of event, with the names and numbers by which they are known outside.

use std::fmt;

/// What sort of fact an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Resources of one agent at one time.
    AgentSample,
    /// Resources of one system (a host, a database, a daemon) at one time.
    SystemSample,
    /// Activity of one channel within one interval.
    ChannelSample,
    /// Tokens that one model call used.
    TokenUsage,
    /// What an agent says it is doing.
    AgentState,
    /// A known loss.
    Gap,
}

impl Kind {
    /// Every kind, in the order of their wire numbers.
    pub const ALL: [Self; 6] = [
        Self::AgentSample,
        Self::SystemSample,
        Self::ChannelSample,
        Self::TokenUsage,
        Self::AgentState,
        Self::Gap,
    ];

    /// The name in JSON, on the command line and in quarantine.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentSample => "agent_sample",
            Self::SystemSample => "system_sample",
            Self::ChannelSample => "channel_sample",
            Self::TokenUsage => "token_usage",
            Self::AgentState => "agent_state",
            Self::Gap => "gap",
        }
    }

    /// The number in a record. IMPORTANT: numbers are never reused, records on disk carry them.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::AgentSample => 1,
            Self::SystemSample => 2,
            Self::ChannelSample => 3,
            Self::TokenUsage => 4,
            Self::AgentState => 5,
            Self::Gap => 6,
        }
    }

    /// The kind of this wire number, if this version knows it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
