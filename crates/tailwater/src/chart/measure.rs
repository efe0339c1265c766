//! What of an answer is drawn.

use super::Unit;

/// What of an answer is drawn: one line for each series, or two where it has two directions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    /// What stands above it.
    pub title: &'static str,
    /// What its numbers are of.
    pub unit: Unit,
    /// The lines, each the sum of some columns, with the word that tells one from the other.
    pub lines: &'static [(&'static [&'static str], &'static str)],
    /// Whether it adds up over series and time: such numbers are bars, others lines.
    pub adds_up: bool,
}

/// CPU.
pub(crate) const CPU: Measure = Measure {
    title: "CPU, 100 % is one core",
    unit: Unit::Percent,
    lines: &[(&["cpu_percent"], "")],
    adds_up: false,
};
/// Memory.
pub(crate) const MEM: Measure =
    Measure { title: "memory used", unit: Unit::Bytes, lines: &[(&["mem_used_bytes"], "")], adds_up: false };
/// Network.
pub(crate) const NET: Measure = Measure {
    title: "network",
    unit: Unit::BytesPerSecond,
    lines: &[(&["net_rx_per_second"], "received"), (&["net_tx_per_second"], "sent")],
    adds_up: false,
};
/// Disk.
pub(crate) const DISK: Measure = Measure {
    title: "disk",
    unit: Unit::BytesPerSecond,
    lines: &[(&["disk_read_per_second"], "read"), (&["disk_write_per_second"], "written")],
    adds_up: false,
};

/// Messages of channels.
pub(crate) const MESSAGES: Measure =
    Measure { title: "messages", unit: Unit::Count, lines: &[(&["message_count"], "")], adds_up: true };
/// Reactions of channels.
pub(crate) const REACTIONS: Measure =
    Measure { title: "reactions", unit: Unit::Count, lines: &[(&["reaction_count"], "")], adds_up: true };
/// Members of channels.
pub(crate) const MEMBERS: Measure =
    Measure { title: "members", unit: Unit::Count, lines: &[(&["member_count"], "")], adds_up: false };
/// Tokens of all kinds.
pub(crate) const TOKENS: Measure = Measure {
    title: "tokens, those of the cache too",
    unit: Unit::Tokens,
    lines: &[(&["input_tokens", "output_tokens", "cache_read", "cache_create"], "")],
    adds_up: true,
};
/// What tokens cost.
pub(crate) const COST: Measure =
    Measure { title: "cost of tokens", unit: Unit::Dollars, lines: &[(&["cost_usd"], "")], adds_up: true };
