//! The commands, one file or folder each.

use std::time::SystemTime;

use event::Time;

pub(crate) mod bar;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod log;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod plot;
pub(crate) mod project;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod verify;

/// What the clock says: what a relative time is relative to.
pub(crate) fn now() -> Time {
    Time::from(SystemTime::now())
}
