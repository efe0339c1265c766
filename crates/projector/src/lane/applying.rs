//! A lane at work on its range: what comes next, when it may be sent, and what became of it.

use std::mem;
use std::time::Duration;

use event::{Position, Stretch};
use tokio::time::Instant;

use super::{End, Flush, Next, Turn, Unsettled, Worker, turn_or_halt, unless_stopped};
use crate::contents::Portion;
use crate::halt::Halt;
use crate::source::{ReadLimits, Source, SourceError};
use crate::step::{Step, Taken, time_of};
use crate::target::{ApplyError, Commit, Lane, LaneName, RangeState, Target, WriterId};

/// How often a lane that waits for the live lane looks again.
const YIELD_PAUSE: Duration = Duration::from_millis(100);
/// After so many looks it sends a batch all the same: where a commit takes longer than the live lane may lag, nothing
/// of the backlog would ever be sent otherwise.
const YIELDS_MAX: u32 = 50;

impl<S: Source, T: Target> Worker<'_, S, T> {
    /// Reads and applies one range until something ends it.
    pub(super) async fn apply_range(
        &mut self,
        lane: &mut T::Lane,
        writer: WriterId,
        range: &RangeState,
    ) -> Result<Turn, Halt> {
        let mut cursor = range.cursor;
        let mut ahead = mem::take(&mut self.ahead);
        if !ahead.is_at(cursor.next) {
            ahead = Portion::default();
        }
        let mut spent = Stretch::NOTHING;
        loop {
            let portion = match self.next(ahead, cursor.next, range.hi).await? {
                Next::Apply(portion) => portion,
                Next::Turn(turn) => return Ok(turn),
            };
            let parts = &self.shared.parts;
            let step = Step::new(cursor, portion, range.hi)?.sift(&parts.sieve, (parts.now)());
            if !self.may_send(step.events()).await {
                return Ok(End::Done.into());
            }
            let commit = self.commit_of(&step);
            let batch = step.batch(writer, range.lo, commit);
            self.began = Instant::now();
            let flushed = self.shared.flushed_with(range.lo, step.to().next);
            let read_ahead = self.read(step.to().next, range.hi, spent);
            let (applied, following) = tokio::join!(lane.apply(&batch), read_ahead);
            cursor = step.to();
            match applied {
                Ok(outcome) => {
                    let mut taken = step.taken(outcome);
                    taken.flushed = (commit == Commit::Flushed).then_some(flushed);
                    self.applied(range.lo, &taken).await?;
                    self.flush = self.flush.after(commit);
                }
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
            spent = step.into_stretch();
            // NOTE: an error of reading ahead comes again when it is that batch's turn.
            ahead = following.unwrap_or_default();
            let is_live = self.name == LaneName::Live;
            if is_live && ahead.stretch.is_nothing() && !self.until.is_reached(cursor.next) {
                unless_stopped(self.stop, tokio::time::sleep(self.shared.settings.live_pause)).await;
            }
        }
    }

    /// A batch waits for the database's disk when the last one that did is a while ago, when it is there for nothing
    /// else, and when it is the last one.
    fn commit_of(&self, step: &Step) -> Commit {
        let (Flush::Done(since) | Flush::Due(since)) = self.flush;
        let is_due = since.elapsed() >= self.shared.settings.flush_interval;
        let is_last = self.until.is_reached(step.to().next);
        if is_due || is_last || step.confirms() { Commit::Flushed } else { Commit::Buffered }
    }

    /// What comes next, read ahead: behind the end of a range, that of the one which is likely to be claimed next.
    /// `spent` is let go.
    async fn read(
        &self,
        mut next: Position,
        hi: Option<Position>,
        spent: Stretch,
    ) -> Result<Portion, SourceError> {
        let mut limits = self.shared.settings.batch_of(self.name);
        match hi.map(|hi| usize::try_from(hi.since(next)).unwrap_or(usize::MAX)) {
            None => {}
            Some(0) => match self.shared.next_open() {
                None => return Ok(Portion::default()),
                Some(open) => next = open,
            },
            Some(left) => limits.events_max = limits.events_max.min(left),
        }
        if let (LaneName::Backlog(_), Some(limiter)) = (self.name, &self.shared.limiter) {
            limits = ReadLimits { events_max: limits.events_max.min(limiter.events_max()), ..limits };
        }
        self.shared.source.read_and(next, limits, spent, Portion::of).await
    }

    /// What to do at `next` in a range that ends before `hi`.
    async fn next(&mut self, ahead: Portion, next: Position, hi: Option<Position>) -> Result<Next, Halt> {
        let done = || Ok(Next::Turn(End::Done.into()));
        if self.stop.is_cancelled() {
            return done();
        }
        match hi {
            Some(hi) if next >= hi => {
                self.ahead = ahead;
                self.let_go();
                return Ok(Next::Turn(Turn::Next));
            }
            None if self.until.is_reached(next) => return self.end().await,
            None if self.is_far_behind(next) => return Ok(Next::Turn(Turn::Next)),
            _ => {}
        }
        if !ahead.stretch.is_nothing() {
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
        let settings = &self.shared.settings;
        let patience = match self.flush {
            Flush::Done(_) => settings.confirm_interval,
            Flush::Due(_) => settings.flush_interval,
        };
        let wait = tokio::time::timeout(patience, self.shared.source.wait_for(next));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(Next::Turn(End::Done.into())),
            () = self.shared.merge.notified(), if hi.is_none() => return Ok(Next::Turn(Turn::Next)),
            outcome = wait => match outcome {
                Err(_) => return Ok(Next::Apply(Portion::default())),
                Ok(durable) => durable?,
            },
        }
        self.read(next, hi, Stretch::NOTHING).await.map(Next::Apply)
    }

    /// Waits until a backlog lane may send so many events; false when told to stop.
    async fn may_send(&self, events: u64) -> bool {
        if self.name == LaneName::Live || events == 0 {
            return true;
        }
        let mut yields = 0;
        loop {
            let limiter = self.shared.limiter.as_ref();
            let pause = if yields < YIELDS_MAX && self.shared.live_lags() {
                yields += 1;
                Some(YIELD_PAUSE)
            } else {
                limiter.and_then(|limiter| limiter.spend(events))
            };
            let Some(pause) = pause else { return true };
            if unless_stopped(self.stop, tokio::time::sleep(pause)).await.is_none() {
                return false;
            }
        }
    }

    async fn applied(&mut self, lo: Position, taken: &Taken) -> Result<(), Halt> {
        let (told, sent) = (taken.outcome.sent(), taken.sent);
        if told != sent {
            let (from, to) = (taken.from.next, taken.to.next.before());
            return Err(Halt::Miscounted { from, to, sent, told });
        }
        self.overtaken = 0;
        self.tell_hole(taken).await;
        self.last = taken.time.or(self.last);
        // NOTE: first, so that the end of an outage tells the whole backlog.
        self.works();
        self.shared.applied(self.name, lo, taken);
        let (next, outcome, lane) = (taken.to.next, taken.outcome, self.name);
        tracing::debug!(%lane, %next, inserted = outcome.inserted, present = outcome.present, "applied");
        Ok(())
    }

    pub(super) fn works(&mut self) {
        self.pauses.reset();
        self.shared.works(self.name);
    }

    /// Warns of the hole that a step went over, with the times on both its sides.
    pub(super) async fn tell_hole(&self, taken: &Taken) {
        let Some(behind) = taken.behind_hole() else { return };
        let one = ReadLimits { events_max: 1, bytes_max: usize::MAX };
        let following = match self.shared.source.read(behind, one).await {
            Ok(Stretch::Events(entries)) => entries.first().and_then(time_of),
            Ok(Stretch::Hole(_)) | Err(_) => None,
        };
        taken.warn_of_hole(self.last, following);
    }
}
