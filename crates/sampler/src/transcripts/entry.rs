//! What is kept of a transcript: how far it was read, and what tells that it is still the same file.
//!
//! Two keys for each file, changed in one append with the calls that were read:
//!
//! ```text
//! transcript/file/<device>-<inode>      a line of JSON ([`Header`]), then the bytes of the path
//! transcript/reader/<device>-<inode>    what the reader remembers, in its own form
//! ```
//!
//! An offset is good for a file when its first bytes and the bytes before the offset are those that were read. If not,
//! the file was rewritten: it is read from its beginning again, which counts nothing twice. An entry that cannot be
//! understood is as good as none.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::{Text, Time};
use serde::{Deserialize, Serialize};
use usage::Tool;

/// What every key of an entry begins with.
pub(super) const FILES: &[u8] = b"transcript/file/";
/// The form of the entries.
const FORMAT: u32 = 1;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    pub(super) fn file_key(self) -> Vec<u8> {
        self.key("file")
    }

    pub(super) fn reader_key(self) -> Vec<u8> {
        self.key("reader")
    }

    fn key(self, what: &str) -> Vec<u8> {
        format!("transcript/{what}/{:x}-{:x}", self.device, self.inode).into_bytes()
    }

    /// The file of a key that begins with [`FILES`].
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let (device, inode) = str::from_utf8(key.strip_prefix(FILES)?).ok()?.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some(Self { device: number(device)?, inode: number(inode)? })
    }
}

/// What tells that a file has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When it was written last, in seconds and nanoseconds since the epoch, as the file says.
    pub(super) const fn modified(&self) -> (i64, i64) {
        self.modified
    }

    /// When anything of it changed last, seconds since the epoch.
    pub(super) const fn changed_seconds(&self) -> i64 {
        self.changed.0
    }
}

/// A checksum of some bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    pub(super) bytes: u64,
    sum: u32,
}

impl Print {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sum: crc32c::crc32c(bytes) }
    }
}

/// Where in a file reading goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// Behind a whole line.
    #[default]
    Line,
    /// In the middle of a line that is too long: the rest of it is passed over.
    LongLine,
}

/// Whether the reader was told that its file is quiet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rest {
    /// Not since it was read last.
    #[default]
    Awake,
    /// It was.
    Quiet,
}

/// What is known of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tool: Tool,
    /// Where it was seen last.
    pub(super) path: Arc<Path>,
    /// Whose it is where the registry does not know; empty until a call was read.
    pub(super) owner: Text,
    /// Where reading goes on.
    pub(super) offset: u64,
    pub(super) place: Place,
    /// Of its first bytes.
    pub(super) head: Print,
    /// Of the bytes before the offset.
    pub(super) tail: Print,
    /// What it looked like when all of it had been read.
    pub(super) seen: Option<Stamp>,
    pub(super) rest: Rest,
    /// Since when it is not where it was.
    pub(super) missing_since: Option<Time>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    tool: String,
    owner: String,
    offset: u64,
    place: Place,
    head: Print,
    tail: Print,
    seen: Option<Stamp>,
    rest: Rest,
    missing_since_micros: Option<i64>,
}

impl Entry {
    /// Of a file that nothing was read of.
    pub(super) fn new(tool: Tool, path: Arc<Path>) -> Self {
        Self {
            tool,
            path,
            owner: Text::default(),
            offset: 0,
            place: Place::Line,
            head: Print::default(),
            tail: Print::default(),
            seen: None,
            rest: Rest::Awake,
            missing_since: None,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let header = Header {
            format: FORMAT,
            tool: self.tool.name().to_owned(),
            owner: self.owner.to_string(),
            offset: self.offset,
            place: self.place,
            head: self.head,
            tail: self.tail,
            seen: self.seen,
            rest: self.rest,
            missing_since_micros: self.missing_since.map(Time::micros),
        };
        // NOTE: numbers and text always have a JSON form; without one the entry would be as good as none.
        let mut bytes = serde_json::to_vec(&header).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.path.as_os_str().as_bytes());
        bytes
    }

    /// `None` when it cannot be understood.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, path) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
        let header: Header = serde_json::from_slice(header).ok().filter(|it: &Header| it.format == FORMAT)?;
        Some(Self {
            tool: Tool::ALL.into_iter().find(|tool| tool.name() == header.tool)?,
            path: PathBuf::from(OsString::from_vec(path.get(1..)?.to_vec())).into(),
            owner: header.owner.into(),
            offset: header.offset,
            place: header.place,
            head: header.head,
            tail: header.tail,
            seen: header.seen,
            rest: header.rest,
            missing_since: header.missing_since_micros.map(Time::from_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let path = PathBuf::from(OsString::from_vec(b"/home/\xff a\n/x.jsonl".to_vec()));
        let mut entry = Entry::new(Tool::Codex, path.into());
        assert_eq!(Entry::decode(&entry.encode()), Some(entry.clone()));
        entry.owner = Text::new("zen \"1\"\n");
        (entry.offset, entry.place, entry.rest) = (u64::MAX, Place::LongLine, Rest::Quiet);
        (entry.head, entry.tail) = (Print::of(b"abc"), Print::of(b""));
        entry.seen = Some(Stamp { size: 1, modified: (-1, 2), changed: (3, 4) });
        entry.missing_since = Some(Time::from_micros(5));
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }

    #[test]
    fn what_is_no_entry_is_none() {
        let whole = Entry::new(Tool::Claude, Path::new("/x").into()).encode();
        for cut in [0, 1, whole.len() / 2, whole.len() - 3] {
            assert_eq!(Entry::decode(&whole[..cut]), None, "{cut}");
        }
        let later = String::from_utf8(whole).unwrap().replace("\"format\":1", "\"format\":2");
        assert_eq!(Entry::decode(later.as_bytes()), None);
    }

    #[test]
    fn a_key_tells_its_file() {
        let id = FileId { device: u64::MAX, inode: 10 };
        assert_eq!(FileId::of_key(&id.file_key()), Some(id));
        for strange in ["transcript/reader/1-2", "transcript/file/1", "transcript/file/1-x", "x"] {
            assert_eq!(FileId::of_key(strange.as_bytes()), None, "{strange}");
        }
    }
}
