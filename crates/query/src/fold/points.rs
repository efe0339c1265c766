//! The samples of many series, kept until all are there: they may come in any order of time.

use std::collections::BTreeMap;

use event::{AgentSample, Resources, Text, Time};

/// What an agent's sample says beside its numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels {
    pub(super) role: Text,
    pub(super) tool: Text,
    pub(super) runtime: Text,
    pub(super) state: Text,
}

impl From<&AgentSample> for Labels {
    fn from(sample: &AgentSample) -> Self {
        Self {
            role: sample.role.clone(),
            tool: sample.tool.clone(),
            runtime: sample.runtime.clone(),
            state: sample.state.as_str().into(),
        }
    }
}

/// One sample of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a, L> {
    pub(super) time: Time,
    pub(super) labels: &'a L,
    pub(super) resources: &'a Resources,
}

/// A sample as it is kept. The labels hardly ever change, so they are kept apart and once.
#[derive(Debug)]
struct Kept {
    time: Time,
    labels: usize,
    resources: Resources,
}

/// The samples of one series.
#[derive(Debug)]
pub(super) struct Points<L> {
    kept: Vec<Kept>,
    labels: Vec<L>,
}

impl<L: PartialEq> Points<L> {
    fn new() -> Self {
        Self { kept: Vec::new(), labels: Vec::new() }
    }

    fn push(&mut self, time: Time, labels: L, resources: Resources) {
        if self.labels.last() != Some(&labels) {
            self.labels.push(labels);
        }
        self.kept.push(Kept { time, labels: self.labels.len() - 1, resources });
    }

    /// Brings them in the order of time; of several at one time the first that came stays.
    fn order(&mut self) {
        self.kept.sort_by_key(|point| point.time);
        self.kept.dedup_by_key(|point| point.time);
    }

    /// The samples in the order of time.
    pub(super) fn iter(&self) -> impl Iterator<Item = Point<'_, L>> {
        self.kept.iter().filter_map(|kept| {
            let labels = self.labels.get(kept.labels)?;
            Some(Point { time: kept.time, labels, resources: &kept.resources })
        })
    }
}

/// The samples of many series, by name and host.
#[derive(Debug)]
pub(super) struct SeriesSet<L> {
    by_name: BTreeMap<Text, BTreeMap<Text, Points<L>>>,
}

impl<L: PartialEq> SeriesSet<L> {
    pub(super) fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, series: (&str, &str), time: Time, labels: L, resources: Resources) {
        let (name, host) = series;
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.into(), BTreeMap::new());
        }
        let Some(by_host) = self.by_name.get_mut(name) else { return };
        if !by_host.contains_key(host) {
            by_host.insert(host.into(), Points::new());
        }
        if let Some(points) = by_host.get_mut(host) {
            points.push(time, labels, resources);
        }
    }

    /// Each series with name and host, ordered by them, its samples in the order of time.
    pub(super) fn into_ordered(self) -> impl Iterator<Item = (Text, Text, Points<L>)> {
        self.by_name.into_iter().flat_map(|(name, by_host)| {
            by_host.into_iter().map(move |(host, mut points)| {
                points.order();
                (name.clone(), host, points)
            })
        })
    }
}
