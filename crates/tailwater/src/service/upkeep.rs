//! Keeping the log well: verify, repair, trim, adopt. The answers are what the commands print as JSON.

mod engine;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::status::HoleObject;
use super::{Projecting, Service, blocking};
use crate::access::OpenFailure;
use crate::control::output::Output;
use crate::failure::Failure;
use crate::projection;
use crate::selection::Place;

/// A run of positions that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Damage {
    /// The first position of it.
    pub from: u64,
    /// The last position of it.
    pub to: u64,
    /// Bytes that were read there and are not right; 0 where nothing could be read at all.
    pub bytes: u64,
    /// What is wrong with the first of them.
    pub reason: String,
}

/// The answer to `log verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifyAnswer {
    /// How many events were read and are good.
    pub events: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// How many of them a newer version wrote.
    pub unknown_events: u64,
    /// Runs of positions that have no event any more.
    pub holes: Vec<HoleObject>,
    /// What cannot be read.
    pub damaged: Vec<Damage>,
    /// Blocks of positions that the index by time does not tell right.
    pub wrong_blocks: u64,
    /// Why what is kept beside the events cannot be read; null when it can.
    pub meta_error: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The answer to `log repair`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepairAnswer {
    /// How many events could be read: all of them are in the log.
    pub events: u64,
    /// What could not be: new holes.
    pub holes: Vec<HoleObject>,
    /// Bytes of files that should hold something and could not be read.
    pub damaged_bytes: u64,
    /// Where the old files are; null when there was nothing to repair, and the log was left as it is.
    pub kept_in: Option<String>,
}

/// The answer to `log trim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrimAnswer {
    /// Whether this only tells what would go.
    pub dry_run: bool,
    /// How many events went.
    pub events: u64,
    /// How many of them no database had.
    pub dropped: u64,
    /// How many segments they filled.
    pub segments: u64,
    /// The first position that is there now.
    pub first_position: u64,
    /// The position from which on the database has nothing yet, when that held more back.
    pub held_back_at: Option<u64>,
}

/// The answer to `log adopt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptAnswer {
    /// The new identity.
    pub id: String,
    /// The one before.
    pub previous_id: String,
}

impl Service {
    pub(super) async fn verify(
        &self,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<VerifyAnswer, Failure> {
        self.durable_head().await?;
        let (log, output, stop) = (self.log.clone(), output.clone(), stop.clone());
        blocking(move || engine::verify(&log, &output, &stop)).await
    }

    pub(super) async fn repair(
        &self,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<RepairAnswer, Failure> {
        // NOTE: a projection that has halted at a damaged event begins again afterwards, and goes over the hole.
        let _paused = self.pause_projection().await;
        // NOTE: a log that has failed, and cannot be made durable, can be repaired all the same.
        let _ = self.durable_head().await;
        let (log, output, stop) = (self.log.clone(), output.clone(), stop.clone());
        blocking(move || engine::repair(&log, output, stop)).await
    }

    /// The projection stands still meanwhile, and claims its range as another log afterwards.
    pub(super) async fn adopt(&self) -> Result<AdoptAnswer, Failure> {
        let _paused = self.pause_projection().await;
        let log = self.log.clone();
        blocking(move || engine::adopt(&log)).await
    }

    async fn pause_projection(&self) -> Option<projection::Pause> {
        match &self.projecting {
            Projecting::Live(live) => projection::pause(&live.pauser).await,
            Projecting::Disabled | Projecting::Idle => None,
        }
    }

    pub(super) async fn trim(&self, before: Option<Place>, dry_run: bool) -> Result<TrimAnswer, Failure> {
        // NOTE: of what is not durable yet nobody knows the time.
        self.durable_head().await?;
        let log = self.log.clone();
        blocking(move || engine::trim(&log, before, dry_run)).await
    }
}

/// Repairs a log that no process has open; it need not open. `progress` says whether to go on.
///
/// # Errors
/// When it cannot be repaired, or another process has it.
pub(crate) async fn repair_unopened(
    data_dir: &Path,
    progress: impl Fn(u64, u64) -> bool + Send + 'static,
) -> Result<RepairAnswer, OpenFailure> {
    let data_dir = data_dir.to_owned();
    let repaired = blocking(move || Ok(engine::repair_unopened(&data_dir, progress)));
    repaired.await.unwrap_or_else(|failure| Err(OpenFailure::Other(failure)))
}
