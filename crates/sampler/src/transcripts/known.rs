//! The transcripts that are known, by file and by name, and when each was quiet for long enough.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, FileId, Rest, Stamp};
use super::kin::Kin;
use super::scan::Found;

/// What a scan has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every home.
    Whole,
    /// Where something has changed.
    Part,
}

/// The transcripts that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<FileId, Entry>,
    by_path: HashMap<Arc<Path>, FileId>,
    kin: Arc<Kin>,
    /// When each file that was read is quiet, on the clock that never steps; and the same in their order.
    quiet_at: HashMap<FileId, Duration>,
    in_order: BTreeSet<(Duration, FileId)>,
}

impl Known {
    pub(super) fn get(&self, id: FileId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn kin(&self) -> &Arc<Kin> {
        &self.kin
    }

    /// The file that is known by this name.
    pub(super) fn named(&self, path: &Path) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// Takes an entry as it is now; unless its reader was told already, the file is quiet at `quiet_at`.
    pub(super) fn put(&mut self, id: FileId, entry: Entry, quiet_at: Duration) {
        self.forget_quiet(id);
        if entry.rest == Rest::Awake && entry.offset > 0 {
            self.quiet_at.insert(id, quiet_at);
            self.in_order.insert((quiet_at, id));
        }
        self.forget_name(id);
        self.kin.meet(entry.tool, &entry.path);
        self.by_path.insert(Arc::clone(&entry.path), id);
        self.entries.insert(id, entry);
    }

    pub(super) fn forget(&mut self, id: FileId) {
        self.forget_quiet(id);
        self.forget_name(id);
        self.entries.remove(&id);
    }

    /// Forgets all that is not in what the log keeps.
    pub(super) fn clear(&mut self) {
        *self = Self { kin: Arc::clone(&self.kin), ..Self::default() };
    }

    fn forget_name(&mut self, id: FileId) {
        let Some(entry) = self.entries.get(&id) else { return };
        if self.by_path.get(&entry.path) == Some(&id) {
            self.by_path.remove(&entry.path);
            self.kin.forget(entry.tool, &entry.path);
        }
    }

    fn forget_quiet(&mut self, id: FileId) {
        if let Some(at) = self.quiet_at.remove(&id) {
            self.in_order.remove(&(at, id));
        }
    }

    /// When the next file is quiet.
    pub(super) fn next_quiet(&self) -> Option<Duration> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes a file that is quiet now, if one is.
    pub(super) fn take_quiet(&mut self, now: Duration) -> Option<&Entry> {
        let (_, id) = self.in_order.first().copied().filter(|(at, _)| *at <= now)?;
        self.forget_quiet(id);
        self.entries.get(&id)
    }

    /// Notes what a file looked like when all of it had been read.
    pub(super) fn note_seen(&mut self, id: FileId, stamp: Stamp) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.seen = Some(stamp);
        }
    }

    /// Notes that files are where they were found, and gives those that are to be read by the name that they have there:
    /// a file that has several names is read by one of them, the one that it is known by as long as it has that.
    pub(super) fn meet(&mut self, found: Vec<Found>, extent: Extent) -> Vec<Found> {
        let mut each = self.one_of_each(found);
        each.retain(|file| self.meet_one(file, extent));
        each
    }

    fn one_of_each(&self, found: Vec<Found>) -> Vec<Found> {
        let mut chosen: HashMap<FileId, usize> = HashMap::with_capacity(found.len());
        let mut each: Vec<Found> = Vec::with_capacity(found.len());
        for file in found {
            match chosen.get(&file.id).and_then(|index| each.get_mut(*index)) {
                Some(other) if self.get(file.id).is_some_and(|entry| entry.path == file.path) => {
                    *other = file;
                }
                Some(_) => {}
                None => {
                    chosen.insert(file.id, each.len());
                    each.push(file);
                }
            }
        }
        each
    }

    /// Whether a file is to be looked at.
    fn meet_one(&mut self, file: &Found, extent: Extent) -> bool {
        let Some(entry) = self.entries.get_mut(&file.id) else {
            self.kin.meet(file.tool, &file.path);
            return true;
        };
        entry.missing_since = None;
        let is_unchanged = entry.seen == Some(file.stamp);
        if entry.path == file.path {
            return !is_unchanged;
        }
        let has_both = extent == Extent::Part && has_name(file.id, &entry.path);
        if !has_both {
            let entry = Entry { path: Arc::clone(&file.path), tool: file.tool, ..entry.clone() };
            let quiet_at = self.quiet_at.get(&file.id).copied().unwrap_or_default();
            self.put(file.id, entry, quiet_at);
        }
        !has_both && !is_unchanged
    }
}

fn has_name(id: FileId, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| FileId::of(&metadata) == id)
}
