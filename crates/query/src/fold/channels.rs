//! Channels' samples folded into buckets.

use event::limits::COUNT_MAX;
use event::{ChannelSample, Text, Time};

use super::firsts::Firsts;
use crate::{ChannelRow, ChannelSeries};

/// Answers [`ChannelSeries`].
#[derive(Debug)]
pub struct ChannelSeriesFold<'a> {
    request: &'a ChannelSeries,
    own_host: &'a str,
    samples: Firsts<(Text, Text, Time), ChannelSample>,
}

impl<'a> ChannelSeriesFold<'a> {
    /// A fold of samples that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a ChannelSeries, own_host: &'a str) -> Self {
        Self { request, own_host, samples: Firsts::new() }
    }

    /// Takes one sample; what the request does not ask for is left out.
    pub fn push(&mut self, sample: &ChannelSample) {
        let host = sample.host.as_deref().unwrap_or(self.own_host);
        let ChannelSeries { buckets, filter } = self.request;
        if buckets.range().contains(sample.time) && filter.has_series(&sample.channel_name, host) {
            let key = (sample.channel_name.clone(), Text::from(host), sample.time);
            self.samples.add(key, sample.clone());
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<ChannelRow> {
        let mut rows: Vec<ChannelRow> = Vec::new();
        for ((channel_name, host, time), sample) in self.samples.into_ordered() {
            let time = self.request.buckets.start_of(time);
            let is_open =
                |row: &ChannelRow| row.time == time && row.channel_name == channel_name && row.host == host;
            if !rows.last().is_some_and(is_open) {
                rows.push(ChannelRow { time, channel_name, host, ..ChannelRow::default() });
            }
            if let Some(row) = rows.last_mut() {
                row.message_count = row.message_count.saturating_add(sample.message_count).min(COUNT_MAX);
                row.reaction_count = row.reaction_count.saturating_add(sample.reaction_count).min(COUNT_MAX);
                row.member_count = sample.member_count;
            }
        }
        // The series are in order already, and the sort is stable.
        rows.sort_by_key(|row| row.time);
        rows
    }
}
