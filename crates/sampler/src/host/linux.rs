//! The machine as Linux tells it in /proc and /sys.
//!
//! | what | counts | does not count |
//! | --- | --- | --- |
//! | network | interfaces of hardware: sysfs knows their `device` | `lo`; bridges, bonds, VLANs, tunnels and `veth` ends, whose bytes pass through hardware too or never leave the machine; a virtual function whose master is hardware |
//! | network, no hardware (a container) | interfaces that stand on no other | `lo`, bridges, bonds, their members, and what stands on another |
//! | disks | whole disks of hardware: sysfs knows their `device` | partitions; loop, ram, zram, dm, md and nbd devices; hidden paths of a multipath disk |
//!
//! So a modem that the kernel knows only as `ppp0`, and a disk that comes over the network, are not in the sums
//! of a machine with hardware of its own.

use std::path::Path;

use event::Text;

use super::devices::{Choice, Sort};
use super::probe::{HostProbe, HostReading};
use crate::proc::{Folder, ParseError, Parsed, cpu, diskstats, meminfo, net_dev};
use crate::{DeviceCounters, ProbeError};

/// Reads /proc and /sys.
#[derive(Debug)]
pub struct ProcHost {
    proc: Folder,
    interfaces: Choice,
    disks: Choice,
    buffer: Vec<u8>,
}

impl ProcHost {
    /// The machine that this process runs on.
    ///
    /// # Errors
    /// When /proc cannot be opened.
    pub fn open() -> Result<Self, ProbeError> {
        Self::open_at(Path::new("/proc"), Path::new("/sys"))
    }

    /// A machine whose /proc and /sys are elsewhere, such as `/host/proc` in a container.
    ///
    /// # Errors
    /// When `proc` cannot be opened.
    pub fn open_at(proc: &Path, sys: &Path) -> Result<Self, ProbeError> {
        Ok(Self {
            proc: Folder::open(proc)?,
            interfaces: Choice::new(Sort::Interfaces, sys),
            disks: Choice::new(Sort::Disks, sys),
            buffer: Vec::new(),
        })
    }

    fn record<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, ProbeError> {
        self.proc.read(name, &mut self.buffer)?;
        parse(&self.buffer).map_err(|source| ProbeError::Parse { path: self.proc.path_of(name), source })
    }

    fn network(&mut self) -> Result<Parsed<DeviceCounters>, ProbeError> {
        self.proc.read("net/dev", &mut self.buffer)?;
        let mut devices = net_dev::parse(&self.buffer);
        self.interfaces.keep(&mut devices)?;
        Ok(devices)
    }

    fn disks(&mut self) -> Result<Parsed<DeviceCounters>, ProbeError> {
        self.proc.read("diskstats", &mut self.buffer)?;
        let mut devices = diskstats::parse(&self.buffer);
        self.disks.keep(&mut devices)?;
        Ok(devices)
    }
}

impl HostProbe for ProcHost {
    fn read(&mut self) -> HostReading {
        HostReading {
            cpu: self.record("stat", cpu::parse),
            memory: self.record("meminfo", meminfo::parse),
            network: self.network(),
            disks: self.disks(),
        }
    }
}

/// The name of this machine, `localhost` when it has none.
#[must_use]
pub fn machine_name() -> Text {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { Text::const_new("localhost") } else { Text::from(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_machine_can_be_read() {
        let mut probe = ProcHost::open().unwrap();
        let reading = probe.read();
        let cpu = reading.cpu.unwrap();
        assert!(cpu.cores >= 1 && cpu.busy_ticks > 0 && cpu.total_ticks > cpu.busy_ticks, "{cpu:?}");
        let memory = reading.memory.unwrap();
        assert!(memory.total_bytes > memory.available_bytes && memory.available_bytes > 0, "{memory:?}");
        assert_eq!(reading.network.unwrap().problems, Vec::<String>::new());
        assert_eq!(reading.disks.unwrap().problems, Vec::<String>::new());
        assert!(!machine_name().is_empty());
    }

    #[test]
    fn a_machine_elsewhere_and_parts_that_fail_alone() {
        let root = tempfile::tempdir().unwrap();
        let (proc, sys) = (root.path().join("proc"), root.path().join("sys"));
        for folder in ["proc/net", "sys/class/net/eth0/device", "sys/class/net/veth1", "sys/block/sda/device"]
        {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(proc.join(name), text).unwrap();
        write("stat", "cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8\n");
        write("meminfo", "MemTotal: 10 kB\n");
        write("net/dev", "a\nb\neth0: 5 0 0 0 0 0 0 0 6 0\nveth1: 7 0 0 0 0 0 0 0 8 0\n");
        write("diskstats", "8 0 sda 0 0 3 0 0 0 4 0\n8 1 sda1 0 0 1 0 0 0 1 0\nbad\n");
        let reading = ProcHost::open_at(&proc, &sys).unwrap().read();
        assert_eq!(reading.cpu.unwrap().busy_ticks, 19);
        let error = crate::error::in_one_line(&reading.memory.unwrap_err());
        assert!(error.ends_with("proc/meminfo: MemAvailable is missing or not a number"), "{error}");
        let network = reading.network.unwrap().items;
        assert_eq!((network.len(), network[0].input_bytes, network[0].output_bytes), (1, 5, 6));
        let disks = reading.disks.unwrap();
        assert_eq!((disks.items.len(), disks.items[0].output_bytes), (1, 2048));
        assert_eq!(disks.problems.len(), 1);
    }
}
