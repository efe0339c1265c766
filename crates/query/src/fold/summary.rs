//! The samples of one name folded into a summary.

use std::collections::BTreeMap;

use event::{AgentSample, Text, Time, TokenUsage};

use super::measure::{Average, ByteAverage, Gains};
use super::points::{Labels, SeriesSet};
use super::tokens::{Calls, Pricing, Sum};
use crate::{AgentSummary, CpuSummary, MemorySummary, ModelSummary, TimeRange, TokenSummary, Transfer};

/// Answers a request for an agent's summary.
pub struct AgentSummaryFold<'a> {
    agent_name: &'a str,
    range: TimeRange,
    own_host: &'a str,
    pricing: Pricing<'a>,
    series: SeriesSet<Labels>,
    calls: Calls,
}

impl<'a> AgentSummaryFold<'a> {
    /// A fold of samples and calls that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(agent_name: &'a str, range: TimeRange, own_host: &'a str, pricing: Pricing<'a>) -> Self {
        Self { agent_name, range, own_host, pricing, series: SeriesSet::new(), calls: Calls::default() }
    }

    /// Takes one sample; what the request does not ask for is left out.
    pub fn push(&mut self, sample: &AgentSample) {
        if sample.agent_name == self.agent_name && self.range.contains(sample.time) {
            let host = sample.host.as_deref().unwrap_or(self.own_host);
            let series = (sample.agent_name.as_str(), host);
            self.series.push(series, sample.time, Labels::from(sample), sample.resources);
        }
    }

    /// Takes one call; what the request does not ask for is left out.
    pub fn push_usage(&mut self, usage: &TokenUsage) {
        if usage.agent_name == self.agent_name && self.range.contains(usage.time) {
            self.calls.add(usage, self.own_host);
        }
    }

    /// The answer; `None` when there was no sample and no call.
    #[must_use]
    pub fn finish(self) -> Option<AgentSummary> {
        let mut sums = Sums::default();
        for (_, _, points) in self.series.into_ordered() {
            let mut before = None;
            for point in points.iter() {
                sums.add(point.time, point.labels, point.resources);
                let now = (point.time, point.resources);
                if let Some(before) = before.replace(now) {
                    sums.gains.add(before, now);
                }
            }
        }
        let mut used = Used::default();
        for (host, usage) in self.calls.iter() {
            let computed = (self.pricing)(usage, host);
            used.total.get_or_insert_default().add(usage, computed);
            used.by_model.entry(usage.model.clone()).or_default().add(usage, computed);
        }
        sums.summary(self.agent_name, used)
    }
}

/// What the calls used.
#[derive(Default)]
struct Used {
    /// `None` without a call.
    total: Option<Sum>,
    by_model: BTreeMap<Text, Sum>,
}

impl Used {
    fn models(self) -> Vec<ModelSummary> {
        let model = |(model, sum): (Text, Sum)| {
            let used = sum.used();
            let (input_tokens, output_tokens) = (used.input_tokens, used.output_tokens);
            ModelSummary { model, cost_usd: used.cost_usd, input_tokens, output_tokens }
        };
        self.by_model.into_iter().map(model).collect()
    }
}

#[derive(Default)]
struct Sums {
    newest: Option<(Time, Labels)>,
    cpu_percent: Average,
    cpu_percent_max: Option<f64>,
    mem_used_bytes: ByteAverage,
    mem_used_bytes_max: Option<u64>,
    mem_percent: Average,
    gains: Gains,
}

impl Sums {
    fn add(&mut self, time: Time, labels: &Labels, resources: &event::Resources) {
        // The hosts come in order: at the same time the last one's labels stay.
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= time) {
            self.newest = Some((time, labels.clone()));
        }
        self.cpu_percent.add(resources.cpu_percent);
        self.mem_used_bytes.add(resources.mem_used_bytes);
        self.mem_percent.add(resources.mem_percent);
        self.mem_used_bytes_max = self.mem_used_bytes_max.max(resources.mem_used_bytes);
        if let Some(cpu) = resources.cpu_percent {
            self.cpu_percent_max = Some(self.cpu_percent_max.map_or(cpu, |max| max.max(cpu)));
        }
    }

    fn summary(self, agent_name: &str, used: Used) -> Option<AgentSummary> {
        if self.newest.is_none() && used.total.is_none() {
            return None;
        }
        let Labels { role, tool, runtime, state } = self.newest.map(|(_, labels)| labels).unwrap_or_default();
        let total = used.total.map(Sum::used);
        let network = Transfer { received: self.gains.net_rx.bytes(), sent: self.gains.net_tx.bytes() };
        Some(AgentSummary {
            agent_name: Text::from(agent_name),
            role,
            tool,
            runtime,
            state,
            cpu: CpuSummary { avg_percent: self.cpu_percent.value(), max_percent: self.cpu_percent_max },
            memory: MemorySummary {
                avg_bytes: self.mem_used_bytes.value(),
                max_bytes: self.mem_used_bytes_max,
                avg_percent: self.mem_percent.value(),
            },
            disk: Transfer { received: self.gains.disk_read.bytes(), sent: self.gains.disk_write.bytes() },
            network: network.known(),
            tokens: total.map(|total| TokenSummary {
                input: total.input_tokens,
                output: total.output_tokens,
                cache_read: total.cache_read,
                cache_create: total.cache_create,
            }),
            cost_usd: total.and_then(|total| total.cost_usd),
            models: used.models(),
        })
    }
}
