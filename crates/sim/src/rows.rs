//! The tables as one map, the rule by which rows of one key meet, and what the tables must hold in the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use event::wire::Decoded;
use event::{Entry, Event, Kind, LogId, Position, Time, TokenUsage};
use projector::{ApplyOutcome, LogIdentity};

/// All tables: the key says which one.
pub type Rows = BTreeMap<Key, Row>;

/// A primary key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Which table.
    pub kind: Kind,
    /// The agent, system, channel, or what is lost.
    pub name: String,
    /// The host, an absent one filled in.
    pub host: String,
    /// The model, of usage.
    pub model: String,
    /// The time.
    pub time: Time,
    /// The answer's id, of usage.
    pub message_id: String,
}

/// A row: what it says and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which log.
    pub log: LogId,
    /// Where in it.
    pub position: Position,
    /// What it says.
    pub event: Event,
}

impl Key {
    /// The key of an event of this log.
    pub fn of(event: &Event, log: &LogIdentity) -> Self {
        let (name, model, message_id) = match event {
            Event::AgentSample(it) => (&it.agent_name, "", ""),
            Event::SystemSample(it) => (&it.system_name, "", ""),
            Event::ChannelSample(it) => (&it.channel_name, "", ""),
            Event::TokenUsage(it) => (&it.agent_name, it.model.as_str(), it.message_id.as_str()),
            Event::AgentState(it) => (&it.agent_name, "", ""),
            Event::Gap(it) => (&it.what, "", ""),
        };
        Self {
            kind: event.kind(),
            name: name.to_string(),
            host: event.host().unwrap_or(log.host.as_str()).to_owned(),
            model: model.to_owned(),
            time: event.time(),
            message_id: message_id.to_owned(),
        }
    }
}

impl Row {
    /// The row of an event of this log, its host filled in.
    fn of(log: &LogIdentity, position: Position, event: &Event) -> Self {
        let mut event = event.clone();
        event.host_mut().get_or_insert_with(|| log.host.as_str().into());
        Self { log: log.log_id, position, event }
    }
}

/// What a batch would change.
#[derive(Debug, Default)]
pub struct Plan {
    /// Rows that are new, or others than before.
    pub rows: Rows,
    /// What the database refuses.
    pub refused: Vec<Position>,
    /// What it had refused before, and takes now.
    pub released: Vec<Position>,
    /// The counts of it.
    pub outcome: ApplyOutcome,
}

/// What a batch would change in `rows`, where `refuses` is what the database refuses and `refused` what it had
/// refused before.
pub fn plan(
    rows: &Rows,
    log: &LogIdentity,
    entries: &[Entry],
    refuses: impl Fn(&Event) -> bool,
    refused: &BTreeSet<Position>,
) -> Plan {
    let mut plan = Plan::default();
    for entry in entries {
        let event = match &entry.event {
            Decoded::Event(event) if !refuses(event) => event,
            Decoded::Event(_) | Decoded::Unknown { .. } => {
                plan.outcome.quarantined += 1;
                plan.refused.push(entry.position);
                continue;
            }
        };
        if refused.contains(&entry.position) {
            plan.outcome.released += 1;
            plan.released.push(entry.position);
        }
        let key = Key::of(event, log);
        let row = Row::of(log, entry.position, event);
        let there = plan.rows.get(&key).or_else(|| rows.get(&key));
        match there {
            None => plan.outcome.inserted += 1,
            Some(there) => {
                plan.outcome.present += 1;
                plan.outcome.conflicting += u64::from(there.event != row.event);
            }
        }
        if there.is_none_or(|there| beats(&row, there)) {
            plan.rows.insert(key, row);
        }
    }
    plan
}

/// Whether `new` takes the place of `there`, whose key is the same.
fn beats(new: &Row, there: &Row) -> bool {
    let earlier = new.log == there.log && new.position < there.position;
    match (&new.event, &there.event) {
        (Event::TokenUsage(new), Event::TokenUsage(there)) if !new.message_id.is_empty() => {
            rank(new) > rank(there) || rank(new) == rank(there) && earlier
        }
        _ => earlier,
    }
}

/// How complete a snapshot of usage is.
fn rank(usage: &TokenUsage) -> (bool, u64, u128, bool) {
    let others = [usage.input_tokens, usage.cache_read, usage.cache_create].map(u128::from);
    (usage.r#final, usage.output_tokens, others.iter().sum(), usage.cost_usd.is_some())
}

/// What the tables hold when one log was projected, whatever happened on the way.
pub fn expected(log: &LogIdentity, entries: &[Entry]) -> Rows {
    let mut groups: BTreeMap<Key, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        groups.entry(Key::of(known(entry), log)).or_default().push(entry);
    }
    let best = |group: Vec<&Entry>| match known(group[0]) {
        Event::TokenUsage(usage) if !usage.message_id.is_empty() => {
            let rank_of = |entry: &Entry| match known(entry) {
                Event::TokenUsage(usage) => rank(usage),
                other => panic!("{other:?} under a key of usage"),
            };
            group.into_iter().max_by_key(|entry| (rank_of(entry), Reverse(entry.position))).unwrap().clone()
        }
        _ => group.into_iter().min_by_key(|entry| entry.position).unwrap().clone(),
    };
    let row = |entry: Entry| Row::of(log, entry.position, known(&entry));
    groups.into_iter().map(|(key, group)| (key, row(best(group)))).collect()
}

fn known(entry: &Entry) -> &Event {
    match &entry.event {
        Decoded::Event(event) => event,
        Decoded::Unknown { .. } => panic!("an unknown kind reached the database: {entry:?}"),
    }
}
