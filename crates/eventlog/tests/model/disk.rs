//! What a power cut or a bad disk makes of a log's files.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use event::Position;

use crate::support::listing;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// Where the slots of a mark are; each begins with eight bytes of magic and a generation (`src/mark.rs`).
const SLOTS: [usize; 2] = [0, 4096];
const SLOT_BYTES: usize = 512;

/// What becomes of the journal behind what was synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tail {
    /// All of it had reached the disk.
    Keep,
    /// The file ends at so many thousandths of it.
    Cut(u64),
    /// Zeros follow from there.
    Zeros(u64),
    /// Each sector is there, is zero, or is rubbish.
    Sectors(u64),
}

/// What of the active journal is known to be synced.
///
/// fjall syncs its journal when it opens it, when it is told to, and before it writes a table.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    journal: u64,
    synced: u64,
    length: u64,
    /// The length after the last opening or trim. What is kept of holes lies before it: who loses that has damage,
    /// and no lost tail.
    safe: u64,
    /// How long the journal was when a position was seen in it first.
    seen: Vec<(Position, u64)>,
    tables: Vec<(PathBuf, u64)>,
}

impl Disk {
    /// A log that was opened or trimmed: everything that is there is synced.
    pub(crate) fn all_synced(dir: &Path) -> Self {
        let mut disk = Self::default();
        disk.look(dir, Position(0), Position(0));
        (disk.synced, disk.safe) = (disk.length, disk.length);
        disk
    }

    /// Looks at the files of `dir` after at most one commit since the last look; `last` is in them, and `durable`
    /// was durable before.
    pub(crate) fn look(&mut self, dir: &Path, last: Position, durable: Position) {
        let tables = tables(dir);
        if tables != self.tables {
            // NOTE: a flush has synced the journal as far as the memtable goes: up to the commit before.
            self.synced = self.length;
            self.tables = tables;
        }
        let (number, path) = active_journal(dir);
        assert!(number == self.journal || self.length == 0, "no test writes a whole journal");
        self.journal = number;
        self.length = data_end(&path, self.length);
        if self.seen.last().is_none_or(|(seen, _)| *seen < last) {
            self.seen.push((last, self.length));
        }
        let synced = self.seen.iter().rfind(|(seen, _)| *seen <= durable).map(|(_, length)| *length);
        self.synced = self.synced.max(synced.unwrap_or_default());
    }

    /// All that the last look has seen is synced.
    pub(crate) fn is_synced(&mut self) {
        self.synced = self.length;
    }

    /// Does to the files of `dir` what a power cut may do.
    pub(crate) fn cut_power(&self, dir: &Path, tail: Tail) {
        let (_, path) = active_journal(dir);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let rest = self.length - self.synced;
        match tail {
            Tail::Keep => {}
            Tail::Cut(place) => file.set_len(self.synced + rest * place / 1_000).unwrap(),
            Tail::Zeros(place) => zeros(&file, self.synced + rest * place / 1_000, self.length),
            Tail::Sectors(seed) => self.tear_sectors(&file, seed),
        }
    }

    fn tear_sectors(&self, file: &File, seed: u64) {
        let (mut random, mut at) = (Random(seed), self.synced);
        while at < self.length {
            // NOTE: what was synced of the first sector stays: it is there before and after.
            let end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(self.length);
            match random.next() % 3 {
                0 => {}
                1 => zeros(file, at, end),
                _ => file.write_all_at(&random.bytes(usize::try_from(end - at).unwrap()), at).unwrap(),
            }
            at = end;
        }
    }

    /// Takes synced bytes from the end of the journal: at least one of what came after the last opening or trim,
    /// if there was any.
    pub(crate) fn lose_tail(&self, dir: &Path, place: u64, is_cut: bool) {
        let (_, path) = active_journal(dir);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let at = self.safe + (self.length - self.safe) * place / 1_000;
        if is_cut {
            file.set_len(at).unwrap();
        } else {
            zeros(&file, at, self.length);
        }
    }
}

/// Spoils the slot of the mark that is not the newest: the one that a write in flight goes to.
pub(crate) fn tear_mark(dir: &Path, seed: u64) {
    let path = dir.join("mark");
    let mut mark = fs::read(&path).unwrap();
    let older = SLOTS.into_iter().min_by_key(|slot| mark.get(slot + 8..slot + 16).unwrap().to_vec()).unwrap();
    let mut random = Random(seed);
    let from = usize::try_from(random.next()).unwrap() % SLOT_BYTES;
    let rubbish = random.bytes(SLOT_BYTES - from);
    mark.get_mut(older + from..older + SLOT_BYTES).unwrap().copy_from_slice(&rubbish);
    fs::write(&path, mark).unwrap();
}

fn zeros(file: &File, from: u64, to: u64) {
    file.write_all_at(&vec![0; usize::try_from(to - from).unwrap()], from).unwrap();
}

/// The journal with the highest number.
fn active_journal(dir: &Path) -> (u64, PathBuf) {
    let paths = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    journals.map(|path| (number(&path), path)).max().unwrap()
}

/// The tables of the log's keyspaces, with their sizes. fjall writes those of its own one, number 0, past the
/// journal.
fn tables(dir: &Path) -> Vec<(PathBuf, u64)> {
    let keyspaces = dir.join("log/keyspaces");
    let files = listing(&keyspaces).into_iter();
    let files = files.map(|(path, bytes, _)| (path.strip_prefix(&keyspaces).unwrap().to_owned(), bytes));
    files
        .filter(|(path, _)| {
            !path.starts_with("0") && path.parent().is_some_and(|dir| dir.ends_with("tables"))
        })
        .collect()
}

/// One past the last byte that is not zero, which is at `from` or behind: the rest of a journal is zeros.
fn data_end(path: &Path, from: u64) -> u64 {
    let mut file = File::open(path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from)).unwrap();
    let (mut chunk, mut at, mut end) = (vec![0; 64 * 1024], from, from);
    loop {
        let read = file.read(&mut chunk).unwrap();
        let last = chunk.iter().take(read).rposition(|byte| *byte != 0);
        let Some(last) = last else { return end };
        end = at + last as u64 + 1;
        at += read as u64;
    }
}

/// Random bytes from a seed (`splitmix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
