//! Agents that live in tmux: each agent is one or more sessions, and is measured by its process tree.
//!
//! A pass asks tmux for its panes (one fork), reads /proc, and walks from the panes' first processes to all
//! their descendants. What that costs and why /proc is read whole is told in [`linux`].
//!
//! - Which session is which agent: [`sessions`]. Names are compared here, exactly; tmux's own matching of
//!   targets, which takes `a1` for `a10`, is never asked.
//! - CPU and disk counters, through births, deaths and departures: [`ledger`].
//! - Memory is the sum of the resident memory of the tree (shared pages count for each process), its limit is
//!   the machine's memory.
//! - Network cannot be told apart by process: null, with one notice in the sampler's lifetime.
//!
//! A session or agent that is stopped reads 0 with the state `stopped`; a reading that fails is an error of
//! the pass, and null for every agent that is known.

mod accounts;
pub mod command;
pub mod ledger;
pub mod linux;
pub mod panes;
mod probe;
mod sampler;
mod scan;
pub mod sessions;
mod tree;

pub use linux::{ProcTmux, TmuxServer, TmuxSettings};
pub use panes::{PaneId, SessionKey, TmuxSession};
pub use probe::{IoReading, Machine, TmuxListing, TmuxProbe, Units};
pub use sampler::TmuxSampler;
pub use sessions::{AgentSelector, NamedAgent, SelectorError, SessionPattern};

#[cfg(test)]
mod world_tests;
