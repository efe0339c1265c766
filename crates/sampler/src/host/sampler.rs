//! The host sampler: from two readings of the machine to one `system_sample`.

use event::{Event, Resources, SystemSample, Text, Time};

use super::probe::{HostProbe, HostReading};
use crate::counters::DeviceSums;
use crate::error::in_one_line;
use crate::proc::Parsed;
use crate::proc::cpu::CpuTimes;
use crate::proc::meminfo::Memory;
use crate::{Activity, DeviceCounters, Pass, ProbeError, SampleError, Sampler};

/// Samples one machine.
#[derive(Debug)]
pub struct HostSampler<P> {
    system_name: Text,
    probe: P,
    previous: Option<CpuTimes>,
    network: DeviceSums,
    disks: DeviceSums,
}

impl<P: HostProbe> HostSampler<P> {
    /// A sampler whose samples carry this name; by default the machine's, [`super::machine_name`].
    pub fn new(system_name: impl Into<Text>, probe: P) -> Self {
        Self {
            system_name: system_name.into(),
            probe,
            previous: None,
            network: DeviceSums::default(),
            disks: DeviceSums::default(),
        }
    }

    fn count(&mut self, reading: HostReading, notes: &mut Notes) -> Resources {
        let cpu_percent = notes.keep(reading.cpu).and_then(|now| {
            let earlier = self.previous.replace(now)?;
            now.percent_since(&earlier)
        });
        let memory = notes.keep(reading.memory);
        let used = memory.map(|memory| memory.total_bytes.saturating_sub(memory.available_bytes));
        let network = notes.keep_all(reading.network).and_then(|devices| self.network.update(devices));
        let disks = notes.keep_all(reading.disks).and_then(|devices| self.disks.update(devices));
        Resources {
            cpu_percent,
            mem_used_bytes: used,
            mem_limit_bytes: memory.map(|memory| memory.total_bytes),
            mem_percent: memory.zip(used).and_then(|(memory, used)| percent(used, memory)),
            net_rx_bytes: network.map(|sums| sums.0),
            net_tx_bytes: network.map(|sums| sums.1),
            disk_read_bytes: disks.map(|sums| sums.0),
            disk_write_bytes: disks.map(|sums| sums.1),
        }
    }
}

fn percent(used: u64, memory: Memory) -> Option<f64> {
    (memory.total_bytes > 0).then(|| used as f64 / memory.total_bytes as f64 * 100.0)
}

impl<P: HostProbe> Sampler for HostSampler<P> {
    fn name(&self) -> &str {
        "host"
    }

    fn describe(&mut self) -> String {
        let reading = self.probe.read();
        let cores = match reading.cpu {
            Ok(CpuTimes { cores: 1, .. }) => "1 core".to_owned(),
            Ok(CpuTimes { cores, .. }) => format!("{cores} cores"),
            Err(error) => in_one_line(&error),
        };
        let memory = match reading.memory {
            Ok(memory) => format!("{:.1} GiB", memory.total_bytes as f64 / (1_u64 << 30) as f64),
            Err(error) => in_one_line(&error),
        };
        format!("host: {}, {cores}, {memory}", self.system_name)
    }

    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError> {
        let mut notes = Notes::default();
        let reading = self.probe.read();
        let resources = self.count(reading, &mut notes);
        let system_name = self.system_name.clone();
        pass.events.push(Event::SystemSample(SystemSample { time, host: None, system_name, resources }));
        match notes.all_failed() {
            Some(error) => {
                Err(SampleError::new("nothing of this machine could be read", error.kind(), error))
            }
            None => {
                pass.problems.append(&mut notes.problems());
                Ok(Activity::Sampled)
            }
        }
    }
}

/// What failed of one reading, and how much did not.
#[derive(Debug, Default)]
struct Notes {
    failed: Vec<ProbeError>,
    lines: Vec<String>,
    good: u32,
}

impl Notes {
    fn keep<T>(&mut self, part: Result<T, ProbeError>) -> Option<T> {
        match part {
            Ok(part) => {
                self.good += 1;
                Some(part)
            }
            Err(error) => {
                self.failed.push(error);
                None
            }
        }
    }

    fn keep_all(&mut self, part: Result<Parsed<DeviceCounters>, ProbeError>) -> Option<Vec<DeviceCounters>> {
        let Parsed { items, mut problems } = self.keep(part)?;
        self.lines.append(&mut problems);
        Some(items)
    }

    /// The first error, when no part could be read.
    fn all_failed(&mut self) -> Option<ProbeError> {
        (self.good == 0 && !self.failed.is_empty()).then(|| self.failed.swap_remove(0))
    }

    fn problems(self) -> Vec<String> {
        let errors = self.failed.iter().map(|error| in_one_line(error));
        errors.chain(self.lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    struct Script(VecDeque<HostReading>);

    impl HostProbe for Script {
        fn read(&mut self) -> HostReading {
            self.0.pop_front().unwrap()
        }
    }

    fn broken<T>() -> Result<T, ProbeError> {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        Err(ProbeError::Read { path: "/proc/x".into(), source })
    }

    fn reading(busy_ticks: u64, total_ticks: u64, bytes: u64) -> HostReading {
        let device = |name| DeviceCounters { name, input_bytes: bytes, output_bytes: 2 * bytes };
        let parsed = |name| Parsed { items: vec![device(Text::const_new(name))], problems: vec![] };
        HostReading {
            cpu: Ok(CpuTimes { busy_ticks, total_ticks, cores: 2 }),
            memory: Ok(Memory { total_bytes: 1000, available_bytes: 750 }),
            network: Ok(parsed("eth0")),
            disks: Ok(parsed("vda")),
        }
    }

    fn samples(readings: impl IntoIterator<Item = HostReading>) -> Vec<(Resources, Vec<String>, bool)> {
        let mut sampler = HostSampler::new("box", Script(readings.into_iter().collect()));
        let mut all = Vec::new();
        while !sampler.probe.0.is_empty() {
            let mut pass = Pass::default();
            let outcome = sampler.sample(Time::from_micros(5), &mut pass);
            let Some(Event::SystemSample(sample)) = pass.events.pop() else { panic!("no sample") };
            assert_eq!((sample.system_name.as_str(), sample.time), ("box", Time::from_micros(5)));
            all.push((sample.resources, pass.problems, outcome.is_ok()));
        }
        all
    }

    #[test]
    fn the_first_pass_has_no_cpu_and_the_second_has() {
        let all = samples([reading(100, 1000, 5), reading(200, 1200, 7)]);
        let expected = Resources {
            cpu_percent: None,
            mem_used_bytes: Some(250),
            mem_limit_bytes: Some(1000),
            mem_percent: Some(25.0),
            net_rx_bytes: Some(5),
            net_tx_bytes: Some(10),
            disk_read_bytes: Some(5),
            disk_write_bytes: Some(10),
        };
        assert_eq!(all[0], (expected, vec![], true));
        assert_eq!(all[1].0.cpu_percent, Some(100.0));
        assert_eq!(all[1].0.net_tx_bytes, Some(14));
    }

    #[test]
    fn a_part_that_fails_is_null_and_told() {
        let mut partial = reading(100, 1000, 5);
        partial.memory = broken();
        partial.disks = Ok(Parsed { items: vec![], problems: vec!["a bad line".to_owned()] });
        let (resources, problems, good) = samples([partial]).remove(0);
        assert!(good);
        assert_eq!(problems, ["cannot read /proc/x: permission denied", "a bad line"]);
        assert_eq!(
            (resources.mem_used_bytes, resources.mem_limit_bytes, resources.mem_percent),
            (None, None, None)
        );
        assert_eq!((resources.disk_read_bytes, resources.net_rx_bytes), (None, Some(5)));
    }

    #[test]
    fn a_machine_that_cannot_be_read_is_an_error_and_null_not_zero() {
        let all_broken = HostReading { cpu: broken(), memory: broken(), network: broken(), disks: broken() };
        let all = samples([reading(100, 1000, 5), all_broken, reading(300, 1400, 6)]);
        assert_eq!(all[1], (Resources::default(), vec![], false));
        assert_eq!(all[2].0.cpu_percent, Some(100.0), "over both intervals");
    }

    #[test]
    fn the_description() {
        let mut sampler = HostSampler::new("box", Script([reading(1, 2, 3)].into()));
        assert_eq!(sampler.describe(), "host: box, 2 cores, 0.0 GiB");
    }
}
