//! Chunks beforehand: the chunk of a new day is made in a short transaction of its own, before a lane writes there.
//!
//! TimescaleDB makes a chunk inside the transaction that first needs it, under a lock that is held until that
//! commits: two lanes with rows of new days wait for each other. So what a batch needs and nobody has made yet is
//! made first, by a row that no valid event has (empty names, log 0, position 0) and that is deleted in the same
//! transaction. One lane of a process does so at a time.
//!
//! What is known is kept for all lanes of a target: a batch of known days costs a look into a map. A chunk that the
//! owner drops stays known, and a row that the owner's CHECK or trigger refuses makes none: then the COPY makes
//! the chunk, as if this file were not here. So nothing depends on it but speed. Plain tables have no chunks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use event::{Kind, Time};
use projector::{Contents, Entry, ErrorKind, TargetError};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::apply::of_kind;
use crate::connect::Session;
use crate::tables::{TABLES, Table};

const TRIED: &str = "looking for chunks";
/// The length of a chunk that is not made beforehand, as far as we know: a day.
const DAY_MICROS: i64 = 86_400_000_000;

const FIND_DATABASE: &str = "SELECT oid, to_regclass('timescaledb_information.chunks') IS NOT NULL
    FROM pg_database WHERE datname = current_database()";
const FIND_HYPERTABLES: &str = "SELECT hypertable_name::text FROM timescaledb_information.hypertables
    WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1)";
const FIND_CHUNKS: &str = "SELECT hypertable_name::text, (extract(epoch FROM range_start) * 1000000)::bigint,
        (extract(epoch FROM range_end) * 1000000)::bigint
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1)
      AND isfinite(range_start) AND isfinite(range_end)
      AND ($2::bigint IS NULL OR (range_start <= to_timestamp($2 / 1000000) AND range_end > to_timestamp($2 / 1000000)))";

/// What the lanes of a target know of its chunks.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    known: Mutex<Known>,
    /// Held by the lane that makes a chunk.
    making: tokio::sync::Mutex<()>,
}

/// Whether a connection has seen that what is known is of its database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached(bool);

#[derive(Debug, Default)]
struct Known {
    /// The number of the database that this is about: one that is made anew has another.
    database: Option<u32>,
    /// For each table of [`TABLES`] its chunks; nothing for a plain table.
    tables: [Option<Ranges>; TABLES.len()],
}

/// Disjoint ranges of time, in microseconds: where each begins, and where it ends, that instant not included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges(BTreeMap<i64, i64>);

impl Ranges {
    fn add(&mut self, from: i64, to: i64) {
        self.0.insert(from, to);
    }

    /// Where the range ends that has this time.
    fn end(&self, time: i64) -> Option<i64> {
        self.0.range(..=time).next_back().map(|(_, to)| *to).filter(|to| *to > time)
    }

    /// Whether everything is covered from one time to another.
    fn cover(&self, from: Time, to: Time) -> bool {
        let mut time = from.micros();
        while let Some(end) = self.end(time) {
            if end > to.micros() {
                return true;
            }
            time = end;
        }
        false
    }
}

impl Chunks {
    /// Makes the chunks that these entries need and that nobody has made yet.
    ///
    /// # Errors
    /// Retry and Busy only: what else keeps a chunk from being made, the COPY will tell.
    pub(crate) async fn make(
        &self,
        session: &Session,
        attached: &mut Attached,
        entries: &[Entry],
        contents: &Contents,
    ) -> Result<(), TargetError> {
        if !attached.0 {
            self.attach(session).await?;
            attached.0 = true;
        }
        for (index, table) in TABLES.into_iter().enumerate() {
            let Some((from, to)) = contents.of_kind(table.kind).times else { continue };
            if self.with(|known| known.is_covered(index, from, to)) {
                continue;
            }
            for time in self.missing(index, table.kind, entries) {
                self.make_one(session, index, table, time).await?;
            }
        }
        Ok(())
    }

    /// The times without a chunk, in order.
    fn missing(&self, index: usize, kind: Kind, entries: &[Entry]) -> Vec<Time> {
        let times = of_kind(entries, kind).map(|(_, event)| event.time());
        let mut missing: Vec<Time> =
            self.with(|known| times.filter(|time| !known.is_covered(index, *time, *time)).collect());
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Makes the chunk of one time, if no other time and no other lane has led to it meanwhile.
    async fn make_one(
        &self,
        session: &Session,
        index: usize,
        table: &Table,
        time: Time,
    ) -> Result<(), TargetError> {
        if self.with(|known| known.is_covered(index, time, time)) {
            return Ok(());
        }
        let _making = self.making.lock().await;
        if self.with(|known| known.is_covered(index, time, time)) {
            return Ok(());
        }
        let tried = format!("making a chunk of {}", table.name);
        if let Err(error) = session.run(&tried, &dummy_sql(session.begin_sql(), table, time)).await {
            session.roll_back(&tried, "ROLLBACK").await?;
            if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Busy) {
                return Err(error);
            }
            tracing::debug!(%error, %time, "left to the COPY");
        }
        let found = chunks(session, &[table.name], Some(time)).await?;
        self.with(|known| match found.first() {
            Some((_, from, to)) => known.add(index, *from, *to),
            None => {
                let from = time.micros().div_euclid(DAY_MICROS) * DAY_MICROS;
                known.add(index, from, from + DAY_MICROS);
            }
        });
        Ok(())
    }

    /// Reads what there is, unless it is known for this database.
    async fn attach(&self, session: &Session) -> Result<(), TargetError> {
        let error = |error| session.error(TRIED, error);
        let rows = session.client().query_typed(FIND_DATABASE, &[]).await.map_err(error)?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (database, has_chunks): (u32, bool) =
            (row.try_get(0).map_err(error)?, row.try_get(1).map_err(error)?);
        if self.with(|known| known.database == Some(database)) {
            return Ok(());
        }
        let mut fresh = Known { database: Some(database), ..Known::default() };
        if has_chunks {
            fresh.read(session).await?;
        }
        self.with(|known| *known = fresh);
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    /// Whether there is nothing to be made for these times.
    fn is_covered(&self, index: usize, from: Time, to: Time) -> bool {
        let ranges = self.tables.get(index).and_then(Option::as_ref);
        ranges.is_none_or(|ranges| ranges.cover(from, to))
    }

    fn add(&mut self, index: usize, from: i64, to: i64) {
        if let Some(Some(ranges)) = self.tables.get_mut(index) {
            ranges.add(from, to);
        }
    }

    /// Reads which tables have chunks, and which.
    async fn read(&mut self, session: &Session) -> Result<(), TargetError> {
        let names = TABLES.map(|table| table.name);
        let error = |error| session.error(TRIED, error);
        let names: &[&str] = &names;
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
            [(&names, Type::TEXT_ARRAY)];
        for row in session.client().query_typed(FIND_HYPERTABLES, &parameters).await.map_err(error)? {
            let name: &str = row.try_get(0).map_err(error)?;
            if let Some(ranges) = self.of(name) {
                *ranges = Some(Ranges::default());
            }
        }
        for (name, from, to) in chunks(session, names, None).await? {
            if let Some(Some(ranges)) = self.of(&name) {
                ranges.add(from, to);
            }
        }
        Ok(())
    }

    fn of(&mut self, name: &str) -> Option<&mut Option<Ranges>> {
        let index = TABLES.iter().position(|table| table.name == name)?;
        self.tables.get_mut(index)
    }
}

/// The chunks of these tables: name, from, to; only those that have `time`, if one is given.
async fn chunks(
    session: &Session,
    names: &[&str],
    time: Option<Time>,
) -> Result<Vec<(String, i64, i64)>, TargetError> {
    let micros = time.map(Time::micros);
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&names, Type::TEXT_ARRAY), (&micros, Type::INT8)];
    let rows = session.client().query_typed(FIND_CHUNKS, &parameters).await;
    let rows = rows.map_err(|error| session.error(TRIED, error))?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| session.error(TRIED, error))
}

/// Writes and deletes a row that no event has; the names that are empty here are never empty there.
fn dummy_sql(begin: &str, table: &Table, time: Time) -> String {
    let name = table.name;
    let (columns, values) = match table.kind {
        Kind::AgentSample | Kind::AgentState => ("agent_name", "''"),
        Kind::SystemSample => ("system_name", "''"),
        Kind::ChannelSample => ("channel_name, message_count, reaction_count", "'', 0, 0"),
        Kind::TokenUsage => ("agent_name, model, input_tokens, output_tokens", "'', '', 0, 0"),
        Kind::Gap => ("from_time, to_time, events, what, reason", "'epoch', 'epoch', 0, '', ''"),
    };
    format!(
        "{begin};
         INSERT INTO {name} (time, host, log_no, position, {columns}) VALUES ('{time}', '', 0, 0, {values});
         DELETE FROM {name} WHERE time = '{time}' AND host = '' AND log_no = 0 AND position = 0;
         COMMIT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_what_they_touch() {
        let mut ranges = Ranges::default();
        for (from, to) in [(10, 20), (20, 30), (40, 50)] {
            ranges.add(from, to);
        }
        let check = |from: i64, to: i64, covered: bool| {
            let times = (Time::from_micros(from), Time::from_micros(to));
            assert_eq!(ranges.cover(times.0, times.1), covered, "{from} to {to}");
        };
        check(10, 10, true);
        check(10, 19, true);
        check(15, 29, true);
        check(15, 30, false);
        check(9, 15, false);
        check(30, 30, false);
        check(29, 40, false);
        check(40, 49, true);
        check(49, 50, false);
        check(60, 60, false);
    }
}
