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
pub(super) const AGENT_SUMMARY: &str = include_str!("agent_summary.sql");

/// The statements of one dialect. What a caller gives is bound to them and never becomes part of them.
#[derive(Debug)]
pub(super) struct Statements {
    #[cfg(test)]
    dialect: Dialect,
    agent_series: Arc<str>,
    system_series: Arc<str>,
}

impl Statements {
    pub(super) fn of(dialect: Dialect) -> Self {
        let text = |template: &str| Arc::from(template.replace("{bucket}", dialect.bucket()));
        Self {
            #[cfg(test)]
            dialect,
            agent_series: text(include_str!("agent_series.sql")),
            system_series: text(include_str!("system_series.sql")),
        }
    }

    #[cfg(test)]
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn agent_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.agent_series))
    }

    pub(super) fn system_series(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.system_series))
    }
}
