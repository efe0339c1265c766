//! What a projector tells about itself.

use std::time::{Duration, SystemTime};

use event::Position;

use crate::ranges::Span;
use crate::target::ApplyOutcome;

/// Counts since the projector began. `read = sent + expired + unavailable`, and
/// `sent = inserted + present + quarantined`; a count is added only when its COMMIT is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Positions taken from the log, but for events that were not wanted.
    pub read: u64,
    /// Events sent to the database.
    pub sent: u64,
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose row was there already, or that lost to another event of the same key.
    pub present: u64,
    /// Those of `present` whose content is not that of the row which their key has.
    pub conflicting: u64,
    /// Events that the database refused for their content.
    pub quarantined: u64,
    /// Events older than the database's retention.
    pub expired: u64,
    /// Positions that have no event any more.
    pub unavailable: u64,
}

impl Totals {
    /// Adds a batch that was committed: events that were sent, that have expired, or positions of a hole.
    pub(crate) fn add(&mut self, outcome: ApplyOutcome, expired: u64, unavailable: u64) {
        self.read += outcome.sent() + expired + unavailable;
        self.expired += expired;
        self.sent += outcome.sent();
        self.inserted += outcome.inserted;
        self.present += outcome.present;
        self.conflicting += outcome.conflicting;
        self.quarantined += outcome.quarantined;
        self.unavailable += unavailable;
        debug_assert_eq!(
            self.read,
            self.sent + self.expired + self.unavailable,
            "every position is counted once"
        );
    }
}

/// What a projector is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The database is away, or not reached yet; the log keeps everything.
    Waiting,
    /// Working through what the database has missed.
    CatchingUp,
    /// As far as the log.
    Live,
    /// Stopped by something that a person must look at.
    Halted,
}

impl State {
    /// The word in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Halted => "halted",
        }
    }
}

/// What a projector tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// The lowest position that is not applied; `None` until the database was reached.
    pub next: Option<Position>,
    /// The same, but for what a crash of the database may still take back: never beyond `next`, and a second behind it
    /// while much is applied.
    pub flushed: Option<Position>,
    /// The next position of the live lane; `None` until the database was reached.
    pub live: Option<Position>,
    /// The ranges of the log, in order, as the database has them.
    pub ranges: Vec<Span>,
    /// How many positions the backlog lanes have before them.
    pub backlog_events: u64,
    /// How long the oldest event that the live lane has not applied has been waiting; 250 ms are not noticed.
    pub live_lag: Duration,
    /// Events sent a second, over the last ten.
    pub events_per_second: u64,
    /// What it has done.
    pub totals: Totals,
    /// How many events the database keeps in its quarantine; `None` until it was reached.
    pub quarantined: Option<u64>,
    /// Attempts to reach the database, or to apply, that failed.
    pub retries: u64,
    /// Why it waits or has halted, in one line.
    pub error: Option<String>,
    /// Since when the database is away.
    pub outage_since: Option<SystemTime>,
}

impl Status {
    /// How far the live lane is behind; nobody waits for one that does not work.
    pub(crate) fn lag(&self) -> Duration {
        match self.state {
            State::Live | State::CatchingUp => self.live_lag,
            State::Waiting | State::Halted => Duration::ZERO,
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: State::Waiting,
            next: None,
            flushed: None,
            live: None,
            ranges: Vec::new(),
            backlog_events: 0,
            live_lag: Duration::ZERO,
            events_per_second: 0,
            totals: Totals::default(),
            quarantined: None,
            retries: 0,
            error: None,
            outage_since: None,
        }
    }
}
