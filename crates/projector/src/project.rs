//! The projector: one live lane, and backlog lanes for as long as there is something that it has left to them.

use std::sync::Arc;

use event::Position;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::lanes::{Work, run_lanes};
use crate::parts::Parts;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::source::Source;
use crate::status::{State, Status, Totals};
use crate::target::{LaneName, Target};

/// When a projector is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is told to stop.
    Stopped,
    /// When everything up to this position is applied, or it is told to stop.
    Applied(Position),
}

impl Until {
    /// Whether a lane at `next` is through.
    pub(crate) fn is_reached(self, next: Position) -> bool {
        match self {
            Self::Stopped => false,
            Self::Applied(last) => next > last,
        }
    }
}

/// Projects one source into one target.
#[derive(Debug)]
pub struct Projector<S, T> {
    shared: Shared<S, T>,
}

impl<S: Source, T: Target> Projector<S, T> {
    /// A projector of this source into this target.
    #[must_use]
    pub fn new(source: Arc<S>, target: Arc<T>, settings: Settings) -> Self {
        Self::with_parts(source, target, settings, Parts::default())
    }

    /// The same, with these parts.
    #[must_use]
    pub fn with_parts(source: Arc<S>, target: Arc<T>, settings: Settings, parts: Parts) -> Self {
        Self { shared: Shared::new(source, target, settings, parts, Work::Projection) }
    }

    /// Follows what it tells about itself.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status().subscribe()
    }

    /// Projects until it is through or told to stop; a transaction under way is finished first.
    ///
    /// # Errors
    /// [`Halt`] when a person must look.
    pub async fn run(&self, until: Until, stop: &CancellationToken) -> Result<Totals, Halt> {
        let _panic = ToldByStatus(self.shared.status());
        self.shared.begin(until);
        let outcome = run_lanes(&self.shared, LaneName::Live, until, stop).await;
        outcome.map(|()| self.shared.status().borrow().totals)
    }
}

/// A projector that panics is no longer live, and says so.
pub(crate) struct ToldByStatus<'a>(pub(crate) &'a watch::Sender<Status>);

impl Drop for ToldByStatus<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_modify(|status| {
                status.state = State::Halted;
                status.error = Some("the projector panicked, which is a bug; restart tailwater".to_owned());
            });
        }
    }
}
