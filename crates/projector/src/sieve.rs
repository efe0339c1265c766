//! Which of the events that are read are sent.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event::wire::Decoded;
use event::{Entry, Time};

/// Says of an entry whether it is wanted.
pub type Select = Arc<dyn Fn(&Entry) -> bool + Send + Sync>;

/// Which of the events that are read are sent; by default all.
///
/// Those that are not wanted are passed over and counted nowhere; those that the database would not keep are
/// counted as expired.
#[derive(Clone, Default)]
pub struct Sieve {
    /// Which events are wanted; `None` means all. What a newer version wrote is asked about as well.
    pub select: Option<Select>,
    /// How long the database keeps events, by their own time; `None` means for ever. What a newer version wrote has
    /// a time that nobody here can read, and does not expire.
    pub retention: Option<Duration>,
}

impl Sieve {
    /// Takes out what is not sent; how many of those have expired.
    pub(crate) fn sift(&self, entries: &mut Vec<Entry>, now: SystemTime) -> u64 {
        if let Some(select) = &self.select {
            entries.retain(|entry| select(entry));
        }
        let Some(begin) = self.retention.map(|kept| kept_from(kept, now)) else { return 0 };
        let wanted = entries.len();
        entries.retain(|entry| match &entry.event {
            Decoded::Event(event) => event.time() >= begin,
            Decoded::Unknown { .. } => true,
        });
        (wanted - entries.len()) as u64
    }
}

/// The time before which events have expired, in a database that keeps them for so long.
#[must_use]
pub fn kept_from(retention: Duration, now: SystemTime) -> Time {
    let micros = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
    Time::from_micros(Time::from(now).micros().saturating_sub(micros))
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sieve")
            .field("selects", &self.select.is_some())
            .field("retention", &self.retention)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use event::{Event, Position, SystemSample};

    use super::*;

    /// Events of the seconds 0, 10, … 90, at positions from 1, and one that nobody here knows.
    fn entries() -> Vec<Entry> {
        let entry =
            |position: u64, event| Entry { position: Position(position), checksum: 0, bytes: 1, event };
        let sample = |position: u64| {
            let time = Time::from_micros(i64::try_from(position - 1).unwrap() * 10_000_000);
            entry(
                position,
                Decoded::Event(Event::SystemSample(SystemSample { time, ..SystemSample::default() })),
            )
        };
        let mut entries: Vec<Entry> = (1..=10).map(sample).collect();
        entries.push(entry(11, Decoded::Unknown { kind: 99, version: 1, payload: Box::default() }));
        entries
    }

    /// Sifts at second 100: the positions that are left, and how many events have expired.
    fn check(sieve: &Sieve, left: &[u64], expired: u64) {
        let mut entries = entries();
        let counted = sieve.sift(&mut entries, SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        let found: Vec<u64> = entries.iter().map(|entry| entry.position.0).collect();
        assert_eq!((found.as_slice(), counted), (left, expired), "{sieve:?}");
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_what_is_too_old_has_expired() {
        let select = |wanted: fn(u64) -> bool| -> Option<Select> {
            Some(Arc::new(move |entry: &Entry| wanted(entry.position.0)))
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        check(&Sieve::default(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 0);
        check(&Sieve { select: select(|position| position > 8), retention: None }, &[9, 10, 11], 0);
        check(&Sieve { select: None, retention: seconds(30) }, &[8, 9, 10, 11], 7);
        check(&Sieve { select: None, retention: seconds(29) }, &[9, 10, 11], 8);
        check(&Sieve { select: select(|position| position % 2 == 0), retention: seconds(30) }, &[8, 10], 3);
        check(
            &Sieve { select: None, retention: Some(Duration::MAX) },
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            0,
        );
    }
}
