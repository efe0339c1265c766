//! The trait that a backend implements.

use std::future::Future;

use crate::{
    AgentLatest, AgentRow, AgentSeries, AgentStates, AgentSummary, ChannelRow, ChannelSeries, GapRow, Gaps,
    ReadError, StateRow, SystemRow, SystemSeries, TimeRange, TokenRow, TokenSeries,
};

/// Answers requests from one place: a database, or the log.
///
/// IMPORTANT: every reader gives the same answers from the same events. The crate's documentation says what they are,
/// and [`crate::fold`] computes them.
pub trait Reader: Send + Sync {
    /// Systems over time.
    ///
    /// # Errors
    /// By kind: the request cannot be answered, the data is away, or something must be mended.
    fn system_series(
        &self,
        request: &SystemSeries,
    ) -> impl Future<Output = Result<Vec<SystemRow>, ReadError>> + Send;

    /// Agents over time.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn agent_series(
        &self,
        request: &AgentSeries,
    ) -> impl Future<Output = Result<Vec<AgentRow>, ReadError>> + Send;

    /// The newest sample of each agent, at its own time. One sample has no rates: they are null.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn agent_latest(
        &self,
        request: &AgentLatest,
    ) -> impl Future<Output = Result<Vec<AgentRow>, ReadError>> + Send;

    /// All that the agents of this name did in a range, on every host; `None` when there is no sample and no call.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn agent_summary(
        &self,
        agent_name: &str,
        range: TimeRange,
    ) -> impl Future<Output = Result<Option<AgentSummary>, ReadError>> + Send;

    /// Channels over time.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn channel_series(
        &self,
        request: &ChannelSeries,
    ) -> impl Future<Output = Result<Vec<ChannelRow>, ReadError>> + Send;

    /// Tokens and their cost over time.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn token_series(
        &self,
        request: &TokenSeries,
    ) -> impl Future<Output = Result<Vec<TokenRow>, ReadError>> + Send;

    /// What agents said of themselves.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn agent_states(
        &self,
        request: &AgentStates,
    ) -> impl Future<Output = Result<Vec<StateRow>, ReadError>> + Send;

    /// Known losses.
    ///
    /// # Errors
    /// As for [`Reader::system_series`].
    fn gaps(&self, request: &Gaps) -> impl Future<Output = Result<Vec<GapRow>, ReadError>> + Send;
}
