//! Projecting on request: into any database, until everything that is in the log now is there, or for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Position, span};
use projector::{ErrorKind, Halt, Projector, Settings, State, Status, Totals, Until};
use serde::{Deserialize, Serialize};
use store::{DatabaseUrl, PriceList, StoreOptions, TimescaleTarget};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Service;
use crate::adapter::LogSource;
use crate::commands::project::no_database;
use crate::config::Backlog;
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::projection::{Facts, Pauser};
use crate::retention::Keeping;
use crate::service::Projecting;

/// The daemon's own projection.
pub(crate) struct Live {
    /// Into which database.
    pub database: DatabaseUrl,
    /// How it fills what an outage has left.
    pub backlog: Backlog,
    /// How long the database keeps events.
    pub retention: Option<Duration>,
    /// What it tells about itself.
    pub status: watch::Receiver<Status>,
    /// Stops it for a while.
    pub pauser: Pauser,
    /// What is known beside that.
    pub facts: watch::Receiver<Facts>,
}

impl Live {
    /// Whether this URL leads to the daemon's own database, however it is spelled. Waits until that can be told.
    ///
    /// IMPORTANT: two projectors of one log into one database overtake each other until one halts. So nothing
    /// begins while the other database is away: it could be ours when it comes back.
    pub(crate) async fn leads_to(
        &self,
        other: &DatabaseUrl,
        output: &Output,
        stop: &CancellationToken,
    ) -> bool {
        if self.database.same_database(other) {
            return true;
        }
        loop {
            match store::identify(other).await {
                // NOTE: asked after the other one has answered: a database that is away then is another.
                Ok(found) => return store::identify(&self.database).await.is_ok_and(|own| own == found),
                Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Busy) => {
                    output.progress(Progress { waiting: Some(error.to_string()), ..Progress::default() });
                }
                // NOTE: the projector meets the same, and says so.
                Err(_) => return false,
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(IDENTIFY_PAUSE) => {}
            }
        }
    }

    /// Tells that another's settings are not used.
    fn own_settings(&self) -> String {
        let Backlog { lanes, rate } = self.backlog;
        let rate = rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate} events/s"));
        let retention = self.retention.map_or_else(|| "none".to_owned(), span::display);
        format!(
            "the daemon projects into this database already, with its own settings: backlog lanes {lanes}, {rate}, \
             retention {retention}"
        )
    }

    /// What has halted, in one line: why, and what ends it.
    fn halted(&self, error: Option<&str>) -> String {
        halt_text(self.halt_retry(), error.unwrap_or_default())
    }

    /// After how long what has halted is tried again; `None` when only a person can end that.
    #[must_use]
    pub(crate) fn halt_retry(&self) -> Option<Duration> {
        self.facts.borrow().halt_retry
    }

    /// How many events the database keeps in its quarantine, as it was known last.
    #[must_use]
    pub(crate) fn quarantined(&self) -> u64 {
        let kept = self.status.borrow().quarantined;
        kept.unwrap_or_else(|| self.facts.borrow().quarantined)
    }
}

/// A halted projection in one line: why, and what ends it.
#[must_use]
pub(crate) fn halt_text(retry: Option<Duration>, error: &str) -> String {
    match retry {
        Some(retry) => {
            format!("projecting has halted and tries again every {}: {error}", span::display(retry))
        }
        None => format!(
            "projecting has halted until a person acts; a restart, `log adopt` or `log repair` begins it again: {error}"
        ),
    }
}

/// How long between two attempts to find out which database it is.
const IDENTIFY_PAUSE: Duration = Duration::from_millis(500);

/// The answer to `project`. Other tools build on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProjectAnswer {
    /// Positions taken from the log.
    pub read: u64,
    /// Events sent to the database.
    pub sent: u64,
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose row was there already.
    pub present: u64,
    /// Events that the database refused for their content.
    pub quarantined: u64,
    /// Events older than the database's retention.
    pub expired: u64,
    /// Positions that have no event any more.
    pub unavailable: u64,
    /// How long it took.
    pub seconds: f64,
    /// `read / seconds`.
    pub events_per_second: f64,
}

impl ProjectAnswer {
    pub(super) fn new(totals: Totals, took: Duration) -> Self {
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let events_per_second = if seconds > 0.0 { totals.read as f64 / seconds } else { 0.0 };
        Self {
            read: totals.read,
            sent: totals.sent,
            inserted: totals.inserted,
            present: totals.present,
            quarantined: totals.quarantined,
            expired: totals.expired,
            unavailable: totals.unavailable,
            seconds,
            events_per_second,
        }
    }
}

/// The projector of a log into a database.
pub(crate) type LogProjector = Projector<LogSource, Keeping>;

/// A projector of this log into this database, which learns these prices and keeps events for so long.
#[must_use]
pub(crate) fn projector(
    log: &eventlog::EventLog,
    (database, prices): (DatabaseUrl, Arc<PriceList>),
    migrate: store::Migrate,
    backlog: Backlog,
    retention: Option<Duration>,
) -> LogProjector {
    let options = StoreOptions { migrate, ..StoreOptions::default() };
    let (target, parts) =
        Keeping::new(TimescaleTarget::new(database, options).with_prices(prices), retention);
    let settings =
        Settings { backlog_lanes: backlog.lanes, backlog_rate: backlog.rate, ..Settings::default() };
    Projector::with_parts(Arc::new(LogSource::new(log.clone())), Arc::new(target), settings, parts)
}

/// The database that a client names.
pub(super) fn database(url: &str) -> Result<DatabaseUrl, Failure> {
    url.parse().map_err(|error: store::DatabaseUrlError| Failure::error(chain(&error)))
}

impl Service {
    /// The database that a client names, or the daemon's own.
    pub(super) fn database_or_own(&self, url: Option<&str>) -> Result<DatabaseUrl, Failure> {
        match (url, &self.projecting) {
            (Some(url), _) => database(url),
            (None, Projecting::Live(live)) => Ok(live.database.clone()),
            (None, Projecting::Disabled | Projecting::Idle) => Err(no_database()),
        }
    }

    /// How long this database keeps events, as far as the holder of the log was told.
    #[must_use]
    pub(crate) fn retention_of(&self, database: &DatabaseUrl) -> Option<Duration> {
        self.retention.of(database)
    }

    pub(super) async fn project(
        &self,
        database_url: &str,
        until_head: bool,
        (backlog, retention): (Backlog, Option<Duration>),
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<ProjectAnswer, Failure> {
        let database = database(database_url)?;
        let head = self.log.ends().next.before();
        let until = if until_head { Until::Applied(head) } else { Until::Stopped };
        if let Projecting::Live(live) = &self.projecting
            && live.leads_to(&database, output, stop).await
        {
            if backlog != live.backlog || retention.is_some_and(|kept| Some(kept) != live.retention) {
                output.notice(live.own_settings()).await?;
            }
            return follow(live, until, output, stop).await;
        }
        let traced = tracing::info_span!("project", %database);
        let retention = retention.or_else(|| self.retention_of(&database));
        let prices = self.tell_prices(output).await?;
        let projector = projector(&self.log, (database, prices), self.migrate, backlog, retention);
        let began = Instant::now();
        let told = report(projector.status(), head, output);
        let totals = tokio::select! {
            outcome = projector.run(until, stop).instrument(traced) => outcome.map_err(|halt| halted(&halt))?,
            never = told => match never {},
        };
        let reached = projector.status().borrow().clone();
        check_reached(until, &reached)?;
        Ok(ProjectAnswer::new(totals, began.elapsed()))
    }
}

/// Whether everything is there that was asked for.
fn has_reached(until: Until, status: &Status) -> bool {
    match until {
        Until::Stopped => false,
        Until::Applied(head) => status.next.is_some_and(|next| next > head),
    }
}

/// Being stopped is a good end only for what has no end.
fn check_reached(until: Until, status: &Status) -> Result<(), Failure> {
    let Until::Applied(head) = until else { return Ok(()) };
    if has_reached(until, status) {
        return Ok(());
    }
    let next =
        status.next.map_or_else(|| "nothing".to_owned(), |next| format!("everything before position {next}"));
    let why = status.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(Failure::error(format!(
        "stopped before the head: {next} is in the database, asked for was everything up to {head}{why}"
    )))
}

fn halted(halt: &Halt) -> Failure {
    Failure::unhealthy(format!("projecting has halted: {}", chain(halt)))
}

/// Passes a projector's progress towards `head` on, for as long as it is polled.
async fn report(
    mut status: watch::Receiver<Status>,
    head: Position,
    output: &Output,
) -> std::convert::Infallible {
    let mut start = None;
    loop {
        let now = status.borrow_and_update().clone();
        let (mut done, mut total) = (0, 0);
        if let Some(next) = now.next {
            let start = *start.get_or_insert(next);
            total = head.next().since(start);
            done = next.since(start).min(total);
        }
        output.progress(Progress { done, total, waiting: now.error });
        if status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The daemon projects into this very database already: waits until it is as far as asked.
async fn follow(
    live: &Live,
    until: Until,
    output: &Output,
    stop: &CancellationToken,
) -> Result<ProjectAnswer, Failure> {
    let began = Instant::now();
    let mut status = live.status.clone();
    let before = status.borrow().totals;
    let head = match until {
        Until::Applied(head) => head,
        Until::Stopped => Position::default(),
    };
    let wait = status.wait_for(|status| status.state == State::Halted || has_reached(until, status));
    let end = tokio::select! {
        end = wait => end.map_err(|_| Failure::error("the daemon is ending"))?.clone(),
        () = stop.cancelled() => live.status.borrow().clone(),
        never = report(live.status.clone(), head, output) => match never {},
    };
    if end.state == State::Halted && !has_reached(until, &end) {
        return Err(Failure::unhealthy(live.halted(end.error.as_deref())));
    }
    check_reached(until, &end)?;
    Ok(ProjectAnswer::new(difference(end.totals, before), began.elapsed()))
}

fn difference(end: Totals, start: Totals) -> Totals {
    Totals {
        read: end.read - start.read,
        sent: end.sent - start.sent,
        inserted: end.inserted - start.inserted,
        present: end.present - start.present,
        conflicting: end.conflicting - start.conflicting,
        quarantined: end.quarantined - start.quarantined,
        expired: end.expired - start.expired,
        unavailable: end.unavailable - start.unavailable,
    }
}
