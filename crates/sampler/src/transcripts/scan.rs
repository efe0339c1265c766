//! Looks for transcripts below the homes: names and sizes only, nothing is opened.

use std::collections::HashMap;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use usage::Tool;

use super::entry::{FileId, Stamp};
use super::homes::Root;
use super::read::is_gone;

/// Folders below a root that are looked into: the tools have four at most.
const DEPTH_MAX: usize = 16;

/// A transcript that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) tool: Tool,
    pub(super) path: Arc<Path>,
    pub(super) id: FileId,
    pub(super) stamp: Stamp,
}

impl Found {
    /// What files are put in order by when they are many: when they were written last, then their names.
    pub(super) fn age_order(&self) -> ((i64, i64), &Path) {
        (self.stamp.modified(), &self.path)
    }
}

/// What a scan has met.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The transcripts, in the order of their folders.
    pub(super) found: Vec<Found>,
    /// Every folder whose names were read.
    pub(super) folders: Vec<PathBuf>,
    /// What cannot be read, and why.
    pub(super) unreadable: HashMap<PathBuf, String>,
}

impl Scan {
    /// Looks into a folder of a root and all below it. `watch` is told of each before its names are read, so that
    /// what comes later is heard of.
    ///
    /// NOTE: links to files are followed, since people move homes that way; links to folders are not but for the root
    /// itself, so that no circle and no foreign tree is walked.
    pub(super) fn folder(&mut self, root: &Root, folder: &Path, watch: &mut dyn FnMut(&Path)) {
        let mut waiting = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = waiting.pop() {
            watch(&folder);
            match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(mut entries) => {
                    entries.sort_unstable_by_key(DirEntry::file_name);
                    for entry in entries {
                        if let Some(below) = self.meet(root, &entry).filter(|_| depth < DEPTH_MAX) {
                            waiting.push((below, depth + 1));
                        }
                    }
                    self.folders.push(folder);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => _ = self.unreadable.insert(folder, error.to_string()),
            }
        }
    }

    /// Looks at one name; gives it when it is a folder.
    fn meet(&mut self, root: &Root, entry: &DirEntry) -> Option<PathBuf> {
        let path = entry.path();
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return Some(path);
        }
        self.file(root, path);
        None
    }

    /// Looks at one file.
    pub(super) fn file(&mut self, root: &Root, path: PathBuf) {
        if !root.tool.is_transcript(&path) || is_shadowed(root, &path) {
            return;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => self.found.push(Found {
                tool: root.tool,
                path: path.into(),
                id: FileId::of(&metadata),
                stamp: Stamp::of(&metadata),
            }),
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => _ = self.unreadable.insert(path, error.to_string()),
        }
    }
}

/// Whether the same session is in the folder that is preferred.
fn is_shadowed(root: &Root, path: &Path) -> bool {
    let Some(preferred) = &root.preferred else { return false };
    path.strip_prefix(&root.path).is_ok_and(|name| preferred.join(name).is_file())
}
