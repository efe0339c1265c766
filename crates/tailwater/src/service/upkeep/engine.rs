//! What the log itself does of it, in the words of the answers. All of these block.

use std::path::Path;

use eventlog::EventLog;

use super::{AdoptAnswer, RepairAnswer, TrimAnswer, VerifyAnswer};
use crate::failure::Failure;
use crate::selection::Place;

fn not_yet<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::error(format!("the log cannot {what} in this version")))
}

pub(super) fn verify(
    _log: &EventLog,
    _progress: impl Fn(u64, u64),
    _is_stopped: impl Fn() -> bool,
) -> Result<VerifyAnswer, Failure> {
    not_yet("be verified")
}

pub(super) fn repair(
    _log: &EventLog,
    _progress: impl Fn(u64, u64),
    _is_stopped: impl Fn() -> bool,
) -> Result<RepairAnswer, Failure> {
    not_yet("be repaired")
}

pub(super) fn repair_unopened(_data_dir: &Path) -> Result<RepairAnswer, Failure> {
    not_yet("be repaired")
}

pub(super) fn trim(_log: &EventLog, _before: Option<Place>, _dry_run: bool) -> Result<TrimAnswer, Failure> {
    not_yet("be trimmed")
}

pub(super) fn adopt(_log: &EventLog) -> Result<AdoptAnswer, Failure> {
    not_yet("be adopted")
}
