//! The tables of a keyspace, block by block, without their index.
//!
//! ```text
//! blocks of data, one behind the other; then blocks of the index, of filters, of what the table knows of itself
//! block  "LSM" 3, type u8, checksum of the body u128, bytes of the body u32, bytes unpacked u32,
//!        checksum of these u32; the body
//! ```
//!
//! Integers are little-endian, checksums are XXH3. A damaged block costs itself: its header tells where the next
//! one is, and when the header is damaged the next one is found by its own.
//!
//! What a block holds, fjall's own decoder tells. It trusts its bytes, so it gets those that stood under the
//! checksum of the block, and every item that it finds is measured before the next one is asked for.
//!
//! A table that was ingested as a whole has sequence numbers from 0 on, to which the manifest adds one number;
//! that is not added here. Of what we open, only the keyspace 0 has such tables.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lsm_tree::coding::Decode;
use lsm_tree::table::block::{BlockType, Header};
use lsm_tree::table::data_block::DataBlockParsedItem;
use lsm_tree::table::util::SliceIndexes;
use lsm_tree::table::{Block, DataBlock};
use lsm_tree::{Slice, ValueType};
use xxhash_rust::xxh3::xxh3_128;

use super::{read_file, sections, unpack};

const MAGIC: [u8; 4] = *b"LSM\x03";
/// The decoder reads that much from the end of a body without asking whether it is there.
const BODY_TRAILER_BYTES: usize = 31;

/// One item of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableItem<'a> {
    pub(crate) key: &'a [u8],
    /// Empty when it is deleted.
    pub(crate) value: &'a [u8],
    pub(crate) seqno: u64,
    pub(crate) deleted: bool,
}

/// What a table held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableScan {
    /// Items that were handed over.
    pub(crate) items: u64,
    /// Where blocks of data should be, and do not read.
    pub(crate) damaged: Vec<Range<u64>>,
}

/// Hands over the items of every block of data in the table at `path` that reads, in the order of the file.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn scan(path: &Path, visit: impl FnMut(TableItem<'_>)) -> io::Result<TableScan> {
    Ok(scan_bytes(&read_file(path)?, visit))
}

/// [`scan`], on bytes.
pub(crate) fn scan_bytes(bytes: &[u8], mut visit: impl FnMut(TableItem<'_>)) -> TableScan {
    let mut scan = TableScan::default();
    // NOTE: without contents that can be trusted the data ends where the first block of another type begins.
    let told_end = sections::find(bytes, b"data").map(|section| section.end);
    let limit = told_end.unwrap_or(bytes.len());
    let mut end = told_end;
    // Everything before `done` is handed over or told.
    let (mut done, mut at) = (0, 0);
    while let Some((start, header)) = next_block(bytes, at, limit) {
        let body = start + Header::serialized_len();
        let next = body.saturating_add(usize::try_from(header.data_length).unwrap_or(usize::MAX));
        if header.block_type != BlockType::Data {
            end = end.or(Some(start));
            at = if told_end.is_none() { next } else { start + 1 };
            continue;
        }
        at = next;
        let Some(block) = bytes.get(body..next).and_then(|body| open(header, body)) else { continue };
        if done < start {
            scan.damaged.push(done as u64..start as u64);
        }
        (done, end) = (next, told_end);
        scan.items += hand_over(&block, &mut visit);
    }
    let end = end.unwrap_or(limit);
    if done < end {
        scan.damaged.push(done as u64..end as u64);
    }
    scan
}

/// The next place from `at` on where a header stands under its own checksum.
fn next_block(bytes: &[u8], mut at: usize, limit: usize) -> Option<(usize, Header)> {
    loop {
        let rest = bytes.get(at..limit)?;
        at += rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        if let Ok(header) = Header::decode_from(&mut bytes.get(at..limit)?) {
            return Some((at, header));
        }
        at += 1;
    }
}

/// The block with this header and body, if all of it can be read.
fn open(header: Header, body: &[u8]) -> Option<DataBlock> {
    if xxh3_128(body) != header.checksum.into_u128() {
        return None;
    }
    let length = usize::try_from(header.uncompressed_length).ok()?;
    // NOTE: a header does not tell whether its body is compressed; only the table's own block does.
    let plain = (body.len() == length).then(|| Slice::from(body));
    let candidates = [plain, unpack(body, length).map(Slice::from)];
    candidates.into_iter().flatten().find_map(|data| {
        let block = DataBlock::new(Block { header, data });
        // NOTE: the decoder panics at what its encoder does not write. A right checksum makes that unlikely,
        // and a salvage must not end by it. Nothing of a block that panicked is used.
        catch_unwind(AssertUnwindSafe(|| measures(&block))).unwrap_or(false).then_some(block)
    })
}

/// Whether every item lies inside the block, and there are as many as it tells.
fn measures(block: &DataBlock) -> bool {
    let data = block.as_slice();
    if data.len() < BODY_TRAILER_BYTES {
        return false;
    }
    let mut items = 0;
    for item in block.iter() {
        // IMPORTANT: the decoder goes on behind this item without looking where that is.
        if parts(data, &item).is_none() {
            return false;
        }
        items += 1;
    }
    items == block.len()
}

/// Prefix and rest of the key, and the value; `None` when they are not inside `data`, or not ours.
fn parts<'a>(data: &'a [u8], item: &DataBlockParsedItem) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    let part = |at: &SliceIndexes| data.get(at.0..at.1);
    let prefix = item.prefix.as_ref().map_or(Some(&[][..]), part)?;
    let value = item.value.as_ref().map_or(Some(&[][..]), part)?;
    // NOTE: an indirection points into a blob file, and the log has none.
    if item.value_type == ValueType::Indirection {
        return None;
    }
    Some((prefix, part(&item.key)?, value))
}

fn hand_over(block: &DataBlock, visit: &mut impl FnMut(TableItem<'_>)) -> u64 {
    let data = block.as_slice();
    let mut key = Vec::new();
    let mut items = 0;
    for item in block.iter() {
        let Some((prefix, rest, value)) = parts(data, &item) else { break };
        key.clear();
        key.extend_from_slice(prefix);
        key.extend_from_slice(rest);
        let deleted = item.value_type.is_tombstone();
        visit(TableItem { key: &key, value, seqno: item.seqno, deleted });
        items += 1;
    }
    items
}

#[cfg(test)]
mod tests;
