//! Sums of device counters that go on when a device leaves.
//!
//! The kernel counts per device. A plain sum falls when a device is unplugged, and a reader of the sum would
//! take that for a restart of the whole counter. So the sum is built from differences here.

use std::collections::HashMap;

use event::Text;

/// The two counters of one network interface or disk, bytes since the device came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCounters {
    /// The kernel's name of it.
    pub name: Text,
    /// Received, or read.
    pub input_bytes: u64,
    /// Sent, or written.
    pub output_bytes: u64,
}

/// The sum over all devices that were ever seen.
#[derive(Debug, Default)]
pub(crate) struct DeviceSums {
    last: HashMap<Text, (u64, u64)>,
    total: (u64, u64),
}

impl DeviceSums {
    /// Adds a reading and returns the sums of input and output; `None` while no device was ever seen.
    ///
    /// A device that is new, or one of whose counters fell, counted from zero since. One that left keeps its part.
    pub(crate) fn update(&mut self, devices: Vec<DeviceCounters>) -> Option<(u64, u64)> {
        for device in devices {
            let now = (device.input_bytes, device.output_bytes);
            let before = self.last.insert(device.name, now).filter(|last| last.0 <= now.0 && last.1 <= now.1);
            let before = before.unwrap_or((0, 0));
            self.total.0 = self.total.0.saturating_add(now.0 - before.0);
            self.total.1 = self.total.1.saturating_add(now.1 - before.1);
        }
        (!self.last.is_empty()).then_some(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, input_bytes: u64, output_bytes: u64) -> DeviceCounters {
        DeviceCounters { name: Text::new(name), input_bytes, output_bytes }
    }

    #[test]
    fn the_sum_never_falls() {
        let mut sums = DeviceSums::default();
        assert_eq!(sums.update(vec![]), None);
        assert_eq!(sums.update(vec![device("eth0", 10, 1), device("usb0", 100, 2)]), Some((110, 3)));
        assert_eq!(sums.update(vec![device("eth0", 12, 1)]), Some((112, 3)), "usb0 left");
        assert_eq!(
            sums.update(vec![device("eth0", 12, 1), device("usb0", 5, 5)]),
            Some((117, 8)),
            "and is back"
        );
        assert_eq!(sums.update(vec![]), Some((117, 8)));
    }
}
