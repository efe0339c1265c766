//! The configuration: flags over `TAILWATER_*` over `tailwater.toml` over defaults.
//!
//! [`catalogue`] lists every setting once, with its default and its meaning. [`RawConfig`] gathers what was
//! typed and remembers where; [`Config`] is what is meant. `config show`, `check` and `init` walk the catalogue.

pub mod agents;
mod bounds;
pub mod catalogue;
mod docker;
#[cfg(test)]
mod document;
mod http;
mod meaning;
mod raw;
mod retention;
mod transcripts;
mod unknown;

pub use bounds::LogBounds;
pub use catalogue::{CATALOGUE, Setting};
pub use docker::DockerSampling;
pub use http::HttpServing;
pub use meaning::{Backlog, Config, HostSampling, TmuxSampling, default_data_dir};
pub use raw::{ConfigError, Origin, Overrides, RawConfig, RawValue, default_path};
pub use retention::Retention;
pub use transcripts::TranscriptSampling;
pub use unknown::unknown_variables;
