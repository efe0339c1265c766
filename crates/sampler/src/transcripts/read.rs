//! One look at one transcript: the calls of the lines that are new.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use event::{Event, Text, limits};
use usage::transcript::{Call, Told, TranscriptReader};

use super::attribution::Attribution;
use super::entry::{Entry, FileId, Print, Rest, Stamp};
use super::lines::{self, At, Ended, Limits, Taker};
use crate::Registry;

/// How many of a file's first bytes tell that it is the same.
const HEAD_BYTES: u64 = 1_024;
/// The same of the bytes before the offset.
const TAIL_BYTES: u64 = 256;

/// A transcript that is open.
pub(super) struct Opened {
    pub(super) id: FileId,
    file: File,
    stamp: Stamp,
    head: Vec<u8>,
}

/// What a look needs beside the transcript.
pub(super) struct Surroundings<'a> {
    pub(super) registry: &'a Registry,
    pub(super) host: Option<&'a Text>,
    pub(super) limits: Limits,
    /// How many calls are enough for now.
    pub(super) calls_max: usize,
    pub(super) is_stopped: &'a dyn Fn() -> bool,
    pub(super) quiet: Quiet,
}

/// Whether the reader is told at the end that its file is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// It may be in the middle of being written.
    NotYet,
    /// It is, as long as there is nothing new in it.
    UnlessGrown,
    /// It is.
    Now,
}

/// What a look gave.
#[derive(Debug)]
pub(super) struct Looked {
    /// The entry as it is now.
    pub(super) entry: Entry,
    /// What the reader must remember; `None` when nothing has changed that must be kept.
    pub(super) state: Option<Vec<u8>>,
    pub(super) events: Vec<Event>,
    pub(super) problems: Vec<String>,
    pub(super) bytes: u64,
    pub(super) ended: Ended,
}

impl Opened {
    /// Opens a file; `None` when there is none, or it is none that has lines.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        // NOTE: a pipe of this name would keep an ordinary opening waiting for its writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(path);
        let file = match opened {
            Err(error) if is_gone(&error) => return Ok(None),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Self::of(file, &metadata).map(Some)
    }

    fn of(file: File, metadata: &Metadata) -> io::Result<Self> {
        let head = bytes_at(&file, 0, HEAD_BYTES)?;
        Ok(Self { id: FileId::of(metadata), file, stamp: Stamp::of(metadata), head })
    }

    /// Whether what was read of this entry's file is still what this one begins with.
    pub(super) fn continues(&self, entry: &Entry) -> io::Result<bool> {
        if self.stamp.size < entry.offset || print_of_first(&self.head, entry.head.bytes) != entry.head {
            return Ok(false);
        }
        let tail = bytes_at(&self.file, entry.offset - entry.tail.bytes.min(entry.offset), entry.tail.bytes)?;
        Ok(Print::of(&tail) == entry.tail)
    }

    /// Whether all of it was read before.
    pub(super) fn has_nothing_new(&self, entry: &Entry) -> bool {
        entry.offset == self.stamp.size
    }

    pub(super) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Reads from where `entry` is, with the reader that was made for it.
    pub(super) fn look(
        &self,
        mut entry: Entry,
        mut reader: Box<dyn TranscriptReader>,
        around: &Surroundings<'_>,
    ) -> io::Result<Looked> {
        let begin = At { offset: entry.offset, place: entry.place };
        let mut taking = Taking { reader: &mut *reader, told: Told::default(), long_lines: 0, around };
        let (at, ended) = lines::read(&self.file, begin, around.limits, &mut taking)?;
        let (mut told, long_lines) = (taking.told, taking.long_lines);
        let is_quiet = around.quiet == Quiet::Now || around.quiet == Quiet::UnlessGrown && at == begin;
        let at_rest = is_quiet && ended == Ended::AtEnd;
        if at_rest {
            reader.quiet(&mut told);
        }
        let has_changed = at != begin || at_rest && entry.rest == Rest::Awake && at.offset > 0;
        (entry.offset, entry.place) = (at.offset, at.place);
        entry.rest = if at_rest { Rest::Quiet } else { Rest::Awake };
        entry.seen = (ended == Ended::AtEnd).then_some(self.stamp);
        entry.missing_since = None;
        entry.head = print_of_first(&self.head, at.offset.min(HEAD_BYTES));
        let tail = at.offset.min(TAIL_BYTES);
        entry.tail = Print::of(&bytes_at(&self.file, at.offset - tail, tail)?);
        let mut problems = told.problems;
        problems.extend((0..long_lines).map(|_| "a line is too long and was passed over".to_owned()));
        let mut looked = Looked {
            state: has_changed.then(|| reader.state()),
            events: Vec::new(),
            problems,
            bytes: at.offset - begin.offset,
            ended,
            entry,
        };
        looked.add_calls(told.calls, around);
        Ok(looked)
    }
}

impl Looked {
    fn add_calls(&mut self, calls: Vec<Call>, around: &Surroundings<'_>) {
        let path = Arc::clone(&self.entry.path);
        let owner = std::mem::take(&mut self.entry.owner);
        let mut attribution = Attribution::new(around.registry, self.entry.tool, &path, owner);
        for call in calls {
            let agent_name = attribution.agent(&call);
            let mut usage = call.usage;
            (usage.agent_name, usage.host) = (agent_name, around.host.cloned());
            let event = Event::TokenUsage(usage);
            match limits::check(&event) {
                Ok(()) => self.events.push(event),
                Err(invalid) => self.problems.push(format!("a call is left out: {invalid}")),
            }
        }
        self.entry.owner = attribution.into_owner();
    }
}

/// The reader's side of reading lines.
struct Taking<'a> {
    reader: &'a mut dyn TranscriptReader,
    told: Told,
    long_lines: usize,
    around: &'a Surroundings<'a>,
}

impl Taker for Taking<'_> {
    fn line(&mut self, line: &[u8]) {
        self.reader.line(line, &mut self.told);
    }

    fn long_line(&mut self) {
        self.long_lines += 1;
    }

    fn has_enough(&self) -> bool {
        self.told.calls.len() >= self.around.calls_max || (self.around.is_stopped)()
    }
}

/// Whether a path has no file any more, which is normal.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// As many of these bytes as there are from there on.
fn bytes_at(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut at = Positioned { file, offset }.take(bytes);
    let mut read = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    at.read_to_end(&mut read)?;
    Ok(read)
}

fn print_of_first(head: &[u8], bytes: u64) -> Print {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(head.len());
    Print::of(head.get(..bytes).unwrap_or_default())
}

/// Reads a file from some place on, without moving its own.
struct Positioned<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
