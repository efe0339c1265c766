//! Whether a database has what the log has, and mending it: the answer is what `verify` prints as JSON.

use std::time::{Duration, Instant, SystemTime};

use event::Entry;
use projector::verify::{ExtraRow, HourFound, Picker, Positions, Verification, still_missing, verify};
use projector::{ReadLimits, Source, kept_from};
use serde::{Deserialize, Serialize};
use store::{DatabaseUrl, MendOutcome, Mender, Migrate, StoreOptions, TimescaleSnapshot, TimescaleTarget};
use tokio_util::sync::CancellationToken;

use super::{Projecting, Service};
use crate::adapter::LogSource;
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::output;

/// How much of the log is read at a time for what is mended.
const READ: ReadLimits = ReadLimits { events_max: 2_000, bytes_max: 1 << 20 };
/// How many events a transaction mends, until the read that reaches it.
const MEND_EVENTS: usize = 5_000;
/// How many bytes of payload, likewise.
const MEND_BYTES: usize = 4 << 20;

/// Whether what is missing is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mend {
    /// No.
    Never,
    /// No, but it is told how much it would be.
    DryRun,
    /// Yes.
    Run,
}

/// The answer to `verify`: `events = rows + present + quarantined + pending + expired + missing`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DatabaseVerifyAnswer {
    /// The log.
    pub log_id: String,
    /// The database, without its password.
    pub database: String,
    /// The log's number there, which its rows carry.
    pub log_no: i32,
    /// The last position that was verified.
    pub head: u64,
    /// Events that the log has.
    pub events: u64,
    /// Events with a row of their own.
    pub rows: u64,
    /// Events whose key has a row that wins over them, or another log's.
    pub present: u64,
    /// Events in quarantine.
    pub quarantined: u64,
    /// Events that a range has yet to apply.
    pub pending: u64,
    /// Events older than what the database keeps.
    pub expired: u64,
    /// Events that the database should have and has not.
    pub missing: u64,
    /// Rows of the log that no event of it explains.
    pub extra: u64,
    /// Rows whose events the log no longer has.
    pub unavailable: u64,
    /// The hours in which something is missing or extra.
    pub hours: Vec<HourObject>,
    /// The first of the extra rows.
    pub extra_rows: Vec<ExtraRowObject>,
    /// What was replayed; null when nobody asked for it.
    pub mended: Option<Mended>,
    /// How long it took.
    pub seconds: f64,
}

/// An hour of one kind in which log and database differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HourObject {
    /// When it begins; null for events of a newer version.
    pub time: Option<String>,
    /// The kind; `unknown(9)` for one that this version does not know.
    pub kind: String,
    /// Events that the log has.
    pub log: u64,
    /// Rows that the database has of the log.
    pub database: u64,
    /// Events that the database should have and has not.
    pub missing: u64,
    /// Rows that no event explains.
    pub extra: u64,
}

impl From<&HourFound> for HourObject {
    fn from(it: &HourFound) -> Self {
        let time = it.time.map(|time| time.to_string());
        let &HourFound { log, database, missing, extra, .. } = it;
        Self { time, kind: it.kind.to_string(), log, database, missing, extra }
    }
}

/// A row that no event explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExtraRowObject {
    /// Its table.
    pub table: String,
    /// The position that it names.
    pub position: i64,
    /// Its time.
    pub time: String,
}

impl From<&ExtraRow> for ExtraRowObject {
    fn from(it: &ExtraRow) -> Self {
        let (table, time) = (store::table_of(it.kind).to_owned(), it.row.time.to_string());
        Self { table, position: it.row.position, time }
    }
}

/// What was replayed: `replayed = inserted + present + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mended {
    /// Whether this only tells how much it would be: then nothing else is counted.
    pub dry_run: bool,
    /// Events that were replayed, or would be.
    pub replayed: u64,
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose key has a row that wins over them.
    pub present: u64,
    /// Events that the database refused for their content.
    pub quarantined: u64,
    /// Events that are missing all the same: the database was looked at again.
    pub still_missing: u64,
}

impl Service {
    pub(super) async fn verify_database(
        &self,
        database_url: Option<&str>,
        mend: Mend,
        retention: Option<Duration>,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<DatabaseVerifyAnswer, Failure> {
        let database = self.database_or_own(database_url)?;
        let retention = match &self.projecting {
            Projecting::Live(live) if live.database.same_database(&database) => live.retention,
            Projecting::Live(_) | Projecting::Disabled | Projecting::Idle => retention,
        };
        let began = Instant::now();
        let work = async {
            // What was recorded before the command is verified.
            self.durable_head().await?;
            let source = LogSource::new(self.log.clone());
            let verifier = Verifier::new(source, &database, output);
            let (mut answer, missing) = verifier.verify(retention).await?;
            answer.mended = match mend {
                Mend::Never => None,
                Mend::DryRun => Some(Mended { dry_run: true, replayed: missing.len(), ..Mended::default() }),
                Mend::Run => Some(verifier.mend(missing).await?),
            };
            answer.seconds = began.elapsed().as_secs_f64();
            Ok(answer)
        };
        tokio::select! {
            answered = work => answered,
            () = stop.cancelled() => Err(Failure::error("stopped before everything was verified; what was mended until then stays")),
        }
    }
}

/// A log, a database, and who hears how far it is.
struct Verifier<'a> {
    source: LogSource,
    target: TimescaleTarget,
    output: &'a Output,
}

impl<'a> Verifier<'a> {
    fn new(source: LogSource, database: &DatabaseUrl, output: &'a Output) -> Self {
        // It makes no tables: where there are none there is nothing to verify.
        let options = StoreOptions { migrate: Migrate::Never, ..StoreOptions::default() };
        Self { source, target: TimescaleTarget::new(database.clone(), options), output }
    }

    async fn verify(
        &self,
        retention: Option<Duration>,
    ) -> Result<(DatabaseVerifyAnswer, Positions), Failure> {
        let mut snapshot = self.snapshot().await?;
        let log_no = snapshot.log_no();
        let kept_from = retention.map(|kept| kept_from(kept, SystemTime::now()));
        let progress = |done, total| self.output.progress(Progress { done, total, waiting: None });
        let found = verify(&self.source, &mut snapshot, kept_from, progress).await;
        let found = found.map_err(|error| failed(&error))?;
        snapshot.close().await.map_err(|error| failed(&error))?;
        Ok((self.answer(&found, log_no), found.missing))
    }

    async fn snapshot(&self) -> Result<TimescaleSnapshot, Failure> {
        let taken = self.target.snapshot(&self.source.identity()).await;
        taken.map_err(|error| failed(&error))?.ok_or_else(|| self.never_seen())
    }

    fn never_seen(&self) -> Failure {
        Failure::unhealthy(format!(
            "{} has never seen log {}: `tailwater project --until-head` projects it there",
            self.target.url(),
            self.source.identity().log_id
        ))
    }

    fn answer(&self, found: &Verification, log_no: i32) -> DatabaseVerifyAnswer {
        DatabaseVerifyAnswer {
            log_id: self.source.identity().log_id.to_string(),
            database: self.target.url().to_string(),
            log_no,
            head: found.head.0,
            events: found.events,
            rows: found.rows,
            present: found.present,
            quarantined: found.quarantined,
            pending: found.pending,
            expired: found.expired,
            missing: found.missing.len(),
            extra: found.extra,
            unavailable: found.unavailable,
            hours: found.hours.iter().map(HourObject::from).collect(),
            extra_rows: found.extra_rows.iter().map(ExtraRowObject::from).collect(),
            mended: None,
            seconds: 0.0,
        }
    }

    /// Replays what is missing, and looks whether it is there then.
    async fn mend(&self, missing: Positions) -> Result<Mended, Failure> {
        let replayed = missing.len();
        if replayed == 0 {
            return Ok(Mended::default());
        }
        self.output
            .notice(format!("replaying {} that are missing", output::counted(replayed, "event")))
            .await?;
        let mender = self.target.mender(&self.source.identity()).await.map_err(|error| failed(&error))?;
        let outcome = self.replay(mender.ok_or_else(|| self.never_seen())?, missing.clone()).await?;
        let mut snapshot = self.snapshot().await?;
        let still = still_missing(&self.source, &mut snapshot, missing).await;
        let still = still.map_err(|error| failed(&error))?;
        snapshot.close().await.map_err(|error| failed(&error))?;
        let MendOutcome { inserted, present, quarantined } = outcome;
        Ok(Mended {
            dry_run: false,
            replayed: inserted + present + quarantined,
            inserted,
            present,
            quarantined,
            still_missing: still.len(),
        })
    }

    async fn replay(&self, mut mender: Mender, missing: Positions) -> Result<MendOutcome, Failure> {
        let total = missing.len();
        let (mut picker, mut sum, mut done) =
            (Picker::new(&self.source, missing, READ), MendOutcome::default(), 0);
        let mut is_last = false;
        while !is_last {
            let mut batch: Vec<Entry> = Vec::new();
            while !is_last && !is_full(&batch) {
                let entries = picker.next().await.map_err(|error| failed(&error))?;
                is_last = entries.is_empty();
                batch.extend(entries);
            }
            if !batch.is_empty() {
                sum.add(mender.mend(&batch).await.map_err(|error| failed(&error))?);
            }
            done += batch.len() as u64;
            self.output.progress(Progress { done, total, waiting: None });
        }
        Ok(sum)
    }
}

fn is_full(batch: &[Entry]) -> bool {
    batch.len() >= MEND_EVENTS || batch.iter().map(|entry| entry.bytes).sum::<usize>() >= MEND_BYTES
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::error(chain(error))
}
