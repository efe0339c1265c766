//! The machine itself: CPU, memory, network and disks, one `system_sample` a pass.
//!
//! - CPU is the difference of two readings of `/proc/stat`, 100 for one core; the first pass has none.
//! - Memory used is what is not available: `MemTotal - MemAvailable`. The limit is `MemTotal`; limits of
//!   control groups are not looked at, this is about the machine.
//! - Network and disk counters are since boot. Which devices count, so that nothing counts twice, is told in
//!   [`linux`].

mod devices;
pub mod linux;
mod probe;
mod sampler;

pub use linux::{ProcHost, machine_name};
pub use probe::{HostProbe, HostReading};
pub use sampler::HostSampler;
