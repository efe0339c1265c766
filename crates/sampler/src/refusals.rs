//! The tally of refused events, and the `gap` event that tells of them once the sink takes events again.

use event::{Event, Gap, SinkErrorKind, Text, Time};

/// The events that the sink refused and that no `gap` event tells of yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    tally: Option<Tally>,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    from: Time,
    to: Time,
    events: u64,
    reason: &'static str,
}

impl Refusals {
    /// Counts a refused batch.
    pub(crate) fn add(&mut self, lost: Lost, kind: SinkErrorKind) {
        let mut tally = self.tally.unwrap_or(Tally {
            from: lost.from,
            to: lost.to,
            events: 0,
            reason: match kind {
                SinkErrorKind::Full => "log_full",
                SinkErrorKind::Failed => "log_failed",
                SinkErrorKind::Closed => "log_closed",
                SinkErrorKind::Invalid => "invalid",
            },
        });
        tally.from = tally.from.min(lost.from);
        tally.to = tally.to.max(lost.to);
        tally.events = tally.events.saturating_add(lost.events);
        self.tally = Some(tally);
    }

    /// The `gap` event for what was refused so far.
    pub(crate) fn gap(&self, time: Time, what: &str) -> Option<Gap> {
        let tally = self.tally?;
        Some(Gap {
            time,
            host: None,
            from: tally.from,
            to: tally.to,
            events: tally.events,
            what: Text::new(what),
            reason: Text::new(tally.reason),
        })
    }

    /// Forgets everything: the sink took the `gap` event.
    pub(crate) fn clear(&mut self) {
        self.tally = None;
    }
}

/// How much is lost when a batch is refused; known before it is handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    from: Time,
    to: Time,
    pub(crate) events: u64,
}

impl Lost {
    /// What the refusal of these events would lose; `None` when there are none.
    pub(crate) fn of(events: &[Event]) -> Option<Self> {
        let times = events.iter().map(Event::time);
        Some(Self {
            from: times.clone().min()?,
            to: times.max()?,
            events: u64::try_from(events.len()).unwrap_or(u64::MAX),
        })
    }
}
