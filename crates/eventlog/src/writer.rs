//! The writer thread: the only one that changes the log.
//!
//! It takes what has gathered in the queue, gives positions, commits it as one fjall batch, syncs when the
//! mode or a reader wants it, and only then acknowledges. A failed commit or sync is the end of this handle:
//! fjall cannot say what of it reached the disk, so every later append fails at once, and recovery by
//! opening again decides.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use event::wire::{self, RECORD_HEADER_BYTES};
use event::{BirthId, Position};
use fjall::{Database, Keyspace, PersistMode};
use tokio::sync::{oneshot, watch};

use crate::append::{AppendOutcome, Encoded};
use crate::error::{AppendError, EngineError};
use crate::layout::{STATE_LOST_EVENTS, position_key};
use crate::settings::Sync;

/// Most events of one commit, but for a single larger append: bounds how long the first one waits.
const COMMIT_EVENTS_MAX: usize = 16_384;
/// Most bytes of one commit, but for a single larger append.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The ends of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first position that is there, or will be.
    pub first: Position,
    /// The position that the next event gets.
    pub next: Position,
    /// The last durable position; the one before `first` when there is none.
    pub durable: Position,
}

/// Answers one append.
pub(crate) type Reply = oneshot::Sender<Result<AppendOutcome, AppendError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Keep this; tell whoever waits.
    Append(Encoded, Option<Reply>),
    /// Look at the flags: a sync is wanted.
    Wake,
    /// Sync, tell whoever waits, and end.
    Close(oneshot::Sender<()>),
}

/// What the writer shares with the handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ends: watch::Sender<Ends>,
    pub(crate) sync_wanted: AtomicBool,
    /// The writer thread is gone: nothing will become durable any more.
    pub(crate) ended: AtomicBool,
    /// How many events the gaps in the log tell as lost.
    pub(crate) lost_events: AtomicU64,
    pub(crate) failure: OnceLock<Arc<EngineError>>,
}

/// The writer thread's own things.
pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) events: Keyspace,
    pub(crate) state: Keyspace,
    pub(crate) birth: BirthId,
    pub(crate) sync: Sync,
    pub(crate) queue: Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
}

/// Where the thread is between two commits.
struct Progress {
    next: Position,
    /// When the oldest commit that is not synced yet must be.
    sync_due: Option<Instant>,
    waiting: Vec<(Reply, AppendOutcome)>,
}

/// What one turn of the queue gave.
struct Turn {
    appends: Vec<(Encoded, Option<Reply>)>,
    close: Option<oneshot::Sender<()>>,
    open: bool,
}

impl Writer {
    /// Works until the queue is closed or says so.
    pub(crate) fn run(self) {
        let next = self.shared.ends.borrow().next;
        let mut progress = Progress { next, sync_due: None, waiting: Vec::new() };
        loop {
            let mut turn = self.gather(progress.sync_due);
            if let Err(error) = self.work(&mut progress, &mut turn) {
                self.fail(error, &mut progress, &mut turn);
            }
            if turn.close.is_some() || !turn.open {
                return self.end(turn);
            }
        }
    }

    /// Tells readers that wait, and whoever closes the log.
    fn end(&self, turn: Turn) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.ends.send_modify(|_| {});
        if let Some(done) = turn.close {
            let _ = done.send(());
        }
    }

    /// Waits for something to do, then takes what is there within the bounds of a commit.
    fn gather(&self, sync_due: Option<Instant>) -> Turn {
        let mut turn = Turn { appends: Vec::new(), close: None, open: true };
        let (mut events, mut bytes) = (0, 0);
        let mut command = self.wait(sync_due, &mut turn);
        while let Some(it) = command {
            match it {
                Command::Append(encoded, reply) => {
                    events += encoded.ends.len();
                    bytes += encoded.records.len();
                    turn.appends.push((encoded, reply));
                }
                Command::Wake => {}
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

    fn wait(&self, sync_due: Option<Instant>, turn: &mut Turn) -> Option<Command> {
        let received = match sync_due {
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

    fn work(&self, progress: &mut Progress, turn: &mut Turn) -> Result<(), fjall::Error> {
        if let Some(error) = self.shared.failure.get() {
            for (_, reply) in turn.appends.drain(..) {
                refuse(reply, error);
            }
            return Ok(());
        }
        if !turn.appends.is_empty() {
            self.commit(progress, turn)?;
        }
        let ending = turn.close.is_some() || !turn.open;
        if progress.sync_due.is_some() && (ending || self.is_sync_due(progress)) {
            self.sync(progress)?;
        }
        if self.sync != Sync::Always {
            self.acknowledge(progress);
        }
        Ok(())
    }

    fn commit(&self, progress: &mut Progress, turn: &mut Turn) -> Result<(), fjall::Error> {
        let mut batch = self.database.batch();
        let mut next = progress.next;
        let mut outcomes = Vec::with_capacity(turn.appends.len());
        let mut lost = 0_u64;
        for (encoded, _) in &mut turn.appends {
            let first = next;
            lost = lost.saturating_add(encoded.lost_events);
            next = self.add(&mut batch, encoded, first)?;
            outcomes.push(AppendOutcome {
                first,
                events: next.since(first),
                bytes: encoded.records.len() as u64,
            });
        }
        if lost > 0 {
            lost = lost.saturating_add(self.shared.lost_events.load(Ordering::Relaxed));
            batch.insert(&self.state, STATE_LOST_EVENTS, lost.to_be_bytes());
        }
        batch.commit()?;
        if lost > 0 {
            self.shared.lost_events.store(lost, Ordering::Relaxed);
        }
        progress.next = next;
        progress.sync_due.get_or_insert_with(|| Instant::now() + self.sync_interval());
        for ((_, reply), outcome) in turn.appends.drain(..).zip(outcomes) {
            progress.waiting.extend(reply.map(|reply| (reply, outcome)));
        }
        self.shared.ends.send_modify(|ends| ends.next = next);
        Ok(())
    }

    /// Adds an append's records, sealed with their positions, and its meta. Returns the next position.
    fn add(
        &self,
        batch: &mut fjall::OwnedWriteBatch,
        encoded: &mut Encoded,
        first: Position,
    ) -> Result<Position, fjall::Error> {
        let (mut position, mut start) = (first, 0);
        for end in &encoded.ends {
            let record = encoded.records.get_mut(start..*end).unwrap_or_default();
            debug_assert!(record.len() > RECORD_HEADER_BYTES, "an encoded event has a payload");
            wire::seal(&self.birth, position, record)
                .map_err(|error| fjall::Error::Io(std::io::Error::other(error)))?;
            batch.insert(&self.events, position_key(position), &*record);
            position = position.next();
            start = *end;
        }
        for entry in encoded.meta.drain(..) {
            match entry.value {
                Some(value) => batch.insert(&self.state, entry.key, value),
                None => batch.remove(&self.state, entry.key),
            }
        }
        Ok(position)
    }

    fn sync_interval(&self) -> Duration {
        match self.sync {
            Sync::Always => Duration::ZERO,
            Sync::Interval(interval) => interval,
            // NOTE: a reader's wish or the end of the log syncs long before; this only bounds the wait.
            Sync::Os => Duration::from_secs(3_600),
        }
    }

    fn is_sync_due(&self, progress: &Progress) -> bool {
        self.shared.sync_wanted.load(Ordering::Acquire)
            || progress.sync_due.is_some_and(|due| due <= Instant::now())
    }

    fn sync(&self, progress: &mut Progress) -> Result<(), fjall::Error> {
        // IMPORTANT: cleared before the fsync, so that a wish for what comes after it is not lost.
        self.shared.sync_wanted.store(false, Ordering::Release);
        self.database.persist(PersistMode::SyncData)?;
        progress.sync_due = None;
        let durable = progress.next.before();
        self.shared.ends.send_modify(|ends| ends.durable = durable);
        self.acknowledge(progress);
        Ok(())
    }

    fn acknowledge(&self, progress: &mut Progress) {
        for (reply, outcome) in progress.waiting.drain(..) {
            // NOTE: an appender that went away does not want its answer.
            let _ = reply.send(Ok(outcome));
        }
    }

    /// The log is over: tell everybody who waits, and let later appends fail at once.
    fn fail(&self, error: fjall::Error, progress: &mut Progress, turn: &mut Turn) {
        let error = Arc::clone(self.shared.failure.get_or_init(|| Arc::new(EngineError(error))));
        progress.sync_due = None;
        for (reply, _) in progress.waiting.drain(..) {
            refuse(Some(reply), &error);
        }
        for (_, reply) in turn.appends.drain(..) {
            refuse(reply, &error);
        }
        // NOTE: wakes readers that wait for a durable position that will not come.
        self.shared.ends.send_modify(|_| {});
    }
}

fn refuse(reply: Option<Reply>, error: &Arc<EngineError>) {
    if let Some(reply) = reply {
        let _ = reply.send(Err(AppendError::Failed(Arc::clone(error))));
    }
}
