//! How recording and projecting are doing.

use std::time::SystemTime;

use event::wire::Decoded;
use event::{Hole, Position, Stretch, Time};
use eventlog::{AppendError, ReadLimits, Stat};
use projector::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Projecting, Service, answer, blocking};
use crate::failure::{Failure, chain};

/// The answer to `status`. Other tools build on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StatusAnswer {
    /// The log.
    pub log: LogObject,
    /// Whether it takes events.
    pub recording: RecordingObject,
    /// Its projection.
    pub projection: ProjectionObject,
    /// Long work that is under way.
    pub jobs: Vec<Value>,
    /// What the database has refused.
    pub quarantine: Counted,
    /// What is known to be lost.
    pub gaps: Counted,
    /// The samplers of the daemon; none without one.
    pub samplers: Vec<Value>,
}

/// A number of events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// How many.
    pub events: u64,
}

/// A log in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogObject {
    /// Which log.
    pub id: String,
    /// The host that it was created on.
    pub host: String,
    /// The first position that is there, or will be.
    pub first_position: u64,
    /// The position that the next event gets.
    pub next_position: u64,
    /// The last durable position; 0 when there is none.
    pub durable_position: u64,
    /// Bytes on the disk, journals included.
    pub bytes: u64,
}

/// Whether the log takes events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecordingObject {
    /// `ok`, `full` (at its bound) or `failed`.
    pub state: String,
    /// Events that callers were told are not kept, since the log was opened.
    pub refused_events: u64,
    /// Positions that have no event any more.
    pub hole_events: u64,
    /// Why the log takes no events now; null when it does.
    pub error: Option<String>,
}

/// A run of positions that have no event any more, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoleObject {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// How many.
    pub events: u64,
    /// `trimmed`, `dropped`, `damaged` or `lost_tail`.
    pub cause: String,
}

impl From<&Hole> for HoleObject {
    fn from(hole: &Hole) -> Self {
        let (from, to) = (hole.lo.0, hole.hi.0);
        Self { from, to, events: hole.positions(), cause: hole.cause.to_string() }
    }
}

/// The answer to `log stat`. Other tools build on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogStatAnswer {
    /// The log's own fields.
    #[serde(flatten)]
    pub log: LogObject,
    /// Events that are there.
    pub events: u64,
    /// Bytes on the disk for each; null without events.
    pub bytes_per_event: Option<f64>,
    /// Segments.
    pub segments: u64,
    /// Runs of positions that have no events any more.
    pub holes: Vec<HoleObject>,
}

/// A projection in words and numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProjectionObject {
    /// `disabled`, `live`, `catching_up`, `waiting` or `halted`.
    pub state: String,
    /// The next position to apply; null when the database was not reached yet.
    pub next_position: Option<u64>,
    /// Events that are not in the database yet.
    pub lag_events: Option<u64>,
    /// The age of the oldest of them, seconds.
    pub lag_seconds: Option<f64>,
    /// Positions that had no event any more.
    pub unavailable_events: u64,
    /// Why it waits or has halted.
    pub error: Option<String>,
}

impl StatusAnswer {
    /// Why a person or a supervisor should look, if they should.
    #[must_use]
    pub(crate) fn ailment(&self) -> Option<String> {
        if let Some(error) = &self.recording.error {
            return Some(error.clone());
        }
        let projection = &self.projection;
        let error = projection.error.clone().unwrap_or_default();
        match projection.state.as_str() {
            "halted" => return Some(format!("projecting has halted until a restart: {error}")),
            "waiting" if projection.lag_events != Some(0) => {
                return Some(format!("the database is not being filled: {error}"));
            }
            _ => {}
        }
        let failing = self.samplers.iter().find(|sampler| sampler["state"] == "failing")?;
        let text = |field: &str| failing[field].as_str().unwrap_or_default().to_owned();
        Some(format!("sampler {} is failing: {}", text("name"), text("error")))
    }
}

impl Service {
    pub(super) async fn status(&self) -> Result<StatusAnswer, Failure> {
        let stat = self.stat().await?;
        let mut samplers = Vec::with_capacity(self.samplers.len());
        for sampler in &self.samplers {
            samplers.push(answer(sampler.get())?);
        }
        Ok(StatusAnswer {
            log: self.log_object(&stat),
            recording: self.recording(&stat),
            projection: self.projection().await,
            jobs: Vec::new(),
            quarantine: Counted { events: self.quarantined() },
            gaps: Counted { events: stat.lost_events },
            samplers,
        })
    }

    pub(super) async fn log_stat(&self) -> Result<LogStatAnswer, Failure> {
        let stat = self.stat().await?;
        #[expect(clippy::cast_precision_loss, reason = "an average needs no 53 bits")]
        let bytes_per_event = (stat.events > 0).then(|| stat.bytes as f64 / stat.events as f64);
        Ok(LogStatAnswer {
            log: self.log_object(&stat),
            events: stat.events,
            bytes_per_event,
            segments: stat.segments as u64,
            holes: stat.holes.iter().map(HoleObject::from).collect(),
        })
    }

    async fn stat(&self) -> Result<Stat, Failure> {
        let log = self.log.clone();
        blocking(move || log.stat().map_err(|error| Failure::error(chain(&error)))).await
    }

    fn log_object(&self, stat: &Stat) -> LogObject {
        let info = self.log.info();
        LogObject {
            id: info.log_id.to_string(),
            host: info.host.to_string(),
            first_position: stat.ends.first.0,
            next_position: stat.ends.next.0,
            durable_position: stat.ends.durable.0,
            bytes: stat.bytes,
        }
    }

    fn recording(&self, stat: &Stat) -> RecordingObject {
        let no_room = stat.no_room.map(AppendError::NoRoom);
        let (state, error) = match (self.log.failure(), no_room) {
            (Some(failure), _) => ("failed", Some(chain(&failure))),
            (None, Some(no_room)) => ("full", Some(chain(&no_room))),
            (None, None) => ("ok", None),
        };
        RecordingObject {
            state: state.to_owned(),
            refused_events: stat.refused_events,
            hole_events: stat.holes.iter().map(Hole::positions).sum(),
            error,
        }
    }

    fn quarantined(&self) -> u64 {
        match &self.projecting {
            Projecting::Live(live) => live.status.borrow().totals.quarantined,
            Projecting::Disabled | Projecting::Idle => 0,
        }
    }

    async fn projection(&self) -> ProjectionObject {
        let mut object = ProjectionObject {
            state: "disabled".to_owned(),
            next_position: None,
            lag_events: None,
            lag_seconds: None,
            unavailable_events: 0,
            error: None,
        };
        match &self.projecting {
            Projecting::Disabled => {}
            Projecting::Idle => {
                State::Waiting.as_str().clone_into(&mut object.state);
                object.error = Some("no daemon is running: start `tailwater run`".to_owned());
            }
            Projecting::Live(live) => {
                let status = live.status.borrow().clone();
                status.state.as_str().clone_into(&mut object.state);
                object.error = status.error;
                object.unavailable_events = status.totals.unavailable;
                if let Some(next) = status.next {
                    object.next_position = Some(next.0);
                    object.lag_events = Some(self.log.ends().next.since(next));
                    object.lag_seconds = self.age(next).await;
                }
            }
        }
        object
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
