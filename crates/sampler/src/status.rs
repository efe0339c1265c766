//! What a sampler says of itself, shared between its thread and whoever asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event::Time;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::schedule::missed;

/// A pass hangs when it has missed so many ticks of its own,
const HANGS_AFTER_TICKS: u64 = 3;
/// and has run for so long.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// How a sampler is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SamplerState {
    /// It has not run yet, or found nothing to sample.
    #[default]
    Idle,
    /// The last pass sampled.
    Ok,
    /// The last pass failed, or the one that is under way hangs.
    Failing,
}

impl SamplerState {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ok => "ok",
            Self::Failing => "failing",
        }
    }
}

impl fmt::Display for SamplerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A sampler's state at one moment. As JSON it is `{"name","state","last_run","error"}` and then the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SamplerStatus {
    /// Which sampler.
    pub name: String,
    /// How it is doing.
    pub state: SamplerState,
    /// The time of its last pass.
    pub last_run: Option<Time>,
    /// Why the last pass failed; with state `ok`, what it could not read.
    pub error: Option<String>,
    /// How long the last pass took.
    pub last_duration: Option<Duration>,
    /// How long the pass has been running that is under way.
    pub running: Option<Duration>,
    /// How many ticks went by without a pass, because another one was under way.
    pub missed_ticks: u64,
    /// How many events the last pass made.
    pub events: u64,
    /// How many events it made since it began.
    pub events_total: u64,
    /// How many of its events the sink refused since it began: for metrics, not part of the JSON.
    pub refused_events: u64,
    /// Whether the pass that is under way will not end in reason: then the state is failing. Not part of the JSON.
    pub hangs: bool,
    /// What is still to be read of a long backlog; absent from the JSON when there is none.
    pub progress: Option<Progress>,
}

/// How far a sampler is with what it has found to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Files that were read.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files that are to be read.
    pub files_left: u64,
    /// Bytes that are to be read.
    pub bytes_left: u64,
}

impl Serialize for SamplerStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        let fields = 9 + usize::from(self.progress.is_some());
        let mut object = serializer.serialize_struct("SamplerStatus", fields)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("state", self.state.as_str())?;
        object.serialize_field("last_run", &self.last_run.map(|time| time.to_string()))?;
        object.serialize_field("error", &self.error)?;
        object.serialize_field("last_duration_seconds", &seconds(self.last_duration))?;
        object.serialize_field("running_seconds", &seconds(self.running))?;
        object.serialize_field("missed_ticks", &self.missed_ticks)?;
        object.serialize_field("events", &self.events)?;
        object.serialize_field("events_total", &self.events_total)?;
        if let Some(progress) = &self.progress {
            object.serialize_field("progress", progress)?;
        }
        object.end()
    }
}

/// A view of one sampler's status that stays current.
#[derive(Clone, Debug, Default)]
pub struct StatusHandle(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    status: SamplerStatus,
    pass: Option<UnderWay>,
}

/// A pass that has begun and not ended.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    began: Instant,
    /// The first tick that it misses and the time between two; `None` when it goes by no ticks.
    ticks: Option<(Instant, Duration)>,
}

impl StatusHandle {
    /// A status that has not run yet.
    pub(crate) fn new(name: &str) -> Self {
        let status = SamplerStatus { name: name.to_owned(), ..SamplerStatus::default() };
        Self(Arc::new(Mutex::new(Kept { status, pass: None })))
    }

    /// The status now.
    #[must_use]
    pub fn get(&self) -> SamplerStatus {
        self.lock().at(Instant::now())
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut SamplerStatus)) {
        change(&mut self.lock().status);
    }

    /// A pass begins, which misses ticks when it takes longer than `leeway`.
    pub(crate) fn begin(&self, leeway: Duration, interval: Duration) {
        let began = Instant::now();
        let misses = began.checked_add(leeway).unwrap_or(began);
        self.lock().pass = Some(UnderWay { began, ticks: Some((misses, interval)) });
    }

    /// A pass begins that takes as long as there is something to do: it misses no ticks and does not hang.
    pub(crate) fn begin_without_ticks(&self) {
        self.lock().pass = Some(UnderWay { began: Instant::now(), ticks: None });
    }

    /// The pass has ended and has missed so many ticks.
    pub(crate) fn end(&self, missed: u64) {
        let mut kept = self.lock();
        kept.pass = None;
        kept.status.missed_ticks = kept.status.missed_ticks.saturating_add(missed);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The status with what the pass that is under way has missed so far: whoever hangs cannot tell it.
    fn at(&self, now: Instant) -> SamplerStatus {
        let mut status = self.status.clone();
        let Some(pass) = &self.pass else { return status };
        let running = now.saturating_duration_since(pass.began);
        let missed =
            pass.ticks.map_or(0, |(first, interval)| missed(now.checked_duration_since(first), interval));
        status.running = Some(running);
        status.missed_ticks = status.missed_ticks.saturating_add(missed);
        if missed >= HANGS_AFTER_TICKS && running >= HANGS_AFTER {
            status.hangs = true;
            status.state = SamplerState::Failing;
            status.error = Some(format!("the pass hangs: it has been running for {} s", running.as_secs()));
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_four_fields_that_tools_build_on_and_then_the_numbers() {
        let handle = StatusHandle::new("tmux");
        let json = serde_json::to_string(&handle.get()).unwrap();
        let numbers = r#""last_duration_seconds":null,"running_seconds":null,"missed_ticks":0,"events":0,"events_total":0"#;
        assert_eq!(
            json,
            format!(r#"{{"name":"tmux","state":"idle","last_run":null,"error":null,{numbers}}}"#)
        );
        handle.update(|status| {
            status.state = SamplerState::Failing;
            status.last_run = Some(Time::from_micros(0));
            status.error = Some("no".to_owned());
            status.last_duration = Some(Duration::from_millis(1_250));
            status.events = 2;
            status.events_total = 7;
            status.refused_events = 3;
        });
        handle.end(4);
        let json = serde_json::to_string(&handle.get()).unwrap();
        let front =
            r#""name":"tmux","state":"failing","last_run":"1970-01-01T00:00:00.000000Z","error":"no""#;
        let numbers = r#""last_duration_seconds":1.25,"running_seconds":null,"missed_ticks":4,"events":2,"events_total":7"#;
        assert_eq!(json, format!("{{{front},{numbers}}}"));
    }

    #[test]
    fn a_pass_that_hangs_is_told_while_it_hangs() {
        let handle = StatusHandle::new("docker");
        handle.update(|status| status.state = SamplerState::Ok);
        handle.end(1);
        handle.begin(Duration::from_secs(2), Duration::from_secs(3));
        let began = handle.lock().pass.unwrap().began;
        let at = |seconds: u64| handle.lock().at(began + Duration::from_secs(seconds));
        let check = |seconds: u64, missed: u64, state: SamplerState| {
            let status = at(seconds);
            assert_eq!((status.missed_ticks, status.state), (1 + missed, state), "after {seconds} s");
            assert_eq!(status.running, Some(Duration::from_secs(seconds)));
        };
        check(0, 0, SamplerState::Ok);
        check(1, 0, SamplerState::Ok);
        check(2, 1, SamplerState::Ok);
        check(8, 3, SamplerState::Ok);
        check(10, 3, SamplerState::Failing);
        assert_eq!(at(11).error.as_deref(), Some("the pass hangs: it has been running for 11 s"));
        handle.end(3);
        let status = handle.get();
        assert_eq!((status.state, status.running, status.missed_ticks), (SamplerState::Ok, None, 4));
    }
}
