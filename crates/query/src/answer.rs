//! What is answered: plain data, with `None` for what was not measured.

use event::limits::COUNT_MAX;
use event::{Resources, Text, Time};

use crate::TokenRow;

use crate::row::{Row, Value};

/// What the counters gained, bytes per second; how it is computed stands in the crate's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bytes received per second.
    pub net_rx_per_second: Option<f64>,
    /// Bytes sent per second.
    pub net_tx_per_second: Option<f64>,
    /// Bytes read from disks per second.
    pub disk_read_per_second: Option<f64>,
    /// Bytes written to disks per second.
    pub disk_write_per_second: Option<f64>,
}

/// One bucket of one system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemRow {
    /// The bucket's start.
    pub time: Time,
    /// Which system.
    pub system_name: Text,
    /// Where.
    pub host: Text,
    /// Averages and last values.
    pub resources: Resources,
    /// What the counters gained.
    pub rates: Rates,
}

/// One bucket of one agent, or its newest sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentRow {
    /// The bucket's start, or the sample's time.
    pub time: Time,
    /// Which agent.
    pub agent_name: Text,
    /// What it is for.
    pub role: Text,
    /// The coding tool that it runs.
    pub tool: Text,
    /// What it runs in.
    pub runtime: Text,
    /// What it was doing, as a word; empty when unknown.
    pub state: Text,
    /// Where.
    pub host: Text,
    /// Averages and last values, or the sample's.
    pub resources: Resources,
    /// What the counters gained.
    pub rates: Rates,
}

/// All that the agents of one name did in a range, on every host; there is one as soon as there is a sample or a call.
///
/// Averages and greatest values are over all samples. role, tool, runtime and state are those of the newest sample;
/// at the same time on several hosts, that of the greatest host by bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentSummary {
    /// Which agents.
    pub agent_name: Text,
    /// What it is for.
    pub role: Text,
    /// The coding tool that it runs.
    pub tool: Text,
    /// What it runs in.
    pub runtime: Text,
    /// What it was doing, as a word; empty when unknown.
    pub state: Text,
    /// CPU use.
    pub cpu: CpuSummary,
    /// Memory use.
    pub memory: MemorySummary,
    /// Bytes read from disks (`received`) and written to them (`sent`) in the range.
    pub disk: Transfer,
    /// Bytes received and sent in the range; `None` when neither is known.
    pub network: Option<Transfer>,
    /// Tokens used; `None` without a model call.
    pub tokens: Option<TokenSummary>,
    /// US dollars, as in [`crate::TokensUsed::cost_usd`].
    pub cost_usd: Option<f64>,
    /// The same by model, ordered by its name.
    pub models: Vec<ModelSummary>,
}

impl AgentSummary {
    /// The summary of samples, if there were any, with what the agents' calls used: one row of each model.
    #[must_use]
    pub fn with_calls(agent_name: &str, samples: Option<Self>, calls: &[TokenRow]) -> Option<Self> {
        if calls.is_empty() {
            return samples;
        }
        let mut total = TokenSummary::default();
        let mut summary =
            samples.unwrap_or_else(|| Self { agent_name: agent_name.into(), ..Self::default() });
        for TokenRow { model, used, .. } in calls {
            let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count).min(COUNT_MAX);
            add(&mut total.input, used.input_tokens);
            add(&mut total.output, used.output_tokens);
            add(&mut total.cache_read, used.cache_read);
            add(&mut total.cache_create, used.cache_create);
            if let Some(cost) = used.cost_usd {
                *summary.cost_usd.get_or_insert_default() += cost;
            }
            let (input_tokens, output_tokens) = (used.input_tokens, used.output_tokens);
            let (model, cost_usd) = (model.clone(), used.cost_usd);
            summary.models.push(ModelSummary { model, cost_usd, input_tokens, output_tokens });
        }
        summary.tokens = Some(total);
        Some(summary)
    }
}

/// CPU use in percent; 100 is one core.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuSummary {
    /// The average of the samples.
    pub avg_percent: Option<f64>,
    /// The greatest sample.
    pub max_percent: Option<f64>,
}

/// Memory use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemorySummary {
    /// The average of the samples, whole bytes.
    pub avg_bytes: Option<u64>,
    /// The greatest sample, bytes.
    pub max_bytes: Option<u64>,
    /// The average of the samples, percent of the limit.
    pub avg_percent: Option<f64>,
}

/// Bytes that went in and out in a range: the sums of the counters' increases, at most `i64::MAX`.
/// `None` where no two samples in a row measured the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// In.
    pub received: Option<u64>,
    /// Out.
    pub sent: Option<u64>,
}

impl Transfer {
    /// Itself, unless neither way is known.
    #[must_use]
    pub fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// Tokens used in a range; the counts are disjoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSummary {
    /// Input tokens that no cache held.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens read from the cache.
    pub cache_read: u64,
    /// Input tokens written to the cache.
    pub cache_create: u64,
}

/// What one model was used for in a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSummary {
    /// Which model.
    pub model: Text,
    /// US dollars; `None` when its price is unknown.
    pub cost_usd: Option<f64>,
    /// Input tokens that no cache held.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

fn resource_values(resources: &Resources) -> [Value<'static>; 8] {
    [
        resources.cpu_percent.into(),
        resources.mem_used_bytes.into(),
        resources.mem_limit_bytes.into(),
        resources.mem_percent.into(),
        resources.net_rx_bytes.into(),
        resources.net_tx_bytes.into(),
        resources.disk_read_bytes.into(),
        resources.disk_write_bytes.into(),
    ]
}

fn rate_values(rates: &Rates) -> [Value<'static>; 4] {
    [
        rates.net_rx_per_second.into(),
        rates.net_tx_per_second.into(),
        rates.disk_read_per_second.into(),
        rates.disk_write_per_second.into(),
    ]
}

impl Row for SystemRow {
    const COLUMNS: &'static [&'static str] = &[
        "time",
        "system_name",
        "cpu_percent",
        "mem_used_bytes",
        "mem_limit_bytes",
        "mem_percent",
        "net_rx_bytes",
        "net_tx_bytes",
        "disk_read_bytes",
        "disk_write_bytes",
        "host",
        "net_rx_per_second",
        "net_tx_per_second",
        "disk_read_per_second",
        "disk_write_per_second",
    ];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        [Value::Time(self.time), Value::Text(&self.system_name)]
            .into_iter()
            .chain(resource_values(&self.resources))
            .chain([Value::Text(&self.host)])
            .chain(rate_values(&self.rates))
    }
}

impl Row for AgentRow {
    const COLUMNS: &'static [&'static str] = &[
        "time",
        "agent_name",
        "role",
        "tool",
        "runtime",
        "state",
        "cpu_percent",
        "mem_used_bytes",
        "mem_limit_bytes",
        "mem_percent",
        "net_rx_bytes",
        "net_tx_bytes",
        "disk_read_bytes",
        "disk_write_bytes",
        "host",
        "net_rx_per_second",
        "net_tx_per_second",
        "disk_read_per_second",
        "disk_write_per_second",
    ];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let labels = [&self.agent_name, &self.role, &self.tool, &self.runtime, &self.state];
        [Value::Time(self.time)]
            .into_iter()
            .chain(labels.map(|label| Value::Text(label)))
            .chain(resource_values(&self.resources))
            .chain([Value::Text(&self.host)])
            .chain(rate_values(&self.rates))
    }
}

/// The models have no column: they are a list.
impl Row for AgentSummary {
    const COLUMNS: &'static [&'static str] = &[
        "agent_name",
        "role",
        "tool",
        "runtime",
        "state",
        "cpu.avg_percent",
        "cpu.max_percent",
        "memory.avg_bytes",
        "memory.max_bytes",
        "memory.avg_percent",
        "disk.read_bytes",
        "disk.write_bytes",
        "network.rx_bytes",
        "network.tx_bytes",
        "tokens.input",
        "tokens.output",
        "tokens.cache_read",
        "tokens.cache_create",
        "cost.total_usd",
    ];

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let labels = [&self.agent_name, &self.role, &self.tool, &self.runtime, &self.state];
        let network = self.network.unwrap_or_default();
        labels.map(|label| Value::Text(label)).into_iter().chain([
            self.cpu.avg_percent.into(),
            self.cpu.max_percent.into(),
            self.memory.avg_bytes.into(),
            self.memory.max_bytes.into(),
            self.memory.avg_percent.into(),
            self.disk.received.into(),
            self.disk.sent.into(),
            network.received.into(),
            network.sent.into(),
            self.tokens.map(|tokens| tokens.input).into(),
            self.tokens.map(|tokens| tokens.output).into(),
            self.tokens.map(|tokens| tokens.cache_read).into(),
            self.tokens.map(|tokens| tokens.cache_create).into(),
            self.cost_usd.into(),
        ])
    }
}
