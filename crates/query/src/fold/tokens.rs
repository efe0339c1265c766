//! Model calls folded into what they used and cost.

use std::collections::BTreeMap;

use event::limits::COUNT_MAX;
use event::{Text, Time, TokenUsage};

use crate::{GroupKey, TokenRow, TokenSeries, TokensUsed};

/// What a call costs in US dollars where nobody reported it; `None` when that is not known.
pub type Pricing<'a> = &'a (dyn Fn(&TokenUsage, &str) -> Option<f64> + Sync);

/// Calls by their key; of several tellings of one the largest counts, of equal ones the first.
#[derive(Debug, Default)]
pub(super) struct Calls(BTreeMap<CallKey, TokenUsage>);

/// (agent, host, model, time, message).
type CallKey = (Text, Text, Text, Time, Text);

impl Calls {
    pub(super) fn add(&mut self, usage: &TokenUsage, own_host: &str) {
        let host = usage.host.as_deref().unwrap_or(own_host);
        let (agent, model, message) = (&usage.agent_name, &usage.model, &usage.message_id);
        let key = (agent.clone(), Text::from(host), model.clone(), usage.time, message.clone());
        let kept = self.0.entry(key).or_insert_with(|| usage.clone());
        if usage.rank() > kept.rank() {
            kept.clone_from(usage);
        }
    }

    /// Each call and the host that it was made on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &TokenUsage)> {
        self.0.iter().map(|((_, host, ..), usage)| (host.as_str(), usage))
    }
}

/// What calls used, until all are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    input: u128,
    output: u128,
    cache_read: u128,
    cache_create: u128,
    cost: Option<f64>,
    reported: Option<f64>,
    unpriced: u64,
}

impl Sum {
    pub(super) fn add(&mut self, usage: &TokenUsage, computed: Option<f64>) {
        self.input += u128::from(usage.input_tokens);
        self.output += u128::from(usage.output_tokens);
        self.cache_read += u128::from(usage.cache_read);
        self.cache_create += u128::from(usage.cache_create);
        let add = |sum: &mut Option<f64>, cost: f64| *sum = Some(sum.unwrap_or_default() + cost);
        if let Some(reported) = usage.cost_usd {
            add(&mut self.reported, reported);
        }
        match usage.cost_usd.or(computed) {
            Some(cost) => add(&mut self.cost, cost),
            None => self.unpriced += 1,
        }
    }

    pub(super) fn used(self) -> TokensUsed {
        TokensUsed {
            input_tokens: bounded(self.input),
            output_tokens: bounded(self.output),
            cache_read: bounded(self.cache_read),
            cache_create: bounded(self.cache_create),
            cost_usd: self.cost,
            reported_cost_usd: self.reported,
            unpriced_events: self.unpriced,
        }
    }
}

/// At most what a database's bigint holds.
fn bounded(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(COUNT_MAX).min(COUNT_MAX)
}

/// Answers [`TokenSeries`].
pub struct TokenSeriesFold<'a> {
    request: &'a TokenSeries,
    own_host: &'a str,
    pricing: Pricing<'a>,
    calls: Calls,
}

impl<'a> TokenSeriesFold<'a> {
    /// A fold of calls that were made on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a TokenSeries, own_host: &'a str, pricing: Pricing<'a>) -> Self {
        Self { request, own_host, pricing, calls: Calls::default() }
    }

    /// Takes one call; what the request does not ask for is left out.
    ///
    /// NOTE: by tool it is chosen at the end, for the largest telling of a call decides what its tool is.
    pub fn push(&mut self, usage: &TokenUsage) {
        let filter = &self.request.filter;
        let host = usage.host.as_deref().unwrap_or(self.own_host);
        if self.request.cut.range().contains(usage.time)
            && filter.agent_name.has(&usage.agent_name)
            && filter.model.has(&usage.model)
            && filter.host.has(host)
        {
            self.calls.add(usage, self.own_host);
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<TokenRow> {
        let TokenSeries { cut, by, filter } = self.request;
        let mut sums: BTreeMap<(Time, Text, Text, Text), Sum> = BTreeMap::new();
        for (host, usage) in self.calls.iter().filter(|(_, usage)| filter.tool.has(&usage.tool)) {
            let told =
                |key: GroupKey, name: &str| if by.has(key) { Text::from(name) } else { Text::default() };
            let agent = told(GroupKey::Agent, &usage.agent_name);
            let model = told(GroupKey::Model, &usage.model);
            let key = (cut.start_of(usage.time), agent, model, told(GroupKey::Host, host));
            sums.entry(key).or_default().add(usage, (self.pricing)(usage, host));
        }
        let row = |((time, agent_name, model, host), sum): ((Time, Text, Text, Text), Sum)| TokenRow {
            time,
            agent_name,
            model,
            host,
            used: sum.used(),
        };
        sums.into_iter().map(row).collect()
    }
}
