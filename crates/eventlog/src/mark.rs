//! The mark: how far the log was durable, told outside of the log.
//!
//! fjall cuts a broken end of its journal away without a word, so the log alone cannot know that it once was
//! longer. After each sync the file `mark` in the data directory gets the last durable position and that
//! record's checksum, and is itself synced before a reader sees the position. A log that opens with less than
//! its mark says has lost its tail: the missing positions become a hole and are never given out again.
//!
//! The mark also repeats who the log is, so that a repair knows it when fjall's files do not tell any more.
//!
//! ```text
//! file = slot (512 bytes) … at 0, slot … at 4096
//! slot = "TWMARK\x00\x01" | generation u64 | log id 16 | birth id 16 | created i64
//!        | position u64 | checksum u32 | host length u16 | host | crc32c u32 of all before
//! ```
//!
//! Integers are big-endian. Slots are written in turn, each in a page of its own, so a torn write spoils one of
//! them at the most, and the other one is a sync older. What a bad mark means: one bad slot, the other one
//! holds; two, or no file, and the log opens as far as it goes, which is told.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use event::{BirthId, HostName, LogId, Position, Time};

use crate::open::LogInfo;

const MAGIC: [u8; 8] = *b"TWMARK\0\x01";
const SLOT_BYTES: usize = 512;
/// Two slots must not share a page, nor a sector of a disk.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// The last durable record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastDurable {
    /// Its place; zero when there was none yet.
    pub(crate) position: Position,
    /// Its checksum.
    pub(crate) checksum: u32,
}

/// What a mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) info: LogInfo,
    pub(crate) durable: LastDurable,
    generation: u64,
}

/// What was found where a mark should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A mark.
    Mark(Mark),
    /// No file: the log is new, or older than marks, or somebody removed it.
    Missing,
    /// A file without a good slot.
    Damaged,
}

impl Found {
    pub(crate) fn mark(&self) -> Option<&Mark> {
        match self {
            Self::Mark(mark) => Some(mark),
            Self::Missing | Self::Damaged => None,
        }
    }
}

/// Where the mark of a data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("mark")
}

/// Reads the mark of a data directory.
pub(crate) fn read(data_dir: &Path) -> io::Result<Found> {
    let mut bytes = Vec::new();
    match File::open(path(data_dir)) {
        Ok(file) => file.take(SLOT_OFFSETS[1] + SLOT_BYTES as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let slots = SLOT_OFFSETS.iter().filter_map(|offset| {
        let offset = usize::try_from(*offset).ok()?;
        decode(bytes.get(offset..)?.get(..SLOT_BYTES)?)
    });
    Ok(slots.max_by_key(|mark| mark.generation).map_or(Found::Damaged, Found::Mark))
}

/// Writes marks.
#[derive(Debug)]
pub(crate) struct MarkWriter {
    file: File,
    info: LogInfo,
    generation: u64,
}

impl MarkWriter {
    /// Opens the mark of a data directory, or makes it; goes on behind `found`.
    pub(crate) fn open(data_dir: &Path, info: &LogInfo, found: &Found) -> io::Result<Self> {
        let path = path(data_dir);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(SLOT_OFFSETS[1] + SLOT_BYTES as u64)?;
        file.sync_all()?;
        File::open(data_dir)?.sync_all()?;
        let generation = found.mark().map_or(0, |mark| mark.generation);
        Ok(Self { file, info: info.clone(), generation })
    }

    /// From the next slot on the log has this name.
    pub(crate) fn rename(&mut self, info: &LogInfo) {
        self.info.clone_from(info);
    }

    /// Writes the next slot and syncs it.
    pub(crate) fn write(&mut self, durable: LastDurable) -> io::Result<()> {
        self.generation += 1;
        let slot = encode(&self.info, durable, self.generation);
        let [even, odd] = SLOT_OFFSETS;
        let offset = if self.generation.is_multiple_of(2) { even } else { odd };
        self.file.write_all_at(&slot, offset)?;
        self.file.sync_data()
    }
}

fn encode(info: &LogInfo, durable: LastDurable, generation: u64) -> Vec<u8> {
    let host = info.host.as_str().as_bytes();
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend(MAGIC);
    slot.extend(generation.to_be_bytes());
    slot.extend(info.log_id.as_bytes());
    slot.extend(info.birth_id.as_bytes());
    slot.extend(info.created.micros().to_be_bytes());
    slot.extend(durable.position.0.to_be_bytes());
    slot.extend(durable.checksum.to_be_bytes());
    // NOTE: a host name has at most 255 bytes.
    slot.extend(u16::try_from(host.len()).unwrap_or_default().to_be_bytes());
    slot.extend(host);
    slot.extend(crc32c::crc32c(&slot).to_be_bytes());
    slot.resize(SLOT_BYTES, 0);
    slot
}

fn decode(slot: &[u8]) -> Option<Mark> {
    let mut rest = slot;
    if take(&mut rest)? != MAGIC {
        return None;
    }
    let generation = u64::from_be_bytes(take(&mut rest)?);
    let log_id = LogId::from_bytes(take(&mut rest)?);
    let birth_id = BirthId::from_bytes(take(&mut rest)?);
    let created = Time::from_micros(i64::from_be_bytes(take(&mut rest)?));
    let position = Position(u64::from_be_bytes(take(&mut rest)?));
    let checksum = u32::from_be_bytes(take(&mut rest)?);
    let host_bytes = usize::from(u16::from_be_bytes(take(&mut rest)?));
    let host = rest.get(..host_bytes)?;
    let mut rest = rest.get(host_bytes..)?;
    let covered = slot.len().checked_sub(rest.len())?;
    if u32::from_be_bytes(take(&mut rest)?) != crc32c::crc32c(slot.get(..covered)?) {
        return None;
    }
    let host = HostName::new(std::str::from_utf8(host).ok()?).ok()?;
    let info = LogInfo { log_id, birth_id, host, created };
    Some(Mark { info, durable: LastDurable { position, checksum }, generation })
}

/// Takes the first `N` bytes off.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> LogInfo {
        LogInfo {
            log_id: LogId::random(),
            birth_id: BirthId::random(),
            host: HostName::new("here").unwrap(),
            created: Time::from_micros(1_767_323_045_678_901),
        }
    }

    fn durable(position: u64) -> LastDurable {
        LastDurable { position: Position(position), checksum: u32::try_from(position).unwrap() ^ 0xabcd }
    }

    fn found(dir: &Path) -> Option<LastDurable> {
        read(dir).unwrap().mark().map(|mark| mark.durable)
    }

    #[test]
    fn the_newest_mark_is_read_back_with_its_log() {
        let (dir, info) = (tempfile::tempdir().unwrap(), info());
        assert_eq!(read(dir.path()).unwrap(), Found::Missing);
        let mut writer = MarkWriter::open(dir.path(), &info, &Found::Missing).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Found::Damaged, "made, and not written yet");
        for position in 1..=5 {
            writer.write(durable(position)).unwrap();
            assert_eq!(found(dir.path()), Some(durable(position)));
        }
        let again = read(dir.path()).unwrap();
        assert_eq!(again.mark().unwrap().info, info);
        let mut writer = MarkWriter::open(dir.path(), &info, &again).unwrap();
        writer.write(durable(6)).unwrap();
        assert_eq!(found(dir.path()), Some(durable(6)));
    }

    #[test]
    fn any_flipped_byte_leaves_the_mark_before_or_this_one() {
        let (dir, info) = (tempfile::tempdir().unwrap(), info());
        let mut writer = MarkWriter::open(dir.path(), &info, &Found::Missing).unwrap();
        writer.write(durable(1)).unwrap();
        writer.write(durable(2)).unwrap();
        let good = std::fs::read(path(dir.path())).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(path(dir.path()), &bad).unwrap();
            let read = found(dir.path());
            assert!(read == Some(durable(1)) || read == Some(durable(2)), "byte {at}: {read:?}");
        }
        for length in 0..good.len() {
            std::fs::write(path(dir.path()), &good[..length]).unwrap();
            let read = found(dir.path());
            assert!(read.is_none() || read == Some(durable(1)) || read == Some(durable(2)), "{length} bytes");
        }
    }
}
