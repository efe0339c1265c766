//! The loop: connect, claim, then read and apply until told to stop, through every outage.
//!
//! ```text
//! connect ── claim ── apply ─┬─ apply …            committed: the cursor moves, behind events or a hole
//!    ▲                       ├─ overtaken ───────► claim again; twice running: halt, two writers
//!    │                       ├─ unsettled ───────► the next claim tells whether it was committed
//!    └── pause ◄─────────────┴─ retry               the database is away: for ever, with growing pauses
//!                               data, fatal ──────► halt: a person must look; recording goes on
//! ```
//!
//! While a batch is applied, the next one is read. Over a hole the cursor moves as over events, in a batch without
//! any. While there is nothing to apply, an empty batch confirms the range now and then: only so does an idle
//! projector notice that its database was replaced. After any error the connection is dropped: what it had not
//! committed, the server rolls back, and the claim of the next connection finds out what is so.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use event::{Position, Stretch};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::claim::check_range;
use crate::halt::Halt;
use crate::outage::Outage;
use crate::settings::Settings;
use crate::source::{Source, SourceError};
use crate::status::{State, Status, Totals};
use crate::step::{Step, Taken};
use crate::target::{ApplyError, ClaimError, ErrorKind, Lane, RangeState, Target, TargetError, WriterId};

/// When a projector is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is told to stop.
    Stopped,
    /// When everything up to this position is applied, or it is told to stop.
    Applied(Position),
}

/// Projects one source into one target.
#[derive(Debug)]
pub struct Projector<S, T> {
    source: Arc<S>,
    target: Arc<T>,
    settings: Settings,
    writer: WriterId,
    status: watch::Sender<Status>,
}

/// Why a turn of the loop ended without a halt.
enum Pause {
    /// Told to stop, through, or the log was closed.
    Done,
    /// The database is away.
    Away(TargetError),
    /// Another writer has the range.
    Overtaken(Position),
}

/// What the loop carries over from one connection to the next.
struct Carry {
    /// Whether the database is away, and since when.
    outage: Outage,
    /// A step whose COMMIT nobody knows.
    unsettled: Option<Taken>,
    /// Claims that were lost without a batch between them.
    overtaken: u32,
    /// The last applied record that could not be compared with the log, as was told.
    doubted: Option<Position>,
}

impl<S: Source, T: Target> Projector<S, T> {
    /// A projector with a writer's identity of its own.
    #[must_use]
    pub fn new(source: Arc<S>, target: Arc<T>, settings: Settings) -> Self {
        let status = watch::Sender::new(Status::default());
        Self { source, target, settings, writer: WriterId::random(), status }
    }

    /// Follows what it tells about itself.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Projects until it is through or told to stop; a transaction under way is finished first.
    ///
    /// # Errors
    /// [`Halt`] when a person must look.
    pub async fn run(&self, until: Until, stop: &CancellationToken) -> Result<Totals, Halt> {
        let _panic = ToldByStatus(&self.status);
        // NOTE: the source may be under another name than at the last run, of which the database has nothing.
        self.tell(|status| status.next = None);
        let outcome = self.run_until_halt(until, stop).await;
        if let Err(halt) = &outcome {
            self.tell(|status| {
                status.state = State::Halted;
                status.error = Some(halt.to_string());
            });
        }
        outcome.map(|()| self.status.borrow().totals)
    }

    async fn run_until_halt(&self, until: Until, stop: &CancellationToken) -> Result<(), Halt> {
        let outage = Outage::new(&self.settings);
        let mut carry = Carry { outage, unsettled: None, overtaken: 0, doubted: None };
        loop {
            match self.work_connected(until, stop, &mut carry).await? {
                Pause::Done => return Ok(()),
                Pause::Overtaken(lo) => {
                    carry.overtaken += 1;
                    if carry.overtaken >= 2 {
                        return Err(Halt::TwoWriters { lo });
                    }
                    tracing::warn!(%lo, "another writer has claimed this range; claiming it back once");
                }
                Pause::Away(error) => {
                    let pause = carry.outage.failed(&error);
                    self.tell(|status| {
                        status.state = State::Waiting;
                        status.error = Some(error.to_string());
                        status.outage_since = carry.outage.since();
                    });
                    if unless_stopped(stop, tokio::time::sleep(pause)).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One connection's life: connect, claim, apply.
    async fn work_connected(
        &self,
        until: Until,
        stop: &CancellationToken,
        carry: &mut Carry,
    ) -> Result<Pause, Halt> {
        let identity = self.source.identity();
        let lane = match unless_stopped(stop, self.target.connect(&identity)).await {
            None => return Ok(Pause::Done),
            Some(Ok(lane)) => lane,
            Some(Err(error)) => return away_or_halt(error),
        };
        // NOTE: all that is there must be durable before the digest is compared with it: a position that is
        // not durable yet could not be compared, and a rewritten one would pass unseen.
        match unless_stopped(stop, self.source.wait_for(self.source.ends().next.before())).await {
            None | Some(Err(SourceError::Closed)) => return Ok(Pause::Done),
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(Halt::Source(error)),
        }
        let mut lane = lane;
        let range = match unless_stopped(stop, self.claim(&mut lane, carry)).await {
            None => return Ok(Pause::Done),
            Some(Ok(range)) => range,
            Some(Err(ClaimError::Diverged(divergence))) => return Err(Halt::Diverged(divergence)),
            Some(Err(ClaimError::Target(error))) => return away_or_halt(error),
        };
        self.settle(carry, &range);
        let next = range.cursor.next;
        self.tell(|status| status.next = Some(next));
        // NOTE: while there is something to apply, only an applied batch ends an outage: a database whose disk
        // is full lets itself be claimed, refuses every batch, and would begin a new outage with each.
        if next >= self.source.ends().next || until.is_reached(next) {
            self.outage_ended(&range, carry);
        }
        self.apply_on(&mut lane, &range, until, stop, carry).await
    }

    /// Claims the live range.
    async fn claim(&self, lane: &mut T::Lane, carry: &mut Carry) -> Result<RangeState, ClaimError> {
        let doubt = OnceLock::new();
        let check = |range: &RangeState| {
            if let Some(found) = check_range(&*self.source, range)? {
                doubt.get_or_init(|| found);
            }
            Ok(())
        };
        let range = lane.claim(self.writer, self.source.ends().first, &check).await?;
        if let Some(doubt) = doubt.get() {
            doubt.tell(&mut carry.doubted);
        }
        Ok(range)
    }

    /// Counts the step whose COMMIT nobody knew, if the claim shows that it took effect.
    ///
    /// NOTE: once another writer has claimed the range it stays unknown: the batch may have been its own. A hole
    /// that is behind the range is told then, too, for the other one may have found it so.
    fn settle(&self, carry: &mut Carry, range: &RangeState) {
        let Some(taken) = carry.unsettled.take() else { return };
        if taken.to.next <= range.cursor.next {
            taken.warn_of_hole();
        }
        if taken.to == range.cursor && range.writer == Some(self.writer) {
            carry.overtaken = 0;
            self.tell(|status| status.totals.add(taken.outcome, taken.unavailable()));
        }
    }

    /// Reads and applies on one connection until something ends it.
    async fn apply_on(
        &self,
        lane: &mut T::Lane,
        range: &RangeState,
        until: Until,
        stop: &CancellationToken,
        carry: &mut Carry,
    ) -> Result<Pause, Halt> {
        let mut cursor = range.cursor;
        let mut ahead = Stretch::NOTHING;
        loop {
            if stop.is_cancelled() || until.is_reached(cursor.next) {
                return Ok(Pause::Done);
            }
            let stretch = match self.next_stretch(ahead, cursor.next, stop).await {
                Ok(Some(stretch)) => stretch,
                Ok(None) | Err(SourceError::Closed) => return Ok(Pause::Done),
                Err(error) => return Err(Halt::Source(error)),
            };
            let step = Step::new(cursor, stretch)?;
            cursor = step.to();
            let read_ahead = self.source.read(cursor.next, self.settings.batch);
            let batch = step.batch(self.writer, range.lo);
            let (applied, following) = tokio::join!(lane.apply(&batch), read_ahead);
            match applied {
                Ok(outcome) => {
                    self.outage_ended(range, carry);
                    self.applied(&step.taken(outcome), carry);
                }
                Err(ApplyError::Overtaken { lo }) => return Ok(Pause::Overtaken(lo)),
                Err(ApplyError::Unsettled { outcome, source }) => {
                    carry.unsettled = Some(step.taken(outcome));
                    return Ok(Pause::Away(source));
                }
                Err(ApplyError::Target(error)) => return away_or_halt(error),
            }
            // NOTE: an error of reading ahead comes again when it is that batch's turn.
            ahead = following.unwrap_or(Stretch::NOTHING);
            if ahead.is_nothing() && !until.is_reached(cursor.next) {
                unless_stopped(stop, tokio::time::sleep(self.settings.live_pause)).await;
            }
        }
    }

    /// What the log has from `next` on, waiting for it; nothing when there was nothing for so long that the
    /// range should be confirmed; `None` when told to stop.
    async fn next_stretch(
        &self,
        ahead: Stretch,
        next: Position,
        stop: &CancellationToken,
    ) -> Result<Option<Stretch>, SourceError> {
        if !ahead.is_nothing() {
            return Ok(Some(ahead));
        }
        if next >= self.source.ends().next {
            self.tell(|status| status.state = State::Live);
        }
        let wait = tokio::time::timeout(self.settings.confirm_interval, self.source.wait_for(next));
        match unless_stopped(stop, wait).await {
            None => Ok(None),
            Some(Err(_)) => Ok(Some(Stretch::NOTHING)),
            Some(Ok(outcome)) => {
                outcome?;
                self.source.read(next, self.settings.batch).await.map(Some)
            }
        }
    }

    fn applied(&self, taken: &Taken, carry: &mut Carry) {
        let (next, outcome) = (taken.to.next, taken.outcome);
        carry.overtaken = 0;
        taken.warn_of_hole();
        let backlog = self.source.ends().next.since(next);
        self.tell(|status| {
            status.totals.add(outcome, taken.unavailable());
            status.next = Some(next);
            let behind = backlog > self.settings.batch.events_max as u64;
            status.state = if behind { State::CatchingUp } else { State::Live };
        });
        tracing::debug!(%next, inserted = outcome.inserted, present = outcome.present, "applied");
    }

    /// The database works again; it was at `range` when it came back.
    fn outage_ended(&self, range: &RangeState, carry: &mut Carry) {
        carry.outage.ended(range.cursor.next, self.source.ends().next);
        self.tell(|status| {
            status.error = None;
            status.outage_since = None;
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}

/// A projector that panics is no longer live, and says so.
struct ToldByStatus<'a>(&'a watch::Sender<Status>);

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

impl Until {
    fn is_reached(self, next: Position) -> bool {
        match self {
            Self::Stopped => false,
            Self::Applied(last) => next > last,
        }
    }
}

/// Runs `work`, or gives `None` as soon as `stop` is told.
async fn unless_stopped<O>(stop: &CancellationToken, work: impl Future<Output = O>) -> Option<O> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        outcome = work => Some(outcome),
    }
}

fn away_or_halt(error: TargetError) -> Result<Pause, Halt> {
    match error.kind() {
        ErrorKind::Retry | ErrorKind::Busy => Ok(Pause::Away(error)),
        ErrorKind::Data | ErrorKind::Fatal => Err(Halt::Target(error)),
    }
}
