//! What the tmux sampler needs to know, behind a trait, so that tests bring their own machine.

use super::panes::TmuxSession;
use crate::ProbeError;
use crate::proc::pid_io::PidIo;
use crate::proc::pid_stat::PidStat;
use crate::proc::{Parsed, Pid};

/// Asks tmux and reads processes.
pub trait TmuxProbe: Send {
    /// The sessions of the server and their panes.
    ///
    /// # Errors
    /// When tmux is there and does not answer as it should.
    fn sessions(&mut self) -> Result<TmuxListing, ProbeError>;

    /// The numbers of all processes, in place of what `into` holds.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn pids(&mut self, into: &mut Vec<Pid>) -> Result<(), ProbeError>;

    /// One process; `None` when it is gone.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn stat(&mut self, pid: Pid) -> Result<Option<PidStat>, ProbeError>;

    /// What one process read from and wrote to disks.
    ///
    /// # Errors
    /// When it may be read and cannot be.
    fn io(&mut self, pid: Pid) -> Result<IoReading, ProbeError>;

    /// The folder that one process works in, if that can be told.
    fn directory(&mut self, _pid: Pid) -> Option<String> {
        None
    }

    /// The machine's memory and cores.
    ///
    /// # Errors
    /// When they cannot be read.
    fn machine(&mut self) -> Result<Machine, ProbeError>;

    /// The units of what [`TmuxProbe::stat`] tells.
    fn units(&self) -> Units;
}

/// What tmux said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TmuxListing {
    /// There is no such program.
    NoTmux,
    /// No server is running, or it has no sessions.
    NoServer,
    /// The sessions, oldest first.
    Sessions(Parsed<TmuxSession>),
}

/// The disk counters of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoReading {
    /// They were read.
    Read(PidIo),
    /// They may not be read, or this kernel does not count.
    Denied,
    /// The process is gone.
    Gone,
}

/// What all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// All memory, bytes.
    pub memory_bytes: u64,
    /// Cores that are online.
    pub cores: u32,
}

/// The units of the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Ticks of CPU time in a second.
    pub ticks_per_second: u64,
    /// Bytes in a page of memory.
    pub page_bytes: u64,
}
