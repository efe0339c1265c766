//! A log that has failed works again by itself.
//!
//! ```text
//! open ── write fails ──► failed ── room on the disk, files open, tail is sound, a commit lands ──► open
//!                           ▲  │
//!                           └──┘ else again later, with growing pauses
//! ```
//!
//! The process lives on meanwhile: appenders are refused at once with the reason, readers wait. What was handed
//! over without waiting for an answer, and is not known to be kept, is told by a `gap` event in the commit that
//! proves that the log works again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use event::{Event, Time};

use super::{Health, Open, Order, Shared, State, Turn, Writer};
use crate::append::Encoded;
use crate::commit::Extra;
use crate::error::{AppendError, EngineError, OpenError};
use crate::losses;
use crate::recovery;
use crate::repair::{Answer, RepairError, Told};

/// The pause before the first attempt: who has failed for a moment only is back soon.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// So much must fit on the disk before the log is opened again: one commit at its largest, and its flush.
const PROBE_BYTES: usize = 8 * 1024 * 1024;

/// How long a repair waits for readers.
const READERS_PATIENCE: Duration = Duration::from_secs(5);
/// How often the writer looks whether a repair is through.
const REFUSALS_PAUSE: Duration = Duration::from_millis(20);

/// A log without a database, between two attempts to open it again.
#[derive(Debug)]
pub(crate) struct Failed {
    error: Arc<EngineError>,
    since: SystemTime,
    pub(super) due: Instant,
    pause: Duration,
    /// The old database: it must be gone before its files are opened again.
    old: Weak<()>,
    lost: Lost,
}

/// What was handed over without waiting, and is not known to be kept.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    events: u64,
    times: Option<(Time, Time)>,
}

impl Lost {
    fn add(&mut self, encoded: &Encoded) {
        self.events += encoded.ends.len() as u64;
        let join = |a: (Time, Time), b: (Time, Time)| (a.0.min(b.0), a.1.max(b.1));
        self.times = self.times.into_iter().chain(encoded.times()).reduce(join);
    }

    fn gap(&self) -> Option<Event> {
        let (from, to) = self.times?;
        Some(losses::gap(Time::from(SystemTime::now()), from, to, self.events, "log_failed"))
    }
}

impl Failed {
    fn new(error: Arc<EngineError>, old: Weak<()>) -> Self {
        let due = Instant::now() + FIRST_PAUSE;
        Self { error, since: SystemTime::now(), due, pause: FIRST_PAUSE, old, lost: Lost::default() }
    }

    pub(super) fn refusal(&self) -> AppendError {
        AppendError::Failed(Arc::clone(&self.error))
    }

    /// Answers everybody who wants something kept.
    pub(super) fn refuse(&mut self, turn: &mut Turn, shared: &Shared) {
        for (encoded, reply) in turn.appends.drain(..) {
            match reply {
                Some(reply) => {
                    shared.count_refused(encoded.ends.len());
                    let _ = reply.send(Err(self.refusal()));
                }
                None if encoded.is_on_shelf => {}
                None => self.lost.add(&encoded),
            }
        }
    }
}

impl Writer {
    /// The log has failed: tells everybody who waits, and lets go of the database.
    pub(super) fn fail(&mut self, error: EngineError, turn: &mut Turn) {
        self.fail_now(error);
        if let State::Failed(failed) = &mut self.state {
            failed.refuse(turn, &self.shared);
        }
    }

    pub(super) fn fail_now(&mut self, error: EngineError) -> Arc<EngineError> {
        let error = Arc::new(error);
        let old = match &mut self.state {
            State::Failed(failed) => std::mem::take(&mut failed.old),
            State::Open(open) => {
                for (reply, outcome) in open.waiting.drain(..) {
                    self.shared.count_refused(usize::try_from(outcome.events).unwrap_or_default());
                    let _ = reply.send(Err(AppendError::Failed(Arc::clone(&error))));
                }
                Arc::downgrade(&open.committer.engine.gone)
            }
        };
        self.shared.set_engine(None);
        self.state = State::Failed(Failed::new(Arc::clone(&error), old));
        self.tell_failed();
        // NOTE: wakes readers: the next position may be another one when the log is back.
        self.shared.ends.send_modify(|_| {});
        error
    }

    fn tell_failed(&self) {
        if let State::Failed(failed) = &self.state {
            let (since, error) = (failed.since, Arc::clone(&failed.error));
            self.shared.health.send_replace(Health::Failed { since, error });
        }
    }

    pub(super) fn mend_when_due(&mut self) {
        let State::Failed(failed) = &mut self.state else { return };
        if failed.due > Instant::now() {
            return;
        }
        let gap = failed.lost.gap();
        match self.reopen(gap) {
            Ok(open) => self.is_well(open),
            Err(error) => self.try_later(error),
        }
    }

    pub(super) fn try_later(&mut self, error: EngineError) {
        let State::Failed(failed) = &mut self.state else { return };
        failed.error = Arc::new(error);
        failed.pause = (failed.pause * 2).min(LONGEST_PAUSE);
        failed.due = Instant::now() + failed.pause;
        self.tell_failed();
    }

    fn is_well(&mut self, open: Open) {
        self.shared.set_engine(Some(Arc::clone(&open.committer.engine)));
        self.state = State::Open(Box::new(open));
        self.shared.health.send_replace(Health::Well);
        self.shared.ends.send_modify(|_| {});
    }

    /// Opens the files again and commits something, so that a log that says it works does.
    fn reopen(&mut self, gap: Option<Event>) -> Result<Open, EngineError> {
        let State::Failed(failed) = &self.state else { return Err(EngineError::told("the log is open")) };
        if failed.old.strong_count() > 0 {
            return Err(EngineError::told("a reader still holds the files from before"));
        }
        probe(&self.data_dir)
            .map_err(|error| EngineError::told(format!("the disk takes nothing: {error}")))?;
        recovery::rewrite_last_journal(&self.data_dir)
            .map_err(|error| EngineError::told(format!("the disk takes nothing: {error}")))?;
        let told = |error: OpenError| EngineError::told(crate::error::chain(&error));
        let opened = recovery::open(&self.data_dir, &self.settings).map_err(told)?;
        let ends = opened.ends();
        // NOTE: an adoption that failed half way, and a note of the database that was not written.
        self.shared.set_info(opened.info);
        self.shared.write_held_back_again();
        self.shared.add_notes(opened.recovery.notes);
        let mut open = Open::new(opened.committer, opened.mark);
        self.gate.open(&open.committer.engine)?;
        let gap = gap.map(|gap| Encoded::new(vec![gap].into())).transpose();
        let mut gap = gap.map_err(|error| EngineError::told(error.to_string()))?;
        let reopened = Some(Time::from(SystemTime::now()));
        open.committer.commit(gap.iter_mut(), Extra { reopened, ..Extra::default() })?;
        self.shared.ends.send_replace(ends);
        let next = open.committer.next;
        self.shared.ends.send_modify(|ends| ends.next = next);
        open.sync(&self.shared)?;
        let lost = open.committer.lost_events;
        self.shared.lost_events.store(lost, std::sync::atomic::Ordering::Relaxed);
        Ok(open)
    }

    /// Closes the files, repairs them, and opens them again. Whoever wants something kept meanwhile is refused at
    /// once: it takes minutes for a large log. Whoever closes the log is kept in `turn`.
    pub(super) fn repair(&mut self, told: Told, turn: &mut Turn) -> Answer {
        if matches!(self.state, State::Open(_)) {
            self.fail_now(EngineError::told("it is being repaired"));
        }
        let deadline = Instant::now() + READERS_PATIENCE;
        while self.is_held() && Instant::now() < deadline {
            // NOTE: readers hold it for one read each.
            std::thread::sleep(Duration::from_millis(10));
        }
        // IMPORTANT: the threads of a database that is open write and remove tables, and those would be missed.
        let answer = if self.is_held() { Err(RepairError::Busy) } else { self.repair_beside(told, turn) };
        self.try_at(Instant::now());
        self.mend_when_due();
        answer
    }

    fn is_held(&self) -> bool {
        matches!(&self.state, State::Failed(failed) if failed.old.strong_count() > 0)
    }

    fn try_at(&mut self, due: Instant) {
        if let State::Failed(failed) = &mut self.state {
            failed.due = due;
        }
    }

    fn repair_beside(&mut self, told: Told, turn: &mut Turn) -> Answer {
        let data_dir = self.data_dir.clone();
        let repairing = std::thread::Builder::new()
            .name("log-repair".to_owned())
            .spawn(move || crate::repair::repair_files(&data_dir, &told))
            .map_err(|source| OpenError::Thread { source })?;
        while turn.open && !repairing.is_finished() {
            self.try_at(Instant::now() + REFUSALS_PAUSE);
            let mut more = self.gather();
            let State::Failed(failed) = &mut self.state else { break };
            failed.refuse(&mut more, &self.shared);
            match more.order.take() {
                Some(Order::Trim(_, reply)) => _ = reply.send(Err(failed.refusal().into())),
                Some(Order::KeepFloor(reply)) => _ = reply.send(Err(failed.refusal())),
                Some(Order::Adopt(reply)) => _ = reply.send(Err(failed.refusal())),
                Some(Order::Repair(_, reply)) => _ = reply.send(Err(RepairError::Busy)),
                None => {}
            }
            turn.close = turn.close.take().or(more.close);
            turn.open &= more.open;
        }
        // NOTE: a repair that panics has not come to the exchange, which is its end.
        repairing.join().unwrap_or(Err(RepairError::Stopped))
    }
}

/// Whether the disk takes what an opening will write.
fn probe(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join("probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_data()
    });
    fs::remove_file(&path)?;
    written
}
