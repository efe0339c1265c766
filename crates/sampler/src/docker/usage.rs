//! From readings to numbers: CPU from two of them, and counters of names that several containers share.

use std::collections::HashMap;
use std::time::Duration;

use event::Time;

use super::stats::{Counters, Stats};

/// By how much the time between two readings may differ by the engine's wall clock and by ours that never steps. A
/// reading can be as late as the deadline of a pass; what differs more is a clock that was set.
const CLOCK_SLACK: Duration = Duration::from_secs(6);

/// The last readings of CPU time, by container.
#[derive(Debug, Default)]
pub struct Meters {
    meters: HashMap<String, Meter>,
}

#[derive(Clone, Copy, Debug)]
struct Meter {
    started_at: Option<Time>,
    cpu_ns: u64,
    read: Option<Time>,
    at: Duration,
}

impl Meters {
    /// CPU use since the reading before, 100 for one core; `None` at the first reading of a life. `at` is our own
    /// clock that never steps.
    pub fn percent(
        &mut self,
        id: &str,
        started_at: Option<Time>,
        stats: &Stats,
        at: Duration,
    ) -> Option<f64> {
        let now = Meter { started_at, cpu_ns: stats.cpu_ns?, read: stats.read, at };
        let before = self.meters.insert(id.to_owned(), now)?;
        let used_ns = now.cpu_ns.checked_sub(before.cpu_ns).filter(|_| before.is_life_of(started_at))?;
        let elapsed = elapsed(&before, &now).filter(|elapsed| !elapsed.is_zero())?;
        let percent = used_ns as f64 / elapsed.as_nanos() as f64 * 100.0;
        // NOTE: more than the machine has would be an error of reading.
        Some(stats.cores.map_or(percent, |cores| percent.min(f64::from(cores) * 100.0)))
    }

    /// Forgets the containers that are not among these.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.meters.retain(|id, _| is_there(id));
    }
}

impl Meter {
    fn is_life_of(&self, started_at: Option<Time>) -> bool {
        same_life(self.started_at, started_at)
    }
}

/// Whether two readings are of one life; one that could not be told may be any.
fn same_life(before: Option<Time>, now: Option<Time>) -> bool {
    before.is_none() || now.is_none() || before == now
}

/// By the engine's own times of reading, which know when within the pass each was made, unless its clock was set.
fn elapsed(before: &Meter, now: &Meter) -> Option<Duration> {
    let ours = now.at.saturating_sub(before.at);
    let told = || {
        let micros = now.read?.micros().checked_sub(before.read?.micros())?;
        Some(Duration::from_micros(u64::try_from(micros).ok()?))
    };
    told().filter(|told| told.abs_diff(ours) <= CLOCK_SLACK).or(Some(ours))
}

/// The counters of a running container at one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) started_at: Option<Time>,
    pub(super) net: Option<Counters>,
    pub(super) disk: Option<Counters>,
}

/// A running container and its counters.
type Entry<'a> = (&'a str, Reading);

/// The counters of one name since it began. It goes on while any of its containers does: what one that ended has counted
/// stays in the sum, so that the sum does not fall and look like a restart.
#[derive(Debug, Default)]
pub(super) struct Account {
    lives: HashMap<String, Reading>,
    ended: Reading,
}

impl Account {
    /// Takes the running containers of this pass; tells the sums for network and disks, `None` where one is missing.
    pub(super) fn update(&mut self, now: &[Entry<'_>]) -> (Option<Counters>, Option<Counters>) {
        let goes_on = |lives: &HashMap<String, Reading>, (id, reading): &Entry<'_>| {
            lives.get(*id).is_some_and(|before| same_life(before.started_at, reading.started_at))
        };
        let (same, new): (Vec<Entry<'_>>, Vec<Entry<'_>>) =
            now.iter().copied().partition(|entry| goes_on(&self.lives, entry));
        let mut before = std::mem::take(&mut self.lives);
        for (id, reading) in &same {
            let last = before.remove(*id).unwrap_or_default();
            self.lives.insert((*id).to_owned(), reading.or(last));
        }
        if same.is_empty() {
            self.ended = Reading::default();
        } else {
            before.into_values().for_each(|reading| self.ended.add(reading));
        }
        self.lives.extend(new.into_iter().map(|(id, reading)| (id.to_owned(), reading)));
        let readings = || now.iter().map(|(_, reading)| reading);
        (
            sum(self.ended.net, readings().map(|reading| reading.net)),
            sum(self.ended.disk, readings().map(|reading| reading.disk)),
        )
    }
}

impl Reading {
    /// This reading, with what it does not tell from the one before.
    fn or(self, before: Self) -> Self {
        Self {
            started_at: self.started_at.or(before.started_at),
            net: self.net.or(before.net),
            disk: self.disk.or(before.disk),
        }
    }

    fn add(&mut self, other: Self) {
        let plus = |a: Option<Counters>, b: Option<Counters>| match (a, b) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        (self.net, self.disk) = (plus(self.net, other.net), plus(self.disk, other.disk));
    }
}

fn sum(ended: Option<Counters>, mut now: impl Iterator<Item = Option<Counters>>) -> Option<Counters> {
    now.try_fold(ended.unwrap_or_default(), |sum, part| Some(sum.plus(part?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn stats(cpu_ms: u64, read_ms: i64) -> Stats {
        let read = Some(Time::from_micros(1_767_323_045 * SECOND + read_ms * 1_000));
        Stats { cpu_ns: Some(cpu_ms * 1_000_000), read, cores: Some(2), ..Stats::default() }
    }

    #[test]
    fn cpu_is_the_difference_of_two_readings() {
        let mut meters = Meters::default();
        let life = |second: i64| Some(Time::from_micros(second * SECOND));
        let mut check = |started_at, stats: Stats, at_s: u64, expected: Option<f64>| {
            let percent = meters.percent("a", started_at, &stats, Duration::from_secs(at_s));
            assert_eq!(percent.map(f64::round), expected, "at {at_s}");
        };
        check(life(1), stats(5_000, 0), 10, None);
        check(life(1), stats(15_000, 10_000), 20, Some(100.0));
        // The engine read half a second later than we would think.
        check(life(1), stats(25_500, 20_500), 30, Some(100.0));
        // Restarted: the counter has passed the old one already.
        check(life(2), stats(30_000, 30_500), 40, None);
        check(life(2), stats(35_000, 40_500), 50, Some(50.0));
        // Restarted without a word of it: the counter fell.
        check(None, stats(1_000, 50_500), 60, None);
        // The engine's clock was set back by an hour: ours holds.
        check(None, stats(6_000, -3_549_500), 70, Some(50.0));
        // Nothing was told, then more than there is.
        check(None, Stats::default(), 80, None);
        check(None, stats(906_000, -3_529_500), 90, Some(200.0));
        // The same answer again.
        check(None, stats(906_000, -3_529_500), 90, None);
        meters.keep(|_| false);
        assert_eq!(meters.percent("a", None, &stats(907_000, 0), Duration::from_secs(100)), None);
    }

    fn reading(life: i64, net: Option<u64>) -> Reading {
        let net = net.map(|bytes| Counters { input_bytes: bytes, output_bytes: 2 * bytes });
        Reading { started_at: Some(Time::from_micros(life)), net, disk: None }
    }

    #[test]
    fn counters_go_on_while_a_container_does() {
        let mut account = Account::default();
        let mut check = |now: &[(&str, Reading)], expected: Option<u64>| {
            let (net, disk) = account.update(now);
            assert_eq!(
                net.map(|net| (net.input_bytes, net.output_bytes)),
                expected.map(|net| (net, 2 * net))
            );
            assert_eq!(disk, None);
        };
        check(&[("a", reading(1, Some(10))), ("b", reading(1, Some(5)))], Some(15));
        check(&[("a", reading(1, Some(11))), ("b", reading(1, None))], None);
        check(&[("a", reading(1, Some(12)))], Some(17));
        check(&[("a", reading(1, Some(12))), ("b", reading(2, Some(1)))], Some(18));
        check(&[("a", reading(2, Some(1))), ("b", reading(2, Some(2)))], Some(20));
        check(&[("a", reading(3, Some(3)))], Some(3));
        check(&[("a", reading(3, Some(4)))], Some(4));
    }
}
