//! The container that fjall's manifests and tables are in: named sections, a table of contents, a trailer.
//!
//! ```text
//! sections, one behind the other
//! contents  "TOC!", count u32, per section: begin u64, bytes u64, name bytes u16, name
//! trailer   "SFA!", version u8 1, checksum kind u8 0, checksum of the contents u128, begin of the contents u64,
//!           bytes of the contents u64
//! ```
//!
//! Integers are little-endian, the checksum is XXH3. fjall allocates what the count tells before it looks at
//! the checksum; we do not.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

const TRAILER_BYTES: usize = 4 + 1 + 1 + 16 + 8 + 8;

/// Where the section `name` stands; `None` when there is none, or the contents cannot be trusted.
pub(super) fn find(bytes: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let trailer = bytes.len().checked_sub(TRAILER_BYTES)?;
    let mut reader = Reader(bytes.get(trailer..)?);
    if reader.array()? != *b"SFA!" || reader.array()? != [1, 0] {
        return None;
    }
    let checksum = u128::from_le_bytes(reader.array()?);
    let contents_begin = reader.number()?;
    let contents = bytes.get(contents_begin..trailer)?;
    let mut reader = Reader(contents);
    if reader.array()? != *b"TOC!" {
        return None;
    }
    let mut found = None;
    for _ in 0..u32::from_le_bytes(reader.array()?) {
        let (begin, length) = (reader.number()?, reader.number()?);
        let name_bytes = u16::from_le_bytes(reader.array()?);
        if reader.take(usize::from(name_bytes))? == name {
            found = found.or(Some(begin..begin.checked_add(length)?));
        }
    }
    let read = contents.get(..contents.len() - reader.0.len())?;
    let found = found.filter(|_| xxh3_128(read) == checksum)?;
    (found.end <= contents_begin).then_some(found)
}

/// Takes numbers off the front of some bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).ok()
    }
}
