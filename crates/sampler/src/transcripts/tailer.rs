//! Reads what is to be read, and appends it.
//!
//! A turn reads until a portion is full or nothing is left, and appends it. In memory an entry moves only after the log
//! has taken it. After a refusal nobody knows whether the log has kept the portion all the same, and a log that was
//! opened anew may have less than it had acknowledged: then all entries are read back from it before anything else.

mod gather;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event::{Event, SinkError, Text, Time};
use usage::Tool;
use usage::transcript::{Family, StateError, TranscriptReader};

use gather::Gathered;

use super::entry::{Entry, FILES, FileId};
use super::known::{Extent, Known};
use super::lines::Limits;
use super::log::{Age, Portion, TranscriptLog};
use super::queue::{Job, Queue, Why};
use super::scan::{Found, Scan};
use crate::{Clock, Progress, Registry};

/// The most of one file that is read for one append, and about the most of all files.
const PORTION_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes of a line: the longest that tools write hold a picture or a whole file.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// About the most calls of one append: a quarter of what the log commits at once.
const CALLS_MAX: usize = 4_096;
/// The most entries that one append changes.
const ENTRIES_MAX: usize = 1_024;
/// A file that was not written for so long is quiet.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// What happened within so long is of now.
const LIVE_MICROS: i64 = 10 * 60 * 1_000_000;
/// How long a file that is gone stays known: it may come back, as when a home is moved.
const MISSING_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// What a tailer works with.
pub(super) struct Parts {
    pub(super) log: Arc<dyn TranscriptLog>,
    pub(super) registry: Registry,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) host: Option<Text>,
    pub(super) make_reader: MakeReader,
}

/// Makes a reader of a transcript, from its beginning or from a kept state: [`Tool::reader`].
pub(super) type MakeReader =
    fn(Tool, &Path, Option<&[u8]>, Arc<dyn Family>) -> Result<Box<dyn TranscriptReader>, StateError>;

/// What was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) events: u64,
}

/// What could not be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) lines: u64,
    pub(super) last: String,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There was something to do, and there may be more.
    Worked,
    /// There was nothing to do.
    Rested,
}

/// Whether what is known is what the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Known,
    Doubtful,
}

/// Reads transcripts as they are found.
pub(super) struct Tailer {
    parts: Parts,
    limits: Limits,
    known: Known,
    trust: Trust,
    queue: Queue,
    /// What could not be read when it was to be, and why.
    unreadable: BTreeMap<Arc<Path>, String>,
    /// What the last scan of everything could not look into, and why.
    hidden: BTreeMap<Arc<Path>, String>,
    misread: Misread,
    done: Done,
}

impl Tailer {
    /// Goes on from what the log keeps, as soon as it can be read.
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            limits: Limits { line: LINE_BYTES_MAX, portion: PORTION_BYTES },
            known: Known::default(),
            trust: Trust::Doubtful,
            queue: Queue::default(),
            unreadable: BTreeMap::new(),
            hidden: BTreeMap::new(),
            misread: Misread::default(),
            done: Done::default(),
        }
    }

    /// Whether the log may keep something else than what is known here.
    pub(super) fn is_in_doubt(&mut self) -> bool {
        if self.parts.log.was_opened_anew() {
            self.trust = Trust::Doubtful;
        }
        self.trust == Trust::Doubtful
    }

    /// Reads back from the log what it keeps.
    pub(super) fn settle(&mut self) -> Result<(), SinkError> {
        let kept = self.parts.log.states(FILES)?;
        self.known.clear();
        let quiet_at = self.parts.clock.monotonic() + QUIET;
        for (key, value) in kept {
            if let Some((id, entry)) = FileId::of_key(&key).zip(Entry::decode(&value)) {
                self.known.put(id, entry, quiet_at);
            }
        }
        self.trust = Trust::Known;
        Ok(())
    }

    /// Takes what a scan of everything has found. Older files go first: what others have copied from is older than they.
    pub(super) fn found_all(&mut self, scan: Scan) {
        let found: HashSet<&Path> = scan.found.iter().map(|file| &*file.path).collect();
        self.unreadable.retain(|path, _| found.contains(&**path));
        self.hidden = scan.unreadable.into_iter().map(|(path, why)| (path.into(), why)).collect();
        let mut found = self.known.meet(scan.found, Extent::Whole);
        found.sort_by(|one, other| one.age_order().cmp(&other.age_order()));
        for file in found {
            self.queue.add(self.job(&file));
        }
    }

    /// Takes what was found where something has changed: it is read before everything else.
    pub(super) fn found_fresh(&mut self, scan: Scan) {
        for file in self.known.meet(scan.found, Extent::Part) {
            self.queue.add_fresh(self.job(&file));
        }
    }

    fn job(&self, file: &Found) -> Job {
        let read = self.known.get(file.id).map_or(0, |entry| entry.offset);
        let bytes = file.stamp.size.saturating_sub(read);
        Job { tool: file.tool, path: Arc::clone(&file.path), why: Why::Growth, bytes }
    }

    /// Notes which files are gone from folders that were looked into, and forgets those that have been gone for long.
    pub(super) fn miss(
        &mut self,
        present: &HashSet<FileId>,
        is_looked_into: impl Fn(&Path) -> bool,
    ) -> Result<(), SinkError> {
        let now = self.parts.clock.now();
        let mut changes: Vec<(FileId, Option<Entry>)> = Vec::new();
        for (id, entry) in self.known.iter() {
            if present.contains(&id) || !is_looked_into(&entry.path) {
                continue;
            }
            match entry.missing_since {
                None => changes.push((id, Some(Entry { missing_since: Some(now), ..entry.clone() }))),
                Some(since) if now.micros() - since.micros() > MISSING_MICROS => changes.push((id, None)),
                Some(_) => {}
            }
        }
        changes.chunks(ENTRIES_MAX).try_for_each(|some| self.change(some))
    }

    fn change(&mut self, entries: &[(FileId, Option<Entry>)]) -> Result<(), SinkError> {
        let changes = entries.iter().flat_map(|(id, entry)| match entry {
            Some(entry) => vec![(id.file_key(), Some(entry.encode()))],
            None => vec![(id.file_key(), None), (id.reader_key(), None)],
        });
        self.keep(Portion { changes: changes.collect(), ..Portion::default() })?;
        let never = Duration::MAX;
        for (id, entry) in entries {
            match entry {
                Some(entry) => self.known.put(*id, entry.clone(), never),
                None => self.known.forget(*id),
            }
        }
        Ok(())
    }

    fn keep(&mut self, portion: Portion) -> Result<(), SinkError> {
        let kept = self.parts.log.append(portion);
        if kept.is_err() {
            self.trust = Trust::Doubtful;
        }
        kept
    }

    /// Reads until a portion is full or nothing is left, and appends it. What is stopped in the middle is not appended.
    pub(super) fn turn(&mut self, is_stopped: &dyn Fn() -> bool) -> Result<Turn, SinkError> {
        self.wake_the_quiet();
        let mut gathered = Gathered::default();
        while !gathered.is_full() && !is_stopped() {
            let Some(job) = self.queue.take() else { break };
            if let Err(error) = self.gather(&mut gathered, job.clone(), is_stopped) {
                gathered.jobs.push(job);
                self.queue.put_back(gathered.jobs);
                return Err(error);
            }
        }
        if gathered.jobs.is_empty() {
            return Ok(Turn::Rested);
        }
        if !is_stopped() {
            self.append(gathered)?;
        }
        Ok(Turn::Worked)
    }

    fn wake_the_quiet(&mut self) {
        let now = self.parts.clock.monotonic();
        while let Some(entry) = self.known.take_quiet(now) {
            let (tool, path) = (entry.tool, Arc::clone(&entry.path));
            self.queue.add_fresh(Job { tool, path, why: Why::Quiet, bytes: 0 });
        }
    }

    /// When the next file is quiet, on the clock that never steps.
    pub(super) fn next_quiet(&self) -> Option<Duration> {
        self.known.next_quiet()
    }

    fn note_misread(&mut self, problems: &[String]) {
        if let Some(last) = problems.last() {
            self.misread.lines += problems.len() as u64;
            self.misread.last.clone_from(last);
        }
    }

    fn append(&mut self, gathered: Gathered) -> Result<(), SinkError> {
        let Gathered { mut portion, entries, replaced, jobs, unfinished, problems, bytes } = gathered;
        portion
            .changes
            .extend(replaced.iter().flat_map(|id| [(id.file_key(), None), (id.reader_key(), None)]));
        portion.age = self.age(&portion.events);
        let events = portion.events.len() as u64;
        if !portion.changes.is_empty()
            && let Err(error) = self.keep(portion)
        {
            self.queue.put_back(jobs);
            return Err(error);
        }
        let quiet_at = self.parts.clock.monotonic() + QUIET;
        replaced.into_iter().for_each(|id| self.known.forget(id));
        entries.into_iter().for_each(|(id, entry)| self.known.put(id, entry, quiet_at));
        self.note_misread(&problems);
        let is_half = |job: &Job| unfinished.as_ref().is_some_and(|half| half.path == job.path);
        self.done.files += jobs.iter().filter(|job| !is_half(job)).count() as u64;
        self.done.bytes += bytes;
        self.done.events += events;
        self.queue.put_back(unfinished.into_iter().collect());
        Ok(())
    }

    fn age(&self, events: &[Event]) -> Age {
        let now = self.parts.clock.now().micros();
        let is_near = |time: Time| (now - time.micros()).abs() <= LIVE_MICROS;
        if events.iter().all(|event| is_near(event.time())) { Age::Live } else { Age::Old }
    }

    pub(super) const fn done(&self) -> Done {
        self.done
    }

    pub(super) const fn what_was_misread(&self) -> &Misread {
        &self.misread
    }

    /// What cannot be read now, and why.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let all = self.hidden.iter().chain(&self.unreadable);
        all.map(|(path, why)| format!("cannot read {}: {why}", path.display())).collect()
    }

    /// How many transcripts are known.
    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// What is still to be read of what scans have found; `None` when that is nothing.
    pub(super) fn progress(&self) -> Option<Progress> {
        let (files_left, bytes_left) = self.queue.backlog();
        let Done { files, bytes, .. } = self.done;
        (files_left > 0).then_some(Progress { files, bytes, files_left, bytes_left })
    }
}
