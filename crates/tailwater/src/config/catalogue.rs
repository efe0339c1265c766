//! Every setting, once.

/// A setting: its name in `tailwater.toml`, its variable, its default and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `table.name` in `tailwater.toml`; `name` alone stands before the first table.
    pub key: &'static str,
    /// The environment variables that set it, the stronger first.
    pub variables: &'static [&'static str],
    /// As it would be typed; `None` means unset.
    pub default: Option<&'static str>,
    /// What it does, with its unit.
    pub help: &'static str,
    /// What it is when printed.
    pub exposure: Exposure,
}

/// Whether a value may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// As it is.
    Plain,
    /// A URL: without its password.
    Url,
    /// Only that it is set.
    Secret,
}

const fn plain(
    key: &'static str,
    variables: &'static [&'static str],
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, variables, default, help, exposure: Exposure::Plain }
}

/// Every setting, in the order in which they are shown.
pub const CATALOGUE: &[Setting] = &[
    plain(
        "data_dir",
        &["TAILWATER_DATA_DIR"],
        None,
        "where the log lives; unset: $XDG_DATA_HOME/tailwater, else ~/.local/share/tailwater",
    ),
    plain(
        "log.sync",
        &["TAILWATER_LOG_SYNC"],
        Some("interval:200ms"),
        "when to fsync: always (before each acknowledgement), interval:200ms, os",
    ),
    plain(
        "log.keep",
        &["TAILWATER_LOG_KEEP"],
        Some("all"),
        "how long events are kept, such as 30d or 12h; all: for as long as log.max_bytes allows",
    ),
    plain(
        "log.max_bytes",
        &["TAILWATER_LOG_MAX_BYTES"],
        Some("8GiB"),
        "the most that the log may take on the disk, from 256MiB on, such as 500MB or 8GiB",
    ),
    plain(
        "log.when_full",
        &["TAILWATER_LOG_WHEN_FULL"],
        Some("refuse"),
        "at log.max_bytes, with a database that is behind: refuse (new events), drop_oldest",
    ),
    plain(
        "log.backpressure",
        &["TAILWATER_LOG_BACKPRESSURE"],
        Some("wait:10s"),
        "what events meet while the log's queue is full: wait:10s (from 1s to 10m, then refused), refuse",
    ),
    Setting {
        key: "database.url",
        variables: &["TAILWATER_DATABASE_URL", "STATS_DATABASE_URL"],
        default: None,
        help: "the database to project into, postgres://user:password@host:5432/database; unset: none",
        exposure: Exposure::Url,
    },
    plain(
        "database.migrate",
        &["TAILWATER_DATABASE_MIGRATE"],
        Some("true"),
        "whether run and project make and upgrade the tables themselves",
    ),
    plain(
        "database.backlog_lanes",
        &["TAILWATER_DATABASE_BACKLOG_LANES"],
        Some("2"),
        "how many connections fill what an outage has left, beside the live one, from 0 (it does all) to 8",
    ),
    plain(
        "database.backlog_rate",
        &["TAILWATER_DATABASE_BACKLOG_RATE"],
        None,
        "how many events a second they send together at the most, from 1 on; unset: as many as they can",
    ),
    plain(
        "database.halt_retry",
        &["TAILWATER_DATABASE_HALT_RETRY"],
        Some("1m"),
        "how often run tries again what the database's tables, permissions or passwords have halted, from 100ms to 1h",
    ),
    plain(
        "database.retention",
        &["TAILWATER_DATABASE_RETENTION"],
        Some("none"),
        "how long the database keeps events, such as 90d or 12h; older ones are not sent, and run drops them; none: for ever",
    ),
    plain(
        "server.listen",
        &["TAILWATER_SERVER_LISTEN"],
        Some("127.0.0.1:9470"),
        "the address of the HTTP server; one that other machines can reach needs tokens; port 0 is any that is free",
    ),
    plain(
        "server.enabled",
        &["TAILWATER_SERVER_ENABLED"],
        Some("true"),
        "whether run takes events by HTTP and OTLP, and answers by HTTP",
    ),
    plain(
        "server.rate",
        &["TAILWATER_SERVER_RATE"],
        Some("20000"),
        "how many events a second each client may send by HTTP, ten seconds' worth at once; none: any number",
    ),
    Setting {
        key: "server.tokens",
        variables: &["TAILWATER_SERVER_TOKENS"],
        default: None,
        help: "who may ask and send by HTTP: read:TOKEN,write:TOKEN; unset, and without server.token_file: this machine alone",
        exposure: Exposure::Secret,
    },
    plain(
        "server.token_file",
        &["TAILWATER_SERVER_TOKEN_FILE"],
        None,
        "a file with more of them, a line each; it is read when run starts",
    ),
    plain(
        "server.tls_cert",
        &["TAILWATER_SERVER_TLS_CERT"],
        None,
        "the certificate for https, PEM, with what leads to its authority; unset: http",
    ),
    plain("server.tls_key", &["TAILWATER_SERVER_TLS_KEY"], None, "its private key, PEM"),
    plain(
        "server.cors_origins",
        &["TAILWATER_SERVER_CORS_ORIGINS"],
        Some(""),
        "web pages from elsewhere that may ask and send, such as https://grafana.example.com; empty: none",
    ),
    plain("host.enabled", &["TAILWATER_HOST_ENABLED"], Some("true"), "whether to sample this machine"),
    plain("host.interval", &["TAILWATER_HOST_INTERVAL"], Some("10s"), "how often, from 1s to 1h"),
    plain(
        "tmux.enabled",
        &["TAILWATER_TMUX_ENABLED"],
        Some("true"),
        "whether to sample tmux sessions as agents",
    ),
    plain("tmux.interval", &["TAILWATER_TMUX_INTERVAL"], Some("10s"), "how often, from 1s to 1h"),
    plain(
        "tmux.sessions",
        &["TAILWATER_TMUX_SESSIONS"],
        Some(""),
        "exact names of the sessions that are agents, comma-separated; empty: see tmux.pattern",
    ),
    plain(
        "tmux.pattern",
        &["TAILWATER_TMUX_PATTERN"],
        None,
        "a regular expression for whole session names with a group (?<agent>…), and if you like (?<role>…) and \
         (?<tool>…); unset, and no names given: every session is an agent",
    ),
    plain(
        "tmux.socket",
        &["TAILWATER_TMUX_SOCKET"],
        None,
        "the tmux server's socket: a name as for tmux -L, or a path as for tmux -S; unset: tmux's own default",
    ),
    plain(
        "transcripts.enabled",
        &["TAILWATER_TRANSCRIPTS_ENABLED"],
        Some("true"),
        "whether to read token usage from the transcripts of Claude Code and Codex",
    ),
    plain(
        "transcripts.interval",
        &["TAILWATER_TRANSCRIPTS_INTERVAL"],
        Some("1m"),
        "how often every transcript is looked at, from 100ms to 1h; what changes between is heard of at once",
    ),
    plain(
        "transcripts.claude_dirs",
        &["TAILWATER_TRANSCRIPTS_CLAUDE_DIRS"],
        None,
        "homes of Claude Code, comma-separated; unset: CLAUDE_CONFIG_DIR, else ~/.claude and ~/.config/claude",
    ),
    plain(
        "transcripts.codex_dirs",
        &["TAILWATER_TRANSCRIPTS_CODEX_DIRS"],
        None,
        "homes of Codex, comma-separated; unset: CODEX_HOME, else ~/.codex",
    ),
    plain(
        "docker.enabled",
        &["TAILWATER_DOCKER_ENABLED"],
        Some("true"),
        "whether to sample containers as agents and systems; where there is no engine, nothing is",
    ),
    plain("docker.interval", &["TAILWATER_DOCKER_INTERVAL"], Some("10s"), "how often, from 1s to 1h"),
    plain(
        "docker.socket",
        &["TAILWATER_DOCKER_SOCKET"],
        None,
        "the engine's socket; unset: that of DOCKER_HOST if it is unix://…, else /var/run/docker.sock",
    ),
    plain(
        "docker.agents",
        &["TAILWATER_DOCKER_AGENTS"],
        Some("(?:bc|mycel)-[0-9a-f]{4,64}-(?<agent>.+)"),
        "a regular expression for whole names of containers that are agents, with a group (?<agent>…), and if you like \
         (?<role>…) and (?<tool>…); empty: none; the label tailwater.agent comes first",
    ),
    plain(
        "docker.systems",
        &["TAILWATER_DOCKER_SYSTEMS"],
        Some(".+-(?:db|daemon)"),
        "the same for systems, with a group (?<system>…) or by the whole name; looked at before docker.agents",
    ),
];

/// The setting of this key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    CATALOGUE.iter().find(|setting| setting.key == key)
}
