//! One batch of a journal, from bytes that nobody has vouched for (the layout is in `journal.rs`).

use std::borrow::Cow;

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::{UNPACKED_BYTES_MAX, unpack};

pub(super) const START: u8 = 1;
pub(super) const ITEM: u8 = 2;
const END: u8 = 3;
pub(super) const CLEAR: u8 = 4;
const VALUE: u8 = 0;
/// A delete (1), or a weak one (2) that ends at the first value.
const TOMBSTONE_WEAK: u8 = 2;
const LZ4: u8 = 1;
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Bytes of a start, up to the tag of the first item.
pub(super) const START_BYTES: usize = 1 + 4 + 8;

/// One item of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// The number of its keyspace.
    pub(crate) keyspace: u64,
    pub(crate) key: &'a [u8],
    /// Empty when it is deleted; owned when it was compressed.
    pub(crate) value: Cow<'a, [u8]>,
    pub(crate) deleted: bool,
    /// Of the batch. IMPORTANT: no checksum covers it.
    pub(crate) seqno: u64,
}

/// Why some bytes are no whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Fault {
    #[error("the file ends inside a batch")]
    Cut,
    #[error("the byte {0} begins no batch")]
    NoStart(u8),
    #[error("the byte {tag} at {at} begins no item of a batch")]
    NoItem { tag: u8, at: usize },
    #[error("the item before {at} has the kind {kind} and the compression {compression}")]
    UnknownItem { kind: u8, compression: u8, at: usize },
    #[error("the item before {at} tells a value of {told} bytes, and has {found}")]
    Length { told: u32, found: u32, at: usize },
    #[error("the batch tells {told} items, and ends {missing} early")]
    TooFew { told: u32, missing: u32 },
    #[error("the batch tells {told} items, and has more")]
    TooMany { told: u32 },
    #[error("the batch has no whole end")]
    NoEnd,
    #[error("the batch has the checksum {found:016x}, its end tells {told:016x}")]
    Checksum { told: u64, found: u64 },
    #[error("a value of the batch cannot be decompressed")]
    Compressed,
}

/// Reads batches out of a journal's bytes; its vectors serve one batch after the other.
pub(super) struct Batches<'a> {
    bytes: &'a [u8],
    /// Nothing behind this is read.
    limit: usize,
    /// Where it reads, and after a fault how far it had come.
    at: usize,
    items: Vec<Item<'a>>,
    /// Which items are compressed, and how long they tell that their values are.
    packed: Vec<(usize, usize)>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, limit: bytes.len(), at: 0, items: Vec::new(), packed: Vec::new() }
    }

    /// Takes batches for broken that reach over `limit`.
    pub(super) fn limit(&mut self, limit: usize) {
        self.limit = limit.min(self.bytes.len());
    }

    /// Where the last call of [`Self::read`] ended: behind the batch, or as far as it came.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The items of the batch that [`Self::read`] has found.
    pub(super) fn items(&mut self) -> impl Iterator<Item = Item<'a>> {
        self.items.drain(..)
    }

    /// Reads the batch at `start`; its sequence number when it is whole.
    pub(super) fn read(&mut self, start: usize) -> Result<u64, Fault> {
        self.at = start;
        self.items.clear();
        self.packed.clear();
        let [tag] = self.array()?;
        if tag != START {
            return Err(Fault::NoStart(tag));
        }
        let told = u32::from_le_bytes(self.array()?);
        let seqno = u64::from_le_bytes(self.array()?);
        let begin = self.at;
        let end = self.entries(told, seqno)?;
        let checksum = u64::from_le_bytes(self.array()?);
        if self.array()? != MAGIC {
            return Err(Fault::NoEnd);
        }
        let found = xxh3_64(self.bytes.get(begin..end).unwrap_or_default());
        if found != checksum {
            return Err(Fault::Checksum { told: checksum, found });
        }
        self.unpack()?;
        Ok(seqno)
    }

    /// Reads the items and the tag of the end; where that tag stands.
    fn entries(&mut self, told: u32, seqno: u64) -> Result<usize, Fault> {
        let mut missing = told;
        loop {
            let at = self.at;
            let [tag] = self.array()?;
            match tag {
                END if missing > 0 => return Err(Fault::TooFew { told, missing }),
                END => return Ok(at),
                ITEM | CLEAR if missing == 0 => return Err(Fault::TooMany { told }),
                ITEM => self.item(seqno)?,
                // NOTE: a keyspace that was emptied. The log never does that, so nobody asks for it.
                CLEAR => drop(self.array::<8>()?),
                tag => return Err(Fault::NoItem { tag, at }),
            }
            missing -= 1;
        }
    }

    fn item(&mut self, seqno: u64) -> Result<(), Fault> {
        let [kind, compression] = self.array()?;
        let keyspace = u64::from_le_bytes(self.array()?);
        let key_bytes = u16::from_le_bytes(self.array()?);
        let value_bytes = u32::from_le_bytes(self.array()?);
        let disk_bytes = u32::from_le_bytes(self.array()?);
        let key = self.take(usize::from(key_bytes))?;
        let value = self.take(usize::try_from(disk_bytes).unwrap_or(usize::MAX))?;
        let at = self.at;
        // NOTE: kind 4 points into a blob file: fjall has it in tables only, and panics when a journal tells it.
        if kind > TOMBSTONE_WEAK || compression > LZ4 {
            return Err(Fault::UnknownItem { kind, compression, at });
        }
        if compression == LZ4 {
            self.packed.push((self.items.len(), usize::try_from(value_bytes).unwrap_or(usize::MAX)));
        } else if value_bytes != disk_bytes {
            return Err(Fault::Length { told: value_bytes, found: disk_bytes, at });
        }
        let deleted = kind != VALUE;
        self.items.push(Item { keyspace, key, value: Cow::Borrowed(value), deleted, seqno });
        Ok(())
    }

    /// Decompresses what is compressed, all of a batch before any of it is handed over.
    fn unpack(&mut self) -> Result<(), Fault> {
        let mut room = UNPACKED_BYTES_MAX;
        for (index, length) in self.packed.drain(..) {
            let Some(item) = self.items.get_mut(index) else { continue };
            room = room.checked_sub(length).ok_or(Fault::Compressed)?;
            item.value = Cow::Owned(unpack(&item.value, length).ok_or(Fault::Compressed)?);
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.limit).ok_or(Fault::Cut)?;
        let taken = self.bytes.get(self.at..end).ok_or(Fault::Cut)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault::Cut)
    }
}
