//! Time as the samplers see it: the wall clock, a clock that never steps, and the time since boot.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use event::Time;
use rustix::time::{ClockId, clock_gettime};

/// Tells the time. It is passed in everywhere, so that tests bring their own.
pub trait Clock: Send + Sync {
    /// The wall clock, UTC. It may step in both directions.
    fn now(&self) -> Time;

    /// Time since some fixed moment, never stepping, not counting suspension: for intervals.
    fn monotonic(&self) -> Duration;

    /// Time since the machine booted, suspension included: the kernel tells start times of processes on it.
    fn since_boot(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        kernel_clock(ClockId::Monotonic)
    }

    fn since_boot(&self) -> Duration {
        kernel_clock(ClockId::Boottime)
    }
}

fn kernel_clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    // NOTE: both parts are never negative for these clocks; a kernel that says so is taken as 0.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A clock that stands still until it is moved: for tests and simulation.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    now: Time,
    monotonic: Duration,
    since_boot: Duration,
}

impl ManualClock {
    /// A clock at this wall time, an hour after boot.
    #[must_use]
    pub fn new(now: Time) -> Self {
        let hour = Duration::from_secs(3600);
        Self { hands: Mutex::new(Hands { now, monotonic: hour, since_boot: hour }) }
    }

    /// Lets `by` pass on all three clocks.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.lock();
        hands.now = hands.now.plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        hands.monotonic = hands.monotonic.saturating_add(by);
        hands.since_boot = hands.since_boot.saturating_add(by);
    }

    /// Steps the wall clock alone, as an operator or a time daemon does.
    pub fn step_to(&self, now: Time) {
        self.lock().now = now;
    }

    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn since_boot(&self) -> Duration {
        self.lock().since_boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_goes_forward() {
        let clock = SystemClock;
        let (monotonic, boot) = (clock.monotonic(), clock.since_boot());
        assert!(monotonic > Duration::ZERO && clock.monotonic() >= monotonic);
        assert!(clock.since_boot() >= boot && boot >= monotonic);
        assert!(clock.now() > "2020-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_step_moves_the_wall_clock_only() {
        let clock = ManualClock::new(Time::from_micros(1_000_000));
        let before = clock.monotonic();
        clock.step_to(Time::from_micros(5));
        assert_eq!(clock.monotonic(), before);
        clock.advance(Duration::from_micros(7));
        assert_eq!(clock.now(), Time::from_micros(12));
        assert_eq!(clock.monotonic() - before, Duration::from_micros(7));
    }
}
