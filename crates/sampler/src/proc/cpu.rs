//! The `cpu` lines at the head of `/proc/stat`.
//!
//! `cpu  user nice system idle iowait irq softirq steal guest guest_nice`, summed over all cores, then one
//! line for each core that is online. Guest time is in user time already. Steal is time that the machine
//! below gave to somebody else: it passed, but nobody here used it.

use super::ParseError;
use super::words::{lines, number, words};

/// Time that passed on all cores together since boot, ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User, nice, system, interrupts.
    pub busy_ticks: u64,
    /// That, and idle, waiting for I/O, stolen.
    pub total_ticks: u64,
    /// Cores that are online.
    pub cores: u32,
}

impl CpuTimes {
    /// CPU use between an earlier reading and this one, percent of one core; `None` when no time passed.
    #[must_use]
    pub fn percent_since(&self, earlier: &Self) -> Option<f64> {
        let total = self.total_ticks.checked_sub(earlier.total_ticks).filter(|ticks| *ticks > 0)?;
        let busy = self.busy_ticks.saturating_sub(earlier.busy_ticks).min(total);
        Some(busy as f64 / total as f64 * 100.0 * f64::from(self.cores))
    }
}

/// Reads the head of the file.
///
/// # Errors
/// When the line of all cores is missing or one of its first eight numbers is. Linux before 2.6.11 had fewer.
pub fn parse(text: &[u8]) -> Result<CpuTimes, ParseError> {
    let mut lines = lines(text).take_while(|line| line.starts_with(b"cpu"));
    let total =
        lines.next().and_then(|line| line.strip_prefix(b"cpu ")).ok_or(ParseError { field: "cpu" })?;
    let mut numbers = words(total).map_while(number);
    let mut next = |field| numbers.next().ok_or(ParseError { field });
    let (user, nice, system) = (next("user")?, next("nice")?, next("system")?);
    let (idle, iowait) = (next("idle")?, next("iowait")?);
    let (irq, softirq, steal) = (next("irq")?, next("softirq")?, next("steal")?);
    let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
    let busy_ticks = sum(&[user, nice, system, irq, softirq]);
    Ok(CpuTimes {
        busy_ticks,
        total_ticks: sum(&[busy_ticks, idle, iowait, steal]),
        cores: u32::try_from(lines.count()).unwrap_or(u32::MAX).max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"cpu  100 1 50 800 40 2 3 4 90 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 7\n";

    #[test]
    fn the_head_of_the_file() {
        assert_eq!(parse(TWO), Ok(CpuTimes { busy_ticks: 156, total_ticks: 1000, cores: 2 }));
        assert_eq!(parse(b"cpu  1 2 3 4 5 6 7 8").map(|times| times.cores), Ok(1));
        assert_eq!(parse(b"cpu  1 2 3 4\n"), Err(ParseError { field: "iowait" }));
        assert_eq!(parse(b"cpu0 1 2 3 4 5 6 7 8\n"), Err(ParseError { field: "cpu" }));
        assert_eq!(parse(b"intr 1"), Err(ParseError { field: "cpu" }));
        assert_eq!(parse(b""), Err(ParseError { field: "cpu" }));
    }

    #[test]
    fn a_hundred_is_one_core() {
        let earlier = CpuTimes { busy_ticks: 100, total_ticks: 1000, cores: 2 };
        let check = |busy_ticks, total_ticks, percent| {
            let now = CpuTimes { busy_ticks, total_ticks, cores: 2 };
            assert_eq!(now.percent_since(&earlier), percent, "{now:?}");
        };
        check(300, 1200, Some(200.0));
        check(200, 1200, Some(100.0));
        check(100, 1200, Some(0.0));
        check(100, 1000, None);
        check(50, 900, None);
        check(50, 1100, Some(0.0));
    }
}
