//! The commands, one file each.

pub(crate) mod config;
pub(crate) mod log;
pub(crate) mod migrate;
pub(crate) mod project;
pub(crate) mod query;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod status;
