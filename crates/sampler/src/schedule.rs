//! When the next pass is due: a grid of ticks that never drifts and never bunches.

use std::time::Duration;

/// The shortest interval; anything less would be a busy loop.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A grid of ticks on the monotonic clock.
///
/// A late pass does not move the grid. Ticks that went by while a pass ran are skipped: after a suspension
/// or a slow source there is one pass, not one for every tick that was missed.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    due: Duration,
    interval: Duration,
}

impl Schedule {
    /// A grid from `start` on; an interval below 10 ms counts as 10 ms.
    #[must_use]
    pub fn new(start: Duration, interval: Duration) -> Self {
        Self { due: start, interval: interval.max(INTERVAL_MIN) }
    }

    /// How long until the next tick; zero when it is due.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// Moves to the first tick after `now` and tells how many ticks were skipped.
    pub fn advance(&mut self, now: Duration) -> u64 {
        let interval = self.interval.as_nanos();
        let late = now.saturating_sub(self.due).as_nanos();
        let skipped = u64::try_from(late / interval).unwrap_or(u64::MAX);
        let into_tick = Duration::from_nanos(u64::try_from(late % interval).unwrap_or(0));
        self.due = self.due.max(now).saturating_sub(into_tick).saturating_add(self.interval);
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(starts: &[u64], dues: &[u64], skipped: u64) {
        let mut schedule = Schedule::new(Duration::from_millis(1_000), Duration::from_millis(100));
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
        let schedule = Schedule::new(Duration::from_secs(5), Duration::ZERO);
        assert_eq!(schedule.wait(Duration::from_secs(4)), Duration::from_secs(1));
        assert_eq!(schedule.wait(Duration::from_secs(6)), Duration::ZERO);
        assert_eq!(schedule.interval, INTERVAL_MIN);
    }
}
