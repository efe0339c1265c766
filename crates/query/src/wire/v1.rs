//! Answers as JSON, version 1: what the Go package's clients expect, and our fields beside theirs.
//!
//! A row is one flat object, its members named and ordered by [`Row::COLUMNS`]; what is not known is null. A time is
//! RFC 3339 with microseconds, `2026-01-02T03:04:05.678901Z`. A list of rows is a bare array.

mod read;
pub(super) mod workspace;

pub use read::{ReadAnswerError, read_answer, read_workspace};

use schemars::JsonSchema;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{
    AgentRow, AgentSummary, ChannelRow, GapRow, Row, StateRow, SystemRow, TokenRow, Transfer, Value,
};

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Time(time) => serializer.collect_str(time),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(number) => serializer.serialize_f64(*number),
        }
    }
}

fn serialize_row<R: Row, S: Serializer>(row: &R, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(R::COLUMNS.len()))?;
    for (name, value) in R::COLUMNS.iter().zip(row.values()) {
        map.serialize_entry(name, &value)?;
    }
    map.end()
}

macro_rules! flat {
    ($($row:ty),+) => {
        $(impl Serialize for $row {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_row(self, serializer)
            }
        })+
    };
}

flat!(SystemRow, AgentRow, ChannelRow, TokenRow, StateRow, GapRow);

#[derive(serde::Serialize, JsonSchema)]
pub(super) struct SummaryV1<'a> {
    agent_name: &'a str,
    role: &'a str,
    tool: &'a str,
    runtime: &'a str,
    state: &'a str,
    cpu: CpuV1,
    memory: MemoryV1,
    disk: DiskV1,
    network: Option<NetworkV1>,
    tokens: Option<TokensV1>,
    cost: Option<CostV1>,
    models: Vec<ModelV1<'a>>,
}

#[derive(serde::Serialize, JsonSchema)]
struct CpuV1 {
    avg_percent: Option<f64>,
    max_percent: Option<f64>,
}

#[derive(serde::Serialize, JsonSchema)]
struct MemoryV1 {
    avg_bytes: Option<u64>,
    max_bytes: Option<u64>,
    avg_percent: Option<f64>,
}

#[derive(serde::Serialize, JsonSchema)]
struct DiskV1 {
    read_bytes: Option<u64>,
    write_bytes: Option<u64>,
}

#[derive(serde::Serialize, JsonSchema)]
struct NetworkV1 {
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
}

#[derive(serde::Serialize, JsonSchema)]
struct TokensV1 {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_create: u64,
}

#[derive(serde::Serialize, JsonSchema)]
struct CostV1 {
    total_usd: f64,
}

#[derive(serde::Serialize, JsonSchema)]
struct ModelV1<'a> {
    model: &'a str,
    cost_usd: Option<f64>,
    input_tokens: u64,
    output_tokens: u64,
}

impl<'a> From<&'a AgentSummary> for SummaryV1<'a> {
    fn from(it: &'a AgentSummary) -> Self {
        let network = |bytes: Transfer| NetworkV1 { rx_bytes: bytes.received, tx_bytes: bytes.sent };
        Self {
            agent_name: &it.agent_name,
            role: &it.role,
            tool: &it.tool,
            runtime: &it.runtime,
            state: &it.state,
            cpu: CpuV1 { avg_percent: it.cpu.avg_percent, max_percent: it.cpu.max_percent },
            memory: MemoryV1 {
                avg_bytes: it.memory.avg_bytes,
                max_bytes: it.memory.max_bytes,
                avg_percent: it.memory.avg_percent,
            },
            disk: DiskV1 { read_bytes: it.disk.received, write_bytes: it.disk.sent },
            network: it.network.map(network),
            tokens: it.tokens.map(|tokens| TokensV1 {
                input: tokens.input,
                output: tokens.output,
                cache_read: tokens.cache_read,
                cache_create: tokens.cache_create,
            }),
            cost: it.cost_usd.map(|total_usd| CostV1 { total_usd }),
            models: it.models.iter().map(ModelV1::from).collect(),
        }
    }
}

impl<'a> From<&'a crate::ModelSummary> for ModelV1<'a> {
    fn from(it: &'a crate::ModelSummary) -> Self {
        Self {
            model: &it.model,
            cost_usd: it.cost_usd,
            input_tokens: it.input_tokens,
            output_tokens: it.output_tokens,
        }
    }
}

impl Serialize for AgentSummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SummaryV1::from(self).serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
