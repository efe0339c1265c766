//! What a replay will do, told before it does anything.

use std::collections::BTreeMap;
use std::time::Duration;

use event::{Position, Time};
use projector::{ErrorKind, ReplayBegin, Source};
use serde::{Deserialize, Serialize};
use store::{DatabaseUrl, UnfinishedReplay, unfinished_replay};
use tokio_util::sync::CancellationToken;

use super::ReplayTask;
use crate::adapter::LogSource;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::output::{count, counted};
use crate::service::Service;
use crate::service::walk::{Part, Tally};

/// What a replay will do, as the command's answer tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplayPlan {
    /// Into which database; null when none was named.
    pub database: Option<String>,
    /// How many events will be sent.
    pub events: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// How many more there are that are older than the database's retention.
    pub expired: u64,
    /// How many positions have no event any more.
    pub unavailable: u64,
    /// The first position; null when there is none.
    pub from_position: Option<u64>,
    /// The position behind the last.
    pub to_position: Option<u64>,
    /// Whether it goes on with one that was begun.
    pub begun: Begun,
    /// When that was.
    pub begun_at: Option<String>,
}

/// Whether a replay goes on with one that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Begun {
    /// It begins.
    New,
    /// It goes on.
    Resumed,
    /// The database is away: that is found out when it comes back.
    Unknown,
}

/// A plan, and what it was made of.
#[derive(Debug)]
pub(super) struct Planned {
    /// Where all of it lies; `None` when there is nothing.
    pub(super) whole: Option<Part>,
    /// How many positions are left.
    pub(super) positions: u64,
    pub(super) told: ReplayPlan,
}

/// What the database says.
enum Found {
    Nothing,
    Begun(UnfinishedReplay),
    Away,
}

impl Service {
    /// Finds out what a replay will do. It changes nothing.
    pub(super) async fn plan_replay(
        &self,
        task: &ReplayTask,
        database: Option<&DatabaseUrl>,
        retention: Option<Duration>,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Planned, Failure> {
        let head = self.durable_head().await?;
        let found = self.find_begun(task, database).await?;
        let (whole, parts) = match &found {
            Found::Begun(it) => (Some((it.lo, it.hi)), it.left.clone()),
            Found::Nothing | Found::Away => {
                let part = self.part(&task.selection, head).await?;
                (part, Vec::from_iter(part))
            }
        };
        let positions = parts.iter().map(|(lo, hi)| hi.since(*lo)).sum();
        // NOTE: what lies behind the head is of a log that was longer: the replay halts there, and says so.
        let parts = parts.into_iter().map(|(lo, hi)| (lo, hi.min(head.next()))).collect();
        let tally = self.tally(&task.selection, parts, head, retention, output, stop).await?;
        Ok(Planned { whole, positions, told: told(database, whole, tally, &found) })
    }

    async fn find_begun(&self, task: &ReplayTask, database: Option<&DatabaseUrl>) -> Result<Found, Failure> {
        let Some(database) = database.filter(|_| task.begin == ReplayBegin::Resume) else {
            return Ok(Found::Nothing);
        };
        let log = LogSource::new(self.log.clone()).identity();
        match unfinished_replay(database, &log, &task.selection.flags()).await {
            Ok(found) => Ok(found.map_or(Found::Nothing, Found::Begun)),
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Busy) => Ok(Found::Away),
            Err(error) => Err(Failure::error(chain(&error))),
        }
    }
}

fn told(database: Option<&DatabaseUrl>, whole: Option<Part>, tally: Tally, found: &Found) -> ReplayPlan {
    let (begun, begun_at) = match found {
        Found::Nothing => (Begun::New, None),
        Found::Begun(it) => (Begun::Resumed, Some(Time::to_string(&it.started_at))),
        Found::Away => (Begun::Unknown, None),
    };
    let number = |position: Position| position.0;
    ReplayPlan {
        database: database.map(DatabaseUrl::to_string),
        events: tally.events(),
        kinds: tally.kinds,
        expired: tally.expired,
        unavailable: tally.unavailable,
        from_position: whole.map(|(lo, _)| number(lo)),
        to_position: whole.map(|(_, hi)| number(hi)),
        begun,
        begun_at,
    }
}

impl ReplayPlan {
    /// The plan in one line, for people.
    #[must_use]
    pub(crate) fn line(&self, doing: &str) -> String {
        let kinds = self.kinds.iter().map(|(kind, events)| format!("{} {kind}", count(*events)));
        let kinds: Vec<String> = kinds.collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let mut line = format!("{doing} {}{kinds}", counted(self.events, "event"));
        if let Some(database) = &self.database {
            line += &format!(" into {database}");
        }
        if let (Some(from), Some(to)) = (self.from_position, self.to_position) {
            line += &format!(", from position {from} to before {to}");
        }
        if self.expired > 0 {
            line += &format!("; {} older than its retention", counted(self.expired, "event"));
        }
        if self.unavailable > 0 {
            line += &format!("; {} gone from the log", counted(self.unavailable, "position"));
        }
        match (self.begun, &self.begun_at) {
            (Begun::Resumed, at) => {
                let at = at.as_deref().unwrap_or_default();
                line + &format!("; this is what is left of the replay that was begun at {at}")
            }
            (Begun::Unknown, _) => line + "; the database is away, and may have some of it already",
            (Begun::New, _) => line,
        }
    }
}
