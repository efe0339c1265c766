//! What calls cost, as the database knows it: the rows of `model_prices` that tailwater owns, and what has no price.
//!
//! Owned are the rows whose source is `embedded`, and those of `prices.toml` with this log's host. They are made equal
//! to what is given, in one transaction, and nothing is written where they are so already. Rows of other hosts and of
//! other sources are left alone. The rule which row prices a call is in the migration's view `token_costs`.

use std::time::Duration;

use event::Time;
use projector::TargetError;
use tokio_postgres::types::{ToSql, Type};

use crate::connect::{Session, within};
use crate::schema::LOCK_SQL;
use crate::url::DatabaseUrl;

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceSource {
    /// It is shipped: for every host.
    Embedded,
    /// The `prices.toml` of the log's host: for its usage alone.
    Own,
}

impl PriceSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Own => "prices.toml",
        }
    }
}

/// A row of `model_prices`. Rates are US dollars for a million tokens: of input, output, cache writes for five minutes,
/// cache writes for an hour, cache reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPrice {
    /// Who sells it.
    pub provider: String,
    /// The model, as the rows' rule spells it.
    pub model: String,
    /// Which names it is for: `exact`, `model` or `family`.
    pub matches: &'static str,
    /// From when; `None` is always.
    pub effective_from: Option<Time>,
    /// Until when; `None` is for ever.
    pub effective_to: Option<Time>,
    /// What it costs.
    pub rates: [Option<f64>; 5],
    /// Above how many tokens of context a call is long.
    pub long_context_above_tokens: Option<u64>,
    /// What a long call costs.
    pub long_rates: [Option<f64>; 5],
    /// Where it comes from.
    pub source: PriceSource,
    /// Whether somebody has compared it with what the provider publishes.
    pub is_checked: bool,
}

/// The rows that a log's host knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceList {
    /// The host whose usage its own rows are for.
    pub host: String,
    /// The rows.
    pub rows: Vec<ModelPrice>,
}

/// What telling the database has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PricesOutcome {
    /// Rows that were made.
    pub made: u64,
    /// Rows that were removed, those that others took the place of included.
    pub removed: u64,
}

/// Makes the database's rows equal to these.
///
/// # Errors
/// When it is away, lacks the table, or does not let us write.
pub async fn mirror_prices(url: &DatabaseUrl, list: &PriceList) -> Result<PricesOutcome, TargetError> {
    let session = Session::open(url, "tailwater/prices").await?;
    mirror(&session, list, url.connect_timeout()).await
}

const COLUMNS: &str =
    "provider, model, matches, host, effective_from, effective_to, input, output, cache_write_5m,
    cache_write_1h, cache_read, long_context_above_tokens, long_input, long_output, long_cache_write_5m,
    long_cache_write_1h, long_cache_read, source, is_checked";

/// The rows that are given. $1 is the host, which the statements use themselves.
const GIVEN: &str = "SELECT provider, model, matches, host,
        coalesce(effective_from::timestamptz, '-infinity') AS effective_from,
        coalesce(effective_to::timestamptz, 'infinity') AS effective_to,
        input, output, cache_write_5m, cache_write_1h, cache_read, long_context_above_tokens,
        long_input, long_output, long_cache_write_5m, long_cache_write_1h, long_cache_read, source, is_checked
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[], $9::float8[],
        $10::float8[], $11::float8[], $12::float8[], $13::bigint[], $14::float8[], $15::float8[], $16::float8[],
        $17::float8[], $18::float8[], $19::text[], $20::boolean[])
    AS given (provider, model, matches, host, effective_from, effective_to, input, output, cache_write_5m,
        cache_write_1h, cache_read, long_context_above_tokens, long_input, long_output, long_cache_write_5m,
        long_cache_write_1h, long_cache_read, source, is_checked)";

/// The same over a session; after an error its transaction is still open.
pub(crate) async fn mirror(
    session: &Session,
    list: &PriceList,
    limit: Duration,
) -> Result<PricesOutcome, TargetError> {
    let tried = "telling the database the prices";
    let columns = Columns::of(list);
    let telling = async {
        session.run(tried, &format!("{}; {LOCK_SQL}", session.begin_sql())).await?;
        let removed = columns.run(session, tried, &remove_sql()).await?;
        let made = columns.run(session, tried, &make_sql()).await?;
        session.run(tried, "COMMIT").await?;
        Ok(PricesOutcome { made, removed })
    };
    within(limit, tried, telling).await
}

/// Removes what is ours and is not given like this.
fn remove_sql() -> String {
    let of = |row: &str| {
        COLUMNS.split(", ").map(|name| format!("{row}.{}", name.trim())).collect::<Vec<_>>().join(", ")
    };
    let (kept, given) = (of("kept"), of("given"));
    format!(
        "WITH given AS ({GIVEN}), gone AS (
             DELETE FROM model_prices kept
             WHERE ((kept.source = 'embedded' AND kept.host = '') OR (kept.source = 'prices.toml' AND kept.host = $1))
               AND NOT EXISTS (SELECT FROM given WHERE ROW({given}) IS NOT DISTINCT FROM ROW({kept}))
             RETURNING 1)
         SELECT count(*) FROM gone"
    )
}

fn make_sql() -> String {
    format!(
        "WITH given AS ({GIVEN}), made AS (
             INSERT INTO model_prices ({COLUMNS}) SELECT {COLUMNS} FROM given WHERE $1::text IS NOT NULL
             ON CONFLICT DO NOTHING RETURNING 1)
         SELECT count(*) FROM made"
    )
}

/// A list turned on its side: an array for each column.
struct Columns<'a> {
    host: &'a str,
    texts: [Vec<Option<String>>; 7],
    numbers: [Vec<Option<f64>>; 10],
    above: Vec<Option<i64>>,
    checked: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(list: &'a PriceList) -> Self {
        let text = |of: fn(&ModelPrice, &str) -> Option<String>| {
            list.rows.iter().map(|row| of(row, &list.host)).collect::<Vec<_>>()
        };
        let number = |index: usize| {
            let all =
                |row: &ModelPrice| row.rates.iter().chain(&row.long_rates).nth(index).copied().flatten();
            list.rows.iter().map(all).collect::<Vec<_>>()
        };
        let above = |row: &ModelPrice| {
            row.long_context_above_tokens.map(|above| above.try_into().unwrap_or(i64::MAX))
        };
        Self {
            host: &list.host,
            texts: [
                text(|row, _| Some(row.provider.clone())),
                text(|row, _| Some(row.model.clone())),
                text(|row, _| Some(row.matches.to_owned())),
                text(|row, host| {
                    Some(if row.source == PriceSource::Own { host.to_owned() } else { String::new() })
                }),
                text(|row, _| row.effective_from.map(|time| time.to_string())),
                text(|row, _| row.effective_to.map(|time| time.to_string())),
                text(|row, _| Some(row.source.as_str().to_owned())),
            ],
            numbers: std::array::from_fn(number),
            above: list.rows.iter().map(above).collect(),
            checked: list.rows.iter().map(|row| row.is_checked).collect(),
        }
    }

    /// Runs a statement over [`GIVEN`] that answers with a count.
    async fn run(&self, session: &Session, tried: &str, sql: &str) -> Result<u64, TargetError> {
        let [provider, model, matches, host, from, to, source] = &self.texts;
        let (rates, long) = self.numbers.split_at(5);
        let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&self.host, Type::TEXT)];
        values.extend(
            [provider, model, matches, host, from, to]
                .map(|it| (it as &(dyn ToSql + Sync), Type::TEXT_ARRAY)),
        );
        values.extend(rates.iter().map(|it| (it as &(dyn ToSql + Sync), Type::FLOAT8_ARRAY)));
        values.push((&self.above, Type::INT8_ARRAY));
        values.extend(long.iter().map(|it| (it as &(dyn ToSql + Sync), Type::FLOAT8_ARRAY)));
        values.push((source, Type::TEXT_ARRAY));
        values.push((&self.checked, Type::BOOL_ARRAY));
        let told = |error| session.error(tried, error);
        let rows = session.client().query_typed(sql, &values).await.map_err(told)?;
        let count: i64 =
            rows.first().map(|row| row.try_get(0)).transpose().map_err(told)?.unwrap_or_default();
        Ok(count.unsigned_abs())
    }
}

/// What a database has of prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PricesSeen {
    /// Rows of `model_prices`.
    pub rows: u64,
    /// Models of recent calls that have neither a price nor a reported cost, with their calls; the most used first.
    pub unpriced: Vec<(String, u64)>,
}

/// How many models without a price are named.
const UNPRICED_MAX: i64 = 5;

/// Looks which models of the last days have no price.
///
/// # Errors
/// When the database is away or has not our tables.
pub async fn prices_seen(url: &DatabaseUrl, days: i32) -> Result<PricesSeen, TargetError> {
    let tried = "looking for models without a price";
    let session = Session::open(url, "tailwater/prices").await?;
    let looking = async {
        session.run(tried, session.begin_sql()).await?;
        let told = |error| session.error(tried, error);
        let counting = session.client().query_typed("SELECT count(*) FROM model_prices", &[]).await;
        let rows = counting.map_err(told)?;
        let rows: i64 = rows.first().map(|row| row.try_get(0)).transpose().map_err(told)?.unwrap_or_default();
        let sql = "SELECT model, count(*) FROM token_costs
                   WHERE time > now() - $1 * interval '1 day' AND cost_usd IS NULL
                   GROUP BY model ORDER BY count(*) DESC, model LIMIT $2";
        let found =
            session.client().query_typed(sql, &[(&days, Type::INT4), (&UNPRICED_MAX, Type::INT8)]).await;
        let read =
            |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()));
        let unpriced = found.map_err(told)?.iter().map(read).collect::<Result<_, _>>().map_err(told)?;
        session.run(tried, "COMMIT").await?;
        Ok(PricesSeen { rows: rows.unsigned_abs(), unpriced })
    };
    within(url.connect_timeout(), tried, looking).await
}
