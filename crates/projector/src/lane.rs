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

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use event::{Position, Stretch, Time};
use tokio_util::sync::CancellationToken;

use crate::claim::{Doubt, behind_hole, check_range, cursor_at};
use crate::halt::Halt;
use crate::outage::Pauses;
use crate::project::Until;
use crate::shared::Shared;
use crate::source::{ReadLimits, Source, SourceError};
use crate::step::{Step, Taken, time_of};
use crate::target::{
    ApplyError, Claim, ClaimError, Claimed, Cursor, ErrorKind, Lane, LaneName, RangeState, Refusal, Target,
    TargetError, Wanted, WriterId,
};

/// Attempts in a row that others may be in the way of before it is called an outage.
const BUSY_PATIENCE: u32 = 5;
/// How often a lane that waits for the live lane looks again.
const YIELD_PAUSE: Duration = Duration::from_millis(100);

/// One lane of a projector.
pub(crate) struct Worker<'a, S, T> {
    shared: &'a Shared<S, T>,
    name: LaneName,
    until: Until,
    stop: &'a CancellationToken,
    pauses: Pauses,
    /// A step whose COMMIT nobody knows.
    unsettled: Option<Unsettled>,
    /// The range that others must leave alone.
    held: Option<Position>,
    /// Claims that were lost without a batch between them.
    overtaken: u32,
    /// The last applied record that could not be compared with the log, as was told.
    doubted: Option<Position>,
    /// How many ranges there were when the live lane was through and claimed once more to merge them: what does not
    /// merge then, never does.
    merged: Option<usize>,
    /// The time of the last event that it applied, or when its range was worked last.
    last: Option<Time>,
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
    Apply(Stretch),
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
            unsettled: None,
            held: None,
            overtaken: 0,
            doubted: None,
            merged: None,
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
                    self.shared.failed(self.name, &error);
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
                Turn::Busy(error) => {
                    if self.pauses.failures < BUSY_PATIENCE {
                        self.shared.delayed(self.name, &error);
                    } else {
                        self.shared.failed(self.name, &error);
                    }
                    if !self.pause().await {
                        return Ok(End::Done);
                    }
                }
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
        let (writer, claimed) = match unless_stopped(stop, self.claim(lane)).await {
            None => return Ok(End::Done.into()),
            Some(Ok(claim)) => claim,
            Some(Err(turn)) => return turn,
        };
        let Some(claimed) = claimed else { return Ok(self.nothing_to_claim()) };
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

    fn nothing_to_claim(&mut self) -> Turn {
        self.unsettled = None;
        match self.held.take() {
            // It was merged, or the progress is lost: there may be others.
            Some(lo) => {
                self.shared.release(lo);
                Turn::Next
            }
            None => End::Done.into(),
        }
    }

    /// Claims: an error is the turn that it makes, or a halt.
    async fn claim(&mut self, lane: &mut T::Lane) -> Result<(WriterId, Option<Claimed>), Result<Turn, Halt>> {
        let shared = self.shared;
        let wanted = match (self.name, self.held) {
            (LaneName::Live, _) => {
                self.all_durable().await?;
                Wanted::Live { first: shared.source.ends().first }
            }
            (LaneName::Backlog(_), Some(lo)) => Wanted::This { lo },
            (LaneName::Backlog(_), None) => Wanted::Oldest,
        };
        let turn = match wanted {
            Wanted::Live { .. } => None,
            Wanted::Oldest | Wanted::This { .. } => Some(shared.claiming.lock().await),
        };
        let (writer, doubt) = (shared.writer(), OnceLock::new());
        // NOTE: a claim whose COMMIT nobody hears of has taken the range all the same.
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.writers.push(writer);
        }
        let judge = |range: &RangeState| self.judge(range, &doubt);
        // NOTE: the live lane's range has no end, so that nobody else wants it; what it holds is one of which it
        // does not know whether its batch was committed.
        let own = if self.name == LaneName::Live { None } else { self.held };
        let busy = shared.busy(own);
        let claimed = lane.claim(&Claim { writer, wanted, busy: &busy, judge: &judge }).await;
        if let (Ok(Some(claimed)), LaneName::Backlog(_)) = (&claimed, self.name) {
            self.let_go();
            shared.hold(claimed.range.lo);
            self.held = Some(claimed.range.lo);
        }
        drop(turn);
        match claimed {
            Ok(claimed) => {
                if let Some(doubt) = doubt.get() {
                    doubt.tell(&mut self.doubted);
                }
                Ok((writer, claimed))
            }
            Err(ClaimError::Diverged(divergence)) => Err(Err(Halt::Diverged(divergence))),
            Err(ClaimError::SourceAway) => Err(Ok(Turn::SourceAway)),
            Err(ClaimError::Target(error)) => Err(turn_or_halt(error)),
        }
    }

    /// Waits until all that is there is durable.
    ///
    /// NOTE: before the digest is compared with it: a position that is not durable yet could not be compared, and a
    /// rewritten one would pass unseen.
    async fn all_durable(&self) -> Result<(), Result<Turn, Halt>> {
        let source = &self.shared.source;
        source.wait_for(source.ends().next.before()).await.map_err(|error| match error {
            SourceError::Closed => Ok(End::Done.into()),
            SourceError::Away => Ok(Turn::SourceAway),
            error @ SourceError::Unreadable { .. } => Err(Halt::Source(error)),
        })
    }

    /// Judges a range that a claim found, and says where to cut it.
    fn judge(&self, range: &RangeState, doubt: &OnceLock<Doubt>) -> Result<Option<Cursor>, Refusal> {
        let source = &*self.shared.source;
        if let Some(found) = check_range(source, range)? {
            doubt.get_or_init(|| found);
        }
        let settings = &self.shared.settings;
        let cut = match (self.name, range.hi) {
            (LaneName::Live, _) => {
                let head = source.ends().durable.next();
                let is_far = head.since(range.cursor.next) > settings.live_events_max;
                (is_far && settings.backlog_lanes > 0).then_some(head)
            }
            (LaneName::Backlog(_), Some(hi)) => {
                let begin = behind_hole(source, range.cursor.next);
                let end = behind_hole(source, begin.plus(settings.piece_events));
                (end < hi).then_some(end)
            }
            (LaneName::Backlog(_), None) => None,
        };
        cut.map(|cut| cursor_at(source, cut)).transpose()
    }

    /// Counts the step whose COMMIT nobody knew, if the claim shows that it took effect.
    ///
    /// NOTE: once another writer has claimed the range it stays unknown: the batch may have been its own. A hole
    /// that is behind the range is told then, too, for the other one may have found it so.
    async fn settle(&mut self, claimed: &Claimed) {
        let Some(Unsettled { lo, writers, taken }) = self.unsettled.take() else { return };
        if self.name == LaneName::Live {
            self.let_go();
        }
        // The claim may have cut it, or found it cut by one of which nobody heard: its name stays.
        let now = if claimed.found.lo == lo { Some(&claimed.found) } else { None };
        let Some(now) = now.or_else(|| claimed.ranges.iter().find(|range| range.lo == lo)) else { return };
        if taken.to.next <= now.cursor.next {
            self.tell_hole(&taken).await;
        }
        if taken.to.next == now.cursor.next && now.writer.is_some_and(|writer| writers.contains(&writer)) {
            self.overtaken = 0;
            self.shared.applied(lo, &taken);
        }
    }

    /// Others may have what this lane holds.
    fn let_go(&mut self) {
        if let Some(lo) = self.held.take() {
            self.shared.release(lo);
        }
    }

    /// Reads and applies one range until something ends it.
    async fn apply_range(
        &mut self,
        lane: &mut T::Lane,
        writer: WriterId,
        range: &RangeState,
    ) -> Result<Turn, Halt> {
        let mut cursor = range.cursor;
        let mut ahead = Stretch::NOTHING;
        loop {
            let stretch = match self.next(ahead, cursor.next, range.hi).await? {
                Next::Apply(stretch) => stretch,
                Next::Turn(turn) => return Ok(turn),
            };
            let step = Step::new(cursor, stretch, range.hi)?;
            if !self.may_send(step.events()).await {
                return Ok(End::Done.into());
            }
            let batch = step.batch(writer, range.lo);
            let read_ahead = self.read(step.to().next, range.hi);
            let (applied, following) = tokio::join!(lane.apply(&batch), read_ahead);
            let from = std::mem::replace(&mut cursor, step.to()).next;
            match applied {
                Ok(outcome) => self.applied(range.lo, from, &step.taken(outcome)).await?,
                Err(ApplyError::Overtaken { lo }) => return Ok(End::Overtaken(lo).into()),
                Err(ApplyError::Unsettled { outcome, source }) => {
                    let (lo, taken) = (range.lo, step.taken(outcome));
                    self.unsettled = Some(Unsettled { lo, writers: vec![writer], taken });
                    self.held = Some(lo);
                    self.shared.hold(lo);
                    return Ok(End::Away(source).into());
                }
                Err(ApplyError::Target(error)) => return turn_or_halt(error),
            }
            // NOTE: an error of reading ahead comes again when it is that batch's turn.
            ahead = following.unwrap_or(Stretch::NOTHING);
            let is_live = self.name == LaneName::Live;
            if is_live && ahead.is_nothing() && !self.until.is_reached(cursor.next) {
                unless_stopped(self.stop, tokio::time::sleep(self.shared.settings.live_pause)).await;
            }
        }
    }

    async fn read(&self, next: Position, hi: Option<Position>) -> Result<Stretch, SourceError> {
        let mut limits = self.shared.settings.batch;
        if let Some(hi) = hi {
            limits.events_max = limits.events_max.min(usize::try_from(hi.since(next)).unwrap_or(usize::MAX));
            if limits.events_max == 0 {
                return Ok(Stretch::NOTHING);
            }
        }
        if let (LaneName::Backlog(_), Some(limiter)) = (self.name, &self.shared.limiter) {
            limits = ReadLimits { events_max: limits.events_max.min(limiter.events_max()), ..limits };
        }
        self.shared.source.read(next, limits).await
    }

    /// What to do at `next` in a range that ends before `hi`.
    async fn next(&mut self, ahead: Stretch, next: Position, hi: Option<Position>) -> Result<Next, Halt> {
        let done = || Ok(Next::Turn(End::Done.into()));
        if self.stop.is_cancelled() {
            return done();
        }
        match hi {
            Some(hi) if next >= hi => {
                self.let_go();
                return Ok(Next::Turn(Turn::Next));
            }
            None if self.until.is_reached(next) => return self.end().await,
            None if self.is_far_behind(next) => return Ok(Next::Turn(Turn::Next)),
            _ => {}
        }
        if !ahead.is_nothing() {
            return Ok(Next::Apply(ahead));
        }
        match self.wait(next, hi).await {
            Ok(next) => Ok(next),
            Err(SourceError::Closed) => done(),
            Err(SourceError::Away) => Ok(Next::Turn(Turn::SourceAway)),
            Err(error @ SourceError::Unreadable { .. }) => Err(Halt::Source(error)),
        }
    }

    /// The live lane is as far as it should be: waits until the others are, and merges what they have finished.
    async fn end(&mut self) -> Result<Next, Halt> {
        // NOTE: a finished range that a lane still holds is one whose last COMMIT nobody knows of yet.
        let is_worked = self.shared.backlog_events() > 0 || !self.shared.busy(None).is_empty();
        let ranges = self.shared.range_count();
        if !is_worked && (ranges <= 1 || self.merged == Some(ranges)) {
            return Ok(Next::Turn(End::Done.into()));
        }
        self.merged = (!is_worked).then_some(ranges);
        if is_worked {
            // NOTE: not for ever: the claim finds out when the database went back, and the live range with it.
            let finished =
                tokio::time::timeout(self.shared.settings.confirm_interval, self.shared.merge.notified());
            if unless_stopped(self.stop, finished).await.is_none() {
                return Ok(Next::Turn(End::Done.into()));
            }
        }
        Ok(Next::Turn(Turn::Next))
    }

    /// Whether the live lane should leave what is before it to the others.
    fn is_far_behind(&self, next: Position) -> bool {
        let settings = &self.shared.settings;
        settings.backlog_lanes > 0
            && self.shared.source.ends().durable.next().since(next) > settings.live_events_max
    }

    /// Waits for what the log has from `next` on; nothing when there was nothing for so long that the range should
    /// be confirmed.
    async fn wait(&self, next: Position, hi: Option<Position>) -> Result<Next, SourceError> {
        let wait =
            tokio::time::timeout(self.shared.settings.confirm_interval, self.shared.source.wait_for(next));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Next::Turn(End::Done.into())),
            () = self.shared.merge.notified(), if hi.is_none() => return Ok(Next::Turn(Turn::Next)),
            outcome = wait => match outcome {
                Err(_) => return Ok(Next::Apply(Stretch::NOTHING)),
                Ok(durable) => durable?,
            },
        }
        self.read(next, hi).await.map(Next::Apply)
    }

    /// Waits until a backlog lane may send so many events; false when told to stop.
    async fn may_send(&self, events: u64) -> bool {
        if self.name == LaneName::Live || events == 0 {
            return true;
        }
        loop {
            let limiter = self.shared.limiter.as_ref();
            let pause = match self.shared.live_lags(self.until) {
                true => Some(YIELD_PAUSE),
                false => limiter.and_then(|limiter| limiter.spend(events)),
            };
            let Some(pause) = pause else { return true };
            if unless_stopped(self.stop, tokio::time::sleep(pause)).await.is_none() {
                return false;
            }
        }
    }

    async fn applied(&mut self, lo: Position, from: Position, taken: &Taken) -> Result<(), Halt> {
        let (told, sent) = (taken.outcome.sent(), taken.sent);
        if told != sent {
            return Err(Halt::Miscounted { from, to: taken.to.next.before(), sent, told });
        }
        self.overtaken = 0;
        self.tell_hole(taken).await;
        self.last = taken.time.or(self.last);
        // NOTE: first, so that the end of an outage tells the whole backlog.
        self.works();
        self.shared.applied(lo, taken);
        let (next, outcome, lane) = (taken.to.next, taken.outcome, self.name);
        tracing::debug!(%lane, %next, inserted = outcome.inserted, present = outcome.present, "applied");
        Ok(())
    }

    fn works(&mut self) {
        self.pauses.reset();
        self.shared.works(self.name);
    }

    /// Warns of the hole that a step went over, with the times on both its sides.
    async fn tell_hole(&self, taken: &Taken) {
        let Some(behind) = taken.behind_hole() else { return };
        let one = ReadLimits { events_max: 1, bytes_max: usize::MAX };
        let following = match self.shared.source.read(behind, one).await {
            Ok(Stretch::Events(entries)) => entries.first().and_then(time_of),
            Ok(Stretch::Hole(_)) | Err(_) => None,
        };
        taken.warn_of_hole(self.last, following);
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
