//! A lane's claim: what it wants, how the range is judged and cut, what an unknown COMMIT turns out to be.

use std::sync::OnceLock;

use super::{End, Turn, Unsettled, Worker, turn_or_halt};
use crate::claim::{Doubt, behind_hole, check_range, cursor_at};
use crate::halt::Halt;
use crate::lanes::Work;
use crate::source::{Source, SourceError};
use crate::target::{
    Claim, ClaimError, Claimed, Cursor, Lane, LaneName, RangeState, Refusal, Target, Wanted, WriterId,
};

impl<S: Source, T: Target> Worker<'_, S, T> {
    pub(super) fn nothing_to_claim(&mut self) -> Turn {
        self.unsettled = None;
        match self.held.take() {
            // It was merged, or the progress is lost: there may be others.
            Some(lo) => {
                self.shared.release(lo);
                Turn::Next
            }
            None => {
                if self.shared.work == Work::Replay {
                    self.shared.found_nothing();
                    self.works();
                }
                End::Done.into()
            }
        }
    }

    /// Claims: an error is the turn that it makes, or a halt.
    pub(super) async fn claim(
        &mut self,
        lane: &mut T::Lane,
    ) -> Result<(WriterId, Option<Claimed>), Result<Turn, Halt>> {
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
                let end = behind_hole(source, begin.plus(settings.piece(hi.since(begin))));
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
    pub(super) async fn settle(&mut self, claimed: &Claimed) {
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
            self.shared.applied(self.name, lo, &taken);
        }
    }

    /// Others may have what this lane holds.
    pub(super) fn let_go(&mut self) {
        if let Some(lo) = self.held.take() {
            self.shared.release(lo);
        }
    }
}
