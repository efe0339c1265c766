//! The order in which the rows of a piece are sent: by key.
//!
//! A log has its events by time, and the keys begin with a name: row after row goes to another place of the index.
//! Sorted, the rows of one series go to one place, and lie together in the table, where one series' reads find them
//! (`docs/benchmarks.md` has what that saves). It also means that two lanes meet each other's keys in one order.

use std::collections::{BTreeMap, HashMap};

use event::{Event, Position};

use super::batch::Piece;

/// What has a key of its own for every time: whose sample it is, and on which host.
type Series<'a> = (&'a str, &'a str);

/// An event as it is sent: its place among those of its piece, counted from 0, and itself.
pub(super) type Sent<'a> = (usize, Position, &'a Event);

/// The events of a piece by series, and within one as they come: a series has its events by time but for what was
/// imported.
///
/// NOTE: nothing depends on the order but speed, so that an import of old times costs no sorting.
pub(super) fn by_series<'a>(piece: Piece<'a>) -> Vec<Sent<'a>> {
    let mut numbers: HashMap<Series<'a>, usize> = HashMap::new();
    let mut of_series: Vec<Vec<Sent<'a>>> = Vec::new();
    for (place, (position, event)) in piece.events().enumerate() {
        let next = of_series.len();
        let number = *numbers.entry(series(event, piece.provenance.host)).or_insert(next);
        if number == next {
            of_series.push(Vec::new());
        }
        if let Some(events) = of_series.get_mut(number) {
            events.push((place, position, event));
        }
    }
    let sorted: BTreeMap<Series<'a>, usize> = numbers.into_iter().collect();
    let mut sent = Vec::with_capacity(piece.count);
    for number in sorted.into_values() {
        sent.extend(of_series.get_mut(number).map(std::mem::take).unwrap_or_default());
    }
    sent
}

fn series<'a>(event: &'a Event, own_host: &'a str) -> Series<'a> {
    let name = match event {
        Event::AgentSample(it) => &it.agent_name,
        Event::SystemSample(it) => &it.system_name,
        Event::ChannelSample(it) => &it.channel_name,
        Event::TokenUsage(it) => &it.agent_name,
        Event::AgentState(it) => &it.agent_name,
        Event::Gap(it) => &it.what,
    };
    (name, event.host().unwrap_or(own_host))
}

#[cfg(test)]
mod tests {
    use event::wire::Decoded;
    use event::{AgentSample, Kind, SystemSample};
    use projector::Entry;

    use super::*;
    use crate::rows::Provenance;

    #[test]
    fn rows_go_by_series_and_know_where_they_were() {
        let sample = |name: &str, host: Option<&str>| {
            let (agent_name, host) = (name.into(), host.map(Into::into));
            Event::AgentSample(AgentSample { agent_name, host, ..AgentSample::default() })
        };
        let events = [
            sample("b", None),
            sample("a", Some("z")),
            Event::SystemSample(SystemSample::default()),
            sample("a", Some("own")),
            sample("b", None),
            sample("a", None),
        ];
        let entry = |(position, event)| Entry {
            position: Position(position),
            checksum: 0,
            bytes: 0,
            event: Decoded::Event(event),
        };
        let entries: Vec<Entry> = (11..).zip(events).map(entry).collect();
        let provenance = Provenance { log_no: 1, host: "own" };
        let sent = by_series(Piece::new(&entries, Kind::AgentSample, provenance, 5));
        let sent: Vec<(usize, u64)> =
            sent.into_iter().map(|(place, position, _)| (place, position.0)).collect();
        assert_eq!(sent, [(2, 14), (4, 16), (1, 12), (0, 11), (3, 15)]);
    }
}
