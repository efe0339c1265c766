//! What a history needs of a database, so that the same one runs in memory and on a real server.

use std::future::{Future, pending};
use std::sync::Arc;

use projector::{Settings, Target};

use crate::database::{Data, MemoryTarget, Poison};
use crate::faults::{Call, Fault};

/// A database that things happen to.
pub trait Arena {
    /// How a projector sees it.
    type Target: Target;

    /// What projectors are given.
    fn target(&self) -> &Arc<Self::Target>;

    /// These settings, as they make sense here: a real server has no paused clock.
    fn settings(&self, drawn: Settings) -> Settings {
        drawn
    }

    /// What is committed: rows with their provenance, ranges, quarantine, and what has passed them.
    fn data(&self) -> impl Future<Output = Data>;

    /// Waits until nothing of an earlier projector is under way.
    fn settled(&self) -> impl Future<Output = ()>;

    /// Makes a backup, over the last one; before the first, the backup is an empty database.
    fn back_up(&mut self) -> impl Future<Output = ()>;

    /// The backup takes the database's place, whoever is connected.
    fn restore(&self) -> impl Future<Output = ()>;

    /// The progress goes, the rows stay.
    fn wipe_progress(&self) -> impl Future<Output = ()>;

    /// The database is dropped and created empty, whoever is connected.
    fn drop_database(&self) -> impl Future<Output = ()>;

    /// From now on it takes what it has refused.
    fn take_poison(&self) -> impl Future<Output = ()>;

    /// Lets these things go wrong, as far as they can here, until it is dropped; it never ends by itself.
    fn disturb(&self, faults: &[(Call, Fault)]) -> impl Future<Output = ()>;

    /// Nothing goes wrong any more.
    fn calm(&self) {}
}

/// The arena in memory.
#[derive(Debug)]
pub struct MemoryArena {
    target: Arc<MemoryTarget>,
    backup: Data,
}

impl MemoryArena {
    /// This database, and no backup.
    pub fn new(target: Arc<MemoryTarget>) -> Self {
        Self { target, backup: Data::default() }
    }
}

impl Arena for MemoryArena {
    type Target = MemoryTarget;

    fn target(&self) -> &Arc<MemoryTarget> {
        &self.target
    }

    async fn data(&self) -> Data {
        self.target.data()
    }

    async fn settled(&self) {
        self.target.settled().await;
    }

    async fn back_up(&mut self) {
        self.backup = self.target.data();
    }

    async fn restore(&self) {
        self.target.replace(self.backup.clone());
    }

    async fn wipe_progress(&self) {
        self.target.wipe_progress().await;
    }

    async fn drop_database(&self) {
        self.target.replace(Data::default());
    }

    async fn take_poison(&self) {
        self.target.set_poison(Poison::Taken);
    }

    async fn disturb(&self, faults: &[(Call, Fault)]) {
        for (call, fault) in faults {
            self.target.faults().script(*call, *fault);
        }
        pending::<()>().await;
    }

    fn calm(&self) {
        self.target.faults().clear();
    }
}
