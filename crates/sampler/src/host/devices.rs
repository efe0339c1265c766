//! Which network interfaces and disks count, so that no byte counts twice.
//!
//! Asked of sysfs once, and again when the names of the devices change.

use std::path::{Path, PathBuf};

use event::Text;

use crate::proc::Parsed;
use crate::{DeviceCounters, ProbeError};

/// What sort of devices.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sort {
    Interfaces,
    Disks,
}

/// The choice for the devices that were there last.
#[derive(Debug)]
pub(super) struct Choice {
    sort: Sort,
    folder: PathBuf,
    names: Vec<Text>,
    chosen: Vec<Text>,
}

impl Choice {
    pub(super) fn new(sort: Sort, sys: &Path) -> Self {
        let folder = match sort {
            Sort::Interfaces => sys.join("class/net"),
            Sort::Disks => sys.join("block"),
        };
        Self { sort, folder, names: Vec::new(), chosen: Vec::new() }
    }

    /// Keeps the devices that count.
    pub(super) fn keep(&mut self, devices: &mut Parsed<DeviceCounters>) -> Result<(), ProbeError> {
        if !devices.items.iter().map(|device| &device.name).eq(&self.names) {
            // NOTE: without sysfs nobody can tell a disk from its partition: that is an error, not a sum of all.
            std::fs::read_dir(&self.folder)
                .map_err(|source| ProbeError::Read { path: self.folder.clone(), source })?;
            self.names = devices.items.iter().map(|device| device.name.clone()).collect();
            self.chosen = match self.sort {
                Sort::Interfaces => self.interfaces(),
                Sort::Disks => self.names.iter().filter(|name| self.is_disk(name)).cloned().collect(),
            };
        }
        devices.items.retain(|device| self.chosen.contains(&device.name));
        Ok(())
    }

    fn interfaces(&self) -> Vec<Text> {
        let chosen = |rule: &dyn Fn(&Text) -> bool| -> Vec<Text> {
            self.names.iter().filter(|name| rule(name)).cloned().collect()
        };
        let physical = chosen(&|name| self.has(name, "device") && !self.has(name, "master/device"));
        if physical.is_empty() { chosen(&|name| self.is_outermost(name)) } else { physical }
    }

    /// In a container there is no hardware: what stands at the end of its own stack counts.
    fn is_outermost(&self, name: &Text) -> bool {
        name != "lo"
            && !["bridge", "bonding", "master"].iter().any(|part| self.has(name, part))
            && !self.stands_on_another(name)
    }

    fn stands_on_another(&self, name: &str) -> bool {
        let entries = std::fs::read_dir(self.device(name)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"lower_"))
    }

    fn is_disk(&self, name: &str) -> bool {
        let hidden = std::fs::read(self.device(name).join("hidden")).unwrap_or_default();
        self.has(name, "device") && hidden.trim_ascii() != b"1"
    }

    fn has(&self, name: &str, part: &str) -> bool {
        self.device(name).join(part).exists()
    }

    /// NOTE: sysfs writes a slash of a name (`cciss/c0d0`) as an exclamation mark.
    fn device(&self, name: &str) -> PathBuf {
        self.folder.join(name.replace('/', "!"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists devices before a colon, and the paths that sysfs has after it.
    fn check(sort: Sort, names: &[&str], paths: &[&str], expected: &[&str]) {
        let sys = tempfile::tempdir().unwrap();
        let mut choice = Choice::new(sort, sys.path());
        for path in paths {
            std::fs::create_dir_all(choice.folder.join(path)).unwrap();
        }
        let device = |name: &&str| DeviceCounters { name: Text::new(name), input_bytes: 1, output_bytes: 1 };
        let mut devices = Parsed { items: names.iter().map(device).collect(), problems: vec![] };
        choice.keep(&mut devices).unwrap();
        let kept: Vec<&str> = devices.items.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(kept, expected, "{paths:?}");
    }

    #[test]
    fn only_hardware_counts_where_there_is_some() {
        let names = ["lo", "eth0", "wlan0", "docker0", "veth1", "wg0", "bond0"];
        let paths =
            ["lo", "eth0/device", "wlan0/device", "docker0/bridge", "veth1/master", "wg0", "bond0/bonding"];
        check(Sort::Interfaces, &names, &paths, &["eth0", "wlan0"]);
    }

    #[test]
    fn a_virtual_function_below_a_counted_interface_does_not_count_again() {
        let paths = ["eth0/device", "enP1/device", "enP1/master/device"];
        check(Sort::Interfaces, &["eth0", "enP1"], &paths, &["eth0"]);
    }

    #[test]
    fn a_container_counts_its_outermost_interface() {
        let names = ["lo", "eth0", "docker0", "veth1", "eth0.7"];
        let paths = ["lo", "eth0", "docker0/bridge", "veth1/master", "eth0.7/lower_eth0"];
        check(Sort::Interfaces, &names, &paths, &["eth0"]);
        check(Sort::Interfaces, &["lo"], &["lo"], &[]);
    }

    #[test]
    fn whole_disks_count_once() {
        let names =
            ["loop0", "ram0", "zram0", "dm-0", "md0", "sda", "sda1", "nvme0n1", "nvme0n1p1", "cciss/c0d0"];
        let paths = [
            "loop0",
            "ram0",
            "zram0",
            "dm-0/slaves/sda",
            "md0",
            "sda/device",
            "nvme0n1/device",
            "cciss!c0d0/device",
        ];
        check(Sort::Disks, &names, &paths, &["sda", "nvme0n1", "cciss/c0d0"]);
    }

    #[test]
    fn a_hidden_path_does_not_count() {
        let sys = tempfile::tempdir().unwrap();
        let choice = Choice::new(Sort::Disks, sys.path());
        std::fs::create_dir_all(choice.folder.join("nvme0c0n1/device")).unwrap();
        assert!(choice.is_disk("nvme0c0n1"));
        std::fs::write(choice.folder.join("nvme0c0n1/hidden"), "1\n").unwrap();
        assert!(!choice.is_disk("nvme0c0n1"));
    }

    #[test]
    fn without_sysfs_nothing_is_guessed() {
        let mut choice = Choice::new(Sort::Disks, Path::new("/nonexistent"));
        let device = DeviceCounters { name: Text::const_new("sda"), input_bytes: 1, output_bytes: 1 };
        let mut devices = Parsed { items: vec![device], problems: vec![] };
        assert!(choice.keep(&mut devices).is_err());
    }
}
