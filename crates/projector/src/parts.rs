//! What a projector is given beside its two ends: where its time of day and its chance come from.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use uuid::Uuid;

use crate::sieve::Sieve;
use crate::status::Status;

/// The parts of a projector that are not its two ends. A simulation gives its own.
#[derive(Clone)]
pub struct Parts {
    /// Decides the names of its writers and the jitter of its pauses.
    pub seed: u64,
    /// The time of day, for what is told to people and for what has expired. What it waits for it measures by
    /// tokio's clock.
    pub now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Which of the events that are read are sent.
    pub sieve: Sieve,
    /// What a projection of the same database tells, whose live lane comes before a replay.
    pub first: Option<watch::Receiver<Status>>,
}

impl Default for Parts {
    fn default() -> Self {
        let (seed, _) = Uuid::new_v4().as_u64_pair();
        Self { seed, now: Arc::new(SystemTime::now), sieve: Sieve::default(), first: None }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("seed", &self.seed).field("sieve", &self.sieve).finish_non_exhaustive()
    }
}
