//! The locks of a database in memory: a transaction takes them one by one and keeps them until it ends.
//!
//! As in PostgreSQL who wants a lock that another transaction has waits for its end, whatever that is, and looks
//! again; who would wait in a circle is refused. A transaction that is dropped has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event::{LogId, Position};
use projector::{ErrorKind, TargetError};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::rows::Key;

/// What can be locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lock {
    /// The place of a log's live range in the index of live ranges.
    Live(LogId),
    /// The row of a range.
    Range(Owner, Position),
    /// A row, or the place of one that is not there yet.
    Row(Key),
}

/// Whose ranges they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// The projection's of a log.
    Log(LogId),
    /// Those of the replay with this number.
    Replay(u64),
}

/// All locks that are held, and who waits for whom.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Held {
    by: BTreeMap<Lock, u64>,
    waits: BTreeMap<u64, u64>,
    last: u64,
}

/// A transaction, by the locks that it holds.
#[derive(Debug)]
pub(crate) struct Transaction {
    locks: Arc<Locks>,
    number: u64,
    /// How long it waits for a lock.
    patience: Option<Duration>,
}

/// Whether a lock had to be waited for: what was read before may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    AtOnce,
    AfterOthers,
}

impl Held {
    /// Whether `number` waits for `by`, through however many others.
    fn is_circle(&self, number: u64, by: u64) -> bool {
        let mut next = Some(by);
        while let Some(one) = next {
            if one == number {
                return true;
            }
            next = self.waits.get(&one).copied();
        }
        false
    }
}

impl Locks {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// Begins a transaction that waits for a lock for so long at the most.
    pub(crate) fn begin(self: &Arc<Self>, patience: Option<Duration>) -> Transaction {
        let mut held = self.held();
        held.last += 1;
        Transaction { locks: Arc::clone(self), number: held.last, patience }
    }

    /// Waits until nobody holds any.
    pub(crate) async fn all_released(&self) {
        loop {
            let released = self.released.notified();
            if self.held().by.is_empty() {
                return;
            }
            released.await;
        }
    }
}

impl Transaction {
    /// Whether another transaction has it.
    pub(crate) fn is_held_by_another(&self, lock: &Lock) -> bool {
        self.locks.held().by.get(lock).is_some_and(|by| *by != self.number)
    }

    /// Takes a lock, or waits for it.
    pub(crate) async fn lock(&self, lock: Lock) -> Result<Taken, TargetError> {
        let waiting = self.wait(lock);
        match self.patience {
            None => waiting.await,
            Some(patience) => match timeout(patience, waiting).await {
                Ok(taken) => taken,
                Err(_) => Err(TargetError::new(ErrorKind::Busy, "a lock was waited for in vain")),
            },
        }
    }

    async fn wait(&self, lock: Lock) -> Result<Taken, TargetError> {
        let mut taken = Taken::AtOnce;
        loop {
            let released = self.locks.released.notified();
            {
                let mut held = self.locks.held();
                held.waits.remove(&self.number);
                match held.by.get(&lock).copied().filter(|by| *by != self.number) {
                    None => {
                        held.by.insert(lock, self.number);
                        return Ok(taken);
                    }
                    Some(by) if held.is_circle(self.number, by) => {
                        return Err(TargetError::new(ErrorKind::Busy, "a deadlock was found"));
                    }
                    Some(by) => _ = held.waits.insert(self.number, by),
                }
            }
            taken = Taken::AfterOthers;
            released.await;
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut held = self.locks.held();
        held.by.retain(|_, by| *by != self.number);
        held.waits.remove(&self.number);
        drop(held);
        self.locks.released.notify_waiters();
    }
}
