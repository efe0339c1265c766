//! The texts of the statements, in the two dialects.

use std::sync::Arc;

use sqlx::AssertSqlSafe;

/// What a server can do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// TimescaleDB.
    Timescale,
    /// PostgreSQL alone.
    Plain,
}

impl Dialect {
    /// Tells which one it is, as one boolean: true is Timescale. NOTE: a `time_bucket` outside of the search path
    /// does not count, since the statements could not name it.
    pub(super) const QUESTION: &str =
        "SELECT to_regprocedure('time_bucket(interval, timestamptz)') IS NOT NULL";

    /// The start of a sample's bucket. Both count from 2000-01-03, the one by itself, the other by being told.
    const fn bucket(self) -> &'static str {
        match self {
            Self::Timescale => "time_bucket($1, time)",
            Self::Plain => "date_bin($1, time, '2000-01-03 00:00:00+00'::timestamptz)",
        }
    }
}

pub(super) const AGENT_LATEST: &str = include_str!("agent_latest.sql");
pub(super) const AGENT_STATES: &str = include_str!("agent_states.sql");
pub(super) const AGENT_SUMMARY: &str = include_str!("agent_summary.sql");
pub(super) const GAPS: &str = include_str!("gaps.sql");

/// The start that a time is at or behind, of those that the first parameter lists.
const LISTED_START: &str = "($1::timestamptz[])[width_bucket(time, $1::timestamptz[])]";

/// The statements of one dialect. What a caller gives is bound to them and never becomes part of them.
#[derive(Debug)]
pub(super) struct Statements {
    #[cfg(test)]
    dialect: Dialect,
    agent_series: Arc<str>,
    channel_series: Arc<str>,
    system_series: Arc<str>,
    token_series: Arc<str>,
    tokens_by_starts: Arc<str>,
}

impl Statements {
    pub(super) fn of(dialect: Dialect) -> Self {
        let text = |template: &str| Arc::from(template.replace("{bucket}", dialect.bucket()));
        let tokens = include_str!("token_series.sql");
        Self {
            #[cfg(test)]
            dialect,
            agent_series: text(include_str!("agent_series.sql")),
            channel_series: text(include_str!("channel_series.sql")),
            system_series: text(include_str!("system_series.sql")),
            token_series: tokens.replace("{start}", dialect.bucket()).into(),
            tokens_by_starts: tokens.replace("{start}", LISTED_START).into(),
        }
    }

    #[cfg(test)]
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn agent_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.agent_series))
    }

    pub(super) fn channel_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.channel_series))
    }

    /// Tokens in buckets of one length.
    pub(super) fn token_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.token_series))
    }

    /// Tokens between listed times.
    pub(super) fn tokens_by_starts(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.tokens_by_starts))
    }

    pub(super) fn system_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.system_series))
    }
}
