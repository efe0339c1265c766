//! Replaying on request: any part of the log, into any database, while the daemon goes on recording and projecting.

mod plan;
mod running;

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use projector::{Halt, Replay, ReplayBegin, ReplayEnd, ReplayRequest, Replayed, Select, Settings, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{DatabaseUrl, StoreOptions, TimescaleTarget};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::plan::Planned;
use super::project::database;
use super::{Live, ProjectAnswer, Projecting, Service, answer};
use crate::adapter::LogSource;
use crate::commands::project::no_database;
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::retention::Keeping;
use crate::selection::Selection;

pub(crate) use self::plan::{Begun, ReplayPlan};
pub(crate) use self::running::{JobObject, Replays};

/// What to replay, and how.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplayTask {
    /// Into which database, with its password; none is needed to tell what would be replayed.
    pub database_url: Option<String>,
    /// How long it keeps events.
    pub retention: Option<Duration>,
    /// Which events.
    pub selection: Selection,
    /// How many lanes.
    pub lanes: u32,
    /// How many events a second they send together at the most.
    pub rate: Option<NonZeroU32>,
    /// What becomes of one that was begun.
    #[serde(with = "Begin")]
    pub begin: ReplayBegin,
    /// How far to go.
    pub extent: Extent,
}

/// [`ReplayBegin`] as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ReplayBegin", rename_all = "snake_case")]
enum Begin {
    Resume,
    Anew,
}

/// How far a replay goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Extent {
    /// It only tells what it would do.
    DryRun,
    /// All of it.
    Whole,
}

impl Service {
    pub(super) async fn replay(
        &self,
        task: &ReplayTask,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Value, Failure> {
        let database = task.database_url.as_deref().map(database).transpose()?;
        let own = match &database {
            Some(database) => self.own_projection(database, output, stop).await,
            None => None,
        };
        let retention = own.map_or(task.retention, |live| live.retention);
        if task.extent == Extent::DryRun {
            return answer(self.plan_replay(task, database.as_ref(), retention, output, stop).await?.told);
        }
        let database = database.ok_or_else(no_database)?;
        let running = self.replays.begin(&database, &task.selection.flags(), stop).await?;
        let planned = self.plan_replay(task, Some(&database), retention, output, stop).await?;
        let Some((lo, hi)) = planned.whole.filter(|_| has_work(&planned.told)) else {
            return Err(nothing(&planned.told));
        };
        let doing = if planned.told.begun == Begun::Resumed { "replaying on:" } else { "replaying" };
        output.notice(planned.told.line(doing)).await?;
        let asked = ReplayRequest { request: task.selection.flags(), lo, hi, begin: task.begin };
        let options = StoreOptions { migrate: self.migrate, ..StoreOptions::default() };
        let prices = self.tell_prices(output).await?;
        let target = TimescaleTarget::replay(database.clone(), options, asked).with_prices(prices);
        let (target, mut parts) = Keeping::new(target, retention);
        parts.sieve.select = select(&task.selection);
        parts.first = own.map(|live| live.status.clone());
        let replay = Replay::new(
            Arc::new(LogSource::new(self.log.clone())),
            Arc::new(target),
            Settings::of_replay(planned.positions, task.lanes, task.rate),
            parts,
        );
        running.follow(replay.status());
        let began = Instant::now();
        let replayed = run(&replay, &planned, &database, output, stop).await;
        let refused = replay.status().borrow().totals.quarantined;
        self.tell_quarantine(own, refused, &database, output, stop).await;
        let Replayed { totals, end } = replayed.map_err(|halt| halted(&halt))?;
        match end {
            ReplayEnd::Finished => answer(ProjectAnswer::new(totals, began.elapsed())),
            ReplayEnd::Stopped => Err(stopped(totals.sent, &planned.told, &task.selection)),
        }
    }

    /// The daemon's projection, where the replay goes into its database: its live lane comes first.
    async fn own_projection(
        &self,
        database: &DatabaseUrl,
        output: &Output,
        stop: &CancellationToken,
    ) -> Option<&Live> {
        match &self.projecting {
            Projecting::Live(live) if live.leads_to(database, output, stop).await => Some(live),
            Projecting::Live(_) | Projecting::Disabled | Projecting::Idle => None,
        }
    }

    /// Lets the daemon's projection see what a replay has done to its quarantine.
    async fn tell_quarantine(
        &self,
        own: Option<&Live>,
        refused: u64,
        database: &DatabaseUrl,
        output: &Output,
        stop: &CancellationToken,
    ) {
        if own.is_some_and(|live| refused > 0 || live.quarantined() > 0) {
            self.look_anew(database, false, output, stop).await;
        }
    }
}

/// Replays, and passes on how far it is.
async fn run(
    replay: &Replay<LogSource, Keeping>,
    planned: &Planned,
    database: &DatabaseUrl,
    output: &Output,
    stop: &CancellationToken,
) -> Result<Replayed, Halt> {
    let ReplayPlan { events, from_position, to_position, .. } = planned.told;
    tracing::info!(%database, events, from_position, to_position, "a replay begins");
    let traced = tracing::info_span!("replay", %database);
    let outcome = tokio::select! {
        outcome = replay.run(stop).instrument(traced) => outcome,
        never = report(replay.status(), planned, output) => match never {},
    };
    let totals = replay.status().borrow().totals;
    let (sent, inserted) = (totals.sent, totals.inserted);
    match &outcome {
        Ok(Replayed { end: ReplayEnd::Finished, .. }) => {
            tracing::info!(%database, sent, inserted, "a replay is finished");
        }
        Ok(_) => tracing::info!(%database, sent, inserted, "a replay was stopped; the same command goes on"),
        // NOTE: whoever asked for it is told, and acts.
        Err(halt) => tracing::info!(%database, sent, inserted, %halt, "a replay has halted"),
    }
    outcome
}

/// Which events are wanted; `None` means all.
fn select(selection: &Selection) -> Option<Select> {
    let chosen = selection.clone();
    let select: Select = Arc::new(move |entry| chosen.has(entry));
    Some(select).filter(|_| !selection.is_whole())
}

fn has_work(told: &ReplayPlan) -> bool {
    told.events + told.expired > 0 || told.begun == Begun::Resumed
}

fn nothing(told: &ReplayPlan) -> Failure {
    let gone = match told.unavailable {
        0 => String::new(),
        gone => format!("; {} of it are gone from the log", crate::output::counted(gone, "position")),
    };
    Failure::unhealthy(format!("nothing to replay: the log has no event of what was chosen{gone}"))
}

fn halted(halt: &Halt) -> Failure {
    let way_out = match halt {
        Halt::Diverged(_) => "; `tailwater replay --restart` begins this replay anew",
        Halt::Target(_) | Halt::Source(_) | Halt::Miscounted { .. } | Halt::TwoWriters { .. } => "",
    };
    Failure::unhealthy(format!("replaying has halted: {}{way_out}", chain(halt)))
}

fn stopped(sent: u64, told: &ReplayPlan, selection: &Selection) -> Failure {
    let (sent, events) = (crate::output::count(sent), crate::output::count(told.events));
    Failure::error(format!("stopped: {sent} of {events} events were sent, and stay; {}", selection.goes_on()))
}

/// How much is done, in events: what the counts say, of what was counted before.
struct Course {
    total: u64,
    /// How many positions were left when that was looked at last.
    left: u64,
    /// Of so many positions at the beginning.
    positions: u64,
    events: u64,
}

impl Course {
    fn of(planned: &Planned) -> Self {
        let events = planned.told.events + planned.told.expired;
        Self { total: events, left: planned.positions, positions: planned.positions.max(1), events }
    }

    fn look(&mut self, status: &Status) -> Progress {
        let done = status.totals.sent + status.totals.expired;
        if !status.ranges.is_empty() {
            // NOTE: a database that was dropped or restored meanwhile has more to come than was counted.
            let more = u128::from(status.backlog_events.saturating_sub(self.left));
            let events = more * u128::from(self.events) / u128::from(self.positions);
            self.total = self.total.saturating_add(u64::try_from(events).unwrap_or(u64::MAX));
            self.left = status.backlog_events;
        }
        Progress { done: done.min(self.total), total: self.total, waiting: status.error.clone() }
    }
}

/// Passes on how far a replay is, for as long as it is polled.
async fn report(mut status: watch::Receiver<Status>, planned: &Planned, output: &Output) -> Infallible {
    let mut course = Course::of(planned);
    loop {
        let progress = course.look(&status.borrow_and_update());
        output.progress(progress);
        if status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use event::Position;
    use projector::{Span, Totals};

    use super::*;

    fn status(sent: u64, left: u64) -> Status {
        let span = Span { lo: Position(1), next: Position(1), hi: Some(Position(left + 1)) };
        let totals = Totals { sent, ..Totals::default() };
        Status { totals, ranges: vec![span], backlog_events: left, ..Status::default() }
    }

    #[test]
    fn the_bar_knows_a_database_that_went_back() {
        let mut course = Course { total: 500, left: 1_000, positions: 1_000, events: 500 };
        let mut look = |status: &Status| {
            let Progress { done, total, .. } = course.look(status);
            (done, total)
        };
        assert_eq!(look(&Status::default()), (0, 500));
        assert_eq!(look(&status(0, 1_000)), (0, 500));
        assert_eq!(look(&status(250, 500)), (250, 500));
        assert_eq!(look(&status(250, 1_000)), (250, 750));
        assert_eq!(look(&status(750, 0)), (750, 750));
    }
}
