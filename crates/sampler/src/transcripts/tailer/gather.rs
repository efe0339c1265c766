//! One file after the other, until a portion is full.

use std::io;
use std::sync::Arc;

use event::SinkError;
use usage::transcript::TranscriptReader;

use super::super::entry::{Entry, FileId, Place};
use super::super::lines::Ended;
use super::super::log::Portion;
use super::super::queue::{Job, Why};
use super::super::read::{self, Looked, Opened, Surroundings};
use super::{CALLS_MAX, ENTRIES_MAX, PORTION_BYTES, QUIET, Tailer};

/// What is read and not appended yet.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) portion: Portion,
    pub(super) entries: Vec<(FileId, Entry)>,
    /// Numbers by which their files were known before.
    pub(super) replaced: Vec<FileId>,
    pub(super) jobs: Vec<Job>,
    /// What is to be read further.
    pub(super) unfinished: Option<Job>,
    pub(super) problems: Vec<String>,
    pub(super) bytes: u64,
}

impl Gathered {
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= PORTION_BYTES
            || self.portion.events.len() >= CALLS_MAX
            || self.entries.len() >= ENTRIES_MAX
            || self.unfinished.is_some()
    }
}

impl Tailer {
    /// Reads one file. An error is the log's; what is wrong with the file is noted.
    pub(super) fn gather(
        &mut self,
        gathered: &mut Gathered,
        job: Job,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), SinkError> {
        let opened = match Opened::open(&job.path) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                self.unreadable.remove(&job.path);
                return Ok(());
            }
            Err(error) => {
                self.unreadable.insert(job.path, error.to_string());
                return Ok(());
            }
        };
        if gathered.entries.iter().any(|(id, _)| *id == opened.id) {
            // NOTE: what was read of it is not in the log yet, and is where the next look begins.
            gathered.unfinished = Some(job);
            return Ok(());
        }
        match self.look(gathered, &job, &opened, is_stopped)? {
            Ok(Some(looked)) => self.take(gathered, job, opened.id, looked),
            Ok(None) => _ = self.unreadable.remove(&job.path),
            Err(error) => _ = self.unreadable.insert(job.path, error.to_string()),
        }
        Ok(())
    }

    /// Looks at an open file; the inner error is the file's, the outer the log's.
    fn look(
        &mut self,
        gathered: &mut Gathered,
        job: &Job,
        opened: &Opened,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<io::Result<Option<Looked>>, SinkError> {
        let (id, entry) = match self.entry_of(job, opened) {
            Ok(known) => known,
            Err(error) => return Ok(Err(error)),
        };
        let is_known = id == opened.id && self.known.get(id).is_some();
        if job.why == Why::Growth && is_known && opened.has_nothing_new(&entry) {
            self.known.note_seen(id, opened.stamp());
            return Ok(Ok(None));
        }
        let state = if entry.offset == 0 { None } else { self.parts.log.state(&id.reader_key())? };
        let (entry, reader) = match self.reader(job, entry, state.as_deref()) {
            Ok(made) => made,
            Err(problem) => return Ok(Err(io::Error::other(problem))),
        };
        let around = Surroundings {
            registry: &self.parts.registry,
            host: self.parts.host.as_ref(),
            limits: self.limits,
            calls_max: CALLS_MAX,
            is_stopped,
            quiet: self.quiet(job, opened),
        };
        Ok(opened.look(entry, reader, &around).map(|mut looked| {
            if id != opened.id {
                gathered.replaced.push(id);
                looked.state = looked.state.or(state);
            }
            Some(looked)
        }))
    }

    /// Whether the reader is to be told that its file is quiet.
    ///
    /// NOTE: by the time of its last change, which nobody can set, so that old files are done with at once.
    fn quiet(&self, job: &Job, opened: &Opened) -> read::Quiet {
        let now = self.parts.clock.now().micros() / 1_000_000;
        let age = u64::try_from(now.saturating_sub(opened.stamp().changed_seconds())).unwrap_or(0);
        match job.why {
            _ if age > QUIET.as_secs() => read::Quiet::Now,
            Why::Quiet => read::Quiet::UnlessGrown,
            Why::Growth => read::Quiet::NotYet,
        }
    }

    /// What is known of an open file, and by which number: its own, or, since a machine that starts may number its
    /// devices anew, the one of the same file on another device that its name was known by.
    fn entry_of(&self, job: &Job, opened: &Opened) -> io::Result<(FileId, Entry)> {
        let named = self.known.named(&job.path).filter(|id| id.inode == opened.id.inode);
        for id in [Some(opened.id), named].into_iter().flatten() {
            if let Some(entry) = self.known.get(id)
                && opened.continues(entry)?
            {
                return Ok((id, Entry { path: Arc::clone(&job.path), tool: job.tool, ..entry.clone() }));
            }
        }
        Ok((opened.id, Entry::new(job.tool, Arc::clone(&job.path))))
    }

    /// A reader for an entry; from the beginning of the file when its state is not there or cannot be gone on from.
    fn reader(
        &mut self,
        job: &Job,
        entry: Entry,
        state: Option<&[u8]>,
    ) -> Result<(Entry, Box<dyn TranscriptReader>), String> {
        let kin = Arc::clone(self.known.kin());
        match state.map(|state| (self.parts.make_reader)(job.tool, &job.path, Some(state), kin)) {
            Some(Ok(reader)) => return Ok((entry, reader)),
            Some(Err(error)) => {
                let problem = format!("{}: {error}: it is read again from its start", job.path.display());
                self.note_misread(&[problem]);
            }
            None => {}
        }
        let kin = Arc::clone(self.known.kin());
        let reader = (self.parts.make_reader)(job.tool, &job.path, None, kin);
        Ok((Entry { offset: 0, place: Place::Line, ..entry }, reader.map_err(|error| error.to_string())?))
    }

    fn take(&mut self, gathered: &mut Gathered, job: Job, id: FileId, looked: Looked) {
        self.unreadable.remove(&job.path);
        let Looked { entry, state, events, problems, bytes, ended } = looked;
        gathered.problems.extend(problems.iter().map(|problem| format!("{}: {problem}", job.path.display())));
        gathered.bytes += bytes;
        gathered.portion.events.extend(events);
        if let Some(state) = state {
            gathered.portion.changes.push((id.file_key(), Some(entry.encode())));
            gathered.portion.changes.push((id.reader_key(), Some(state)));
        }
        if ended == Ended::Enough {
            let bytes = job.bytes.saturating_sub(bytes);
            gathered.unfinished = Some(Job { bytes, ..job.clone() });
        }
        gathered.entries.push((id, entry));
        gathered.jobs.push(job);
    }
}
