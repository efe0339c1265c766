//! The fuzzer's way to what is private here; nothing else uses it.

use std::ops::Range;

use crate::forensic::journal::{Ending, Item, salvage_bytes, walk_bytes};

/// One item of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalItem {
    /// The number of its keyspace.
    pub keyspace: u64,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Of its batch.
    pub seqno: u64,
}

/// What both readers make of the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalReading {
    /// The items of the good prefix.
    pub walked: Vec<JournalItem>,
    /// Behind the good prefix.
    pub end: u64,
    /// Whether only zeros are behind it.
    pub clean: bool,
    /// The items of every good batch.
    pub salvaged: Vec<JournalItem>,
    /// What the salvage skipped.
    pub skipped: Vec<Range<u64>>,
}

/// Takes some bytes for a journal.
#[must_use]
pub fn read_journal(bytes: &[u8]) -> JournalReading {
    let (mut walked, mut salvaged) = (Vec::new(), Vec::new());
    let walk = walk_bytes(bytes, |item| walked.push(owned(item)));
    let skipped = salvage_bytes(bytes, 0, |_, item| salvaged.push(owned(item)));
    JournalReading { walked, end: walk.end, clean: walk.ending == Ending::Clean, salvaged, skipped }
}

fn owned(item: Item<'_>) -> JournalItem {
    let Item { keyspace, key, value, deleted, seqno } = item;
    JournalItem { keyspace, key: key.to_vec(), value: value.into_owned(), deleted, seqno }
}
