//! Which time it is, where a wrong answer costs events: the older of this machine's clock and the database's.
//!
//! One of the two that runs ahead, or leaps, thus expires nothing. To drop, which nothing undoes but a replay, both must
//! agree within an hour as well, and must not both have leapt by more than that since the last look, measured by the
//! time since boot: the two may be clocks of one machine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::Time;
use sampler::Clock;

/// How far clocks may be apart.
const APART_MAX: Duration = Duration::from_secs(3_600);

/// What the clocks said at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    ours: Time,
    theirs: Time,
    since_boot: Duration,
}

/// Why nothing is dropped now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The two clocks do not agree.
    Apart { ours: Time, theirs: Time },
    /// They agree, and both went on further than time did.
    Leapt { from: Time, to: Time },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart { ours, theirs } => write!(
                f,
                "the clocks are more than an hour apart, {ours} here and {theirs} in the database; set the wrong one"
            ),
            Self::Leapt { from, to } => write!(
                f,
                "the clocks leapt from {from} to {to}; if that is the right time, nothing is to be done: dropping \
                 begins again an hour after the leap was seen"
            ),
        }
    }
}

impl Look {
    /// Looks at both.
    pub(super) fn new(clock: &dyn Clock, theirs: Time) -> Self {
        Self { ours: clock.now(), theirs, since_boot: clock.since_boot() }
    }

    /// The older of the two.
    fn older(&self) -> Time {
        self.ours.min(self.theirs)
    }

    /// The time to drop by.
    ///
    /// # Errors
    /// [`Doubt`] when the clocks are apart, or have leapt since an earlier look.
    pub(super) fn agreed(&self, before: Option<&Self>) -> Result<Time, Doubt> {
        let (ours, theirs) = (self.ours, self.theirs);
        if plus(self.older(), APART_MAX) < ours.max(theirs) {
            return Err(Doubt::Apart { ours, theirs });
        }
        if let Some(before) = before {
            let (from, passed) = (before.older(), self.since_boot.saturating_sub(before.since_boot));
            if plus(plus(from, passed), APART_MAX) < self.older() {
                return Err(Doubt::Leapt { from, to: self.older() });
            }
        }
        Ok(self.older())
    }
}

/// So much later.
pub(super) fn plus(time: Time, by: Duration) -> Time {
    time.plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// So much earlier.
pub(super) fn minus(time: Time, by: Duration) -> Time {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    time.plus_micros(micros.saturating_neg())
}

/// The older of this machine's clock and the database's, as that went on since it was last looked at.
pub(super) struct OlderClock {
    clock: Arc<dyn Clock>,
    /// What the database's clock said, and how long after boot that was.
    theirs: Mutex<Option<(Time, Duration)>>,
}

impl OlderClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, theirs: Mutex::new(None) }
    }

    /// Takes note of what the database's clock says now.
    pub(super) fn compare(&self, theirs: Time) {
        let look = (theirs, self.clock.since_boot());
        *self.theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }

    /// Which time it is; this machine's alone while the database's was never looked at.
    pub(super) fn now(&self) -> SystemTime {
        let ours = self.clock.now();
        let look = *self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = look.map(|(at, then)| plus(at, self.clock.since_boot().saturating_sub(then)));
        let older = theirs.map_or(ours, |theirs| theirs.min(ours));
        // NOTE: before the epoch nothing has expired either way.
        UNIX_EPOCH + Duration::from_micros(u64::try_from(older.micros()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use sampler::ManualClock;

    use super::*;

    const NOON: Time = Time::from_micros(1_767_323_045_000_000);

    fn hours(hours: i64) -> Time {
        NOON.plus_micros(hours * 3_600_000_000)
    }

    /// At these hours the clocks say so, so many hours after boot.
    fn look(ours: i64, theirs: i64, since_boot: u64) -> Look {
        Look { ours: hours(ours), theirs: hours(theirs), since_boot: Duration::from_secs(since_boot * 3_600) }
    }

    #[test]
    fn what_is_dropped_goes_by_the_older_of_two_clocks_that_agree() {
        let check = |before: Option<Look>, now: Look, expected: Result<i64, Doubt>| {
            assert_eq!(now.agreed(before.as_ref()), expected.map(hours), "{before:?} {now:?}");
        };
        let apart = |ours, theirs| Err::<i64, _>(Doubt::Apart { ours: hours(ours), theirs: hours(theirs) });
        let leapt = |from, to| Err::<i64, _>(Doubt::Leapt { from: hours(from), to: hours(to) });
        check(None, look(0, 0, 5), Ok(0));
        check(None, look(1, 0, 5), Ok(0));
        check(None, look(0, 1, 5), Ok(0));
        check(None, look(2, 0, 5), apart(2, 0));
        check(None, look(0, 2, 5), apart(0, 2));
        check(None, look(9_000, 0, 5), apart(9_000, 0));
        let before = Some(look(0, 0, 5));
        check(before, look(1, 1, 6), Ok(1));
        check(before, look(2, 2, 6), Ok(2));
        check(before, look(3, 3, 6), leapt(0, 3));
        check(before, look(9_000, 9_000, 6), leapt(0, 9_000));
        // A machine that was asleep has not leapt, nor has one that went back.
        check(before, look(9_000, 9_000, 9_005), Ok(9_000));
        check(before, look(-9_000, -9_000, 6), Ok(-9_000));
        check(before, look(9_000, 1, 6), apart(9_000, 1));
    }

    #[test]
    fn a_doubt_is_one_line_that_says_what_to_do() {
        let apart = look(2, 0, 5).agreed(None).unwrap_err().to_string();
        assert!(apart.contains("2026-01-02T05:04:05") && apart.contains("set the wrong one"), "{apart}");
        let leapt = look(9, 9, 5).agreed(Some(&look(0, 0, 5))).unwrap_err().to_string();
        assert!(leapt.contains("nothing is to be done") && !leapt.contains('\n'), "{leapt}");
    }

    #[test]
    fn what_expires_goes_by_the_older_clock_whichever_steps() {
        let machine = Arc::new(ManualClock::new(NOON));
        let clock = OlderClock::new(Arc::<ManualClock>::clone(&machine));
        let check = |hour: i64| assert_eq!(Time::from(clock.now()), hours(hour));
        check(0);
        clock.compare(hours(-2));
        check(-2);
        machine.advance(Duration::from_secs(3_600));
        check(-1);
        clock.compare(hours(9_000));
        check(1);
        clock.compare(hours(1));
        machine.step_to(hours(9_000));
        check(1);
        machine.advance(Duration::from_secs(3_600));
        check(2);
        machine.step_to(hours(-9));
        check(-9);
    }
}
