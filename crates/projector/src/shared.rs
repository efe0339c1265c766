//! What the lanes of a projector share, and what it tells about itself because of it.

mod known;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Position;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::lanes::Work;
use crate::outage::{Outage, stuck};
use crate::parts::Parts;
use crate::project::Until;
use crate::pulse::Pulse;
use crate::ranges::Ranges;
use crate::rate::Limiter;
use crate::settings::Settings;
use crate::source::Source;
use crate::status::{State, Status};
use crate::step::{Flushed, Taken};
use crate::target::{Claimed, LaneName, TargetError, WriterId};
use known::{Known, Reach};

/// What the lanes share.
#[derive(Debug)]
pub(crate) struct Shared<S, T> {
    pub(crate) source: Arc<S>,
    pub(crate) target: Arc<T>,
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) work: Work,
    status: watch::Sender<Status>,
    known: Mutex<Known>,
    /// One backlog lane claims at a time: else two could want the same range.
    pub(crate) claiming: tokio::sync::Mutex<()>,
    /// Tells the live lane that there may be ranges to merge.
    pub(crate) merge: Notify,
    /// Tells that backlog lanes are wanted.
    pub(crate) backlog: Notify,
    pub(crate) limiter: Option<Limiter>,
}

impl<S: Source, T> Shared<S, T> {
    pub(crate) fn new(source: Arc<S>, target: Arc<T>, settings: Settings, parts: Parts, work: Work) -> Self {
        Self {
            source,
            target,
            settings,
            known: Mutex::new(Known::new(parts.seed)),
            parts,
            work,
            status: watch::Sender::new(Status::default()),
            claiming: tokio::sync::Mutex::new(()),
            merge: Notify::new(),
            backlog: Notify::new(),
            limiter: settings.backlog_rate.map(Limiter::new),
        }
    }

    pub(crate) const fn status(&self) -> &watch::Sender<Status> {
        &self.status
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run: what the last one knew of the database may be of another one.
    pub(crate) fn begin(&self, until: Until) {
        let mut known = self.known();
        known.until = until;
        known.ranges = Ranges::default();
        known.flushed = None;
        known.busy.clear();
        // NOTE: an outage outlives a pause, or it would be told twice at its start and never at its end.
        match known.halt {
            None => known.outage.resumed(),
            Some(_) => known.outage = Outage::default(),
        }
        known.pulse = Pulse::new();
        known.reach = Reach::NotYet;
        known.halt = None;
        self.tell(&known, |status| status.quarantined = None);
    }

    /// A name for a claim.
    pub(crate) fn writer(&self) -> WriterId {
        WriterId::of(self.known().chance.u128(..))
    }

    /// A seed for the pauses of a lane.
    pub(crate) fn seed(&self) -> u64 {
        self.known().chance.u64(..)
    }

    /// Ranges that other lanes work than the one that holds `own`.
    pub(crate) fn busy(&self, own: Option<Position>) -> Vec<Position> {
        self.known().busy_but(own)
    }

    /// A lane works `lo`.
    pub(crate) fn hold(&self, lo: Position) {
        self.known().busy.insert(lo);
    }

    /// No lane works `lo` any more.
    pub(crate) fn release(&self, lo: Position) {
        self.known().busy.remove(&lo);
    }

    /// How much the backlog lanes have before them.
    pub(crate) fn backlog_events(&self) -> u64 {
        self.known().ranges.backlog()
    }

    /// How many lanes the backlog gives work to: those that have a range, and one for each piece that none has.
    ///
    /// NOTE: one more would find nothing and leave; that makes the live lane claim, which would bring it back at once.
    pub(crate) fn lanes_wanted(&self) -> usize {
        let known = self.known();
        let pieces = known.ranges.pieces(|open| self.settings.piece(open), &known.busy);
        known.busy.len() + usize::try_from(pieces).unwrap_or(usize::MAX)
    }

    /// Where the oldest range begins that is not finished and that no lane has.
    pub(crate) fn next_open(&self) -> Option<Position> {
        let known = self.known();
        known.ranges.next_open(&known.busy)
    }

    /// How many ranges there are.
    pub(crate) fn range_count(&self) -> usize {
        self.known().ranges.count()
    }

    /// Whether the backlog lanes should wait for the live lane. Nobody waits for one that is through: what a log that
    /// grows has behind that, it leaves alone.
    pub(crate) fn live_lags(&self) -> bool {
        let lag = match self.work {
            Work::Projection => {
                let known = self.known();
                if known.is_through() { Duration::ZERO } else { known.pulse.live_lag(Instant::now()) }
            }
            Work::Replay => self.parts.first.as_ref().map_or(Duration::ZERO, |first| first.borrow().lag()),
        };
        lag > self.settings.live_lag_max
    }

    /// A claim of a replay has found nothing but what lanes work: what else was known is not there any more.
    pub(crate) fn found_nothing(&self) {
        let mut known = self.known();
        let Known { ranges, busy, .. } = &mut *known;
        ranges.keep(busy);
        self.tell(&known, |_| {});
    }

    /// Whether no lane has a range, and nothing is left of the backlog.
    pub(crate) fn is_drained(&self) -> bool {
        let known = self.known();
        known.busy.is_empty() && known.ranges.backlog() == 0
    }

    /// What is applied for good once a batch that is sent now, and moves `lo` to `next`, is flushed.
    ///
    /// NOTE: of other lanes' batches only those that are committed already.
    pub(crate) fn flushed_with(&self, lo: Position, next: Position) -> Flushed {
        self.known().flushed_with(lo, next)
    }

    /// A claim was committed.
    pub(crate) fn claimed(&self, claimed: &Claimed) {
        let mut known = self.known();
        let own = claimed.range.lo;
        let mut held = known.busy_but(Some(own));
        // NOTE: the live range has no end, and only a claim of its own lane changes it.
        held.extend(known.ranges.live_span().filter(|_| claimed.range.hi.is_some()).map(|span| span.lo));
        known.ranges.learn(&claimed.ranges, own, &held);
        known.found(&claimed.ranges);
        let live = known.ranges.live();
        known.pulse.reached(live);
        let has_backlog = known.ranges.backlog() > 0;
        self.tell(&known, |status| status.quarantined = Some(claimed.quarantined));
        drop(known);
        if has_backlog {
            self.backlog.notify_one();
        }
    }

    /// A lane's step was committed in range `lo`.
    pub(crate) fn applied(&self, lane: LaneName, lo: Position, taken: &Taken) {
        let mut known = self.known();
        known.ranges.moved(lo, taken.to.next);
        if let Some(flushed) = taken.flushed {
            known.flushed_to(flushed);
        }
        let live = known.ranges.live();
        known.pulse.reached(live);
        // NOTE: what only confirms a range is no progress.
        let now = Instant::now();
        if taken.to.next > taken.from.next {
            known.pulse.committed(lane, now);
        }
        self.end_stall(&mut known, now);
        known.tell_refusals(taken.outcome.quarantined, now);
        self.tell(&known, |status| {
            status.totals.add(taken.outcome, taken.expired, taken.unavailable());
            let kept = status.quarantined.unwrap_or_default() + taken.outcome.quarantined;
            status.quarantined = Some(kept.saturating_sub(taken.outcome.released));
        });
    }

    /// An attempt of a lane failed, and it is not the first that something else would explain.
    pub(crate) fn failed(&self, lane: LaneName, error: &TargetError) {
        let mut known = self.known();
        known.outage.failed(lane, error, (self.parts.now)());
        self.tell(&known, |status| {
            status.retries += 1;
            status.error = Some(error.to_string());
        });
    }

    /// An attempt of a lane failed that is made again at once.
    pub(crate) fn delayed(&self, lane: LaneName, error: &TargetError) {
        tracing::debug!(%lane, %error, "others are in the way; trying again");
        self.tell(&self.known(), |status| status.retries += 1);
    }

    /// The database does what a lane asks of it.
    pub(crate) fn works(&self, lane: LaneName) {
        let mut known = self.known();
        known.reach = Reach::Reached;
        let was_away = known.outage.since().is_some();
        let head = self.source.ends().next;
        let open = known.open(head);
        known.outage.works(lane, open);
        if was_away && known.outage.since().is_none() {
            known.pulse.resumed(Instant::now());
        }
        self.tell(&known, |_| {});
    }

    /// A lane has ended.
    pub(crate) fn left(&self, lane: LaneName) {
        let mut known = self.known();
        known.outage.left(lane);
        self.tell(&known, |_| {});
    }

    /// Looks at the head and at the pace: called every [`crate::pulse::LOOK_INTERVAL`].
    pub(crate) fn look(&self) {
        let (now, ends) = (Instant::now(), self.source.ends());
        let sent = self.status.borrow().totals.sent;
        let mut known = self.known();
        let live = match self.work {
            Work::Projection => known.ranges.live(),
            // NOTE: what comes is not the work of a replay.
            Work::Replay => Some(ends.next),
        };
        known.pulse.look(now, ends.next, live, sent);
        // NOTE: what is not durable yet is nothing that the database could have.
        let has_live = live.unwrap_or(ends.first) < ends.durable.next() && !known.is_through();
        let has_backlog = known.ranges.backlog() > 0;
        known.pulse.has_work(now, has_live, has_backlog);
        let stalled = known.pulse.stalled(now);
        self.end_stall(&mut known, now);
        // NOTE: an outage that was told explains it.
        if stalled >= self.settings.stall_after && known.outage.since().is_none() {
            known.outage.stalled(stalled, (self.parts.now)());
        }
        self.tell(&known, |status| {
            if known.outage.is_stall() {
                status.error = Some(stuck(stalled));
            }
        });
    }

    /// Ends a stall, if what has work commits again.
    fn end_stall(&self, known: &mut Known, now: Instant) {
        if known.pulse.stalled(now) < self.settings.stall_after {
            let open = known.open(self.source.ends().next);
            known.outage.moves(open);
        }
    }

    /// Changes the status, and brings the rest of it up to date with what is known.
    fn tell(&self, known: &Known, change: impl FnOnce(&mut Status)) {
        let head = self.source.ends().next;
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            status.next = known.ranges.lowest();
            status.flushed = known.flushed.min(known.ranges.lowest());
            status.live = known.ranges.live();
            status.ranges = known.ranges.spans();
            status.backlog_events = known.ranges.backlog();
            status.live_lag = known.pulse.live_lag(Instant::now());
            status.events_per_second = known.pulse.rate();
            status.outage_since = known.outage.since();
            if known.reach == Reach::Reached && known.outage.since().is_none() {
                status.error = None;
            }
            // NOTE: what has halted tells so until another run reaches the database.
            if let Some(halt) = &known.halt {
                (status.state, status.error) = (State::Halted, Some(halt.clone()));
            } else if status.state != State::Halted || known.reach == Reach::Reached {
                status.state = self.state(known, head);
            }
            *status != before
        });
    }

    fn state(&self, known: &Known, head: Position) -> State {
        let is_stopped = match self.work {
            Work::Projection => known.is_stopped(Instant::now(), self.settings.stall_after),
            Work::Replay => known.outage.since().is_some(),
        };
        let waits = known.reach == Reach::NotYet || is_stopped;
        let behind = known.ranges.live().map_or(0, |live| head.since(live));
        match known.ranges.backlog() {
            _ if waits => State::Waiting,
            0 if behind <= self.settings.batch.events_max as u64 => State::Live,
            _ => State::CatchingUp,
        }
    }

    /// A lane has halted, and with it the run; the first one's reason is told.
    pub(crate) fn halted(&self, error: String) {
        let mut known = self.known();
        known.halt.get_or_insert(error);
        self.tell(&known, |_| {});
    }
}
