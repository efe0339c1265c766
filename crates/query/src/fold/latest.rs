//! Samples folded into the newest of each series.

use std::collections::BTreeMap;

use event::{AgentSample, Text};

use super::points::Labels;
use crate::{AgentLatest, AgentRow, Rates};

/// Answers [`AgentLatest`].
#[derive(Debug)]
pub struct AgentLatestFold<'a> {
    request: &'a AgentLatest,
    own_host: &'a str,
    newest: BTreeMap<(Text, Text), AgentSample>,
}

impl<'a> AgentLatestFold<'a> {
    /// A fold of samples that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a AgentLatest, own_host: &'a str) -> Self {
        Self { request, own_host, newest: BTreeMap::new() }
    }

    /// Takes one sample; what the request does not ask for is left out.
    pub fn push(&mut self, sample: &AgentSample) {
        let host = sample.host.as_deref().unwrap_or(self.own_host);
        let request = self.request;
        if !request.range.contains(sample.time) || !request.filter.has_series(&sample.agent_name, host) {
            return;
        }
        let series = (sample.agent_name.clone(), Text::from(host));
        let newest = self.newest.entry(series).or_insert_with(|| sample.clone());
        // At the same time the first one stays.
        if newest.time < sample.time {
            newest.clone_from(sample);
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<AgentRow> {
        let filter = &self.request.filter;
        let rows = self.newest.into_iter().map(|((agent_name, host), sample)| {
            let Labels { role, tool, runtime, state } = Labels::from(&sample);
            let (time, resources, rates) = (sample.time, sample.resources, Rates::default());
            AgentRow { time, agent_name, role, tool, runtime, state, host, resources, rates }
        });
        let mut rows: Vec<_> = rows.filter(|row| filter.has_row(row)).collect();
        rows.sort_by_key(|row| row.time);
        rows
    }
}
