//! The floor: what fjall itself does with the same events, keys and encoding, and nothing of ours around it.
//!
//! The events' keyspace is one that the log has made, so that it has the log's settings whatever they are; only
//! the settings of the database, which fjall does not keep, are repeated here.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::path::Path;
use std::time::{Duration, Instant};

use event::{Event, HostName, wire};
use eventlog::{EventLog, Settings};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

/// The database and its events; a keyspace lives in its database.
pub struct Floor {
    database: Database,
    /// The first segment.
    pub events: Keyspace,
    /// Every segment, in order.
    segments: Vec<Keyspace>,
}

impl Floor {
    /// A new one with the settings of a log.
    pub fn create(data_dir: &Path) -> Self {
        let host = HostName::new("floor").expect("a host name");
        EventLog::open(data_dir, &host, Settings::default()).expect("a new log").close().expect("closed");
        Self::open(data_dir)
    }

    /// The database of a log that is closed.
    pub fn open(data_dir: &Path) -> Self {
        let database = Database::builder(data_dir.join("log"))
            .cache_size(8 * 1024 * 1024)
            .worker_threads(2)
            .max_journaling_size(128 * 1024 * 1024)
            .open()
            .expect("the log's database");
        let mut names = database.list_keyspace_names();
        names.retain(|name| name.starts_with("events-"));
        names.sort();
        let open = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default);
        let segments: Result<Vec<Keyspace>, _> = names.iter().map(|name| open(name)).collect();
        let segments = segments.expect("the log's events");
        Self { events: segments.first().expect("a segment").clone(), segments, database }
    }

    /// A new one with the settings that fjall has of itself.
    pub fn create_with_defaults(dir: &Path) -> Self {
        let database = Database::builder(dir).open().expect("a new database");
        let events = database.keyspace("events", KeyspaceCreateOptions::default).expect("a new keyspace");
        Self { segments: vec![events.clone()], events, database }
    }

    /// Encodes and inserts, one fjall batch for each of `batches`, each brought to the kernel or synced.
    pub fn append(&self, batches: &[Vec<Event>], mode: PersistMode) -> Duration {
        let begin = Instant::now();
        let (mut position, mut payload) = (0_u64, Vec::new());
        for events in batches {
            let mut batch = self.database.batch();
            for event in events {
                position += 1;
                payload.clear();
                wire::encode(event, &mut payload).expect("a valid event");
                batch.insert(&self.events, position.to_be_bytes(), &*payload);
            }
            batch.durability(Some(mode)).commit().expect("a commit");
        }
        begin.elapsed()
    }

    /// Reads and decodes everything that a log has written.
    pub fn read(&self) -> (Duration, u64) {
        let begin = Instant::now();
        let mut events = 0;
        for guard in self.segments.iter().flat_map(Keyspace::iter) {
            let (_, record) = guard.into_inner().expect("a record");
            let payload = record.get(wire::RECORD_HEADER_BYTES..).expect("a payload");
            std::hint::black_box(wire::decode(payload).expect("an event"));
            events += 1;
        }
        (begin.elapsed(), events)
    }

    /// Flushes and compacts everything; gives the bytes that it takes then.
    pub fn compact(&self) -> u64 {
        for events in &self.segments {
            events.rotate_memtable_and_wait().expect("a flush");
            events.major_compact().expect("a compaction");
        }
        self.segments.iter().map(Keyspace::disk_space).sum()
    }
}
