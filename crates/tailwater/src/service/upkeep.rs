//! Keeping the log well: verify, repair, trim, adopt. The answers are what the commands print as JSON.

mod engine;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Service, blocking};
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::Failure;
use crate::selection::Place;

/// A run of positions that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Damage {
    /// The first position of it.
    pub from: u64,
    /// The last position of it.
    pub to: u64,
    /// How many bytes are there.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
}

/// The answer to `log verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerifyAnswer {
    /// How many events were read and are good.
    pub events: u64,
    /// How many positions lie in holes.
    pub hole_positions: u64,
    /// What cannot be read.
    pub damaged: Vec<Damage>,
    /// How long it took.
    pub seconds: f64,
}

/// The answer to `log repair`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepairAnswer {
    /// What was put aside; holes are in its place.
    pub damaged: Vec<Damage>,
    /// The folder where it is kept; absent when nothing was damaged.
    pub kept_in: Option<String>,
}

/// The answer to `log trim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrimAnswer {
    /// Whether this only tells what would go.
    pub dry_run: bool,
    /// How many events went.
    pub events: u64,
    /// How many bytes of the disk they took.
    pub bytes: u64,
    /// How many segments they filled.
    pub segments: u64,
    /// The first position that is there now.
    pub first_position: u64,
    /// The position from which on a database has nothing yet, when that held more back.
    pub held_back_by: Option<u64>,
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
        let (log, output, stop) = (self.log.clone(), output.clone(), stop.clone());
        blocking(move || engine::verify(&log, teller(output), || stop.is_cancelled())).await
    }

    pub(super) async fn repair(
        &self,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<RepairAnswer, Failure> {
        let (log, output, stop) = (self.log.clone(), output.clone(), stop.clone());
        blocking(move || engine::repair(&log, teller(output), || stop.is_cancelled())).await
    }

    pub(super) async fn trim(&self, before: Option<Place>, dry_run: bool) -> Result<TrimAnswer, Failure> {
        let log = self.log.clone();
        blocking(move || engine::trim(&log, before, dry_run)).await
    }

    pub(super) async fn adopt(&self) -> Result<AdoptAnswer, Failure> {
        let log = self.log.clone();
        blocking(move || engine::adopt(&log)).await
    }
}

/// Repairs a log that does not open.
///
/// # Errors
/// When it cannot be repaired, or another process has it.
pub(crate) async fn repair_unopened(data_dir: &Path) -> Result<RepairAnswer, Failure> {
    let data_dir = data_dir.to_owned();
    blocking(move || engine::repair_unopened(&data_dir)).await
}

/// Tells how many positions of how many are done.
fn teller(output: Output) -> impl Fn(u64, u64) {
    move |done, total| output.progress(Progress { done, total, waiting: None })
}
