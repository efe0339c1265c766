//! The samplers of tailwater: each reads one source on a schedule and makes events of what it sees.
//!
//! Three layers, each testable without the one below it:
//!
//! - [`proc`]: pure parsers of the kernel's text, from bytes to plain data.
//! - [`host`], [`tmux`] and [`docker`]: a probe trait that reads, its real implementation, and the sampler that counts.
//! - [`pace`]: the loop that runs a [`Sampler`] on a thread of its own and offers its events to an
//!   [`event::Sink`]; [`Runner`] is one turn of that loop, for those who bring their own time.
//!
//! [`transcripts`] goes its own way: it follows files, and what it has read is kept with how far it has come.
//!
//! Beside them [`machine`] tells who looks once what this process is granted: room, limits, mounts.
//!
//! A sampler never blocks on the log, never repeats a series' time, and tells a failure apart from a zero:
//! what could not be measured is `None` and an error in its [`SamplerStatus`]; what is stopped reads 0.

mod clock;
mod counters;
pub mod docker;
mod error;
pub mod host;
pub mod machine;
mod names;
pub mod pace;
pub mod proc;
mod refusals;
mod registry;
mod runner;
mod schedule;
mod stamps;
mod status;
mod subject;
pub mod tmux;
pub mod transcripts;

pub use clock::{Clock, ManualClock, SystemClock};
pub use counters::DeviceCounters;
pub use error::{ErrorKind, ProbeError, SampleError};
pub use names::{AgentPattern, PatternError, SystemPattern};
pub use pace::{PaceError, PaceSettings, PacedSampler, StopOutcome};
pub use registry::{AgentNow, ConfiguredAgent, Life, Registry, Seen, Surroundings};
pub use runner::Runner;
pub use schedule::{Jitter, Schedule};
pub use stamps::{ClockStep, Stamps};
pub use status::{Progress, SamplerState, SamplerStatus, StatusHandle};
pub use subject::{Activity, Pass, Sampler};
