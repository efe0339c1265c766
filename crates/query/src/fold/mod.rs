//! Samples folded into answers: the rules of the crate's documentation, as code.
//!
//! A fold takes samples one by one, in the order of their positions, and gives the answer at the end. The log's
//! reader is made of these, and the database's reader is tested against them.

mod channels;
mod firsts;
mod latest;
mod measure;
mod points;
mod records;
mod series;
mod summary;
mod tokens;

pub use channels::ChannelSeriesFold;
pub use latest::AgentLatestFold;
pub use records::{AgentStatesFold, GapsFold};
pub use series::{AgentSeriesFold, SystemSeriesFold};
pub use summary::AgentSummaryFold;
pub use tokens::{Pricing, TokenSeriesFold};

#[cfg(test)]
mod tests;
