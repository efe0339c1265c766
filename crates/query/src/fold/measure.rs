//! What many samples make of a number: averages, last values, gains of counters.

use event::{Resources, Time};

use crate::answer::Rates;

/// An average of what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Average {
    sum: f64,
    count: u32,
}

impl Average {
    pub(super) fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    pub(super) fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// An average of bytes, exact until it is rounded to whole bytes, halves up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByteAverage {
    sum: u128,
    count: u32,
}

impl ByteAverage {
    pub(super) fn add(&mut self, value: Option<u64>) {
        if let Some(value) = value {
            self.sum += u128::from(value);
            self.count += 1;
        }
    }

    pub(super) fn value(self) -> Option<u64> {
        let count = u128::from(self.count);
        let rounded = (self.sum * 2 + count).checked_div(count * 2)?;
        u64::try_from(rounded).ok()
    }
}

/// The increases of one counter, and the time that they took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gain {
    bytes: u128,
    micros: u128,
    increases: u64,
}

impl Gain {
    /// One increase, if there is one between these two samples.
    fn add(&mut self, before: (Time, Option<u64>), now: (Time, Option<u64>)) {
        let ((earlier, Some(old)), (later, Some(new))) = (before, now) else { return };
        // A smaller value is a restart: the counter began at zero.
        self.bytes += u128::from(new.checked_sub(old).unwrap_or(new));
        self.micros += u128::from(later.micros().abs_diff(earlier.micros()));
        self.increases += 1;
    }

    fn per_second(self) -> Option<f64> {
        (self.increases > 0).then(|| self.bytes as f64 / (self.micros as f64 / 1e6))
    }

    /// The sum of the increases, at most what a database's bigint holds.
    pub(super) fn bytes(self) -> Option<u64> {
        let bytes = self.bytes.min(u128::from(event::limits::COUNT_MAX));
        (self.increases > 0).then(|| u64::try_from(bytes).unwrap_or(event::limits::COUNT_MAX))
    }
}

/// The gains of the four counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gains {
    pub(super) net_rx: Gain,
    pub(super) net_tx: Gain,
    pub(super) disk_read: Gain,
    pub(super) disk_write: Gain,
}

impl Gains {
    /// What the counters gained from one sample to the next of the same series.
    pub(super) fn add(&mut self, before: (Time, &Resources), now: (Time, &Resources)) {
        let add = |gain: &mut Gain, of: fn(&Resources) -> Option<u64>| {
            gain.add((before.0, of(before.1)), (now.0, of(now.1)));
        };
        add(&mut self.net_rx, |resources| resources.net_rx_bytes);
        add(&mut self.net_tx, |resources| resources.net_tx_bytes);
        add(&mut self.disk_read, |resources| resources.disk_read_bytes);
        add(&mut self.disk_write, |resources| resources.disk_write_bytes);
    }

    pub(super) fn rates(&self) -> Rates {
        Rates {
            net_rx_per_second: self.net_rx.per_second(),
            net_tx_per_second: self.net_tx.per_second(),
            disk_read_per_second: self.disk_read.per_second(),
            disk_write_per_second: self.disk_write.per_second(),
        }
    }
}

/// The averages of a bucket, and its last sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    cpu_percent: Average,
    mem_used_bytes: ByteAverage,
    mem_percent: Average,
    last: Resources,
}

impl Levels {
    /// One sample more, later than those before.
    pub(super) fn add(&mut self, now: &Resources) {
        self.cpu_percent.add(now.cpu_percent);
        self.mem_used_bytes.add(now.mem_used_bytes);
        self.mem_percent.add(now.mem_percent);
        self.last = *now;
    }

    pub(super) fn resources(&self) -> Resources {
        Resources {
            cpu_percent: self.cpu_percent.value(),
            mem_used_bytes: self.mem_used_bytes.value(),
            mem_percent: self.mem_percent.value(),
            ..self.last
        }
    }
}
