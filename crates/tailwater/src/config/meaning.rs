//! The configuration as meant: every value checked, with its type.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use event::span;
use sampler::ConfiguredAgent;
use sampler::tmux::SessionPattern;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, chain};

use super::bounds::LogBounds;
use super::catalogue;
use super::docker::DockerSampling;
use super::http::HttpServing;
use super::raw::{ConfigError, RawConfig, RawValue};
use super::retention::Retention;
use super::transcripts::TranscriptSampling;

/// The configuration as meant.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the log lives.
    pub data_dir: PathBuf,
    /// When the log fsyncs.
    pub sync: eventlog::Sync,
    /// How much the log may hold.
    pub log: LogBounds,
    /// The database to project into.
    pub database: Option<store::DatabaseUrl>,
    /// Whether to make and upgrade its tables.
    pub migrate: store::Migrate,
    /// How what an outage has left is filled.
    pub backlog: Backlog,
    /// How often a projection is tried again that has halted for what may heal in the database.
    pub halt_retry: Duration,
    /// How long which database keeps events; ask [`Config::retention_of`].
    pub retention: Retention,
    /// The HTTP server, if it is wanted.
    pub http: Option<HttpServing>,
    /// Sampling this machine, if it is wanted.
    pub host: Option<HostSampling>,
    /// Sampling tmux sessions, if it is wanted.
    pub tmux: Option<TmuxSampling>,
    /// Following transcripts, if it is wanted.
    pub transcripts: Option<TranscriptSampling>,
    /// Sampling containers, if it is wanted.
    pub docker: Option<DockerSampling>,
    /// The agents that are known by name.
    pub agents: Vec<ConfiguredAgent>,
}

/// How what an outage has left is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// How many lanes do it, beside the live one.
    pub lanes: u32,
    /// How many events a second they send together at the most.
    pub rate: Option<NonZeroU32>,
}

/// The most backlog lanes: more of them wait for each other in the server.
const BACKLOG_LANES_MAX: u32 = 8;

/// How to sample this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostSampling {
    /// How often.
    pub interval: Duration,
}

/// How to sample tmux sessions.
#[derive(Clone, Debug)]
pub struct TmuxSampling {
    /// How often.
    pub interval: Duration,
    /// Exact names of sessions.
    pub sessions: Vec<String>,
    /// A pattern for whole names, with a group `agent`.
    pub pattern: Option<SessionPattern>,
    /// The server's socket, as a name or a path.
    pub socket: Option<String>,
}

impl Config {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The first value that means nothing: which, where it came from, and what it must be.
    pub fn new(raw: &RawConfig, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let database = optional(raw, "database.url", |text| {
            text.parse().map_err(|error: store::DatabaseUrlError| error.to_string())
        })?;
        Ok(Self {
            data_dir: data_dir(raw, &variable)?,
            sync: required(raw, "log.sync", |text| text.parse().map_err(|error| format!("{error}")))?,
            log: LogBounds::new(raw)?,
            retention: Retention::new(raw, database.as_ref())?,
            database,
            migrate: match required(raw, "database.migrate", flag)? {
                true => store::Migrate::Auto,
                false => store::Migrate::Never,
            },
            backlog: Backlog {
                lanes: required(raw, "database.backlog_lanes", lanes)?,
                rate: optional(raw, "database.backlog_rate", rate)?,
            },
            halt_retry: required(raw, "database.halt_retry", interval)?,
            http: HttpServing::new(raw)?,
            host: host_sampling(raw)?,
            tmux: tmux_sampling(raw)?,
            transcripts: TranscriptSampling::new(raw, &variable)?,
            docker: DockerSampling::new(raw, &variable)?,
            agents: raw.agents().to_vec(),
        })
    }

    /// What the commands would use with this data directory: from `TAILWATER_*` and `tailwater.toml`.
    ///
    /// # Errors
    /// When a setting means nothing, or the directory's name is no text.
    pub(crate) fn of_data_dir(data_dir: PathBuf) -> Result<Self, Failure> {
        let text = data_dir.into_os_string().into_string().map_err(|data_dir| {
            Failure::error(format!("the data directory {} is not UTF-8: use another", data_dir.display()))
        })?;
        let origin = super::Origin::Flag("data_dir".to_owned());
        let given = super::Overrides::from([("data_dir", RawValue { text, origin })]);
        let variable = |name: &str| std::env::var(name).ok();
        let failed = |error| Failure::error(chain(&error));
        let raw = RawConfig::gather(None, variable, given).map_err(failed)?;
        Self::new(&raw, variable).map_err(failed)
    }

    /// How long this database keeps events; `None` means for ever, or that nothing is said of it.
    #[must_use]
    pub fn retention_of(&self, database: &store::DatabaseUrl) -> Option<Duration> {
        self.retention.of(database)
    }
}

fn host_sampling(raw: &RawConfig) -> Result<Option<HostSampling>, ConfigError> {
    let interval = required(raw, "host.interval", sampling_interval)?;
    Ok(required(raw, "host.enabled", flag)?.then_some(HostSampling { interval }))
}

fn tmux_sampling(raw: &RawConfig) -> Result<Option<TmuxSampling>, ConfigError> {
    let sampling = TmuxSampling {
        interval: required(raw, "tmux.interval", sampling_interval)?,
        sessions: required(raw, "tmux.sessions", |text| Ok(names(text)))?,
        pattern: optional(raw, "tmux.pattern", pattern)?,
        socket: optional(raw, "tmux.socket", |text| Ok(text.to_owned()))?,
    };
    Ok(required(raw, "tmux.enabled", flag)?.then_some(sampling))
}

fn data_dir(raw: &RawConfig, variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
    let typed = optional(raw, "data_dir", |text| match text.strip_prefix('~') {
        Some(_) => Err("begins with ~, which only a shell expands: write the whole path".to_owned()),
        None => Ok(PathBuf::from(text)),
    })?;
    if let Some(path) = typed {
        return Ok(path);
    }
    default_data_dir(variable).ok_or(ConfigError::NoDataDir)
}

/// Where the log lives when nobody says so; `None` where there is no home either.
#[must_use]
pub fn default_data_dir(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Some(base?.join("tailwater"))
}

/// A setting that may be unset.
pub(super) fn optional<T>(
    raw: &RawConfig,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(RawValue { text, origin }) = raw.get(key) else { return Ok(None) };
    if text.is_empty() && catalogue::find(key).is_some_and(|setting| setting.default.is_none()) {
        return Ok(None);
    }
    match read(text) {
        Ok(value) => Ok(Some(value)),
        Err(problem) => Err(ConfigError::Value { key, origin: origin.clone(), problem }),
    }
}

/// A setting that has a default in the catalogue.
pub(super) fn required<T>(
    raw: &RawConfig,
    key: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    optional(raw, key, read)?.ok_or_else(|| ConfigError::Value {
        key,
        origin: super::Origin::Default,
        problem: "has no value".to_owned(),
    })
}

pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn lanes(text: &str) -> Result<u32, String> {
    let lanes = text.parse().ok().filter(|lanes| *lanes <= BACKLOG_LANES_MAX);
    lanes.ok_or_else(|| format!("{text:?} is not a whole number from 0 to {BACKLOG_LANES_MAX}"))
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number of events a second, from 1 on"))
}

/// How often something is done: from 100 ms to an hour.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    span::parse(text)
        .filter(|span| (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(span))
        .ok_or_else(|| format!("{text:?} is not a length of time from 100ms to 1h, such as 500ms, 5s or 1m"))
}

/// How often a source is sampled: from a second to an hour.
pub(super) fn sampling_interval(text: &str) -> Result<Duration, String> {
    span::parse(text)
        .filter(|span| (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(span))
        .ok_or_else(|| format!("{text:?} is not a length of time from 1s to 1h, such as 5s or 1m"))
}

pub(super) fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn pattern(text: &str) -> Result<SessionPattern, String> {
    SessionPattern::new(text).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Overrides};
    use super::*;

    fn config(flags: &[(&'static str, &str)]) -> Result<Config, String> {
        let flags: Overrides = flags
            .iter()
            .map(|(key, text)| (*key, RawValue { text: (*text).to_owned(), origin: Origin::Default }))
            .collect();
        let home = |name: &str| (name == "HOME").then(|| "/home/x".to_owned());
        let raw = RawConfig::gather(None, home, flags).unwrap();
        Config::new(&raw, home).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_configured_is_a_configuration() {
        let config = config(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/home/x/.local/share/tailwater"));
        assert_eq!(config.sync, eventlog::Sync::default());
        let defaults = eventlog::Settings::default();
        assert_eq!(config.log, LogBounds { bounds: defaults.bounds, backpressure: defaults.backpressure });
        assert_eq!(config.database, None);
        let defaults = projector::Settings::default();
        assert_eq!(config.backlog, Backlog { lanes: defaults.backlog_lanes, rate: defaults.backlog_rate });
        assert_eq!(config.halt_retry, Duration::from_secs(60));
        assert_eq!(config.host, Some(HostSampling { interval: Duration::from_secs(10) }));
        assert!(config.tmux.is_some());
    }

    #[test]
    fn lengths_of_time_are_read() {
        for (text, millis) in [("100ms", 100), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "99ms", "2h", "1d", "5sec", "99999999999999999999s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_named() {
        let check = |key: &'static str, text: &str, says: &str| {
            let error = config(&[(key, text)]).unwrap_err();
            assert!(error.contains(key) && error.contains(says) && !error.contains('\n'), "{error}");
        };
        check("log.sync", "never", "use always, os, or interval");
        check("log.keep", "30", "neither all nor");
        check("log.max_bytes", "1MiB", "from 256MiB on");
        check("log.when_full", "panic", "drop_oldest");
        check("database.retention", "59m", "neither none nor");
        check("log.backpressure", "wait", "from 1s to 10m");
        check("server.listen", "9470", "not an address");
        check("server.listen", "0.0.0.0:9470", "there is no token");
        check("server.tokens", "read:short", "token 1: has 5 characters");
        check("server.tls_cert", "/x", "server.tls_key is not");
        check("server.tls_key", "/x", "server.tls_cert is not");
        check("server.cors_origins", "*", "is not an origin");
        check("server.rate", "0", "neither none nor");
        check("host.enabled", "yes", "neither true nor false");
        check("host.interval", "999ms", "from 1s to 1h");
        check("tmux.interval", "61m", "from 1s to 1h");
        check("tmux.pattern", "(", "no regular expression");
        check("tmux.pattern", "a.*", "agent");
        for (key, bad) in [
            ("database.backlog_lanes", ["9", "-1", "two"]),
            ("database.backlog_rate", ["0", "1.5", "5000000000"]),
            ("database.halt_retry", ["0s", "60", "2h"]),
        ] {
            for text in bad {
                check(key, text, "is not a");
            }
        }
        check("database.url", "postgres://user:sekret@:x/", "database");
    }
}
