//! What the host sampler needs to know, behind a trait, so that tests bring their own machine.

use crate::proc::Parsed;
use crate::proc::cpu::CpuTimes;
use crate::proc::meminfo::Memory;
use crate::{DeviceCounters, ProbeError};

/// Reads the machine.
pub trait HostProbe: Send {
    /// Reads everything once. Each part fails on its own.
    fn read(&mut self) -> HostReading;
}

/// One reading of the machine.
#[derive(Debug)]
pub struct HostReading {
    /// CPU time since boot.
    pub cpu: Result<CpuTimes, ProbeError>,
    /// Memory now.
    pub memory: Result<Memory, ProbeError>,
    /// The network interfaces that count, bytes since they came up.
    pub network: Result<Parsed<DeviceCounters>, ProbeError>,
    /// The disks that count, bytes since boot.
    pub disks: Result<Parsed<DeviceCounters>, ProbeError>,
}
