//! The life of a lane: connect, then claim a range and apply it, range after range, through every outage.
//!
//! ```text
//! connect ── claim ── apply ─┬─ apply …            committed: the cursor moves, behind events or a hole
//!    ▲         ▲             ├─ the range's end ─► claim the next one; there is none: the lane is through
//!    │         │             ├─ far behind ──────► (live lane) claim again: the claim cuts the backlog off
//!    │         └── pause ◄───┼─ busy               others hold a lock: on the same connection, soon
//!    │                       ├─ overtaken ───────► connect anew; twice running: halt, two writers
//!    │                       ├─ unsettled ───────► the next claim tells whether it was committed
//!    └── pause ◄─────────────┴─ retry               the database is away: for ever, with growing pauses
//!                               data, fatal ──────► halt: a person must look; recording goes on
//! ```
//!
//! While a batch is applied, the next one is read. Over a hole the cursor moves as over events, in a batch without
//! any. While there is nothing to apply, an empty batch confirms the live range now and then: only so does an idle
//! projector notice that its database was replaced. After any error but `busy` the connection is dropped: what it
//! had not committed, the server rolls back, and the claim of the next connection finds out what is so.

mod applying;
mod claiming;

use std::future::Future;
use std::time::Duration;

use event::{Position, Time};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::contents::Portion;
use crate::halt::Halt;
use crate::outage::Pauses;
use crate::project::Until;
use crate::shared::Shared;
use crate::source::Source;
use crate::step::Taken;
use crate::target::{Commit, ErrorKind, Lane, LaneName, Target, TargetError, WriterId};

/// Attempts in a row that others may be in the way of before it is called an outage.
const BUSY_ATTEMPTS: u32 = 5;
/// For how long they may be in the way of one attempt.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// One lane of a projector.
pub(crate) struct Worker<'a, S, T> {
    shared: &'a Shared<S, T>,
    name: LaneName,
    until: Until,
    stop: &'a CancellationToken,
    pauses: Pauses,
    /// When it began what it does now.
    began: Instant,
    /// A step whose COMMIT nobody knows.
    unsettled: Option<Unsettled>,
    /// The range that others must leave alone.
    held: Option<Position>,
    /// What was read behind its end, of the one that is likely to be next.
    ahead: Portion,
    /// Claims that were lost without a batch between them.
    overtaken: u32,
    /// The last applied record that could not be compared with the log, as was told.
    doubted: Option<Position>,
    /// How many ranges there were when the live lane was through and claimed once more to merge them: what does not
    /// merge then, never does.
    merged: Option<usize>,
    /// Since when what it commits is on the database's disk.
    flush: Flush,
    /// The time of the last event that it applied, or when its range was worked last.
    last: Option<Time>,
}

/// What of a lane's batches is on the database's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// All of them, since then.
    Done(Instant),
    /// Those until then.
    Due(Instant),
}

impl Flush {
    /// After a batch was committed so.
    fn after(self, commit: Commit) -> Self {
        match (commit, self) {
            (Commit::Flushed, _) => Self::Done(Instant::now()),
            (Commit::Buffered, Self::Done(since) | Self::Due(since)) => Self::Due(since),
        }
    }
}

/// A step whose COMMIT nobody knows.
struct Unsettled {
    lo: Position,
    /// Who applied it, and who has tried to claim the range since: all of them this lane.
    writers: Vec<WriterId>,
    taken: Taken,
}

/// Why work on one connection ended without a halt.
enum End {
    /// Told to stop, through, or the log was closed.
    Done,
    /// The database is away.
    Away(TargetError),
    /// Another writer has the range.
    Overtaken(Position),
}

/// Why work on one range ended without a halt.
enum Turn {
    /// The connection's work ends too.
    End(End),
    /// There may be another range, or another shape of this one.
    Next,
    /// Others are in the way.
    Busy(TargetError),
    /// The log cannot be asked.
    SourceAway,
}

/// What a lane does next.
enum Next {
    Apply(Portion),
    Turn(Turn),
}

impl From<End> for Turn {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl<'a, S: Source, T: Target> Worker<'a, S, T> {
    pub(crate) fn new(
        shared: &'a Shared<S, T>,
        name: LaneName,
        until: Until,
        stop: &'a CancellationToken,
    ) -> Self {
        Self {
            shared,
            name,
            until,
            stop,
            pauses: Pauses::new(&shared.settings, shared.seed()),
            began: Instant::now(),
            unsettled: None,
            held: None,
            ahead: Portion::default(),
            overtaken: 0,
            doubted: None,
            merged: None,
            flush: Flush::Done(Instant::now()),
            last: None,
        }
    }

    /// Works until it is through or told to stop; a transaction under way is finished first.
    pub(crate) async fn run(mut self) -> Result<LaneName, Halt> {
        loop {
            match self.connected().await? {
                End::Done => break,
                End::Overtaken(lo) => self.overtaken(lo)?,
                End::Away(error) => {
                    match error.kind() {
                        ErrorKind::Busy => self.busy(&error),
                        _ => self.shared.failed(self.name, &error),
                    }
                    if !self.pause().await {
                        break;
                    }
                }
            }
        }
        self.let_go();
        self.shared.left(self.name);
        if self.name != LaneName::Live {
            self.shared.merge.notify_one();
        }
        Ok(self.name)
    }

    /// Waits before the next attempt; false when told to stop.
    async fn pause(&mut self) -> bool {
        let pause = self.pauses.next();
        unless_stopped(self.stop, tokio::time::sleep(pause)).await.is_some()
    }

    /// Others are in the way: an outage when it takes long.
    fn busy(&mut self, error: &TargetError) {
        let is_long = self.pauses.failures >= BUSY_ATTEMPTS || self.began.elapsed() >= BUSY_PATIENCE;
        if is_long {
            self.shared.failed(self.name, error);
        } else {
            self.shared.delayed(self.name, error);
        }
    }

    fn overtaken(&mut self, lo: Position) -> Result<(), Halt> {
        self.overtaken += 1;
        if self.overtaken >= 2 {
            return Err(Halt::TwoWriters { lo });
        }
        tracing::warn!(%lo, "another writer has claimed this range; claiming it back once");
        Ok(())
    }

    /// One connection's life.
    async fn connected(&mut self) -> Result<End, Halt> {
        // NOTE: an outage may take long, and needs no batch in memory.
        self.ahead = Portion::default();
        let identity = self.shared.source.identity();
        let connecting = self.shared.target.connect(&identity, self.name);
        let mut lane = match unless_stopped(self.stop, connecting).await {
            None => return Ok(End::Done),
            Some(Ok(lane)) => lane,
            Some(Err(error)) => return away_or_halt(error),
        };
        loop {
            match self.range(&mut lane).await? {
                Turn::End(end) => return Ok(end),
                Turn::Next => {}
                Turn::Busy(error) if lane.is_usable() => {
                    self.busy(&error);
                    if !self.pause().await {
                        return Ok(End::Done);
                    }
                }
                Turn::Busy(error) => return Ok(End::Away(error)),
                Turn::SourceAway => {
                    if !self.pause().await {
                        return Ok(End::Done);
                    }
                }
            }
        }
    }

    /// Claims a range and works it.
    async fn range(&mut self, lane: &mut T::Lane) -> Result<Turn, Halt> {
        let stop = self.stop;
        self.began = Instant::now();
        let (writer, claimed) = match unless_stopped(stop, self.claim(lane)).await {
            None => return Ok(End::Done.into()),
            Some(Ok(claim)) => claim,
            Some(Err(turn)) => return turn,
        };
        let Some(claimed) = claimed else { return Ok(self.nothing_to_claim()) };
        self.flush = Flush::Done(Instant::now());
        self.settle(&claimed).await;
        self.shared.claimed(&claimed);
        self.last = claimed.found.applied_at.map(Time::from).or(self.last);
        let range = claimed.range;
        // NOTE: while there is something to apply, only an applied batch ends an outage: a database whose disk
        // is full lets itself be claimed, refuses every batch, and would begin a new outage with each.
        let next = range.cursor.next;
        if range.is_finished() || next >= self.shared.source.ends().next || self.until.is_reached(next) {
            self.works();
        }
        self.apply_range(lane, writer, &range).await
    }
}

/// Runs `work`, or gives `None` as soon as `stop` is told.
pub(crate) async fn unless_stopped<O>(stop: &CancellationToken, work: impl Future<Output = O>) -> Option<O> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        outcome = work => Some(outcome),
    }
}

fn away_or_halt(error: TargetError) -> Result<End, Halt> {
    match error.kind() {
        ErrorKind::Retry | ErrorKind::Busy => Ok(End::Away(error)),
        ErrorKind::Data | ErrorKind::Fatal => Err(Halt::Target(error)),
    }
}

fn turn_or_halt(error: TargetError) -> Result<Turn, Halt> {
    match error.kind() {
        ErrorKind::Busy => Ok(Turn::Busy(error)),
        ErrorKind::Retry | ErrorKind::Data | ErrorKind::Fatal => away_or_halt(error).map(Turn::End),
    }
}
