//! What lies where in the fjall database, and how fjall is set.
//!
//! ```text
//! keyspace "meta"                    the log itself
//!   "layout"    u8        this layout's number, 1
//!   "log_id"    16 bytes  which log this is; `log adopt` changes it
//!   "birth_id"  16 bytes  part of every record's checksum; never changes
//!   "host"      UTF-8     the host that events without a host belong to
//!   "created"   i64       microseconds since the epoch
//! keyspace "state"                   what changes with events
//!   "log/lost_events"  u64            how many events the gaps in the log tell as lost
//!   other keys                        what appenders keep with their events
//! keyspace "events-<first position>" records (see `event::wire`), by position as u64
//! ```
//!
//! Integers are big-endian, so that the order of keys is the order of positions. The name of the events'
//! keyspace carries its first position in twenty digits: a log can grow further segments, and trimming can
//! drop a whole one.

use event::Position;
use fjall::config::{BlockSizePolicy, CompressionPolicy, PinningPolicy};
use fjall::{CompressionType, KeyspaceCreateOptions};

pub(crate) const LAYOUT: u8 = 1;
pub(crate) const KEY_LAYOUT: &str = "layout";
pub(crate) const KEY_LOG_ID: &str = "log_id";
pub(crate) const KEY_BIRTH_ID: &str = "birth_id";
pub(crate) const KEY_HOST: &str = "host";
pub(crate) const KEY_CREATED: &str = "created";
pub(crate) const STATE_LOST_EVENTS: &str = "log/lost_events";
pub(crate) const KEYSPACE_META: &str = "meta";
pub(crate) const KEYSPACE_STATE: &str = "state";

/// fjall caches blocks here; the tail reads what was just written, so little is enough.
pub(crate) const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// One flushes, one compacts; more would only take memory on a small host.
pub(crate) const WORKER_THREADS: usize = 2;
/// All journals together. fjall's least is 64 MiB, and it rotates a journal at 64 MB.
pub(crate) const JOURNALS_BYTES_MAX: u64 = 192 * 1024 * 1024;
/// fjall's default of 64 MiB would be most of the memory that tailwater may use.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Samples of one minute look alike: large blocks compress to half.
const BLOCK_BYTES: u32 = 64 * 1024;

/// The name of the keyspace of the segment that begins at `first`.
pub(crate) fn segment(first: Position) -> String {
    format!("events-{:020}", first.0)
}

pub(crate) fn position_key(position: Position) -> [u8; 8] {
    position.0.to_be_bytes()
}

pub(crate) fn key_position(key: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(key.try_into().ok()?)))
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
pub(crate) fn state_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX / 4)
}
