//! fjall's journals: what is whole in one, and what is not.
//!
//! A journal is batches, one behind the other, then zeros up to the 64 MiB that fjall allocates ahead. Integers
//! are little-endian:
//!
//! ```text
//! start  1, items u32, sequence number u64
//! item   2, kind u8, compression u8, keyspace u64, key bytes u16, value bytes u32, value bytes on disk u32,
//!        key, value
//! clear  4, keyspace u64                       (counts as an item)
//! end    3, checksum u64, "FJL" 3
//! ```
//!
//! The checksum is the XXH3 of the items as they stand there. What each broken state means:
//!
//! - Zeros behind the last batch are room that was not used.
//! - Other bytes there are a batch that a kill or a power cut left half written, or a damaged one; nothing in
//!   the file tells which. fjall cuts the journal there without a word, with all whole batches behind it; only
//!   when a checksum or a number of items is wrong, it refuses to open. Both end [`walk`], and [`salvage`] goes
//!   on behind them.
//! - No checksum covers a start. A wrong number of items shows all the same. A wrong sequence number does not,
//!   and fjall skips a batch whose number is not above what its tables hold: see [`Walk::disorder`].
//! - fjall checks a compressed item by compressing it again: its journals are valid only for a compressor that
//!   makes the same bytes. We take the checksum of the bytes that are there.

use std::io;
use std::ops::Range;
use std::path::Path;

pub(crate) use super::batch::Item;
use super::batch::{Batches, CLEAR, Fault, ITEM, START, START_BYTES};
use super::read_file;

/// What follows the good prefix of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing, or zeros only.
    Clean,
    /// Bytes that are no whole batch.
    Torn {
        /// One past the last byte that is not zero.
        junk_end: u64,
        /// What is wrong with the first of them.
        reason: String,
    },
}

/// How far a journal is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Behind the last batch of the good prefix.
    pub(crate) end: u64,
    pub(crate) ending: Ending,
    /// Where the first batch begins whose sequence number is not above the one before it.
    ///
    /// fjall numbers batches upwards under the journal's lock, so this is a damaged start; or a keyspace was
    /// deleted that had the highest numbers, and the database was opened again.
    pub(crate) disorder: Option<u64>,
}

/// Walks the good prefix of the journal at `path`, a batch's items only when all of the batch is good.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn walk(path: &Path, visit: impl FnMut(Item<'_>)) -> io::Result<Walk> {
    Ok(walk_bytes(&read_file(path)?, visit))
}

/// Walks every good batch from `from` on, and looks behind damage for the next one; hands over each item with
/// where its batch begins.
///
/// Tells the ranges that it skipped. Zeros are such a range too when a good batch follows: fjall leaves none
/// between batches.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn salvage(
    path: &Path,
    from: u64,
    visit: impl FnMut(u64, Item<'_>),
) -> io::Result<Vec<Range<u64>>> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    Ok(salvage_bytes(&read_file(path)?, from, visit))
}

/// [`walk`], on bytes.
pub(crate) fn walk_bytes(bytes: &[u8], mut visit: impl FnMut(Item<'_>)) -> Walk {
    let mut batches = Batches::new(bytes);
    let (mut end, mut last_seqno, mut disorder) = (0, None, None);
    let fault = loop {
        match batches.read(end) {
            Ok(seqno) => {
                if last_seqno.is_some_and(|last| seqno <= last) && disorder.is_none() {
                    disorder = Some(end as u64);
                }
                last_seqno = Some(seqno);
                batches.items().for_each(&mut visit);
                end = batches.at();
            }
            Err(fault) => break fault,
        }
    };
    Walk { end: end as u64, ending: ending(bytes, end, fault), disorder }
}

fn ending(bytes: &[u8], end: usize, fault: Fault) -> Ending {
    let junk_end = nonzero_end(bytes, end);
    if junk_end == end {
        return Ending::Clean;
    }
    Ending::Torn { junk_end: junk_end as u64, reason: fault.to_string() }
}

/// [`salvage`], on bytes.
pub(crate) fn salvage_bytes(
    bytes: &[u8],
    from: usize,
    mut visit: impl FnMut(u64, Item<'_>),
) -> Vec<Range<u64>> {
    /// How often the file may be looked at in vain, all attempts together: a damaged batch costs its own bytes
    /// once for each start that stands in it, and that is a few times.
    const VAIN_TIMES: usize = 8;
    /// When that is used up, somebody has made bytes for us: from there on only batches up to this are found.
    const SMALL_BATCH_BYTES: usize = 16 * 1024;
    let mut batches = Batches::new(bytes);
    let mut vain_bytes = bytes.len().saturating_mul(VAIN_TIMES);
    let mut skipped = Vec::new();
    let search_end = nonzero_end(bytes, from);
    // Everything before `done` is handed over or told.
    let (mut done, mut at) = (from, from);
    loop {
        // NOTE: behind a good batch any start counts, as it does for `walk`; behind damage one with an item.
        let found = if at == done { Some(at) } else { next_start(bytes, at, search_end) };
        let Some(start) = found else { break };
        if vain_bytes == 0 {
            batches.limit(start.saturating_add(SMALL_BATCH_BYTES));
        }
        if batches.read(start).is_err() {
            vain_bytes = vain_bytes.saturating_sub(batches.at() - start);
            at = start + 1;
            continue;
        }
        if done < start {
            skipped.push(done as u64..start as u64);
        }
        batches.items().for_each(|item| visit(start as u64, item));
        (done, at) = (batches.at(), batches.at());
    }
    if done < search_end {
        skipped.push(done as u64..search_end as u64);
    }
    skipped
}

/// Where the next batch could begin: a start, and the tag of an item behind it.
fn next_start(bytes: &[u8], mut at: usize, end: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..end)?.iter().position(|byte| *byte == START)?;
        if matches!(bytes.get(at + START_BYTES), Some(&(ITEM | CLEAR))) {
            return Some(at);
        }
        at += 1;
    }
}

/// One past the last byte from `from` on that is not zero; `from` when there is none.
fn nonzero_end(bytes: &[u8], from: usize) -> usize {
    /// Compared as a whole: most of a journal is zeros, and it is read at every open.
    const ZEROS: [u8; 4096] = [0; 4096];
    let tail = bytes.get(from..).unwrap_or_default();
    for (index, chunk) in tail.chunks(ZEROS.len()).enumerate().rev() {
        if !ZEROS.starts_with(chunk) {
            let within = chunk.iter().rposition(|byte| *byte != 0).unwrap_or_default();
            return from + index * ZEROS.len() + within + 1;
        }
    }
    from
}

#[cfg(test)]
mod tests;
