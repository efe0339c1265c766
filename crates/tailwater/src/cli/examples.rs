//! What stands below the help of the reading commands: examples, and how a table looks.

pub(crate) const QUERY: &str = "\
The database answers; without one, or while it is away, the log does, and one line says so.

A table fits the terminal. Where there is no room, columns go: those without a value, those with one value in every row,
then runtime, host, tool, role, mem_limit_bytes, counters, mem_percent, what is rarely asked of tokens, state; then long
names end in \u{2026}. A line below says which. Series over time are drawn below their table, the greatest 20 of them, one mark a
bucket or the greatest of several; a space is a bucket without a sample. Piped into something else, a table has every column
and value as it is. Colours are for terminals; NO_COLOR=1 says no, CLICOLOR_FORCE=1 always.

Examples:
  tailwater query agents cpu --agent zen --from -6h --interval 5m
  tailwater query agents summary zen --from -1d
  tailwater query tokens --from -7d --day --tz Europe/Berlin --by model
  tailwater query tokens --from 2026-01-01T00:00:00Z --interval all --by agent --format csv

Exit code 1 when nothing is found.";

pub(crate) const AGENTS_CPU: &str = "\
Examples:
  tailwater query agents cpu                                    every agent, the last hour
  tailwater query agents cpu --agent zen,a1 --from -1d --interval 1h
  tailwater query agents cpu --state working --fill --format csv";

pub(crate) const AGENTS_MEM: &str = "\
Examples:
  tailwater query agents mem --from -6h
  tailwater query agents mem --role worker --interval 1m --format json";

pub(crate) const AGENTS_NET: &str = "\
Examples:
  tailwater query agents net --runtime docker --from -6h
  tailwater query agents net --agent zen --interval 30s --format csv";

pub(crate) const AGENTS_DISK: &str = "\
Examples:
  tailwater query agents disk --from -6h
  tailwater query agents disk --tool claude --interval 15m";

pub(crate) const AGENTS_LATEST: &str = "\
Examples:
  tailwater query agents latest
  tailwater query agents latest --state working,stuck --host laptop
  tailwater query agents latest --from -10m --format json";

pub(crate) const AGENTS_SUMMARY: &str = "\
Examples:
  tailwater query agents summary zen                            the last hour
  tailwater query agents summary zen --from -7d --format json";

pub(crate) const AGENTS_STATES: &str = "\
Examples:
  tailwater query agents states --agent zen
  tailwater query agents states --state stuck,error --from -7d --limit 50";

pub(crate) const SYSTEM: &str = "\
Examples:
  tailwater query system cpu --from -6h
  tailwater query system mem --system db --interval 1h --format csv";

pub(crate) const CHANNELS: &str = "\
Examples:
  tailwater query channels --from -1d --interval 1h
  tailwater query channels --channel general --fill --format json";

pub(crate) const TOKENS: &str = "\
Examples:
  tailwater query tokens --from -7d --day --by model            what a week cost, by day and model
  tailwater query tokens --from -30d --interval all --by agent  who used how much this month
  tailwater query tokens --model claude-opus-4-5 --interval 1h --format csv";

pub(crate) const GAPS: &str = "\
Examples:
  tailwater query gaps                                          the last 24 hours
  tailwater query gaps --from -7d --host laptop --format json";

pub(crate) const STATUS: &str = "\
Examples:
  tailwater status                                              for people; coloured at a terminal
  tailwater status --format json | jq .projection.lag_events
  tailwater status --format prometheus                          metrics

Exit code 1 when something is unhealthy, with the reason in the last line.";

pub(crate) const STATS: &str = "\
Agents are those of the configuration, and those that were seen or heard in the last 24 hours. An agent is active
while it lives and is not done, stopped or in error; utilization is the part of them that is working.
Without a daemon the answer is what the log has: the latest samples and states.

Examples:
  tailwater stats
  tailwater stats --format json | jq .utilization

Exit code 1 when there are no agents.";
