//! The fields of every kind, in one table: name, rule, value. Checks, JSON and tables walk it.

use crate::model::{AgentSample, AgentState, ChannelSample, Event, Gap, Resources, SystemSample, TokenUsage};
use crate::{State, Time};

/// One field of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The name in JSON.
    pub name: &'static str,
    /// What the value must satisfy.
    pub rule: Rule,
    /// The value.
    pub value: Value<'a>,
}

/// What a field's value must satisfy; [`crate::limits`] holds the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A time of this age.
    Time,
    /// Part of a key: not empty, and short enough for a database index.
    Name,
    /// Part of a key that may be empty.
    Label,
    /// Free text.
    Text,
    /// One of the states.
    State,
    /// A whole number from 0.
    Count,
    /// A number from 0.
    Number,
    /// True or false.
    Flag,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not measured, not known, or the default.
    Absent,
    /// A time.
    Time(Time),
    /// Text.
    Text(&'a str),
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
}

/// The walk over one event: small helpers so that the table below reads as a table.
struct Walk<'f, F>(&'f mut F);

impl<'a, F: FnMut(Field<'a>)> Walk<'_, F> {
    fn put(&mut self, name: &'static str, rule: Rule, value: Value<'a>) -> &mut Self {
        (self.0)(Field { name, rule, value });
        self
    }

    fn time(&mut self, name: &'static str, time: Time) -> &mut Self {
        self.put(name, Rule::Time, Value::Time(time))
    }

    fn host(&mut self, host: Option<&'a str>) -> &mut Self {
        self.put("host", Rule::Name, host.map_or(Value::Absent, Value::Text))
    }

    fn name(&mut self, name: &'static str, text: &'a str) -> &mut Self {
        self.put(name, Rule::Name, Value::Text(text))
    }

    fn label(&mut self, name: &'static str, text: &'a str) -> &mut Self {
        self.put(name, Rule::Label, Value::Text(text))
    }

    fn text(&mut self, name: &'static str, text: &'a str) -> &mut Self {
        self.put(name, Rule::Text, Value::Text(text))
    }

    fn state(&mut self, state: State) -> &mut Self {
        self.put("state", Rule::State, Value::Text(state.as_str()))
    }

    fn count(&mut self, name: &'static str, count: impl Into<Option<u64>>) -> &mut Self {
        self.put(name, Rule::Count, count.into().map_or(Value::Absent, Value::Count))
    }

    fn number(&mut self, name: &'static str, number: Option<f64>) -> &mut Self {
        self.put(name, Rule::Number, number.map_or(Value::Absent, Value::Number))
    }

    fn resources(&mut self, it: &Resources) -> &mut Self {
        self.number("cpu_percent", it.cpu_percent)
            .count("mem_used_bytes", it.mem_used_bytes)
            .count("mem_limit_bytes", it.mem_limit_bytes)
            .number("mem_percent", it.mem_percent)
            .count("net_rx_bytes", it.net_rx_bytes)
            .count("net_tx_bytes", it.net_tx_bytes)
            .count("disk_read_bytes", it.disk_read_bytes)
            .count("disk_write_bytes", it.disk_write_bytes)
    }
}

impl Event {
    /// Calls `each` with every field but the kind, in the order of the documentation.
    pub fn fields<'a>(&'a self, mut each: impl FnMut(Field<'a>)) {
        let mut walk = Walk(&mut each);
        walk.time("time", self.time()).host(self.host());
        match self {
            Self::AgentSample(it) => agent_sample(it, &mut walk),
            Self::SystemSample(it) => system_sample(it, &mut walk),
            Self::ChannelSample(it) => channel_sample(it, &mut walk),
            Self::TokenUsage(it) => token_usage(it, &mut walk),
            Self::AgentState(it) => agent_state(it, &mut walk),
            Self::Gap(it) => gap(it, &mut walk),
        }
    }
}

fn agent_sample<'a>(it: &'a AgentSample, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.name("agent_name", &it.agent_name)
        .text("role", &it.role)
        .text("tool", &it.tool)
        .text("runtime", &it.runtime)
        .state(it.state)
        .resources(&it.resources);
}

fn system_sample<'a>(it: &'a SystemSample, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.name("system_name", &it.system_name).resources(&it.resources);
}

fn channel_sample<'a>(it: &'a ChannelSample, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.name("channel_name", &it.channel_name)
        .count("message_count", it.message_count)
        .count("member_count", it.member_count)
        .count("reaction_count", it.reaction_count);
}

fn token_usage<'a>(it: &'a TokenUsage, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.name("agent_name", &it.agent_name)
        .name("model", &it.model)
        .text("tool", &it.tool)
        .text("session_id", &it.session_id)
        .label("message_id", &it.message_id)
        .count("input_tokens", it.input_tokens)
        .count("output_tokens", it.output_tokens)
        .count("cache_read", it.cache_read)
        .count("cache_create", it.cache_create)
        .count("cache_create_1h", it.cache_create_1h)
        .count("reasoning_tokens", it.reasoning_tokens)
        .number("cost_usd", it.cost_usd)
        .put("final", Rule::Flag, Value::Flag(it.r#final));
}

fn agent_state<'a>(it: &'a AgentState, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.name("agent_name", &it.agent_name)
        .text("role", &it.role)
        .text("tool", &it.tool)
        .text("runtime", &it.runtime)
        .state(it.state)
        .put("started_at", Rule::Time, it.started_at.map_or(Value::Absent, Value::Time));
}

fn gap<'a>(it: &'a Gap, walk: &mut Walk<'_, impl FnMut(Field<'a>)>) {
    walk.time("from", it.from)
        .time("to", it.to)
        .count("events", it.events)
        .name("what", &it.what)
        .text("reason", &it.reason);
}
