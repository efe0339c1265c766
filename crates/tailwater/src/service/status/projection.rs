//! How projecting is doing: the daemon's own projection in words and numbers.

use std::time::{Duration, SystemTime};

use event::wire::Decoded;
use event::{Position, Stretch, Time};
use eventlog::ReadLimits;
use projector::{Span, State, Status, Totals};
use serde::{Deserialize, Serialize};

use crate::service::project::{Live, halt_text};
use crate::service::{Projecting, Service};

/// A projection in words and numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProjectionObject {
    /// `disabled`, `live`, `catching_up`, `waiting` or `halted`.
    pub state: String,
    /// The lowest position that is not applied; null when the database was not reached yet.
    pub next_position: Option<u64>,
    /// Events that are not in the database yet.
    pub lag_events: Option<u64>,
    /// The age of the oldest of them, seconds.
    pub lag_seconds: Option<f64>,
    /// Positions that had no event any more.
    pub unavailable_events: u64,
    /// Why it waits or has halted.
    pub error: Option<String>,
    /// How often what has halted is tried again; null when it has not halted, or a person must act.
    pub halt_retry_seconds: Option<f64>,
    /// Since when the database is away.
    pub outage_since: Option<String>,
    /// The next position of the live lane.
    pub live_next_position: Option<u64>,
    /// How long the oldest event that the live lane has not applied has been waiting, seconds.
    pub live_lag_seconds: Option<f64>,
    /// Positions that are left to the backlog lanes.
    pub backlog_events: Option<u64>,
    /// The ranges of the log, in order.
    pub ranges: Vec<RangeObject>,
    /// Events sent a second, over the last ten.
    pub events_per_second: u64,
    /// Attempts to reach the database, or to apply, that failed, since the start.
    pub retries: u64,
    /// How long the database keeps events, seconds; null: for ever.
    pub retention_seconds: Option<f64>,
    /// What was done since the start.
    #[serde(flatten)]
    pub counts: CountsObject,
}

/// A run of positions: those before `next` are applied or gone, those from it on are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RangeObject {
    /// Its first position.
    pub lo: u64,
    /// The next one to apply.
    pub next: u64,
    /// The position behind its last; null for the live one, which has no end.
    pub hi: Option<u64>,
}

impl From<Span> for RangeObject {
    fn from(span: Span) -> Self {
        Self { lo: span.lo.0, next: span.next.0, hi: span.hi.map(|hi| hi.0) }
    }
}

/// What a projector did: `read = sent + expired + unavailable`, `sent = inserted + present + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountsObject {
    /// Positions taken from the log.
    pub read: u64,
    /// Events sent to the database.
    pub sent: u64,
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose row was there already.
    pub present: u64,
    /// Those of `present` whose content is not that of the row.
    pub conflicting: u64,
    /// Events that the database refused for their content.
    pub quarantined: u64,
    /// Events older than the database's retention.
    pub expired: u64,
    /// Positions that have no event any more.
    pub unavailable: u64,
}

impl From<Totals> for CountsObject {
    fn from(totals: Totals) -> Self {
        let Totals { read, sent, inserted, present, conflicting, quarantined, expired, unavailable } = totals;
        Self { read, sent, inserted, present, conflicting, quarantined, expired, unavailable }
    }
}

impl ProjectionObject {
    /// Why a person or a supervisor should look, if they should.
    #[must_use]
    pub(super) fn ailment(&self) -> Option<String> {
        let error = self.error.as_deref();
        match self.state.as_str() {
            "halted" => {
                let retry = self.halt_retry_seconds.map(Duration::from_secs_f64);
                Some(halt_text(retry, error.unwrap_or_default()))
            }
            "waiting" if self.lag_events != Some(0) => {
                let why = error.unwrap_or("it was not reached yet");
                Some(format!("the database is not being filled: {why}"))
            }
            _ => None,
        }
    }

    fn in_state(state: &str) -> Self {
        Self { state: state.to_owned(), ..Self::default() }
    }

    /// All that can be told of a projector without a look into the log, which ends before `head`.
    fn of_projector(status: &Status, live: &Live, head: Position) -> Self {
        let is_halted = status.state == State::Halted;
        let lag = status.live.map(|live| status.backlog_events + head.since(live));
        Self {
            state: status.state.as_str().to_owned(),
            next_position: status.next.map(|next| next.0),
            lag_events: lag,
            lag_seconds: None,
            unavailable_events: status.totals.unavailable,
            error: status.error.clone(),
            halt_retry_seconds: live.halt_retry().filter(|_| is_halted).map(|retry| retry.as_secs_f64()),
            outage_since: status.outage_since.map(|since| Time::from(since).to_string()),
            live_next_position: status.live.map(|live| live.0),
            live_lag_seconds: status.live.map(|_| status.live_lag.as_secs_f64()),
            backlog_events: status.live.map(|_| status.backlog_events),
            ranges: status.ranges.iter().copied().map(RangeObject::from).collect(),
            events_per_second: status.events_per_second,
            retries: status.retries,
            retention_seconds: live.retention.map(|kept| kept.as_secs_f64()),
            counts: status.totals.into(),
        }
    }
}

impl Service {
    pub(super) async fn projection(&self) -> ProjectionObject {
        match &self.projecting {
            Projecting::Disabled => ProjectionObject::in_state("disabled"),
            Projecting::Idle => ProjectionObject {
                error: Some("no daemon is running: start `tailwater run`".to_owned()),
                ..ProjectionObject::in_state(State::Waiting.as_str())
            },
            Projecting::Live(live) => {
                let status = live.status.borrow().clone();
                let mut object = ProjectionObject::of_projector(&status, live, self.log.ends().next);
                if let Some(next) = status.next {
                    object.lag_seconds = self.age(next).await;
                }
                object
            }
        }
    }

    /// What the database keeps of what it has refused; 0 without a database, and until it was reached.
    pub(super) fn quarantined(&self) -> u64 {
        match &self.projecting {
            Projecting::Live(live) => live.quarantined(),
            Projecting::Disabled | Projecting::Idle => 0,
        }
    }

    /// How old the event at `position` is, seconds; 0 when there is none yet, null when it cannot be read.
    async fn age(&self, position: Position) -> Option<f64> {
        if position > self.log.ends().durable {
            return Some(0.0);
        }
        let log = self.log.clone();
        let one = ReadLimits { events_max: 1, bytes_max: usize::MAX };
        let entries = tokio::task::spawn_blocking(move || log.read(position, one)).await.ok()?.ok()?;
        let Stretch::Events(entries) = entries else { return None };
        let Decoded::Event(event) = &entries.first()?.event else { return None };
        let micros = Time::from(SystemTime::now()).micros().saturating_sub(event.time().micros());
        #[expect(clippy::cast_precision_loss, reason = "an age needs no 53 bits")]
        let seconds = micros.max(0) as f64 / 1e6;
        Some(seconds)
    }
}
