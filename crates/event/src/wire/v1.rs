//! Schema version 1 of every kind: the fields of each payload, in their order on disk.
//!
//! IMPORTANT: logs on disks hold these bytes. A field is never moved, removed or given another type here;
//! a change is a `v2` beside this file, and [`super::decode`] reads both. `tests/fixtures_v1.rs` holds bytes.
//!
//! Every payload is an array that begins `[kind, 1, time, host | nil, …]`; times are microseconds since the
//! epoch, absent numbers are nil, a state is its word.

use rmp_serde::encode::Error as EncodeError;
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::model::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Resources, State, SystemSample, TokenUsage,
};
use crate::{Kind, Text, Time};

/// The number of this schema version.
pub(super) const VERSION: u8 = 1;

pub(super) fn encode(event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match event {
        Event::AgentSample(it) => rmp_serde::encode::write(out, &AgentSampleV1::from(it)),
        Event::SystemSample(it) => rmp_serde::encode::write(out, &SystemSampleV1::from(it)),
        Event::ChannelSample(it) => rmp_serde::encode::write(out, &ChannelSampleV1::from(it)),
        Event::TokenUsage(it) => rmp_serde::encode::write(out, &TokenUsageV1::from(it)),
        Event::AgentState(it) => rmp_serde::encode::write(out, &AgentStateV1::from(it)),
        Event::Gap(it) => rmp_serde::encode::write(out, &GapV1::from(it)),
    }
}

pub(super) fn decode(kind: Kind, payload: &[u8]) -> Result<Event, RecordError> {
    Ok(match kind {
        Kind::AgentSample => Event::AgentSample(read::<AgentSampleV1<'_>>(payload)?.upcast()?),
        Kind::SystemSample => Event::SystemSample(read::<SystemSampleV1<'_>>(payload)?.upcast()),
        Kind::ChannelSample => Event::ChannelSample(read::<ChannelSampleV1<'_>>(payload)?.upcast()),
        Kind::TokenUsage => Event::TokenUsage(read::<TokenUsageV1<'_>>(payload)?.upcast()),
        Kind::AgentState => Event::AgentState(read::<AgentStateV1<'_>>(payload)?.upcast()?),
        Kind::Gap => Event::Gap(read::<GapV1<'_>>(payload)?.upcast()),
    })
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, RecordError> {
    rmp_serde::from_slice(payload).map_err(|error| RecordError::Payload { detail: error.to_string() })
}

fn state(word: &str) -> Result<State, RecordError> {
    State::from_word(word)
        .ok_or_else(|| RecordError::Payload { detail: format!("{word:?} is no state of version {VERSION}") })
}

#[derive(Serialize, Deserialize)]
struct AgentSampleV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    agent_name: &'a str,
    role: &'a str,
    tool: &'a str,
    runtime: &'a str,
    state: &'a str,
    cpu_percent: Option<f64>,
    mem_used_bytes: Option<u64>,
    mem_limit_bytes: Option<u64>,
    mem_percent: Option<f64>,
    net_rx_bytes: Option<u64>,
    net_tx_bytes: Option<u64>,
    disk_read_bytes: Option<u64>,
    disk_write_bytes: Option<u64>,
}

impl<'a> From<&'a AgentSample> for AgentSampleV1<'a> {
    fn from(it: &'a AgentSample) -> Self {
        Self {
            kind: Kind::AgentSample.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            agent_name: &it.agent_name,
            role: &it.role,
            tool: &it.tool,
            runtime: &it.runtime,
            state: it.state.as_str(),
            cpu_percent: it.resources.cpu_percent,
            mem_used_bytes: it.resources.mem_used_bytes,
            mem_limit_bytes: it.resources.mem_limit_bytes,
            mem_percent: it.resources.mem_percent,
            net_rx_bytes: it.resources.net_rx_bytes,
            net_tx_bytes: it.resources.net_tx_bytes,
            disk_read_bytes: it.resources.disk_read_bytes,
            disk_write_bytes: it.resources.disk_write_bytes,
        }
    }
}

impl AgentSampleV1<'_> {
    fn upcast(self) -> Result<AgentSample, RecordError> {
        Ok(AgentSample {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            agent_name: self.agent_name.into(),
            role: self.role.into(),
            tool: self.tool.into(),
            runtime: self.runtime.into(),
            state: state(self.state)?,
            resources: Resources {
                cpu_percent: self.cpu_percent,
                mem_used_bytes: self.mem_used_bytes,
                mem_limit_bytes: self.mem_limit_bytes,
                mem_percent: self.mem_percent,
                net_rx_bytes: self.net_rx_bytes,
                net_tx_bytes: self.net_tx_bytes,
                disk_read_bytes: self.disk_read_bytes,
                disk_write_bytes: self.disk_write_bytes,
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct SystemSampleV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    system_name: &'a str,
    cpu_percent: Option<f64>,
    mem_used_bytes: Option<u64>,
    mem_limit_bytes: Option<u64>,
    mem_percent: Option<f64>,
    net_rx_bytes: Option<u64>,
    net_tx_bytes: Option<u64>,
    disk_read_bytes: Option<u64>,
    disk_write_bytes: Option<u64>,
}

impl<'a> From<&'a SystemSample> for SystemSampleV1<'a> {
    fn from(it: &'a SystemSample) -> Self {
        Self {
            kind: Kind::SystemSample.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            system_name: &it.system_name,
            cpu_percent: it.resources.cpu_percent,
            mem_used_bytes: it.resources.mem_used_bytes,
            mem_limit_bytes: it.resources.mem_limit_bytes,
            mem_percent: it.resources.mem_percent,
            net_rx_bytes: it.resources.net_rx_bytes,
            net_tx_bytes: it.resources.net_tx_bytes,
            disk_read_bytes: it.resources.disk_read_bytes,
            disk_write_bytes: it.resources.disk_write_bytes,
        }
    }
}

impl SystemSampleV1<'_> {
    fn upcast(self) -> SystemSample {
        SystemSample {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            system_name: self.system_name.into(),
            resources: Resources {
                cpu_percent: self.cpu_percent,
                mem_used_bytes: self.mem_used_bytes,
                mem_limit_bytes: self.mem_limit_bytes,
                mem_percent: self.mem_percent,
                net_rx_bytes: self.net_rx_bytes,
                net_tx_bytes: self.net_tx_bytes,
                disk_read_bytes: self.disk_read_bytes,
                disk_write_bytes: self.disk_write_bytes,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ChannelSampleV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    channel_name: &'a str,
    message_count: u64,
    member_count: Option<u64>,
    reaction_count: u64,
}

impl<'a> From<&'a ChannelSample> for ChannelSampleV1<'a> {
    fn from(it: &'a ChannelSample) -> Self {
        Self {
            kind: Kind::ChannelSample.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            channel_name: &it.channel_name,
            message_count: it.message_count,
            member_count: it.member_count,
            reaction_count: it.reaction_count,
        }
    }
}

impl ChannelSampleV1<'_> {
    fn upcast(self) -> ChannelSample {
        ChannelSample {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            channel_name: self.channel_name.into(),
            message_count: self.message_count,
            member_count: self.member_count,
            reaction_count: self.reaction_count,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TokenUsageV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    agent_name: &'a str,
    model: &'a str,
    tool: &'a str,
    session_id: &'a str,
    message_id: &'a str,
    input_tokens: u64,
    output_tokens: u64,
    cache_read: u64,
    cache_create: u64,
    cache_create_1h: u64,
    reasoning_tokens: u64,
    cost_usd: Option<f64>,
    r#final: bool,
}

impl<'a> From<&'a TokenUsage> for TokenUsageV1<'a> {
    fn from(it: &'a TokenUsage) -> Self {
        Self {
            kind: Kind::TokenUsage.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            agent_name: &it.agent_name,
            model: &it.model,
            tool: &it.tool,
            session_id: &it.session_id,
            message_id: &it.message_id,
            input_tokens: it.input_tokens,
            output_tokens: it.output_tokens,
            cache_read: it.cache_read,
            cache_create: it.cache_create,
            cache_create_1h: it.cache_create_1h,
            reasoning_tokens: it.reasoning_tokens,
            cost_usd: it.cost_usd,
            r#final: it.r#final,
        }
    }
}

impl TokenUsageV1<'_> {
    fn upcast(self) -> TokenUsage {
        TokenUsage {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            agent_name: self.agent_name.into(),
            model: self.model.into(),
            tool: self.tool.into(),
            session_id: self.session_id.into(),
            message_id: self.message_id.into(),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_read: self.cache_read,
            cache_create: self.cache_create,
            cache_create_1h: self.cache_create_1h,
            reasoning_tokens: self.reasoning_tokens,
            cost_usd: self.cost_usd,
            r#final: self.r#final,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AgentStateV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    agent_name: &'a str,
    role: &'a str,
    tool: &'a str,
    runtime: &'a str,
    state: &'a str,
    started_at: Option<i64>,
}

impl<'a> From<&'a AgentState> for AgentStateV1<'a> {
    fn from(it: &'a AgentState) -> Self {
        Self {
            kind: Kind::AgentState.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            agent_name: &it.agent_name,
            role: &it.role,
            tool: &it.tool,
            runtime: &it.runtime,
            state: it.state.as_str(),
            started_at: it.started_at.map(Time::micros),
        }
    }
}

impl AgentStateV1<'_> {
    fn upcast(self) -> Result<AgentState, RecordError> {
        Ok(AgentState {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            agent_name: self.agent_name.into(),
            role: self.role.into(),
            tool: self.tool.into(),
            runtime: self.runtime.into(),
            state: state(self.state)?,
            started_at: self.started_at.map(Time::from_micros),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct GapV1<'a> {
    kind: u8,
    version: u8,
    time: i64,
    host: Option<&'a str>,
    from: i64,
    to: i64,
    events: u64,
    what: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a Gap> for GapV1<'a> {
    fn from(it: &'a Gap) -> Self {
        Self {
            kind: Kind::Gap.number(),
            version: VERSION,
            time: it.time.micros(),
            host: it.host.as_deref(),
            from: it.from.micros(),
            to: it.to.micros(),
            events: it.events,
            what: &it.what,
            reason: &it.reason,
        }
    }
}

impl GapV1<'_> {
    fn upcast(self) -> Gap {
        Gap {
            time: Time::from_micros(self.time),
            host: self.host.map(Text::from),
            from: Time::from_micros(self.from),
            to: Time::from_micros(self.to),
            events: self.events,
            what: self.what.into(),
            reason: self.reason.into(),
        }
    }
}
