//! Retention (`database.retention`): what is older is not sent to that database, and the daemon drops it there.
//!
//! Whether an event is old is a question to the clock, and a clock that is wrong by a year would cost a year of
//! history. So the database's clock is asked as well: see [`clock`], and `docs/decisions/0017-retention.md`.

mod clock;
mod passes;

use std::sync::Arc;
use std::time::Duration;

use projector::{LaneName, LogIdentity, Parts, Sieve, Target, TargetError};
use sampler::{Clock, SystemClock};
use store::{TimescaleLane, TimescaleTarget};

use self::clock::OlderClock;

pub(crate) use passes::Passes;

/// The clocks of this machine.
fn machine() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A database that keeps events for ever, or for a time: then its clock is looked at whenever a lane connects, and so
/// before anything expires.
pub(crate) struct Keeping {
    target: TimescaleTarget,
    clock: Option<Arc<OlderClock>>,
}

impl Keeping {
    /// The database, and the parts of a projector that sends to it what it keeps.
    #[must_use]
    pub(crate) fn new(target: TimescaleTarget, retention: Option<Duration>) -> (Self, Parts) {
        let mut parts = Parts { sieve: Sieve { retention, ..Sieve::default() }, ..Parts::default() };
        let clock = retention.map(|_| Arc::new(OlderClock::new(machine())));
        if let Some(clock) = clock.clone() {
            // NOTE: the start of an outage is told by it as well, which then is the database's time where that is older.
            parts.now = Arc::new(move || clock.now());
        }
        (Self { target, clock }, parts)
    }
}

impl Target for Keeping {
    type Lane = TimescaleLane;

    async fn connect(&self, log: &LogIdentity, name: LaneName) -> Result<TimescaleLane, TargetError> {
        let lane = self.target.connect(log, name).await?;
        if let Some(clock) = &self.clock {
            clock.compare(store::server_time(self.target.url()).await?);
        }
        Ok(lane)
    }
}
