//! The tables of the projection: for every kind its columns, its key, and the rule for two events with one key.
//! The order of the columns is the order of COPY.

use event::Kind;

/// Where events of one kind go.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
    pub(crate) key: &'static [&'static str],
    pub(crate) rule: Rule,
}

/// Which of two events with one key wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The smaller position of the same log; across logs the one that is there.
    Smaller,
    /// With a message id the larger of (final, output, sum of the others, a reported cost), then as `Smaller`; without one `Smaller`.
    Snapshot,
}

/// The columns that every table has for where a row came from.
pub(crate) const PROVENANCE: [&str; 2] = ["log_no", "position"];

/// One table for each kind, in the order of [`Kind::ALL`].
pub(crate) const TABLES: [&Table; 6] =
    [&AGENT_METRICS, &SYSTEM_METRICS, &CHANNEL_METRICS, &TOKEN_METRICS, &AGENT_STATES, &GAPS];

const AGENT_METRICS: Table = Table {
    kind: Kind::AgentSample,
    name: "agent_metrics",
    columns: &[
        "time",
        "agent_name",
        "role",
        "tool",
        "runtime",
        "state",
        "cpu_percent",
        "mem_used_bytes",
        "mem_limit_bytes",
        "mem_percent",
        "net_rx_bytes",
        "net_tx_bytes",
        "disk_read_bytes",
        "disk_write_bytes",
        "host",
        "log_no",
        "position",
    ],
    key: &["agent_name", "host", "time"],
    rule: Rule::Smaller,
};

const SYSTEM_METRICS: Table = Table {
    kind: Kind::SystemSample,
    name: "system_metrics",
    columns: &[
        "time",
        "system_name",
        "cpu_percent",
        "mem_used_bytes",
        "mem_limit_bytes",
        "mem_percent",
        "net_rx_bytes",
        "net_tx_bytes",
        "disk_read_bytes",
        "disk_write_bytes",
        "host",
        "log_no",
        "position",
    ],
    key: &["system_name", "host", "time"],
    rule: Rule::Smaller,
};

const CHANNEL_METRICS: Table = Table {
    kind: Kind::ChannelSample,
    name: "channel_metrics",
    columns: &[
        "time",
        "channel_name",
        "message_count",
        "member_count",
        "reaction_count",
        "host",
        "log_no",
        "position",
    ],
    key: &["channel_name", "host", "time"],
    rule: Rule::Smaller,
};

const TOKEN_METRICS: Table = Table {
    kind: Kind::TokenUsage,
    name: "token_metrics",
    columns: &[
        "time",
        "agent_name",
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read",
        "cache_create",
        "cost_usd",
        "tool",
        "session_id",
        "message_id",
        "cache_create_1h",
        "reasoning_tokens",
        "final",
        "host",
        "log_no",
        "position",
    ],
    key: &["agent_name", "host", "model", "time", "message_id"],
    rule: Rule::Snapshot,
};

const AGENT_STATES: Table = Table {
    kind: Kind::AgentState,
    name: "agent_states",
    columns: &[
        "time",
        "agent_name",
        "role",
        "tool",
        "runtime",
        "state",
        "started_at",
        "host",
        "log_no",
        "position",
    ],
    key: &["agent_name", "host", "time"],
    rule: Rule::Smaller,
};

const GAPS: Table = Table {
    kind: Kind::Gap,
    name: "gaps",
    columns: &["time", "from_time", "to_time", "events", "what", "reason", "host", "log_no", "position"],
    key: &["host", "time", "what"],
    rule: Rule::Smaller,
};

impl Table {
    /// Whether two events with one key are rare, so that plain COPY is worth trying.
    pub(crate) const fn keys_are_unique(&self) -> bool {
        matches!(self.rule, Rule::Smaller)
    }

    /// Straight into the table.
    pub(crate) fn copy_sql(&self) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.name, self.columns.join(", "))
    }
}
