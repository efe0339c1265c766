//! What an operator does with the quarantine of this log: the answers are what the commands print as JSON.

mod upgrade;

use std::time::Duration;

use event::wire::Decoded;
use event::{Position, json};
use eventlog::EventLog;
use projector::{Source, State, TargetError};
use query::{ReadError, ReadErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{DatabaseUrl, DropMode, Quarantine, QuarantineFilter, Quarantined, RetryMode, StoreOptions};
use store::{Migrate, TimescaleTarget};
use tokio_util::sync::CancellationToken;

use super::{Projecting, Service, answer};
use crate::adapter::LogSource;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::output;
use crate::projection;
use crate::service::project::Live;

pub(crate) use upgrade::retry_what_is_known_now;

/// How many events are read at a time.
const PAGE: usize = 500;
/// How long the daemon may take to look at the quarantine anew; the answer does not wait for longer.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// How long the list that HTTP shows may take.
const LIST_DEADLINE: Duration = Duration::from_secs(5);

/// What to do with the quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum QuarantineAction {
    /// Tell which events are there, each as a line of JSON.
    List {
        /// Which of them.
        which: Which,
    },
    /// Tell one event.
    Show {
        /// Its position.
        position: u64,
    },
    /// Try events again.
    Retry {
        /// Which of them.
        which: Which,
        /// Whether to take it back.
        dry_run: bool,
    },
    /// Delete events.
    Drop {
        /// Which of them.
        which: Which,
        /// Whether to only count them.
        dry_run: bool,
    },
}

/// Which events of the quarantine: those that all of it is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Which {
    /// From this position on.
    pub from: Option<u64>,
    /// Before this position.
    pub to: Option<u64>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Refused with this SQLSTATE.
    pub sqlstate: Option<String>,
}

impl From<Which> for QuarantineFilter {
    fn from(which: Which) -> Self {
        let all = Self::default();
        let from = which.from.map_or(*all.positions.start(), Position);
        let last = which.to.map_or(*all.positions.end(), |to| Position(to.saturating_sub(1)));
        Self { positions: from..=last, kind: which.kind, sqlstate: which.sqlstate }
    }
}

/// An event in quarantine. Other tools build on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuarantineRow {
    /// Its position.
    pub position: u64,
    /// Its kind.
    pub kind: String,
    /// Why it was refused last.
    pub sqlstate: String,
    /// What the database said then.
    pub message: String,
    /// When that was.
    pub at: String,
}

impl From<Quarantined> for QuarantineRow {
    fn from(it: Quarantined) -> Self {
        let (position, at) = (it.position.0, it.at.to_string());
        Self { position, kind: it.kind, sqlstate: it.sqlstate, message: it.message, at }
    }
}

/// The answer to `quarantine show`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShowAnswer {
    /// What `list` tells of it.
    #[serde(flatten)]
    pub row: QuarantineRow,
    /// The event; null when this version does not know it.
    pub event: Option<Value>,
}

/// The answer to `quarantine retry`: `tried = inserted + present + refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetryAnswer {
    /// Whether it was taken back.
    pub dry_run: bool,
    /// Events that were tried.
    pub tried: u64,
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose key has a row.
    pub present: u64,
    /// Those of `present` whose content is not that of the row.
    pub conflicting: u64,
    /// Events that were refused again, and stay.
    pub refused: u64,
    /// Events that the quarantine has now.
    pub quarantined: u64,
}

/// The answer to `quarantine drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DropAnswer {
    /// Whether this only tells what would go.
    pub dry_run: bool,
    /// Events that were given up.
    pub dropped: u64,
    /// Events that the quarantine has now.
    pub quarantined: u64,
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn failed(error: TargetError) -> Failure {
    Failure::error(chain(&error))
}

/// Opens the quarantine of a log. It makes no tables: where there are none there is no quarantine.
async fn open(database: &DatabaseUrl, log: &EventLog) -> Result<Quarantine, TargetError> {
    let options = StoreOptions { migrate: Migrate::Never, ..StoreOptions::default() };
    let target = TimescaleTarget::new(database.clone(), options);
    target.quarantine(&LogSource::new(log.clone()).identity()).await
}

impl Service {
    pub(super) async fn quarantine(
        &self,
        database_url: Option<&str>,
        action: QuarantineAction,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Value, Failure> {
        let database = self.database_or_own(database_url)?;
        let work = async {
            let mut quarantine = open(&database, &self.log).await.map_err(failed)?;
            match action {
                QuarantineAction::List { which } => list(&quarantine, which, output).await,
                QuarantineAction::Show { position } => show(&quarantine, position).await,
                QuarantineAction::Retry { which, dry_run } => {
                    let answered = retry(&mut quarantine, which, dry_run, output).await;
                    self.look_anew(&database, dry_run, output, stop).await;
                    answered
                }
                QuarantineAction::Drop { which, dry_run } => {
                    let answered = drop_events(&quarantine, which, dry_run, output).await;
                    self.look_anew(&database, dry_run, output, stop).await;
                    answered
                }
            }
        };
        tokio::select! {
            answered = work => answered,
            () = stop.cancelled() => Err(Failure::error("stopped; what was not told is not known: `tailwater quarantine list` tells")),
        }
    }

    /// The first events that lie in the quarantine of the daemon's database; none where there is no database.
    ///
    /// # Errors
    /// When the database is away, or has not answered in [`LIST_DEADLINE`].
    pub(crate) async fn quarantine_rows(&self) -> Result<Vec<QuarantineRow>, ReadError> {
        let Ok(database) = self.database_or_own(None) else { return Ok(Vec::new()) };
        let list = async { open(&database, &self.log).await?.list(&QuarantineFilter::default(), PAGE).await };
        let away = |why: String| ReadError::new(ReadErrorKind::Unavailable, why);
        let listed = tokio::time::timeout(LIST_DEADLINE, list).await;
        let rows = listed
            .map_err(|_| away("the database did not answer in time".to_owned()))?
            .map_err(|error| away(chain(&error)))?;
        Ok(rows.into_iter().map(QuarantineRow::from).collect())
    }

    /// Lets the daemon's projection see what was changed.
    pub(super) async fn look_anew(
        &self,
        database: &DatabaseUrl,
        dry_run: bool,
        output: &Output,
        stop: &CancellationToken,
    ) {
        if let Projecting::Live(live) = &self.projecting
            && !dry_run
            && live.leads_to(database, output, stop).await
        {
            look_anew(live).await;
        }
    }
}

/// Has the projector claim its ranges anew: a claim asks the database how many events it keeps.
async fn look_anew(live: &Live) {
    let looked = async {
        let Some(paused) = projection::pause(&live.pauser).await else { return };
        let mut facts = live.facts.clone();
        let before = facts.borrow_and_update().runs;
        drop(paused);
        let _ = facts.wait_for(|facts| facts.runs > before).await;
        let mut status = live.status.clone();
        let is_known =
            |status: &projector::Status| status.quarantined.is_some() || status.state == State::Halted;
        let _ = status.wait_for(is_known).await;
    };
    // NOTE: a database that goes away meanwhile is told by `status`.
    let _ = tokio::time::timeout(LOOK_DEADLINE, looked).await;
}

/// Goes through the events of a filter, page by page.
struct Pages<'a> {
    quarantine: &'a Quarantine,
    rest: QuarantineFilter,
}

impl Pages<'_> {
    /// The next page; empty behind the last one.
    async fn next(&mut self) -> Result<Vec<Quarantined>, TargetError> {
        let page = self.quarantine.list(&self.rest, PAGE).await?;
        if let Some(last) = page.last() {
            self.rest.positions = last.position.next()..=*self.rest.positions.end();
        }
        Ok(page)
    }
}

async fn list(quarantine: &Quarantine, which: Which, output: &Output) -> Result<Value, Failure> {
    let mut pages = Pages { quarantine, rest: which.into() };
    let mut events = 0;
    loop {
        let page = pages.next().await.map_err(failed)?;
        if page.is_empty() {
            return answer(super::status::Counted { events });
        }
        events += page.len() as u64;
        output.lines(&ndjson(page)?).await?;
    }
}

fn ndjson(page: Vec<Quarantined>) -> Result<String, Failure> {
    let mut lines = String::new();
    for event in page {
        let row = serde_json::to_string(&QuarantineRow::from(event));
        lines += &row.map_err(|error| Failure::error(format!("cannot encode the answer: {error}")))?;
        lines.push('\n');
    }
    Ok(lines)
}

async fn show(quarantine: &Quarantine, position: u64) -> Result<Value, Failure> {
    let found = quarantine.show(Position(position)).await.map_err(failed)?;
    let Some((row, decoded)) = found else {
        return Err(Failure::unhealthy(format!(
            "position {position} is not in quarantine: `tailwater quarantine list` tells what is"
        )));
    };
    let event = match decoded {
        Decoded::Event(event) => serde_json::from_str(&json::to_line(&event)).ok(),
        Decoded::Unknown { .. } => None,
    };
    answer(ShowAnswer { row: row.into(), event })
}

async fn retry(
    quarantine: &mut Quarantine,
    which: Which,
    dry_run: bool,
    output: &Output,
) -> Result<Value, Failure> {
    let filter = QuarantineFilter::from(which);
    let found = quarantine.drop(&filter, DropMode::DryRun).await.map_err(failed)?;
    let end = if dry_run { ", and taking it back" } else { "" };
    output.notice(format!("trying {} of the quarantine again{end}", output::counted(found, "event"))).await?;
    let mode = if dry_run { RetryMode::DryRun } else { RetryMode::Run };
    let it = quarantine.retry(&filter, mode).await.map_err(failed)?;
    let quarantined = quarantine.count().await.map_err(failed)?;
    answer(RetryAnswer {
        dry_run,
        tried: it.tried,
        inserted: it.inserted,
        present: it.present,
        conflicting: it.conflicting,
        refused: it.refused,
        quarantined,
    })
}

async fn drop_events(
    quarantine: &Quarantine,
    which: Which,
    dry_run: bool,
    output: &Output,
) -> Result<Value, Failure> {
    let filter = QuarantineFilter::from(which);
    let mut dropped = quarantine.drop(&filter, DropMode::DryRun).await.map_err(failed)?;
    if !dry_run {
        output.notice(format!("giving up {} of the quarantine", output::counted(dropped, "event"))).await?;
        dropped = quarantine.drop(&filter, DropMode::Run).await.map_err(failed)?;
    }
    let quarantined = quarantine.count().await.map_err(failed)?;
    answer(DropAnswer { dry_run, dropped, quarantined })
}
