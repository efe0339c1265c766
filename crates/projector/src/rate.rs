//! How fast the backlog may go: so many events a second over all its lanes.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Tokio's clock, which a simulation can stop and move.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Spends what the rate allows.
#[derive(Debug)]
pub(crate) struct Limiter {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    /// What may be sent at once.
    burst: NonZeroU32,
}

/// A burst is so much of a second's worth: a command that runs for seconds keeps its rate, too.
const BURSTS_PER_SECOND: u32 = 10;

impl Limiter {
    /// A limiter that allows a tenth of a second's worth at once.
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let clock = TokioClock(Instant::now());
        let burst = NonZeroU32::new(per_second.get() / BURSTS_PER_SECOND).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock, burst }
    }

    /// The most events of a batch.
    pub(crate) fn events_max(&self) -> usize {
        usize::try_from(self.burst.get()).unwrap_or(usize::MAX)
    }

    /// How long to wait before this many may be sent; `None` when they may be sent now, and are spent.
    pub(crate) fn spend(&self, events: u64) -> Option<Duration> {
        let most = u64::from(self.burst.get());
        let events = u32::try_from(events.clamp(1, most)).ok().and_then(NonZeroU32::new)?;
        match self.limiter.check_n(events) {
            // NOTE: more than the burst cannot be asked for, it was clamped.
            Ok(Ok(())) | Err(_) => None,
            Ok(Err(early)) => Some(early.wait_time_from(self.clock.now()).max(Duration::from_millis(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_gives_a_seconds_worth() {
        let limiter = Limiter::new(NonZeroU32::new(1_000).unwrap());
        let began = Instant::now();
        let mut sent = 0;
        while sent < 5_000 {
            match limiter.spend(50) {
                None => sent += 50,
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
        let millis = began.elapsed().as_millis();
        assert!((4_900..5_000).contains(&millis), "{millis} ms for 4,900 behind the first 100");
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_burst_is_spent_as_that() {
        let limiter = Limiter::new(NonZeroU32::new(10).unwrap());
        assert_eq!(limiter.spend(1_000_000), None);
        assert!(limiter.spend(1).is_some());
    }
}
