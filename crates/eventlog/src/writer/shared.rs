//! What the writer thread shares with the handles of a log.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use event::Position;
use tokio::sync::watch;

use crate::engine::Engine;
use crate::error::{AppendError, EngineError};
use crate::floor::HeldBack;
use crate::open::LogInfo;
use crate::retain::Floor;

/// The ends of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first position that is there, or will be.
    pub first: Position,
    /// The position that the next event gets.
    pub next: Position,
    /// The last durable position; the one before `first` when there is none.
    pub durable: Position,
}

/// Whether the log takes events.
#[derive(Clone, Debug)]
pub enum Health {
    /// It does.
    Well,
    /// It does not, and tries by itself to work again.
    Failed {
        /// Since when.
        since: SystemTime,
        /// Why, the newest attempt's answer included.
        error: Arc<EngineError>,
    },
}

impl Health {
    /// Why the log takes no events; `None` when it does.
    #[must_use]
    pub fn error(&self) -> Option<&Arc<EngineError>> {
        match self {
            Self::Well => None,
            Self::Failed { error, .. } => Some(error),
        }
    }
}

/// A log that is at its bound, and takes no events until something of it is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// What it takes on the disk, bytes.
    pub bytes: u64,
    /// What it may take.
    pub max_bytes: u64,
    /// Whether what may be trimmed is not enough, for its database is behind; else nobody who may trim has been
    /// here.
    pub is_held_back: bool,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, max_bytes, is_held_back } = self;
        write!(f, "it takes {bytes} of {max_bytes} bytes (log.max_bytes)")?;
        f.write_str(if *is_held_back {
            ", and its database is behind; let it catch up, raise log.max_bytes, or set log.when_full = \"drop_oldest\""
        } else {
            "; `tailwater log trim` lets go of the oldest events, as `tailwater run` does by itself"
        })
    }
}

/// What the writer shares with the handles.
pub(crate) struct Shared {
    info: RwLock<LogInfo>,
    pub(crate) ends: watch::Sender<Ends>,
    pub(crate) health: watch::Sender<Health>,
    /// The open database; none while the log has failed.
    engine: RwLock<Option<Arc<Engine>>>,
    pub(crate) sync_wanted: AtomicBool,
    /// The writer thread is gone: nothing will become durable any more.
    pub(crate) ended: AtomicBool,
    /// How many events the gaps in the log tell as lost.
    pub(crate) lost_events: AtomicU64,
    /// How many events callers were told are not kept, since the log was opened.
    pub(crate) refused_events: AtomicU64,
    no_room: RwLock<Option<NoRoom>>,
    held_back: Mutex<HeldBack>,
    /// What opening again has found and done, until somebody tells it.
    notes: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(
        engine: Arc<Engine>,
        info: LogInfo,
        ends: Ends,
        lost_events: u64,
        held_back: HeldBack,
    ) -> Self {
        Self {
            info: RwLock::new(info),
            ends: watch::Sender::new(ends),
            health: watch::Sender::new(Health::Well),
            engine: RwLock::new(Some(engine)),
            sync_wanted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            lost_events: AtomicU64::new(lost_events),
            refused_events: AtomicU64::new(0),
            no_room: RwLock::new(None),
            held_back: Mutex::new(held_back),
            notes: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn info(&self) -> LogInfo {
        self.info.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_info(&self, info: LogInfo) {
        *self.info.write().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// The database has nothing of this log, whatever it had.
    pub(crate) fn forget_projected(&self) {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// The open database, for one read: who keeps it keeps a failed log from opening again.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_engine(&self, engine: Option<Arc<Engine>>) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    pub(crate) fn no_room(&self) -> Option<AppendError> {
        self.room().map(AppendError::NoRoom)
    }

    pub(crate) fn room(&self) -> Option<NoRoom> {
        *self.no_room.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_room(&self, no_room: Option<NoRoom>) {
        *self.no_room.write().unwrap_or_else(PoisonError::into_inner) = no_room;
    }

    pub(crate) fn floor(&self) -> Floor {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).floor
    }

    pub(crate) fn set_held_back(&self, held_back: HeldBack) {
        *self.held_back.lock().unwrap_or_else(PoisonError::into_inner) = held_back;
    }

    pub(crate) fn write_held_back_again(&self) {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).write_again();
    }

    pub(crate) fn add_notes(&self, notes: Vec<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).extend(notes);
    }

    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What of it the disk must be told with the next commit.
    pub(crate) fn take_held_back_change(&self) -> Option<Option<Vec<u8>>> {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).take_change()
    }

    pub(crate) fn count_refused(&self, events: usize) {
        self.refused_events.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Why the log takes no events.
    pub(crate) fn failure(&self) -> Option<AppendError> {
        self.health.borrow().error().map(|error| AppendError::Failed(Arc::clone(error)))
    }
}
