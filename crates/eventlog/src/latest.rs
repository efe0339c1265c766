//! The latest sample of each series, and the latest state of each agent, kept in memory.
//!
//! It is not made by the writer, whom it would slow: who asks brings it up to the durable end, by reading what has
//! come since it was asked last. After an opening it is made anew from the index by time, so that only what may be
//! younger than [`LOOK_BACK`] is read, however long the log is. A sample that is older than that is forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event::wire::Decoded;
use event::{Entry, Event, Kind, Position, Stretch, Text, Time};

use crate::by_time::TimeRange;
use crate::error::ReadError;
use crate::open::EventLog;
use crate::read::ReadLimits;

/// How old a sample may be to be the latest of its series.
pub const LOOK_BACK: Duration = Duration::from_secs(24 * 3_600);

/// The kinds that have series of samples, and what agents say, whose last word counts as a sample does.
const KINDS: [Kind; 4] = [Kind::AgentSample, Kind::SystemSample, Kind::ChannelSample, Kind::AgentState];
/// Read at once: ten milliseconds of work.
const LIMITS: ReadLimits = ReadLimits { events_max: 4_096, bytes_max: usize::MAX };

/// Which series: its kind, its host (none is the log's own), its name.
type Series = (Kind, Option<Text>, Text);

/// The latest samples, up to a position.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The first position that was not looked at; zero before the first look.
    next: Position,
    series: BTreeMap<Series, Entry>,
}

impl EventLog {
    /// The latest sample of each series of this kind whose time is `from` or later, by host and name. It blocks for
    /// as long as reading what is new takes; the first time after an opening, that is everything of the last day.
    ///
    /// # Errors
    /// When what is new cannot be read, or the log has failed.
    pub fn latest(&self, kind: Kind, from: Time, now: Time) -> Result<Vec<Entry>, ReadError> {
        let mut known = self.known_latest().0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = i64::try_from(LOOK_BACK.as_micros()).unwrap_or(i64::MAX);
        let oldest = Time::from_micros(now.micros().saturating_sub(day));
        known.catch_up(self, oldest)?;
        known.series.retain(|_, entry| time(entry) >= oldest);
        let of_kind = known.series.iter().filter(|((of, ..), entry)| *of == kind && time(entry) >= from);
        Ok(of_kind.map(|(_, entry)| entry.clone()).collect())
    }
}

impl Known {
    /// Reads what has come since the last time.
    fn catch_up(&mut self, log: &EventLog, oldest: Time) -> Result<(), ReadError> {
        let durable = log.ends().durable;
        let runs = if self.next == Position::default() {
            log.runs_between(TimeRange { from: oldest, ..TimeRange::ALL }, &KINDS)?
        } else {
            vec![(self.next, durable)]
        };
        for (lo, hi) in runs {
            let mut at = lo;
            while at <= hi {
                match log.read(at, LIMITS)? {
                    Stretch::Hole(hole) => at = hole.hi.next(),
                    Stretch::Events(entries) => {
                        let Some(last) = entries.last() else { break };
                        at = last.position.next();
                        entries.into_iter().for_each(|entry| self.take(entry));
                    }
                }
            }
        }
        self.next = self.next.max(durable.next());
        Ok(())
    }

    /// Keeps a sample that is not older than what its series has.
    fn take(&mut self, entry: Entry) {
        let Decoded::Event(event) = &entry.event else { return };
        let series = match event {
            Event::AgentSample(sample) => (event.kind(), sample.host.clone(), sample.agent_name.clone()),
            Event::SystemSample(sample) => (event.kind(), sample.host.clone(), sample.system_name.clone()),
            Event::ChannelSample(sample) => (event.kind(), sample.host.clone(), sample.channel_name.clone()),
            Event::AgentState(state) => (event.kind(), state.host.clone(), state.agent_name.clone()),
            Event::TokenUsage(_) | Event::Gap(_) => return,
        };
        // NOTE: a key that comes twice keeps its first event, as in the database.
        if self.series.get(&series).is_none_or(|known| time(known) < event.time()) {
            self.series.insert(series, entry);
        }
    }
}

fn time(entry: &Entry) -> Time {
    match &entry.event {
        Decoded::Event(event) => event.time(),
        Decoded::Unknown { .. } => Time::default(),
    }
}
