//! What lies where in the fjall database, and how fjall is set.
//!
//! ```text
//! keyspace "meta"                    the log itself
//!   "layout"       u8        this layout's number, 2
//!   "log_id"       16 bytes  which log this is; `log adopt` changes it
//!   "birth_id"     16 bytes  part of every record's checksum; never changes
//!   "host"         UTF-8     the host that events without a host belong to
//!   "created"      i64       microseconds since the epoch
//!   "lost_events"  u64       how many events the gaps in the log tell as lost
//!   "projected"    u64 + …   how far the database of the last `run` is, and a hash of which it is
//!   "reopened"     i64       when it last worked again after a failure, without a new process
//!   "hole/" u64              the hole that begins at this position: see `holes.rs`
//!   "segment/" u64           when the segment that begins at this position was begun, i64
//! keyspace "state"                   what appenders keep with their events, under keys of their own
//! keyspace "blocks"                  by first position as u64: the times in a block, see `blocks.rs`
//! keyspace "events-<first position>" records (see `event::wire`), by position as u64
//! ```
//!
//! Integers are big-endian, so that the order of keys is the order of positions. A segment is a keyspace of
//! events; its name carries its first position in twenty digits, and it ends where the next one begins, so that
//! trimming drops a whole keyspace. Layout 1 had no blocks, no holes and one segment: it is read, and becomes
//! layout 2 when it is opened.

use event::Position;
use fjall::config::{BlockSizePolicy, CompressionPolicy, PinningPolicy};
use fjall::{CompressionType, KeyspaceCreateOptions};

pub(crate) const LAYOUT: u8 = 2;
pub(crate) const LAYOUT_WITHOUT_BLOCKS: u8 = 1;
pub(crate) const KEY_LAYOUT: &str = "layout";
pub(crate) const KEY_LOG_ID: &str = "log_id";
pub(crate) const KEY_BIRTH_ID: &str = "birth_id";
pub(crate) const KEY_HOST: &str = "host";
pub(crate) const KEY_CREATED: &str = "created";
pub(crate) const KEY_LOST_EVENTS: &str = "lost_events";
pub(crate) const KEY_PROJECTED: &str = "projected";
pub(crate) const KEY_REOPENED: &str = "reopened";
pub(crate) const PREFIX_HOLE: &str = "hole/";
pub(crate) const PREFIX_SEGMENT: &str = "segment/";
pub(crate) const KEYSPACE_META: &str = "meta";
pub(crate) const KEYSPACE_STATE: &str = "state";
pub(crate) const KEYSPACE_BLOCKS: &str = "blocks";
const PREFIX_EVENTS: &str = "events-";

/// The keyspaces that every log has, in the order in which they were made: fjall numbers them from 1 in its
/// files, and a repair that cannot ask fjall knows them by these numbers.
pub(crate) const SMALL_KEYSPACES: [&str; 3] = [KEYSPACE_META, KEYSPACE_STATE, KEYSPACE_BLOCKS];

/// fjall caches blocks here; the tail reads what was just written, so little is enough.
pub(crate) const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// One flushes, one compacts; more would only take memory on a small host.
pub(crate) const WORKER_THREADS: usize = 2;
/// All journals together. fjall's least is 64 MiB, and it rotates a journal at 64 MB.
pub(crate) const JOURNALS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// As fjall accounts for it; samples take more than twice that in memory. A host that only samples fills it in the end, and is to
/// stay below 40 MiB with all the rest. fjall's default of 64 MiB would be most of what tailwater may use.
const MEMTABLE_BYTES_MAX: u64 = 6 * 1024 * 1024;
/// Samples of one minute look alike: large blocks compress to half.
const BLOCK_BYTES: u32 = 64 * 1024;

/// The name of the keyspace of the segment that begins at `first`.
pub(crate) fn segment_name(first: Position) -> String {
    format!("{PREFIX_EVENTS}{:020}", first.0)
}

/// The first position of the segment that is kept in the keyspace of this name, if it is a segment.
pub(crate) fn segment_first(name: &str) -> Option<Position> {
    name.strip_prefix(PREFIX_EVENTS)?.parse().ok().map(Position)
}

pub(crate) fn position_key(position: Position) -> [u8; 8] {
    position.0.to_be_bytes()
}

pub(crate) fn key_position(key: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(key.try_into().ok()?)))
}

/// The key of something that the log keeps about a position.
pub(crate) fn key_of(prefix: &str, position: Position) -> Vec<u8> {
    [prefix.as_bytes(), &position_key(position)].concat()
}

/// Records are read in ranges and never by a key that is not there: no filters, no pinned filter blocks.
pub(crate) fn events_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
        .filter_policy(fjall::config::FilterPolicy::disabled())
        .filter_block_pinning_policy(PinningPolicy::all(false))
        .expect_point_read_hits(true)
}

/// Small keyspaces of single values.
pub(crate) fn small_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_by_its_name() {
        assert_eq!(segment_first(&segment_name(Position(42))), Some(Position(42)));
        assert_eq!(segment_first("events-"), None);
        for name in SMALL_KEYSPACES {
            assert_eq!(segment_first(name), None);
        }
    }
}
