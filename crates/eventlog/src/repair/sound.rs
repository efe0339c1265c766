//! Whether there is anything to repair: a log that opens and verifies stays as it is.
//!
//! A new log would cost the disk of the old one again, and who asks for a repair may only wonder.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::{RepairError, RepairOutcome, Told};
use crate::error::ReadError;
use crate::forensic::journal::{self, Ending};
use crate::forensic::manifest;
use crate::open::{EventLog, log_path};
use crate::recovery;
use crate::settings::Settings;
use crate::verify::{self, Verification};

/// What a repair answers for the closed log of `data_dir` when nothing of it is damaged; `None` when something is.
pub(super) fn look(data_dir: &Path, told: &Told) -> Result<Option<RepairOutcome>, RepairError> {
    // IMPORTANT: to open a journal with a broken end is to cut that; salvaging looks behind the break.
    if !has_whole_end(&log_path(data_dir)) {
        return Ok(None);
    }
    let Ok(opened) = recovery::open(data_dir, &Settings::default()) else { return Ok(None) };
    let (durable, lost_tail) = (opened.ends().durable, opened.recovery.lost_tail);
    let engine = || Ok(Arc::clone(&opened.committer.engine));
    let found = verify::verify(engine, opened.committer.checker, durable, |done, total| {
        if told.goes_on(done, total).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let outcome = outcome(&found.map_err(|_| RepairError::Stopped)?);
    Ok(outcome.map(|outcome| RepairOutcome { holes: lost_tail.into_iter().collect(), ..outcome }))
}

/// The same for an open log.
pub(super) fn look_at_open(
    log: &EventLog,
    progress: impl Fn(u64, u64) -> bool,
) -> Result<Option<RepairOutcome>, RepairError> {
    let mut is_stopped = false;
    let found = log.verify(|done, total| {
        is_stopped = !progress(done, total);
        if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match found {
        Ok(found) => Ok(outcome(&found)),
        Err(_) if is_stopped => Err(RepairError::Stopped),
        Err(ReadError::Closed) => Err(RepairError::Closed),
        // NOTE: a log that has failed may be mended by this.
        Err(_) => Ok(None),
    }
}

fn outcome(found: &Verification) -> Option<RepairOutcome> {
    found.is_clean().then(|| RepairOutcome { events: found.events, ..RepairOutcome::default() })
}

/// Whether the newest journal ends behind a whole batch, as far as anybody can tell.
fn has_whole_end(path: &Path) -> bool {
    let Ok(journals) = manifest::journals(path) else { return false };
    let walk = journals.found.last().and_then(|(_, journal)| journal::walk(journal, |_| {}).ok());
    walk.is_some_and(|walk| walk.ending == Ending::Clean && walk.disorder.is_none())
}
