//! Events that are told as they are, by their keys.

use event::{AgentState, Gap, Text, Time};

use super::firsts::Firsts;
use crate::{AgentStates, GapRow, Gaps, StateRow};

/// Answers [`AgentStates`].
#[derive(Debug)]
pub struct AgentStatesFold<'a> {
    request: &'a AgentStates,
    own_host: &'a str,
    rows: Firsts<(Time, Text, Text), StateRow>,
}

impl<'a> AgentStatesFold<'a> {
    /// A fold of events that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a AgentStates, own_host: &'a str) -> Self {
        Self { request, own_host, rows: Firsts::new() }
    }

    /// Takes one event; what lies outside of the range is left out.
    pub fn push(&mut self, said: &AgentState) {
        if !self.request.range.contains(said.time) {
            return;
        }
        let row = StateRow {
            time: said.time,
            agent_name: said.agent_name.clone(),
            role: said.role.clone(),
            tool: said.tool.clone(),
            runtime: said.runtime.clone(),
            state: said.state.as_str().into(),
            started_at: said.started_at,
            host: said.host.as_deref().unwrap_or(self.own_host).into(),
        };
        self.rows.add((row.time, row.agent_name.clone(), row.host.clone()), row);
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<StateRow> {
        let chosen = self.rows.into_ordered().filter(|(_, row)| self.request.has(row));
        last(chosen.map(|(_, row)| row).collect(), self.request.limit.get())
    }
}

/// Answers [`Gaps`].
#[derive(Debug)]
pub struct GapsFold<'a> {
    request: &'a Gaps,
    own_host: &'a str,
    rows: Firsts<(Time, Text, Text), GapRow>,
}

impl<'a> GapsFold<'a> {
    /// A fold of events that lie on `own_host` where they do not say otherwise.
    #[must_use]
    pub fn new(request: &'a Gaps, own_host: &'a str) -> Self {
        Self { request, own_host, rows: Firsts::new() }
    }

    /// Takes one event; what the request does not ask for is left out.
    pub fn push(&mut self, gap: &Gap) {
        let row = GapRow {
            time: gap.time,
            from: gap.from,
            to: gap.to,
            events: gap.events,
            what: gap.what.clone(),
            reason: gap.reason.clone(),
            host: gap.host.as_deref().unwrap_or(self.own_host).into(),
        };
        if self.request.has(&row) {
            self.rows.add((row.time, row.host.clone(), row.what.clone()), row);
        }
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Vec<GapRow> {
        last(self.rows.into_ordered().map(|(_, row)| row).collect(), self.request.limit.get())
    }
}

/// The last of some rows.
fn last<R>(mut rows: Vec<R>, most: u32) -> Vec<R> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    rows.split_off(rows.len().saturating_sub(most))
}
