//! A real database for the readers' tests, and what was written to it.

use std::fs;
use std::path::PathBuf;

use event::Position;
use fjall::{Database, Keyspace, OwnedWriteBatch};
use tempfile::TempDir;

use crate::layout;

/// Keyspace, key, value, whether it is deleted.
pub(super) type Told = (u64, Vec<u8>, Vec<u8>, bool);

pub(super) const EVENTS: u64 = 1;
pub(super) const STATE: u64 = 2;

/// A closed database.
pub(super) struct Fixture {
    pub(super) dir: TempDir,
    /// The batches that were committed, as their items.
    pub(super) batches: Vec<Vec<Told>>,
}

impl Fixture {
    pub(super) fn journal(&self) -> PathBuf {
        self.dir.path().join("0.jnl")
    }

    /// The bytes of the journal with a little of the zeros behind them.
    pub(super) fn journal_bytes(&self) -> Vec<u8> {
        let mut bytes = fs::read(self.journal()).unwrap();
        let end = super::journal::walk_bytes(&bytes, |_| {}).end;
        bytes.truncate(usize::try_from(end).unwrap() + 64);
        bytes
    }

    pub(super) fn keyspace(&self, id: u64) -> PathBuf {
        self.dir.path().join("keyspaces").join(id.to_string())
    }

    /// The only table of a keyspace.
    pub(super) fn table(&self, keyspace: u64) -> PathBuf {
        let mut tables = fs::read_dir(self.keyspace(keyspace).join("tables")).unwrap();
        let table = tables.next().unwrap().unwrap().path();
        assert!(tables.next().is_none(), "one table");
        table
    }
}

/// Commits batches and remembers them.
pub(super) struct Writing {
    dir: TempDir,
    database: Database,
    pub(super) events: Keyspace,
    state: Keyspace,
    batches: Vec<Vec<Told>>,
}

impl Writing {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::builder(dir.path()).worker_threads(1).open().unwrap();
        let events =
            database.keyspace(&layout::segment_name(Position::FIRST), layout::events_options).unwrap();
        let state = database.keyspace(layout::KEYSPACE_STATE, layout::small_options).unwrap();
        Self { dir, database, events, state, batches: Vec::new() }
    }

    pub(super) fn commit(&mut self, items: Vec<Told>) {
        let mut batch: OwnedWriteBatch = self.database.batch();
        for (keyspace, key, value, deleted) in &items {
            let keyspace = if *keyspace == EVENTS { &self.events } else { &self.state };
            match deleted {
                true => batch.remove(keyspace, &**key),
                false => batch.insert(keyspace, &**key, &**value),
            }
        }
        batch.commit().unwrap();
        self.batches.push(items);
    }

    /// Commits what the log never writes, and the journal may hold all the same.
    pub(super) fn clear_state(&mut self) {
        self.state.clear().unwrap();
        self.batches.push(Vec::new());
    }

    /// Writes what is in memory to a table.
    pub(super) fn flush(&self, keyspace: u64) {
        let keyspace = if keyspace == EVENTS { &self.events } else { &self.state };
        keyspace.rotate_memtable_and_wait().unwrap();
    }

    pub(super) fn close(self) -> Fixture {
        Fixture { dir: self.dir, batches: self.batches }
    }
}

/// `count` events from `first` on, with values of about `bytes` that compress to the half.
pub(super) fn events(first: u64, count: u64, bytes: usize) -> Vec<Told> {
    let item = |position: u64| {
        let mut noise = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut value = format!("event {position} ").into_bytes();
        while value.len() < bytes {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            value.extend_from_slice(&noise.to_le_bytes());
            value.extend_from_slice(b"the same");
        }
        (EVENTS, position.to_be_bytes().to_vec(), value, false)
    };
    (first..first + count).map(item).collect()
}

pub(super) fn state(key: &str, value: &str) -> Told {
    (STATE, key.as_bytes().to_vec(), value.as_bytes().to_vec(), false)
}

pub(super) fn deleted(key: &str) -> Told {
    (STATE, key.as_bytes().to_vec(), Vec::new(), true)
}

/// A journal with every kind of batch, small enough to damage each byte of it.
pub(super) fn small() -> Fixture {
    let mut writing = Writing::new();
    for first in (1..20).step_by(4) {
        writing.commit(events(first, 4, 40));
        writing.commit([events(first + 100, 1, 30), vec![state("turn", &first.to_string())]].concat());
    }
    writing.commit(vec![deleted("turn"), state("turn", "other")]);
    writing.clear_state();
    // NOTE: fjall compresses values from 4 KiB on.
    writing.commit(events(1_000, 1, 4_200));
    writing.commit([vec![state("long", &"long ".repeat(1_000))], events(1_001, 1, 20)].concat());
    writing.commit(vec![state("empty", "")]);
    writing.close()
}
