//! What a batch has of each kind, and the order in which it is best sent.
//!
//! It takes passes over all entries, so it is found out by the thread that reads them, while they are in its cache and
//! the lane waits for the database with the batch before.

use std::collections::HashMap;

use event::wire::Decoded;
use event::{Entry, Event, Kind, Position, Stretch, Time};
use foldhash::fast::RandomState;

/// What some entries have of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    kinds: [OfKind; Kind::ALL.len()],
    unknown: usize,
    /// Places of entries, those of one kind together.
    order: Vec<u32>,
}

/// What there is of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfKind {
    /// How many events.
    pub count: usize,
    /// The least and the greatest time; nothing where there is no event.
    pub times: Option<(Time, Time)>,
    /// Where they begin in the order.
    begin: usize,
}

/// Whose event it is, by kind, name and host: what has a key of its own for every time. The log's own host comes
/// first.
type Series<'a> = (usize, &'a str, Option<&'a str>);

impl Contents {
    /// What these entries have.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut contents = Self::default();
        let mut series: HashMap<Series<'_>, Vec<u32>, RandomState> = HashMap::default();
        for (place, entry) in (0..).zip(entries) {
            match &entry.event {
                Decoded::Event(event) => {
                    contents.add(event);
                    series.entry(series_of(event)).or_default().push(place);
                }
                Decoded::Unknown { .. } => contents.unknown += 1,
            }
        }
        let mut series: Vec<(Series<'_>, Vec<u32>)> = series.into_iter().collect();
        series.sort_unstable_by_key(|(series, _)| *series);
        contents.order = series.into_iter().flat_map(|(_, places)| places).collect();
        let mut begin = 0;
        for of in &mut contents.kinds {
            of.begin = begin;
            begin += of.count;
        }
        contents
    }

    fn add(&mut self, event: &Event) {
        let Some(of) = self.kinds.get_mut(index(event.kind())) else { return };
        let time = event.time();
        of.count += 1;
        of.times = Some(of.times.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
    }

    /// What there is of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> OfKind {
        self.kinds.get(index(kind)).copied().unwrap_or_default()
    }

    /// How many events are of kinds that this version does not know.
    #[must_use]
    pub const fn unknown(&self) -> usize {
        self.unknown
    }

    /// Places of the entries of one kind, counted from 0, series after series; those of one series as they come.
    ///
    /// A log has its events by time, and the keys of the tables begin with a name: row after row would go to another
    /// place of the index. By series the rows go to one place and lie together, where the reads of a series find
    /// them, and two lanes meet each other's keys in one order.
    #[must_use]
    pub fn by_series(&self, kind: Kind) -> &[u32] {
        let OfKind { begin, count, .. } = self.of_kind(kind);
        self.order.get(begin..begin + count).unwrap_or_default()
    }
}

/// Wire numbers are dense from 1.
fn index(kind: Kind) -> usize {
    usize::from(kind.number()) - 1
}

fn series_of(event: &Event) -> Series<'_> {
    let name = match event {
        Event::AgentSample(it) => &it.agent_name,
        Event::SystemSample(it) => &it.system_name,
        Event::ChannelSample(it) => &it.channel_name,
        Event::TokenUsage(it) => &it.agent_name,
        Event::AgentState(it) => &it.agent_name,
        Event::Gap(it) => &it.what,
    };
    (index(event.kind()), name, event.host())
}

/// What a read of the log gave, and what it has.
#[derive(Debug)]
pub(crate) struct Portion {
    pub(crate) stretch: Stretch,
    pub(crate) contents: Box<Contents>,
}

impl Portion {
    pub(crate) fn of(stretch: Stretch) -> Self {
        let contents = match &stretch {
            Stretch::Events(entries) => Contents::of(entries),
            Stretch::Hole(_) => Contents::default(),
        };
        Self { stretch, contents: Box::new(contents) }
    }

    /// Whether it begins at this position, or is a hole that has it.
    pub(crate) fn is_at(&self, position: Position) -> bool {
        match &self.stretch {
            Stretch::Events(entries) => entries.first().is_some_and(|entry| entry.position == position),
            Stretch::Hole(hole) => hole.contains(position),
        }
    }
}

impl Default for Portion {
    /// Nothing.
    fn default() -> Self {
        Self { stretch: Stretch::NOTHING, contents: Box::default() }
    }
}

#[cfg(test)]
mod tests {
    use event::{AgentSample, Position, SystemSample};

    use super::*;

    fn agent(name: &str, host: Option<&str>, second: i64) -> Event {
        let (agent_name, host) = (name.into(), host.map(Into::into));
        let time = Time::from_micros(second * 1_000_000);
        Event::AgentSample(AgentSample { agent_name, host, time, ..AgentSample::default() })
    }

    #[test]
    fn kinds_and_series_come_together_and_each_keeps_its_order() {
        let system = Decoded::Event(Event::SystemSample(SystemSample::default()));
        let events = [
            Decoded::Event(agent("b", None, 7)),
            Decoded::Event(agent("a", Some("z"), 9)),
            system,
            Decoded::Unknown { kind: 99, version: 1, payload: Box::default() },
            Decoded::Event(agent("a", None, 3)),
            Decoded::Event(agent("b", None, 5)),
            Decoded::Event(agent("a", Some("z"), 1)),
        ];
        let entry = |(position, event)| Entry { position: Position(position), checksum: 0, bytes: 0, event };
        let entries: Vec<Entry> = (11..).zip(events).map(entry).collect();
        let contents = Contents::of(&entries);
        assert_eq!(contents.by_series(Kind::AgentSample), [4, 1, 6, 0, 5]);
        assert_eq!(contents.by_series(Kind::SystemSample), [2]);
        assert!(contents.by_series(Kind::Gap).is_empty());
        let of = contents.of_kind(Kind::AgentSample);
        let seconds = of.times.map(|(from, to)| (from.micros() / 1_000_000, to.micros() / 1_000_000));
        assert_eq!((of.count, seconds, contents.unknown()), (5, Some((1, 9)), 1));
    }
}
