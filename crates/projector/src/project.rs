//! The loop: connect, claim, then read and apply until told to stop, through every outage.
//!
//! ```text
//! connect ── claim ── apply ─┬─ apply …            committed: the cursor moves
//!    ▲                       ├─ overtaken ───────► claim again; twice running: halt, two writers
//!    │                       ├─ unsettled ───────► the next claim tells whether it was committed
//!    └── pause ◄─────────────┴─ retry               the database is away: for ever, with growing pauses
//!                               data, fatal ──────► halt: a person must look; recording goes on
//! ```
//!
//! While a batch is applied, the next one is read. While there is nothing to apply, an empty batch confirms the
//! range now and then: only so does an idle projector notice that its database was replaced. After any error the connection is dropped: what it had
//! not committed, the server rolls back, and the claim of the next connection finds out what is so.

use std::future::Future;
use std::sync::Arc;

use event::wire::Decoded;
use event::{Entry, Position};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;
use crate::outage::Outage;
use crate::settings::Settings;
use crate::source::{Source, SourceError};
use crate::status::{State, Status, Totals};
use crate::target::{
    ApplyError, ApplyOutcome, Batch, ClaimError, Cursor, Digest, Divergence, ErrorKind, Lane, RangeState,
    Target, TargetError, WriterId,
};

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
    /// A batch whose COMMIT nobody knows: where the cursor is if it took effect, and what it did.
    unsettled: Option<(Cursor, ApplyOutcome)>,
    /// Claims that were lost without a batch between them.
    overtaken: u32,
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
        let mut carry = Carry { outage: Outage::new(&self.settings), unsettled: None, overtaken: 0 };
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
        let range = match unless_stopped(stop, self.claim(&mut lane)).await {
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
    async fn claim(&self, lane: &mut T::Lane) -> Result<RangeState, ClaimError> {
        let check = |range: &RangeState| check_range(&*self.source, range);
        lane.claim(self.writer, self.source.ends().first, &check).await
    }

    /// Counts the batch whose COMMIT nobody knew, if the claim shows that it took effect.
    ///
    /// NOTE: once another writer has claimed the range it stays unknown: the batch may have been its own.
    fn settle(&self, carry: &mut Carry, range: &RangeState) {
        if let Some((cursor, outcome)) = carry.unsettled.take()
            && cursor == range.cursor
            && range.writer == Some(self.writer)
        {
            carry.overtaken = 0;
            self.tell(|status| status.totals.add_sent(outcome));
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
        let mut ahead = Vec::new();
        loop {
            if stop.is_cancelled() || until.is_reached(cursor.next) {
                return Ok(Pause::Done);
            }
            let entries = match self.next_entries(ahead, cursor.next, stop).await {
                Ok(Some(entries)) => entries,
                Ok(None) | Err(SourceError::Closed) => return Ok(Pause::Done),
                Err(error) => return Err(Halt::Source(error)),
            };
            let entries = known(entries)?;
            let to = cursor_after(&entries, cursor);
            let batch = Batch { writer: self.writer, lo: range.lo, from: cursor, to, entries: &entries };
            let read_ahead = self.source.read(to.next, self.settings.batch);
            let (applied, following) = tokio::join!(lane.apply(&batch), read_ahead);
            match applied {
                Ok(outcome) => {
                    self.outage_ended(range, carry);
                    self.applied(to, outcome, carry);
                }
                Err(ApplyError::Overtaken { lo }) => return Ok(Pause::Overtaken(lo)),
                Err(ApplyError::Unsettled { outcome, source }) => {
                    carry.unsettled = Some((to, outcome));
                    return Ok(Pause::Away(source));
                }
                Err(ApplyError::Target(error)) => return away_or_halt(error),
            }
            cursor = to;
            // NOTE: an error of reading ahead comes again when it is that batch's turn.
            ahead = following.unwrap_or_default();
            if ahead.is_empty() && !until.is_reached(cursor.next) {
                unless_stopped(stop, tokio::time::sleep(self.settings.live_pause)).await;
            }
        }
    }

    /// The entries from `next` on, waiting for them; empty when there were none for so long that the range
    /// should be confirmed; `None` when told to stop.
    async fn next_entries(
        &self,
        ahead: Vec<Entry>,
        next: Position,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Entry>>, SourceError> {
        if !ahead.is_empty() {
            return Ok(Some(ahead));
        }
        if next >= self.source.ends().next {
            self.tell(|status| status.state = State::Live);
        }
        let wait = tokio::time::timeout(self.settings.confirm_interval, self.source.wait_for(next));
        match unless_stopped(stop, wait).await {
            None => Ok(None),
            Some(Err(_)) => Ok(Some(Vec::new())),
            Some(Ok(outcome)) => {
                outcome?;
                self.source.read(next, self.settings.batch).await.map(Some)
            }
        }
    }

    fn applied(&self, to: Cursor, outcome: ApplyOutcome, carry: &mut Carry) {
        carry.overtaken = 0;
        let backlog = self.source.ends().next.since(to.next);
        self.tell(|status| {
            status.totals.add_sent(outcome);
            status.next = Some(to.next);
            let behind = backlog > self.settings.batch.events_max as u64;
            status.state = if behind { State::CatchingUp } else { State::Live };
        });
        tracing::debug!(next = %to.next, inserted = outcome.inserted, present = outcome.present, "applied");
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
        ErrorKind::Retry => Ok(Pause::Away(error)),
        ErrorKind::Data | ErrorKind::Fatal => Err(Halt::Target(error)),
    }
}

/// Whether the log is the one that the range has been applied from.
fn check_range(source: &impl Source, range: &RangeState) -> Result<(), Divergence> {
    let log_next = source.ends().next;
    if range.cursor.next > log_next {
        return Err(Divergence::Behind { next: range.cursor.next, log_next });
    }
    let Some(Digest { checksum: applied, at }) = range.cursor.digest else { return Ok(()) };
    match source.checksum(at) {
        Ok(Some(found)) if found == applied => Ok(()),
        Ok(Some(found)) => Err(Divergence::Different { at, applied, found }),
        Ok(None) => {
            tracing::warn!(position = %at, "the last applied event is not in the log any more: going on");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(position = %at, %error, "the last applied event cannot be compared: going on");
            Ok(())
        }
    }
}

/// The entries in front of the first one that a newer version wrote, which stops the projection at its turn.
fn known(mut entries: Vec<Entry>) -> Result<Vec<Entry>, Halt> {
    let newer = entries.iter().enumerate().find_map(|(index, entry)| match entry.event {
        Decoded::Unknown { kind, version } => Some((index, kind, version, entry.position)),
        Decoded::Event(_) => None,
    });
    match newer {
        Some((0, kind, version, position)) => Err(Halt::UnknownKind { position, kind, version }),
        Some((index, ..)) => {
            entries.truncate(index);
            Ok(entries)
        }
        None => Ok(entries),
    }
}

/// Where the cursor is after these entries.
fn cursor_after(entries: &[Entry], cursor: Cursor) -> Cursor {
    entries.last().map_or(cursor, |last| Cursor {
        next: last.position.next(),
        digest: Some(Digest { checksum: last.checksum, at: last.position }),
    })
}
