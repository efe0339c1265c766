//! The copy of the prices that the view `token_costs` joins: made again whenever the program's own differ.
//!
//! Rows of other sources are somebody's own and are never touched. The copy is data and not schema: where it cannot be
//! made, everything else goes on, with the prices that are there.

use event::Time;
use projector::TargetError;
use tokio_postgres::types::{ToSql, Type};

use crate::connect::{Session, within};
use crate::schema::LOCK_SQL;
use crate::url::DatabaseUrl;

const TRIED: &str = "copying the prices";
/// The sources whose rows are copies.
const OURS: &str = "source IN ('embedded', 'embedded, unchecked', 'prices.toml')";

/// A row of `model_prices`: US dollars for a million tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceRow {
    /// Who sells it.
    pub provider: String,
    /// The model's plain name.
    pub model: String,
    /// `prefix` or `exact`.
    pub covers: &'static str,
    /// From when on; `None` is from ever.
    pub effective_from: Option<Time>,
    /// Until before when; `None` is for ever.
    pub effective_to: Option<Time>,
    /// For calls of so many tokens of context or more.
    pub context_from: u64,
    /// Input, output, cache writes of five minutes and of an hour, cache reads; `None` is not known.
    pub rates: [Option<f64>; 5],
    /// `embedded`, `embedded, unchecked` or `prices.toml`.
    pub source: &'static str,
}

/// What a copy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// These prices were there.
    Same,
    /// So many rows are there in place of the ones before.
    Anew(u64),
}

/// Makes the database's copy of the prices be these rows, whose order is theirs among equals.
///
/// # Errors
/// By [`TargetError::kind`], as any connection; a missing permission is Fatal. Nothing has changed then.
pub async fn copy_prices(url: &DatabaseUrl, rows: &[PriceRow]) -> Result<Copied, TargetError> {
    let session = Session::open(url, "tailwater/prices").await?;
    within(url.connect_timeout(), TRIED, copy(&session, rows)).await
}

/// The rows as columns, for `unnest`.
struct Columns {
    texts: [Vec<String>; 4],
    times: [Vec<Option<i64>>; 2],
    context_from: Vec<i64>,
    rates: [Vec<Option<f64>>; 5],
}

impl Columns {
    fn of(rows: &[PriceRow]) -> Self {
        let texts = |of: fn(&PriceRow) -> &str| rows.iter().map(|row| of(row).to_owned()).collect();
        let times =
            |of: fn(&PriceRow) -> Option<Time>| rows.iter().map(|row| of(row).map(Time::micros)).collect();
        let bounded = |row: &PriceRow| i64::try_from(row.context_from).unwrap_or(i64::MAX);
        let rates = |index: usize| rows.iter().map(|row| row.rates.get(index).copied().flatten()).collect();
        Self {
            texts: [
                texts(|it| &it.provider),
                texts(|it| &it.model),
                texts(|it| it.covers),
                texts(|it| it.source),
            ],
            times: [times(|it| it.effective_from), times(|it| it.effective_to)],
            context_from: rows.iter().map(bounded).collect(),
            rates: [0, 1, 2, 3, 4].map(rates),
        }
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let mut all: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
        all.extend(self.texts.iter().map(|it| (it as &(dyn ToSql + Sync), Type::TEXT_ARRAY)));
        all.extend(self.times.iter().map(|it| (it as &(dyn ToSql + Sync), Type::INT8_ARRAY)));
        all.push((&self.context_from, Type::INT8_ARRAY));
        all.extend(self.rates.iter().map(|it| (it as &(dyn ToSql + Sync), Type::FLOAT8_ARRAY)));
        all
    }
}

const COLUMNS: &str = "provider, model, covers, source, effective_from, effective_to, context_from, input, output, \
    cache_write_5m, cache_write_1h, cache_read, ordinal";

/// The rows that are to be there.
const WANTED: &str = "SELECT provider, model, covers, source,
        coalesce(timestamptz 'epoch' + from_micros * interval '1 microsecond', '-infinity') AS effective_from,
        coalesce(timestamptz 'epoch' + to_micros * interval '1 microsecond', 'infinity') AS effective_to,
        context_from, input, output, cache_write_5m, cache_write_1h, cache_read, ordinal::integer AS ordinal
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[]) WITH ORDINALITY
        AS rows (provider, model, covers, source, from_micros, to_micros, context_from, input, output,
            cache_write_5m, cache_write_1h, cache_read, ordinal)";

async fn copy(session: &Session, rows: &[PriceRow]) -> Result<Copied, TargetError> {
    session.run(TRIED, session.begin_sql()).await?;
    let columns = Columns::of(rows);
    if is_same(session, &columns).await? {
        session.run(TRIED, "COMMIT").await?;
        return Ok(Copied::Same);
    }
    // NOTE: two daemons that begin at once copy one after the other.
    session.run(TRIED, &format!("{LOCK_SQL}; DELETE FROM model_prices WHERE {OURS}")).await?;
    let sql = format!("INSERT INTO model_prices ({COLUMNS}) {WANTED}");
    let inserted = session.client().execute_typed(&sql, &columns.parameters()).await;
    let inserted = inserted.map_err(|error| session.error(TRIED, error))?;
    session.run(TRIED, "COMMIT").await?;
    Ok(Copied::Anew(inserted))
}

async fn is_same(session: &Session, columns: &Columns) -> Result<bool, TargetError> {
    let there = format!("SELECT {COLUMNS} FROM model_prices WHERE {OURS}");
    let sql =
        format!("SELECT NOT EXISTS (({there} EXCEPT ({WANTED})) UNION ALL (({WANTED}) EXCEPT {there}))");
    let row = session.client().query_typed_one(&sql, &columns.parameters()).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| session.error(TRIED, error))
}
