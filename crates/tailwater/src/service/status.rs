//! How recording and projecting are doing.

mod projection;

use event::Hole;
use eventlog::{AppendError, Stat};
use sampler::{SamplerStatus, StatusHandle};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use usage::ledger::Counts;

use super::{JobObject, Service, answer, blocking};
use crate::failure::{Failure, chain};
use crate::http::{Http, IngestObject};
use crate::metrics::{self, Snapshot};

pub(crate) use projection::{ProjectionObject, RangeObject};

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
    pub jobs: Vec<JobObject>,
    /// What the database keeps of what it has refused; 0 without one, and until it was reached.
    pub quarantine: Counted,
    /// What is known to be lost.
    pub gaps: Counted,
    /// What became of token usage since the log was opened.
    pub usage: Counts,
    /// What calls are priced by.
    #[serde(default)]
    pub prices: PricesObject,
    /// The samplers of the daemon; none without one.
    pub samplers: Vec<Value>,
    /// What comes by HTTP.
    #[serde(default)]
    pub ingest: IngestObject,
}

/// The answer to `status --format prometheus`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MetricsAnswer {
    /// The metrics, in the text format that Prometheus reads.
    pub text: String,
    /// Why a person or a supervisor should look, if they should.
    pub ailment: Option<String>,
}

/// A number of events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// How many.
    pub events: u64,
}

/// What calls are priced by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PricesObject {
    /// What is wrong with the owner's prices; null when nothing is.
    pub warning: Option<String>,
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

impl StatusAnswer {
    /// Why a person or a supervisor should look, if they should.
    #[must_use]
    pub(crate) fn ailment(&self) -> Option<String> {
        if let Some(error) = &self.recording.error {
            return Some(error.clone());
        }
        if let Some(ailment) = self.projection.ailment() {
            return Some(ailment);
        }
        let failing = self.samplers.iter().find(|sampler| sampler["state"] == "failing")?;
        let text = |field: &str| failing[field].as_str().unwrap_or_default().to_owned();
        Some(format!("sampler {} is failing: {}", text("name"), text("error")))
    }
}

impl Service {
    pub(crate) async fn status(&self) -> Result<StatusAnswer, Failure> {
        let stat = self.stat().await?;
        let mut samplers = Vec::with_capacity(self.samplers.len());
        for sampler in &self.samplers {
            samplers.push(answer(sampler.get())?);
        }
        Ok(StatusAnswer {
            log: self.log_object(&stat),
            recording: self.recording(&stat),
            projection: self.projection().await,
            jobs: self.replays.jobs(),
            quarantine: Counted { events: self.quarantined() },
            gaps: Counted { events: stat.lost_events },
            usage: self.usage.get(),
            prices: PricesObject { warning: self.prices.warning(&self.data_dir) },
            samplers,
            ingest: self.http.as_deref().map(Http::object).unwrap_or_default(),
        })
    }

    pub(crate) async fn metrics(&self) -> Result<MetricsAnswer, Failure> {
        let status = self.status().await?;
        let samplers: Vec<SamplerStatus> = self.samplers.iter().map(StatusHandle::get).collect();
        let text = metrics::render(&Snapshot { status: &status, samplers: &samplers })?;
        Ok(MetricsAnswer { text, ailment: status.ailment() })
    }

    pub(crate) async fn log_stat(&self) -> Result<LogStatAnswer, Failure> {
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
}
