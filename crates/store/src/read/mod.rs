//! Reads from TimescaleDB, or from plain PostgreSQL: the [`Reader`] of the projection.
//!
//! Every request is one statement in a read-only transaction. Its settings are local to the transaction, so that a
//! pooler can share the session, and its plan is made for the values at hand: chunks outside the range are never
//! opened, and a filter that chooses everything costs nothing.
//!
//! What the keys make fast: (name, host, time) with chunks of a day hands each series over in the order of time, so
//! counters need no sort, one agent's range is one stretch of index per chunk, and the newest sample of a series is
//! the end of such a stretch.

mod failure;
mod pg_time;
mod request;
mod rows;
mod statements;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use query::{
    AgentLatest, AgentRow, AgentSeries, AgentStates, AgentSummary, ChannelRow, ChannelSeries, Cut, GapRow,
    Gaps, GroupKey, Groups, Names, ReadError, Reader, StateRow, SystemRow, SystemSeries, TimeRange,
    TokenFilter, TokenRow, TokenSeries,
};
use sqlx::pool::PoolConnection;
pub use sqlx::postgres::PgPool;
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres};

use crate::DatabaseUrl;
use crate::connect::{Relay, common_settings_sql};
use request::{Half, Request};
use statements::{Dialect, Statements};

/// How a reader uses its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The most connections at once.
    pub connections_max: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long one statement may take; whole milliseconds.
    pub statement_timeout: Duration,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            // A dashboard asks for a few series at once, and the projector needs the server more than we do.
            connections_max: 4,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// Beyond the statement's own limit: how long a silent link may take to bring the server's word.
const GRACE: Duration = Duration::from_secs(5);

/// Answers from one database. It connects when it is first asked.
#[derive(Clone, Debug)]
pub struct TimescaleReader {
    pool: PgPool,
    /// The way of the pool's connections, where they may need TLS.
    relay: Option<Arc<Relay>>,
    url: DatabaseUrl,
    options: ReadOptions,
    /// How each transaction begins.
    begin: Arc<str>,
    /// Once the server was asked for its dialect.
    statements: Arc<Mutex<Option<Arc<Statements>>>>,
}

impl TimescaleReader {
    /// A reader of this database; call it within a tokio runtime. Nothing is connected yet.
    #[must_use]
    pub fn new(url: &DatabaseUrl, options: ReadOptions) -> Self {
        let relay = Relay::needed(url).map(Arc::new);
        let way = relay.as_ref().map_or_else(|| url.connect_options(), |relay| relay.connect_options());
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(way.application_name("tailwater/read"));
        Self {
            pool,
            relay,
            url: url.clone(),
            options,
            begin: begin(url, options.statement_timeout).into(),
            statements: Arc::default(),
        }
    }

    /// Waits for the statements under way and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The connections, for statements of the caller's. They work as long as this reader is there.
    ///
    /// # Errors
    /// When the way to the server cannot be opened.
    pub async fn pool(&self) -> Result<PgPool, ReadError> {
        if let Some(relay) = &self.relay {
            relay.start().await.map_err(|error| failure::read_error(&self.url, error.into()))?;
        }
        Ok(self.pool.clone())
    }

    /// Asks whether the server answers, and nothing else.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), ReadError> {
        let mut connection =
            self.connection().await.map_err(|error| failure::read_error(&self.url, error))?;
        connection.ping().await.map_err(|error| failure::read_error(&self.url, error))
    }

    /// Runs one statement in a transaction and gives its rows.
    async fn rows(&self, request: Request<'_>) -> Result<Vec<PgRow>, ReadError> {
        let mut connection =
            self.connection().await.map_err(|error| failure::read_error(&self.url, error))?;
        let limit = self.options.statement_timeout + GRACE;
        let outcome = tokio::time::timeout(limit, self.run(&mut connection, request)).await;
        let error = match outcome {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => self.judge(error),
            Err(_) => failure::silent(&self.url, limit),
        };
        // Its transaction may be open, its link may be dead: a new one costs less than finding out.
        connection.close_on_drop();
        Err(error)
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(relay) = &self.relay {
            relay.start().await?;
        }
        self.pool.acquire().await
    }

    async fn run(
        &self,
        connection: &mut PgConnection,
        request: Request<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = connection.begin_with(AssertSqlSafe(Arc::clone(&self.begin))).await?;
        let statements = self.statements(&mut transaction).await?;
        let rows = request.query(&statements).persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// The statements in the server's dialect, which is asked for once.
    async fn statements(&self, connection: &mut PgConnection) -> Result<Arc<Statements>, sqlx::Error> {
        if let Some(known) = self.known_statements().as_ref() {
            return Ok(Arc::clone(known));
        }
        let question = sqlx::query_scalar(Dialect::QUESTION).persistent(false);
        let has_time_bucket = question.fetch_one(connection).await?;
        let dialect = if has_time_bucket { Dialect::Timescale } else { Dialect::Plain };
        let statements = Arc::new(Statements::of(dialect));
        *self.known_statements() = Some(Arc::clone(&statements));
        Ok(statements)
    }

    fn known_statements(&self) -> std::sync::MutexGuard<'_, Option<Arc<Statements>>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, error: sqlx::Error) -> ReadError {
        if failure::is_undefined_function(&error) {
            *self.known_statements() = None;
        }
        failure::read_error(&self.url, error)
    }

    fn decoded<T>(
        &self,
        rows: &[PgRow],
        decode: fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, ReadError> {
        let rows: Result<Vec<_>, _> = rows.iter().map(decode).collect();
        rows.map_err(|error| failure::read_error(&self.url, error))
    }
}

/// The first statement of each transaction. The settings end with it.
///
/// NOTE: compiling a plan takes longer here than it saves. A bucketed day of a hundred agents takes 22 MB of hash
/// table, and past work_mem it goes to disk.
fn begin(url: &DatabaseUrl, statement_timeout: Duration) -> String {
    let settings = common_settings_sql(url);
    let millis = statement_timeout.as_millis();
    format!(
        "BEGIN READ ONLY{settings}; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'; \
         SET LOCAL statement_timeout = {millis}"
    )
}

impl Reader for TimescaleReader {
    async fn system_series(&self, request: &SystemSeries) -> Result<Vec<SystemRow>, ReadError> {
        let rows = self.rows(Request::SystemSeries(request)).await?;
        let mut rows = self.decoded(&rows, rows::system_bucket)?;
        // NOTE: by bytes, which is not how every database sorts text.
        rows.sort_unstable_by(|a, b| {
            (a.time, &a.system_name, &a.host).cmp(&(b.time, &b.system_name, &b.host))
        });
        Ok(rows)
    }

    async fn agent_series(&self, request: &AgentSeries) -> Result<Vec<AgentRow>, ReadError> {
        if request.filter.agent_name.chosen().is_some() {
            let rows = self.rows(Request::AgentSeries(request, None)).await?;
            return self.decoded(&rows, rows::agent_bucket).map(ordered);
        }
        let half = |half| self.rows(Request::AgentSeries(request, Some(half)));
        // NOTE: both to their end, so that no session is left in the middle of a statement.
        let (one, other) = tokio::join!(half(Half::One), half(Half::Other));
        let mut rows = self.decoded(&one?, rows::agent_bucket)?;
        rows.extend(self.decoded(&other?, rows::agent_bucket)?);
        Ok(ordered(rows))
    }

    async fn agent_latest(&self, request: &AgentLatest) -> Result<Vec<AgentRow>, ReadError> {
        let rows = self.rows(Request::AgentLatest(request)).await?;
        self.decoded(&rows, rows::agent_sample).map(ordered)
    }

    async fn agent_summary(
        &self,
        agent_name: &str,
        range: TimeRange,
    ) -> Result<Option<AgentSummary>, ReadError> {
        let rows = self.rows(Request::AgentSummary(agent_name, range)).await?;
        let summary = rows.first().map(|row| rows::agent_summary(agent_name, row)).transpose();
        let summary = summary.map_err(|error| failure::read_error(&self.url, error))?;
        let filter = TokenFilter { agent_name: Names::only([agent_name]), ..TokenFilter::default() };
        let by = Groups::of(&[GroupKey::Model]);
        let calls = self.token_series(&TokenSeries { cut: Cut::Whole(range), by, filter }).await?;
        Ok(AgentSummary::with_calls(agent_name, summary, &calls))
    }

    async fn channel_series(&self, request: &ChannelSeries) -> Result<Vec<ChannelRow>, ReadError> {
        let rows = self.rows(Request::ChannelSeries(request)).await?;
        let mut rows = self.decoded(&rows, rows::channel_bucket)?;
        rows.sort_unstable_by(|a, b| {
            (a.time, &a.channel_name, &a.host).cmp(&(b.time, &b.channel_name, &b.host))
        });
        Ok(rows)
    }

    async fn token_series(&self, request: &TokenSeries) -> Result<Vec<TokenRow>, ReadError> {
        let rows = self.rows(Request::TokenSeries(request)).await?;
        let mut rows = self.decoded(&rows, rows::tokens)?;
        rows.sort_unstable_by(|a, b| {
            (a.time, &a.agent_name, &a.model, &a.host).cmp(&(b.time, &b.agent_name, &b.model, &b.host))
        });
        Ok(rows)
    }

    async fn agent_states(&self, request: &AgentStates) -> Result<Vec<StateRow>, ReadError> {
        let rows = self.rows(Request::AgentStates(request)).await?;
        let mut rows = self.decoded(&rows, rows::agent_state)?;
        rows.reverse();
        Ok(rows)
    }

    async fn gaps(&self, request: &Gaps) -> Result<Vec<GapRow>, ReadError> {
        let rows = self.rows(Request::Gaps(request)).await?;
        let mut rows = self.decoded(&rows, rows::gap)?;
        rows.reverse();
        Ok(rows)
    }
}

fn ordered(mut rows: Vec<AgentRow>) -> Vec<AgentRow> {
    rows.sort_unstable_by(|a, b| (a.time, &a.agent_name, &a.host).cmp(&(b.time, &b.agent_name, &b.host)));
    rows
}

#[cfg(test)]
mod tests;
