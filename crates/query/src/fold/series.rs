//! Samples folded into buckets.

use event::{AgentSample, Resources, SystemSample, Text, Time};

use super::measure::{Gains, Levels};
use super::points::{Labels, Points, SeriesSet};
use crate::{AgentRow, AgentSeries, Buckets, Rates, SystemRow, SystemSeries};

/// Answers [`AgentSeries`].
#[derive(Debug)]
pub struct AgentSeriesFold<'a> {
    request: &'a AgentSeries,
    own_host: &'a str,
    series: SeriesSet<Labels>,
}

impl<'a> AgentSeriesFold<'a> {
    /// A fold of samples that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a AgentSeries, own_host: &'a str) -> Self {
        Self { request, own_host, series: SeriesSet::new() }
    }

    /// Takes one sample; what the request does not ask for is left out.
    pub fn push(&mut self, sample: &AgentSample) {
        let host = sample.host.as_deref().unwrap_or(self.own_host);
        let request = self.request;
        if request.buckets.range().contains(sample.time)
            && request.filter.has_series(&sample.agent_name, host)
        {
            let series = (sample.agent_name.as_str(), host);
            self.series.push(series, sample.time, Labels::from(sample), sample.resources);
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<AgentRow> {
        let mut rows = Vec::new();
        for (name, host, points) in self.series.into_ordered() {
            for_each_bucket(self.request.buckets, &points, |bucket| {
                let row = agent_row(name.clone(), host.clone(), &bucket);
                if self.request.filter.has_row(&row) {
                    rows.push(row);
                }
            });
        }
        // The series are in order already, and the sort is stable.
        rows.sort_by_key(|row| row.time);
        rows
    }
}

fn agent_row(agent_name: Text, host: Text, bucket: &Bucket<'_, Labels>) -> AgentRow {
    let Bucket { time, labels, resources, rates } = *bucket;
    let Labels { role, tool, runtime, state } = labels.clone();
    AgentRow { time, agent_name, role, tool, runtime, state, host, resources, rates }
}

/// Answers [`SystemSeries`].
#[derive(Debug)]
pub struct SystemSeriesFold<'a> {
    request: &'a SystemSeries,
    own_host: &'a str,
    series: SeriesSet<()>,
}

impl<'a> SystemSeriesFold<'a> {
    /// A fold of samples that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a SystemSeries, own_host: &'a str) -> Self {
        Self { request, own_host, series: SeriesSet::new() }
    }

    /// Takes one sample; what the request does not ask for is left out.
    pub fn push(&mut self, sample: &SystemSample) {
        let host = sample.host.as_deref().unwrap_or(self.own_host);
        let request = self.request;
        if request.buckets.range().contains(sample.time)
            && request.filter.has_series(&sample.system_name, host)
        {
            self.series.push((&sample.system_name, host), sample.time, (), sample.resources);
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<SystemRow> {
        let mut rows = Vec::new();
        for (system_name, host, points) in self.series.into_ordered() {
            for_each_bucket(self.request.buckets, &points, |bucket| {
                let Bucket { time, resources, rates, .. } = bucket;
                let (system_name, host) = (system_name.clone(), host.clone());
                rows.push(SystemRow { time, system_name, host, resources, rates });
            });
        }
        rows.sort_by_key(|row| row.time);
        rows
    }
}

/// One bucket of one series.
struct Bucket<'a, L> {
    time: Time,
    labels: &'a L,
    resources: Resources,
    rates: Rates,
}

/// A bucket that may get more samples.
struct Open<'a, L> {
    time: Time,
    labels: &'a L,
    levels: Levels,
    gains: Gains,
}

impl<'a, L> Open<'a, L> {
    fn close(self) -> Bucket<'a, L> {
        let Self { time, labels, levels, gains } = self;
        Bucket { time, labels, resources: levels.resources(), rates: gains.rates() }
    }
}

fn for_each_bucket<'a, L: PartialEq>(
    buckets: Buckets,
    points: &'a Points<L>,
    mut each: impl FnMut(Bucket<'a, L>),
) {
    let mut open: Option<Open<'a, L>> = None;
    let mut before: Option<(Time, &Resources)> = None;
    for point in points.iter() {
        let time = buckets.start_of(point.time);
        if let Some(full) = open.take_if(|open| open.time != time) {
            each(full.close());
        }
        let bucket = open.get_or_insert_with(|| Open {
            time,
            labels: point.labels,
            levels: Levels::default(),
            gains: Gains::default(),
        });
        bucket.labels = point.labels;
        bucket.levels.add(point.resources);
        let now = (point.time, point.resources);
        if let Some(before) = before.replace(now) {
            bucket.gains.add(before, now);
        }
    }
    if let Some(full) = open {
        each(full.close());
    }
}
