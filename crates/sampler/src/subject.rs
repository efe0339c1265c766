//! What a sampler is: something that, asked at a time, pushes events and tells what went wrong.

use event::{Event, Time};

use crate::SampleError;

/// Reads one source. [`crate::pace`] runs it.
pub trait Sampler: Send {
    /// The name in `status`, in traces and in `gap` events.
    fn name(&self) -> &str;

    /// One line for the startup summary: what it sees now.
    fn describe(&mut self) -> String;

    /// Reads the source once and pushes its events, all with this time, into `pass`.
    ///
    /// What was pushed before an error is offered too: a source that cannot be read pushes samples whose
    /// numbers are null.
    ///
    /// # Errors
    /// When the source could not be read. The next pass tries again.
    fn sample(&mut self, time: Time, pass: &mut Pass) -> Result<Activity, SampleError>;
}

/// Whether there was something to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// There was.
    Sampled,
    /// There was nothing: no server, no agents.
    Idle,
}

/// What one pass brought.
#[derive(Debug, Default)]
pub struct Pass {
    /// The events, in the order in which they are offered.
    pub events: Vec<Event>,
    /// What could not be read although the pass went on; one line each.
    pub problems: Vec<String>,
}
