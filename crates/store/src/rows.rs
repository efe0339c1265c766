//! From events to rows: for every kind the fields in the order of its table's columns.

use bytes::BytesMut;
use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Position, Resources, SystemSample, TokenUsage,
};

use crate::copy::Row;

/// Who wrote the events: what every row carries beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provenance<'a> {
    /// The log's number in this database.
    pub(crate) log_no: i32,
    /// The host of events that name none.
    pub(crate) host: &'a str,
}

impl Provenance<'_> {
    /// Writes the row of the event at `position`.
    pub(crate) fn row(&self, event: &Event, position: Position, out: &mut BytesMut) {
        let host = event.host().unwrap_or(self.host);
        match event {
            Event::AgentSample(it) => agent_sample(it, out),
            Event::SystemSample(it) => system_sample(it, out),
            Event::ChannelSample(it) => channel_sample(it, out),
            Event::TokenUsage(it) => token_usage(it, out),
            Event::AgentState(it) => agent_state(it, out),
            Event::Gap(it) => gap(it, out),
        }
        .text(host)
        .integer(self.log_no)
        .count(position.0);
    }
}

fn agent_sample<'a>(it: &AgentSample, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 17);
    row.time(it.time).text(&it.agent_name).text(&it.role).text(&it.tool).text(&it.runtime);
    row.text(it.state.as_str());
    resources(&it.resources, &mut row);
    row
}

fn system_sample<'a>(it: &SystemSample, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 13);
    row.time(it.time).text(&it.system_name);
    resources(&it.resources, &mut row);
    row
}

fn resources(it: &Resources, row: &mut Row<'_>) {
    row.number_or_null(it.cpu_percent)
        .count_or_null(it.mem_used_bytes)
        .count_or_null(it.mem_limit_bytes)
        .number_or_null(it.mem_percent)
        .count_or_null(it.net_rx_bytes)
        .count_or_null(it.net_tx_bytes)
        .count_or_null(it.disk_read_bytes)
        .count_or_null(it.disk_write_bytes);
}

fn channel_sample<'a>(it: &ChannelSample, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 8);
    row.time(it.time).text(&it.channel_name);
    row.count(it.message_count).count_or_null(it.member_count).count(it.reaction_count);
    row
}

fn token_usage<'a>(it: &TokenUsage, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 17);
    row.time(it.time)
        .text(&it.agent_name)
        .text(&it.model)
        .count(it.input_tokens)
        .count(it.output_tokens)
        .count(it.cache_read)
        .count(it.cache_create)
        .number_or_null(it.cost_usd)
        .text(&it.tool)
        .text(&it.session_id)
        .text(&it.message_id)
        .count(it.cache_create_1h)
        .count(it.reasoning_tokens)
        .flag(it.r#final);
    row
}

fn agent_state<'a>(it: &AgentState, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 10);
    row.time(it.time).text(&it.agent_name).text(&it.role).text(&it.tool).text(&it.runtime);
    row.text(it.state.as_str()).time_or_null(it.started_at);
    row
}

fn gap<'a>(it: &Gap, out: &'a mut BytesMut) -> Row<'a> {
    let mut row = Row::begin(out, 9);
    row.time(it.time).time(it.from).time(it.to).count(it.events).text(&it.what).text(&it.reason);
    row
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use event::Kind;

    use super::*;
    use crate::tables::TABLES;

    /// How many fields the row says it has, and how many there are.
    fn fields(mut row: &[u8]) -> (usize, usize) {
        let said = usize::try_from(row.get_i16()).unwrap();
        let mut found = 0;
        while row.has_remaining() {
            let length = usize::try_from(row.get_i32()).unwrap_or(0);
            row.advance(length);
            found += 1;
        }
        (said, found)
    }

    #[test]
    fn every_row_has_a_field_for_each_column() {
        let events = [
            Event::AgentSample(AgentSample::default()),
            Event::SystemSample(SystemSample::default()),
            Event::ChannelSample(ChannelSample::default()),
            Event::TokenUsage(TokenUsage::default()),
            Event::AgentState(AgentState::default()),
            Event::Gap(Gap::default()),
        ];
        for ((event, table), kind) in events.iter().zip(TABLES).zip(Kind::ALL) {
            assert_eq!((event.kind(), table.kind), (kind, kind));
            let mut row = BytesMut::new();
            Provenance { log_no: 1, host: "h" }.row(event, Position(7), &mut row);
            assert_eq!(fields(&row), (table.columns.len(), table.columns.len()), "{}", table.name);
        }
    }

    #[test]
    fn host_log_and_position_end_every_row() {
        let check = |host: Option<&str>, end: &[u8]| {
            let event = Event::Gap(Gap { host: host.map(Into::into), ..Gap::default() });
            let mut row = BytesMut::new();
            Provenance { log_no: 258, host: "own" }.row(&event, Position(7), &mut row);
            assert!(row.ends_with(end), "{row:?}");
        };
        let rest = [0, 0, 0, 4, 0, 0, 1, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];
        check(None, &[&[0, 0, 0, 3][..], b"own", &rest].concat());
        check(Some("away"), &[&[0, 0, 0, 4][..], b"away", &rest].concat());
    }
}
