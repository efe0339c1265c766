//! What stands below the help of commands: examples, and how a table looks.

pub(crate) const RUN: &str = "\
Examples:
  tailwater run                                         records this host; needs no database
  tailwater run --database-url postgres://me@db/stats   and projects into a database, now or when it is there
  tailwater run --listen 127.0.0.1:0                    HTTP at any port that is free; `status` tells which

Ctrl-C or SIGTERM ends it in order; whatever ends it otherwise loses nothing that was acknowledged.";

pub(crate) const PROJECT: &str = "\
Examples:
  tailwater project --until-head                        until the database has what the log has now
  tailwater project --until-head --json | jq .inserted
  tailwater project --database-url postgres://me@db/stats --lanes 4

`run` does this by itself. With a daemon, its own projection is told to finish, and followed.";

pub(crate) const LOG_STAT: &str = "\
Examples:
  tailwater log stat
  tailwater log stat --format json | jq .bytes";

pub(crate) const CONFIG_INIT: &str = "\
Examples:
  tailwater config init                                 in the usual place; a file that is there is not touched
  tailwater config init --config ./tailwater.toml";

pub(crate) const CONFIG_CHECK: &str = "\
Examples:
  tailwater config check
  tailwater config check --config ./tailwater.toml";

pub(crate) const CONFIG_SHOW: &str = "\
Examples:
  tailwater config show                                 each setting, and where it is from
  tailwater config show --format json | jq '.[] | select(.origin != \"default\")'";

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

pub(crate) const PLOT: &str = "\
The flags are those of `tailwater query`. Null is a gap in the line, never 0. The twenty series with the most are drawn; of what adds up
(tokens, cost, messages), the others as one. The file is written when it is whole, and replaces what was there.

Examples:
  tailwater plot agents cpu --agent zen --from -6h --out cpu.svg
  tailwater plot cost --from -30d --day --by model --out cost.png
  tailwater plot system mem --from -1d --out memory.html        zoom, and read values; needs no network

Exit code 1 when nothing is found; no file is written then.";

pub(crate) const PLOT_CPU: &str = "\
Examples:
  tailwater plot agents cpu --from -6h --out cpu.svg
  tailwater plot agents cpu --agent zen,a1 --from -1d --interval 15m --out cpu.html";

pub(crate) const PLOT_MEM: &str = "\
Examples:
  tailwater plot agents mem --role worker --out memory.png --width 1600 --height 900";

pub(crate) const PLOT_NET: &str = "\
Examples:
  tailwater plot agents net --agent zen --from -6h --out net.svg";

pub(crate) const PLOT_DISK: &str = "\
Examples:
  tailwater plot agents disk --runtime docker --out disk.svg --title 'Disks of the containers'";

pub(crate) const PLOT_SYSTEM: &str = "\
Examples:
  tailwater plot system cpu --from -1d --interval 15m --out host.svg";

pub(crate) const PLOT_CHANNELS: &str = "\
Examples:
  tailwater plot channels --from -7d --interval 1d --out messages.svg
  tailwater plot channels members --channel general --out members.png";

pub(crate) const PLOT_TOKENS: &str = "\
Examples:
  tailwater plot tokens --from -1d --interval 1h --by agent --out tokens.svg";

pub(crate) const PLOT_COST: &str = "\
Examples:
  tailwater plot cost --from -30d --day --by model --out cost.png";
