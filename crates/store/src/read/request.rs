//! A request made a statement with its values.

use event::Time;
use query::{
    AgentLatest, AgentSeries, AgentStates, Buckets, ChannelSeries, Cut, Gaps, GroupKey, Names, SystemSeries,
    TimeRange, TokenSeries,
};
use sqlx::postgres::PgArguments;
use sqlx::postgres::types::PgInterval;
use sqlx::query::Query;
use sqlx::{Postgres, SqlSafeStr};

use super::pg_time::PgTime;
use super::statements::{AGENT_LATEST, AGENT_STATES, AGENT_SUMMARY, GAPS, Statements};

/// What is asked of the database.
#[derive(Clone, Copy)]
pub(super) enum Request<'q> {
    SystemSeries(&'q SystemSeries),
    /// All agents that are asked for, or a half of them.
    AgentSeries(&'q AgentSeries, Option<Half>),
    AgentLatest(&'q AgentLatest),
    AgentSummary(&'q str, TimeRange),
    ChannelSeries(&'q ChannelSeries),
    TokenSeries(&'q TokenSeries),
    AgentStates(&'q AgentStates),
    Gaps(&'q Gaps),
}

/// A half of the agents, by the hash of their name: each is one session's, so that two of the server's cores work.
#[derive(Clone, Copy)]
pub(super) enum Half {
    One = 0,
    Other = 1,
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

impl<'q> Request<'q> {
    /// The statement with its values; the files beside list them.
    pub(super) fn query(self, statements: &Statements) -> Statement<'q> {
        match self {
            Self::SystemSeries(request) => {
                let statement = cut(statements.system_series(), request.buckets);
                let filter = &request.filter;
                [&filter.system_name, &filter.host].into_iter().fold(statement, bind_names)
            }
            Self::AgentSeries(request, half) => {
                let statement = cut(statements.agent_series(), request.buckets);
                let statement = agent_names(&request.filter).into_iter().fold(statement, bind_names);
                statement.bind(half.map(|half| half as i32))
            }
            Self::AgentLatest(request) => {
                let statement = bind_range(sqlx::query(AGENT_LATEST), request.range);
                agent_names(&request.filter).into_iter().fold(statement, bind_names)
            }
            Self::AgentSummary(agent_name, range) => {
                bind_range(sqlx::query(AGENT_SUMMARY).bind(agent_name), range)
            }
            Self::ChannelSeries(request) => {
                let statement = cut(statements.channel_series(), request.buckets);
                let filter = &request.filter;
                [&filter.channel_name, &filter.host].into_iter().fold(statement, bind_names)
            }
            Self::TokenSeries(request) => {
                let statement = match &request.cut {
                    Cut::Buckets(buckets) => cut(statements.token_series(), *buckets),
                    Cut::Days(days) => between(statements.tokens_by_starts(), days.starts(), days.range()),
                    Cut::Whole(range) => between(statements.tokens_by_starts(), &[range.from()], *range),
                };
                let filter = &request.filter;
                let names = [&filter.agent_name, &filter.model, &filter.host, &filter.tool];
                let statement = names.into_iter().fold(statement, bind_names);
                GroupKey::ALL
                    .into_iter()
                    .fold(statement, |statement, key| statement.bind(request.by.has(key)))
            }
            Self::AgentStates(request) => {
                let statement = bind_range(sqlx::query(AGENT_STATES), request.range);
                let statement = agent_names(&request.filter).into_iter().fold(statement, bind_names);
                statement.bind(i64::from(request.limit.get()))
            }
            Self::Gaps(request) => {
                let statement = bind_names(bind_range(sqlx::query(GAPS), request.range), &request.host);
                statement.bind(i64::from(request.limit.get()))
            }
        }
    }
}

fn cut<'q>(text: impl SqlSafeStr, buckets: Buckets) -> Statement<'q> {
    let interval = PgInterval { months: 0, days: 0, microseconds: buckets.interval().micros() };
    bind_range(sqlx::query(text).bind(interval), buckets.range())
}

fn between<'q>(text: impl SqlSafeStr, starts: &[Time], range: TimeRange) -> Statement<'q> {
    let starts: Vec<PgTime> = starts.iter().copied().map(PgTime).collect();
    bind_range(sqlx::query(text).bind(starts), range)
}

fn bind_range(statement: Statement<'_>, range: TimeRange) -> Statement<'_> {
    statement.bind(PgTime(range.from())).bind(PgTime(range.to()))
}

fn agent_names(filter: &query::AgentFilter) -> [&Names; 6] {
    [&filter.agent_name, &filter.host, &filter.role, &filter.tool, &filter.runtime, &filter.state]
}

fn bind_names<'q>(statement: Statement<'q>, names: &'q Names) -> Statement<'q> {
    statement.bind(names.chosen().map(|names| names.iter().map(event::Text::as_str).collect::<Vec<_>>()))
}
