//! What the log itself does of it, in the words of the answers. All of these block.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use event::{Kind, Position, Time};
use eventlog::{
    Adoption, EventLog, OpenError, ReadError, RepairError, RepairOutcome, RepairWhen, TimeRange, TrimTo,
    Verification,
};
use tokio_util::sync::CancellationToken;

use super::{AdoptAnswer, Damage, RepairAnswer, TrimAnswer, VerifyAnswer};
use crate::access::OpenFailure;
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::selection::Place;
use crate::service::status::HoleObject;

fn failure(error: &dyn std::error::Error) -> Failure {
    Failure::error(chain(error))
}

fn progress(done: u64, total: u64) -> Progress {
    Progress { done, total, waiting: None }
}

pub(super) fn verify(
    log: &EventLog,
    output: &Output,
    stop: &CancellationToken,
) -> Result<VerifyAnswer, Failure> {
    let began = Instant::now();
    let found = log.verify(|done, total| {
        output.progress(progress(done, total));
        if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match found {
        Ok(found) => Ok(verified(found, began.elapsed().as_secs_f64())),
        Err(ReadError::Closed) if stop.is_cancelled() => {
            Err(Failure::error("stopped before everything was verified"))
        }
        Err(error) => Err(failure(&error)),
    }
}

fn verified(found: Verification, seconds: f64) -> VerifyAnswer {
    let damage =
        |it: eventlog::Damage| Damage { from: it.lo.0, to: it.hi.0, bytes: it.bytes, reason: it.reason };
    VerifyAnswer {
        events: found.events,
        bytes: found.bytes,
        unknown_events: found.unknown,
        holes: found.holes.iter().map(HoleObject::from).collect(),
        damaged: found.damage.into_iter().map(damage).collect(),
        wrong_blocks: found.wrong_blocks,
        meta_error: found.meta_error,
        seconds,
    }
}

pub(super) fn repair(
    log: &EventLog,
    output: Output,
    stop: CancellationToken,
) -> Result<RepairAnswer, Failure> {
    let tell = move |done, total| {
        output.progress(progress(done, total));
        !stop.is_cancelled()
    };
    log.repair_open(RepairWhen::Damaged, tell).map(repaired).map_err(|error| failure(&error))
}

pub(super) fn repair_unopened(
    data_dir: &Path,
    progress: impl Fn(u64, u64) -> bool + Send + 'static,
) -> Result<RepairAnswer, OpenFailure> {
    let outcome = EventLog::repair(data_dir, RepairWhen::Damaged, progress);
    outcome.map(repaired).map_err(|error| match &error {
        RepairError::Open(OpenError::Held { .. }) => OpenFailure::Held(failure(&error)),
        _ => OpenFailure::Other(failure(&error)),
    })
}

fn repaired(outcome: RepairOutcome) -> RepairAnswer {
    RepairAnswer {
        events: outcome.events,
        holes: outcome.holes.iter().map(HoleObject::from).collect(),
        damaged_bytes: outcome.damaged_bytes,
        kept_in: outcome.old.map(|old| old.display().to_string()),
    }
}

pub(super) fn trim(log: &EventLog, before: Option<Place>, dry_run: bool) -> Result<TrimAnswer, Failure> {
    let to = match before {
        None => TrimTo::Bounds { dry_run },
        Some(Place::Position(position)) => TrimTo::Before { position: Position(position), dry_run },
        Some(Place::Time(time)) => {
            TrimTo::Before { position: first_from(log, Time::from_micros(time))?, dry_run }
        }
    };
    let outcome = log.trim(to).map_err(|error| failure(&error))?;
    Ok(TrimAnswer {
        dry_run,
        events: outcome.events,
        dropped: outcome.dropped,
        segments: outcome.segments as u64,
        first_position: outcome.first.0,
        held_back_at: outcome.held_back_at.map(|position| position.0),
    })
}

/// The first position that may have an event of `time` or later: everything before it is older.
fn first_from(log: &EventLog, time: Time) -> Result<Position, Failure> {
    // IMPORTANT: before the runs, which know of what is durable only: what comes meanwhile may be of that time.
    let end = log.ends().durable.next();
    let times = TimeRange { from: time, ..TimeRange::ALL };
    let runs = log.runs_between(times, &Kind::ALL).map_err(|error| failure(&error))?;
    Ok(runs.first().map_or(end, |(first, _)| *first))
}

pub(super) fn adopt(log: &EventLog) -> Result<AdoptAnswer, Failure> {
    let Adoption { from, to } = log.adopt().map_err(|error| failure(&error))?;
    Ok(AdoptAnswer { id: to.to_string(), previous_id: from.to_string() })
}
