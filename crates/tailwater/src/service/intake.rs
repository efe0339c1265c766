//! Appending on behalf of those who tell of events: what agents say of themselves reaches the registry too.

use event::{AgentState, Event, Position};
use eventlog::{AppendError, AppendOutcome, Batch, EventLog};
use sampler::Registry;
use server::Accepted;

/// The log, and the registry that hears what goes into it.
#[derive(Clone)]
pub(crate) struct Intake {
    log: EventLog,
    registry: Registry,
}

impl Intake {
    /// An intake of this log.
    #[must_use]
    pub(crate) fn new(log: EventLog, registry: Registry) -> Self {
        Self { log, registry }
    }

    /// Appends a batch as [`EventLog::append`] does: it blocks. The registry hears of states once they are
    /// acknowledged; those that are kept although nobody was told, it finds in the log when it is made anew.
    ///
    /// # Errors
    /// As [`EventLog::append`].
    pub(crate) fn append(&self, batch: impl Into<Batch>) -> Result<AppendOutcome, AppendError> {
        let batch = batch.into();
        let said = states(&batch.events);
        let outcome = self.log.append(batch)?;
        self.hear(&said);
        Ok(outcome)
    }

    fn hear(&self, said: &[AgentState]) {
        said.iter().for_each(|said| self.registry.hear(said));
    }
}

/// What a caller is told of so many events that were offered.
pub(crate) fn accepted(offered: u64, outcome: &AppendOutcome) -> Accepted {
    let there = |position: Position| (outcome.events > 0).then_some(position.0);
    Accepted {
        accepted: offered,
        first_position: there(outcome.first),
        last_position: there(outcome.last()),
        known: outcome.usage_known,
        skipped: None,
    }
}

fn states(events: &[Event]) -> Vec<AgentState> {
    let state = |event: &Event| if let Event::AgentState(said) = event { Some(said.clone()) } else { None };
    events.iter().filter_map(state).collect()
}
