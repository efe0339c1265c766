//! When the next pass is due: a grid of ticks that never drifts and never bunches.

use std::time::Duration;

/// The shortest interval; anything less would be a busy loop.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Where the ticks lie within the interval, so that not all samplers of all hosts tick together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// They follow the first pass.
    #[default]
    None,
    /// Anywhere; the same seed gives the same place.
    Seed(u64),
}

impl Jitter {
    /// Another place at each call.
    #[must_use]
    pub fn random() -> Self {
        Self::Seed(fastrand::u64(..))
    }

    /// From the first pass, which is at once, to the second.
    ///
    /// NOTE: it is half an interval at least: what a CPU did in a moment is no reading.
    fn lead(self, interval: Duration) -> Duration {
        match self {
            Self::None => interval,
            Self::Seed(seed) => interval.mul_f64(0.5 + fastrand::Rng::with_seed(seed).f64()),
        }
    }
}

/// A grid of ticks on the monotonic clock.
///
/// A late pass does not move the grid. Ticks that went by while a pass ran are skipped: after a suspension
/// or a slow source there is one pass, not one for every tick that was missed.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    due: Duration,
    /// The tick after the one that is due.
    next: Duration,
    interval: Duration,
}

impl Schedule {
    /// A grid from `start` on; an interval below 10 ms counts as 10 ms.
    #[must_use]
    pub fn new(start: Duration, interval: Duration, jitter: Jitter) -> Self {
        let interval = interval.max(INTERVAL_MIN);
        Self { due: start, next: start.saturating_add(jitter.lead(interval)), interval }
    }

    /// How long until the next tick; zero when it is due.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// How long until a pass that is under way begins to miss ticks.
    #[must_use]
    pub fn leeway(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// The time between two ticks.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Moves to the first tick after `now` and tells how many ticks were skipped.
    pub fn advance(&mut self, now: Duration) -> u64 {
        let skipped = missed(now.checked_sub(self.next), self.interval);
        let whole = self.interval.as_nanos().saturating_mul(u128::from(skipped));
        let whole = Duration::from_nanos(u64::try_from(whole).unwrap_or(u64::MAX));
        self.due = self.next.saturating_add(whole);
        self.next = self.due.saturating_add(self.interval);
        skipped
    }
}

/// How many ticks have gone by: one when the first was just now; none when it is still to come.
pub(crate) fn missed(since_the_first: Option<Duration>, interval: Duration) -> u64 {
    let Some(late) = since_the_first else { return 0 };
    let more = late.as_nanos() / interval.as_nanos().max(1);
    u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn check(starts: &[u64], dues: &[u64], skipped: u64) {
        let mut schedule = Schedule::new(Duration::from_millis(1_000), INTERVAL, Jitter::None);
        let mut total = 0;
        for (end, due) in starts.iter().zip(dues) {
            let end = Duration::from_millis(*end);
            total += schedule.advance(end);
            assert_eq!(schedule.due, Duration::from_millis(*due), "after a pass that ended at {end:?}");
        }
        assert_eq!(total, skipped);
    }

    #[test]
    fn late_passes_do_not_move_the_grid() {
        check(&[1_007, 1_133, 1_299], &[1_100, 1_200, 1_300], 0);
    }

    #[test]
    fn missed_ticks_are_skipped_not_bunched() {
        check(&[1_450, 1_510], &[1_500, 1_600], 4);
        check(&[1_100], &[1_200], 1);
    }

    #[test]
    fn a_pass_that_ends_before_its_tick_waits_for_the_next() {
        check(&[999], &[1_100], 0);
        let schedule = Schedule::new(Duration::from_secs(5), Duration::ZERO, Jitter::None);
        assert_eq!(schedule.wait(Duration::from_secs(4)), Duration::from_secs(1));
        assert_eq!(schedule.wait(Duration::from_secs(6)), Duration::ZERO);
        assert_eq!(schedule.interval, INTERVAL_MIN);
    }

    #[test]
    fn seeds_spread_the_ticks_over_the_whole_interval() {
        let start = Duration::from_secs(7);
        let phases: Vec<u128> = (0..100)
            .map(|seed| {
                let mut schedule = Schedule::new(start, INTERVAL, Jitter::Seed(seed));
                assert_eq!(schedule.wait(start), Duration::ZERO, "the first pass is at once");
                schedule.advance(start);
                schedule.wait(start).as_millis() % 100
            })
            .collect();
        for tenth in 0..10 {
            assert!(
                phases.iter().any(|phase| phase / 10 == tenth),
                "nobody ticks in tenth {tenth}: {phases:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_tick_is_a_pass_or_is_counted(seed in any::<u64>(), passes in prop::collection::vec(0_u64..900, 1..40)) {
            let start = Duration::from_millis(500);
            let mut schedule = Schedule::new(start, INTERVAL, Jitter::Seed(seed));
            let lead = schedule.leeway(start);
            prop_assert!(lead >= INTERVAL / 2 && lead < INTERVAL * 3 / 2);
            let (mut now, mut ticks) = (start, 0_u32);
            for millis in passes {
                now += schedule.wait(now) + Duration::from_millis(millis);
                let told = missed(now.checked_sub(schedule.next), INTERVAL);
                let skipped = schedule.advance(now);
                prop_assert_eq!(skipped, told, "what the status says while it runs");
                ticks += u32::try_from(skipped).unwrap() + 1;
                prop_assert_eq!(schedule.due, start + lead + INTERVAL * (ticks - 1), "on the grid, none left out");
                prop_assert!(schedule.due > now && schedule.due - now <= lead.max(INTERVAL));
            }
        }
    }
}
