//! The writer thread: the only one that changes the log.
//!
//! It takes what has gathered in the queue, gives positions, commits it as one fjall batch, syncs when the
//! mode or a reader wants it, and only then acknowledges. fjall cannot say what of a failed write has reached the
//! disk, so a failure ends the open database: later appends fail at once, and `mend.rs` opens it anew.

mod bounds;
mod mend;
mod shared;
mod trim;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use event::LogId;
use tokio::sync::oneshot;

use crate::append::{AppendOutcome, Encoded};
use crate::commit::{Committer, Extra};
use crate::error::{AppendError, EngineError};
use crate::gate::{Gatekeeper, LettingGo};
use crate::mark::MarkWriter;
use crate::open::LogInfo;
use crate::settings::{Settings, Sync};
use bounds::{Watch, refuse_without_room};
use mend::Failed;

pub(crate) use shared::Shared;
pub use shared::{Ends, Health, NoRoom};
pub use trim::{TrimError, TrimOutcome, TrimTo};

/// Most events of one commit, but for a single larger append: bounds how long the first one waits.
const COMMIT_EVENTS_MAX: usize = 16_384;
/// Most bytes of one commit, but for a single larger append.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Answers one append.
pub(crate) type Reply = oneshot::Sender<Result<AppendOutcome, AppendError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Keep this; tell whoever waits.
    Append(Encoded, Option<Reply>),
    /// Look at the flags: a sync is wanted.
    Wake,
    /// Something that is rare, between two commits.
    Order(Order),
    /// Sync, tell whoever waits, and end.
    Close(oneshot::Sender<()>),
}

/// What is asked of the writer now and then.
#[derive(Debug)]
pub(crate) enum Order {
    /// Trim.
    Trim(TrimTo, oneshot::Sender<Result<TrimOutcome, TrimError>>),
    /// Make durable which database holds trimming back, and how far it is.
    KeepFloor(oneshot::Sender<Result<(), AppendError>>),
    /// Give the log a new identity.
    Adopt(oneshot::Sender<Result<crate::adopt::Adoption, AppendError>>),
    /// Repair the files and open them again.
    Repair(crate::repair::Told, oneshot::Sender<crate::repair::Answer>),
}

/// The writer thread's own things.
pub(crate) struct Writer {
    pub(crate) data_dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) queue: Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Gatekeeper,
    pub(crate) state: State,
}

/// Whether there is a database to write into.
pub(crate) enum State {
    Open(Box<Open>),
    Failed(Failed),
}

/// An open log, between two commits.
pub(crate) struct Open {
    pub(crate) committer: Committer,
    pub(crate) mark: MarkWriter,
    /// When the oldest commit that is not synced yet must be.
    sync_due: Option<Instant>,
    waiting: Vec<(Reply, AppendOutcome)>,
    watch: Watch,
}

impl Open {
    pub(crate) fn new(committer: Committer, mark: MarkWriter) -> Self {
        Self { committer, mark, sync_due: None, waiting: Vec::new(), watch: Watch::new() }
    }
}

/// Tells everybody that the writer is gone, also when it has panicked: nobody must wait for it for ever.
struct Told {
    shared: Arc<Shared>,
    queue: Receiver<Command>,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.shared.set_engine(None);
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.ends.send_modify(|_| {});
        // NOTE: after the flag: who comes later sees it (`EventLog::has_ended`).
        while self.queue.try_recv().is_ok() {}
    }
}

/// What one turn of the queue gave.
struct Turn {
    appends: Vec<(Encoded, Option<Reply>)>,
    order: Option<Order>,
    close: Option<oneshot::Sender<()>>,
    open: bool,
}

impl Turn {
    fn is_last(&self) -> bool {
        self.close.is_some() || !self.open
    }
}

impl Writer {
    /// Works until the queue is closed or says so.
    pub(crate) fn run(mut self) {
        let _told = Told { shared: Arc::clone(&self.shared), queue: self.queue.clone() };
        loop {
            let mut turn = self.gather();
            self.take_or_fail(&mut turn);
            if turn.is_last() {
                return self.end(turn);
            }
        }
    }

    /// Does what a turn asks for. fjall asserts some of what it has read from its files: a panic of it is a failure
    /// like any other, and not the silent end of this thread, for which readers would wait for ever.
    fn take_or_fail(&mut self, turn: &mut Turn) {
        if catch_unwind(AssertUnwindSafe(|| self.take(turn))).is_ok() {
            return;
        }
        let error = EngineError::told("fjall gave up on what it found (it panicked)");
        match self.state {
            State::Open(_) => self.fail(error, turn),
            State::Failed(_) => self.try_later(error),
        }
    }

    /// Tells readers that wait, and whoever closes the log.
    fn end(self, turn: Turn) {
        let Self { shared, queue, state, .. } = self;
        shared.set_engine(None);
        // NOTE: before anybody is told, so that who waits for the end can open the log again.
        drop(state);
        drop(Told { shared, queue });
        if let Some(done) = turn.close {
            let _ = done.send(());
        }
    }

    /// Waits for something to do, then takes what is there within the bounds of a commit.
    fn gather(&self) -> Turn {
        let mut turn = Turn { appends: Vec::new(), order: None, close: None, open: true };
        let (mut events, mut bytes) = (0, 0);
        let mut command = self.wait(&mut turn);
        while let Some(it) = command {
            match it {
                Command::Append(encoded, reply) => {
                    events += encoded.ends.len();
                    bytes += encoded.records.len();
                    turn.appends.push((encoded, reply));
                }
                Command::Wake => {}
                Command::Order(order) => {
                    turn.order = Some(order);
                    return turn;
                }
                Command::Close(done) => {
                    turn.close = Some(done);
                    return turn;
                }
            }
            if events >= COMMIT_EVENTS_MAX || bytes >= COMMIT_BYTES_MAX {
                return turn;
            }
            command = self.queue.try_recv().ok();
        }
        turn
    }

    fn wait(&self, turn: &mut Turn) -> Option<Command> {
        let received = match self.due() {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self.queue.recv_deadline(due),
        };
        match received {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                turn.open = false;
                None
            }
        }
    }

    /// When there is something to do without being asked.
    fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Failed(failed) => Some(failed.due),
            State::Open(open) => {
                // NOTE: without room what the gate lets go stays where it is.
                let gate = self.gate.due().filter(|_| self.shared.room().is_none());
                let gate = gate.and_then(|due| Instant::now().checked_add(due));
                [open.sync_due, open.watch.due(), gate].into_iter().flatten().min()
            }
        }
    }

    /// Does what a turn asks for.
    fn take(&mut self, turn: &mut Turn) {
        match &mut self.state {
            State::Failed(failed) => {
                failed.refuse(turn, &self.shared);
                self.mend_when_due();
            }
            State::Open(_) => {
                let worked = self.work(turn);
                if let Err(error) = worked {
                    self.fail(error, turn);
                }
            }
        }
        if let Some(order) = turn.order.take() {
            self.obey(order, turn);
        }
    }

    fn work(&mut self, turn: &mut Turn) -> Result<(), EngineError> {
        let ending = turn.is_last();
        let State::Open(open) = &mut self.state else { return Ok(()) };
        refuse_without_room(turn, &self.shared);
        open.pass_the_gate(&mut self.gate, turn, &self.shared)?;
        if !turn.appends.is_empty() {
            let due = Instant::now() + sync_interval(self.settings.sync);
            open.commit(turn, due, &self.shared)?;
        }
        if ending || open.watch.is_due(&self.settings) {
            open.keep_projected(&self.shared)?;
        }
        if open.sync_due.is_some() && (ending || open.is_sync_due(&self.shared)) {
            open.sync(&self.shared)?;
        }
        if self.settings.sync != Sync::Always {
            open.acknowledge();
        }
        if open.watch.is_due(&self.settings) {
            open.keep_bounds(&self.settings, &self.shared)?;
        }
        Ok(())
    }

    fn obey(&mut self, order: Order, turn: &mut Turn) {
        match order {
            Order::Trim(to, reply) => {
                let outcome = self.trim(to);
                let _ = reply.send(outcome);
            }
            Order::KeepFloor(reply) => {
                let kept = self.keep_floor();
                let _ = reply.send(kept);
            }
            Order::Adopt(reply) => {
                let adoption = self.adopt();
                let _ = reply.send(adoption);
            }
            Order::Repair(told, reply) => {
                let answer = self.repair(told, turn);
                let _ = reply.send(answer);
            }
        }
    }
}

impl Writer {
    fn keep_floor(&mut self) -> Result<(), AppendError> {
        let kept = match &mut self.state {
            State::Open(open) => open.keep_projected(&self.shared).and_then(|()| open.sync(&self.shared)),
            State::Failed(failed) => return Err(failed.refusal()),
        };
        kept.map_err(|error| AppendError::Failed(self.fail_now(error)))
    }

    fn adopt(&mut self) -> Result<crate::adopt::Adoption, AppendError> {
        let adopted = match &mut self.state {
            State::Open(open) => open.adopt(&self.shared),
            State::Failed(failed) => return Err(failed.refusal()),
        };
        adopted.map_err(|error| AppendError::Failed(self.fail_now(error)))
    }
}

impl Open {
    /// Gives the log a new id: in its meta, in its mark, and to the handles.
    pub(crate) fn adopt(&mut self, shared: &Shared) -> Result<crate::adopt::Adoption, EngineError> {
        let before = shared.info();
        let info = LogInfo { log_id: LogId::random(), ..before.clone() };
        // NOTE: under its new name no database has anything of it.
        shared.forget_projected();
        let extra = Extra {
            log_id: Some(info.log_id),
            projected: shared.take_held_back_change(),
            ..Extra::default()
        };
        self.committer.commit(std::iter::empty(), extra)?;
        self.mark.rename(&info);
        self.sync(shared)?;
        let adoption = crate::adopt::Adoption { from: before.log_id, to: info.log_id };
        shared.set_info(info);
        Ok(adoption)
    }

    /// Lets the gate decide what becomes of usage, and adds what it keeps now without being asked.
    fn pass_the_gate(
        &self,
        gate: &mut Gatekeeper,
        turn: &mut Turn,
        shared: &Shared,
    ) -> Result<(), EngineError> {
        let letting_go = if shared.room().is_none() { LettingGo::Now } else { LettingGo::Later };
        let appends = turn.appends.iter_mut().map(|(encoded, _)| encoded);
        let own = gate.pass(appends, &self.committer.engine, letting_go)?;
        turn.appends.extend(own.map(|own| (own, None)));
        Ok(())
    }

    fn commit(&mut self, turn: &mut Turn, sync_due: Instant, shared: &Shared) -> Result<(), EngineError> {
        let appends = turn.appends.iter_mut().map(|(encoded, _)| encoded);
        let extra = Extra { projected: shared.take_held_back_change(), ..Extra::default() };
        let outcomes = self.committer.commit(appends, extra)?;
        shared.lost_events.store(self.committer.lost_events, Ordering::Relaxed);
        self.sync_due.get_or_insert(sync_due);
        for ((_, reply), outcome) in turn.appends.drain(..).zip(outcomes) {
            self.watch.add(outcome.bytes);
            self.waiting.extend(reply.map(|reply| (reply, outcome)));
        }
        let next = self.committer.next;
        shared.ends.send_modify(|ends| ends.next = next);
        Ok(())
    }

    fn is_sync_due(&self, shared: &Shared) -> bool {
        shared.sync_wanted.load(Ordering::Acquire) || self.sync_due.is_some_and(|due| due <= Instant::now())
    }

    fn sync(&mut self, shared: &Shared) -> Result<(), EngineError> {
        // IMPORTANT: cleared before the fsync, so that a wish for what comes after it is not lost.
        shared.sync_wanted.store(false, Ordering::Release);
        let durable = self.committer.sync()?;
        // IMPORTANT: before a reader sees the position: what it has seen must not be given out again.
        self.mark.write(durable).map_err(|error| EngineError::of_mark(&error))?;
        self.sync_due = None;
        shared.ends.send_modify(|ends| ends.durable = durable.position);
        self.acknowledge();
        Ok(())
    }

    fn acknowledge(&mut self) {
        for (reply, outcome) in self.waiting.drain(..) {
            // NOTE: an appender that went away does not want its answer.
            let _ = reply.send(Ok(outcome));
        }
    }
}

/// How long after a commit the fsync is due.
fn sync_interval(sync: Sync) -> Duration {
    match sync {
        Sync::Always => Duration::ZERO,
        Sync::Interval(interval) => interval,
        // NOTE: a reader's wish or the end of the log syncs long before; this only bounds the wait.
        Sync::Os => Duration::from_secs(3_600),
    }
}
