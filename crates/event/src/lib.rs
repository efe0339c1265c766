//! The vocabulary of tailwater: what an event is, how it is named, bounded, stored and written as text.
//!
//! An [`Event`] is one fact with a time. It has three forms, and each has one home here:
//! the domain types of [`model`], the record bytes of [`wire`], and the NDJSON line of [`json`].
//! [`limits`] says which events are valid; a valid event is one that every database of ours accepts.
//! This crate does no I/O and knows no other crate of the workspace.

mod fields;
mod hole;
mod identity;
pub mod json;
mod kind;
pub mod limits;
pub mod model;
mod sink;
pub mod span;
mod time;
mod usage_rank;
pub mod wire;

pub use fields::{Field, Rule, Value};
pub use hole::{Found, Hole, HoleCause, Stretch};
pub use identity::{BirthId, HostName, HostNameError, LogId, Position};
pub use kind::Kind;
pub use model::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Resources, State, SystemSample, TokenUsage,
};
pub use sink::{Accepted, Sink, SinkError, SinkErrorKind};
pub use time::{ParseTimeError, Time};
pub use usage_rank::UsageRank;
pub use wire::Entry;

/// Short text of an event. Up to 24 bytes live inline, so most names and labels cost no allocation.
pub type Text = compact_str::CompactString;
