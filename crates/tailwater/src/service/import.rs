//! Importing NDJSON: one chunk of a larger input, all of it or nothing.

use eventlog::{AppendError, Batch, Order};
use serde::{Deserialize, Serialize};

use super::Intake;
use super::record::read_events;
use crate::failure::{Failure, chain};

/// The answer to one chunk of an import, and their sum: what `log import` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportAnswer {
    /// How many events were imported.
    pub imported: u64,
    /// How many more are token usage that the log knew as much of.
    #[serde(default, skip_serializing_if = "server::is_zero")]
    pub known: u64,
    /// Where the first one lies; absent when there was none.
    pub first_position: Option<u64>,
    /// Where the last one lies.
    pub last_position: Option<u64>,
    /// How many lines were skipped; only with `--skip-invalid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// Imports a chunk and waits for the acknowledgement. It blocks.
///
/// # Errors
/// When a line is invalid and `skip_invalid` is not set, or the log does not take the events: nothing of the chunk
/// is kept. Lines are counted from `lines_before` on.
pub(super) fn import(
    intake: &Intake,
    ndjson: &[u8],
    lines_before: u64,
    skip_invalid: bool,
) -> Result<ImportAnswer, Failure> {
    let (events, skipped) = read_events(ndjson, lines_before, skip_invalid)
        .map_err(|error| Failure::error(format!("{error} (has the input changed meanwhile?)")))?;
    if events.is_empty() {
        return Ok(ImportAnswer { skipped, ..ImportAnswer::default() });
    }
    let outcome =
        intake.append(Batch { events, order: Order::Import, ..Batch::default() }).map_err(|error| {
            let fate = match error {
                // NOTE: a failed fsync leaves open what of it is on the disk; recovery decides.
                AppendError::Failed(_) => "the part that was under way was not acknowledged",
                _ => "nothing of the part that was under way was imported",
            };
            Failure::error(format!("{}; {fate}", chain(&error)))
        })?;
    Ok(ImportAnswer {
        imported: outcome.events,
        known: outcome.usage_known,
        first_position: (outcome.events > 0).then_some(outcome.first.0),
        last_position: (outcome.events > 0).then_some(outcome.last().0),
        skipped,
    })
}
