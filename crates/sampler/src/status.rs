//! What a sampler says of itself, shared between its thread and whoever asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::Time;
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// How a sampler is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SamplerState {
    /// It has not run yet, or found nothing to sample.
    #[default]
    Idle,
    /// The last pass sampled.
    Ok,
    /// The last pass failed.
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

/// A sampler's state at one moment. As JSON it is `{"name","state","last_run","error"}`.
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
    /// How many of its events the sink refused since it began: for metrics, not part of the JSON.
    pub refused_events: u64,
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
        let mut object =
            serializer.serialize_struct("SamplerStatus", 4 + usize::from(self.progress.is_some()))?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("state", self.state.as_str())?;
        object.serialize_field("last_run", &self.last_run.map(|time| time.to_string()))?;
        object.serialize_field("error", &self.error)?;
        if let Some(progress) = &self.progress {
            object.serialize_field("progress", progress)?;
        }
        object.end()
    }
}

/// A view of one sampler's status that stays current.
#[derive(Clone, Debug, Default)]
pub struct StatusHandle(Arc<Mutex<SamplerStatus>>);

impl StatusHandle {
    /// A status that has not run yet.
    pub(crate) fn new(name: &str) -> Self {
        Self(Arc::new(Mutex::new(SamplerStatus { name: name.to_owned(), ..SamplerStatus::default() })))
    }

    /// The status now.
    #[must_use]
    pub fn get(&self) -> SamplerStatus {
        self.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut SamplerStatus)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, SamplerStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_four_fields_that_tools_build_on() {
        let handle = StatusHandle::new("tmux");
        let json = serde_json::to_string(&handle.get()).unwrap();
        assert_eq!(json, r#"{"name":"tmux","state":"idle","last_run":null,"error":null}"#);
        handle.update(|status| {
            status.state = SamplerState::Failing;
            status.last_run = Some(Time::from_micros(0));
            status.error = Some("no".to_owned());
            status.refused_events = 3;
        });
        let json = serde_json::to_string(&handle.get()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"tmux","state":"failing","last_run":"1970-01-01T00:00:00.000000Z","error":"no"}"#
        );
    }
}
