//! Opening a log: the directory, its lock, the database, the identity, the writer thread.
//!
//! A new log is made in `log.new` and renamed when it is complete, so a process that dies here leaves either
//! a whole log or none. What a kill or a power cut leaves of an existing log is the matter of `recovery.rs`.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender};
use event::wire::Checker;
use event::{BirthId, HostName, LogId, Time};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use tokio::sync::{oneshot, watch};

use crate::engine::{Engine, engine_error};
use crate::error::{AppendError, OpenError, ReadError};
use crate::gate::{Gate, Gatekeeper};
use crate::latest::Latest;
use crate::layout::{self, KEY_BIRTH_ID, KEY_CREATED, KEY_HOST, KEY_LAYOUT, KEY_LOG_ID};
use crate::lock::DirectoryLock;
use crate::recovery::{self, Recovery};
use crate::settings::{Backpressure, Settings};
use crate::writer::{Command, Ends, Health, Open, Order, Shared, State, Writer};

/// What a log knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// Which log this is.
    pub log_id: LogId,
    /// What it was born as.
    pub birth_id: BirthId,
    /// The host that events without a host belong to.
    pub host: HostName,
    /// When it was created.
    pub created: Time,
}

/// A handle on an open log; clones share it.
///
/// The log closes when [`Self::close`] is called; dropping the last handle syncs and ends the writer as well.
#[derive(Clone)]
pub struct EventLog(Arc<Inner>);

struct Inner {
    checker: Checker,
    path: PathBuf,
    settings: Settings,
    latest: Latest,
    recovery: Recovery,
    queue: Sender<Command>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The queue's other end: for what comes into it when nobody reads it any more.
    leftovers: Receiver<Command>,
    // NOTE: the last field, so that the lock goes after the database.
    _lock: DirectoryLock,
}

/// What a log works with that is not of this crate.
#[derive(Default)]
pub struct Parts {
    /// What decides about token usage before it is kept; without one all of it is.
    pub gate: Option<Box<dyn Gate>>,
}

impl Drop for Inner {
    /// The last handle has gone: the writer syncs and closes the database before the lock goes.
    fn drop(&mut self) {
        let (done, _) = oneshot::channel();
        let _ = self.queue.send(Command::Close(done));
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

impl EventLog {
    /// Opens the log in `data_dir`, or creates it for `host`.
    ///
    /// # Errors
    /// [`OpenError::Held`] while another process has it; otherwise what is in the way, and where.
    pub fn open(data_dir: &Path, host: &HostName, settings: Settings) -> Result<Self, OpenError> {
        Self::open_with(data_dir, host, settings, Parts::default())
    }

    /// The same with parts that are not of this crate.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        data_dir: &Path,
        host: &HostName,
        settings: Settings,
        parts: Parts,
    ) -> Result<Self, OpenError> {
        make_private(data_dir)?;
        let lock = DirectoryLock::take(data_dir)?;
        crate::repair::finish_exchange(data_dir)?;
        let path = log_path(data_dir);
        if !is_there(&path)? {
            create(data_dir, &path, host)?;
        }
        let opened = recovery::open(data_dir, &settings)?;
        let (ends, info, recovery) = (opened.ends(), opened.info, opened.recovery);
        let engine = Arc::clone(&opened.committer.engine);
        let held_back = crate::floor::read(&engine)?;
        let checker = Checker::new(&info.birth_id);
        let mut gate = Gatekeeper::new(parts.gate);
        gate.open(&engine).map_err(|source| OpenError::Engine { path: path.clone(), source })?;
        let shared = Arc::new(Shared::new(engine, info, ends, opened.committer.lost_events, held_back));
        let (queue, commands) = crossbeam_channel::bounded(settings.queue_appends_max);
        let writer = Writer {
            data_dir: data_dir.to_owned(),
            settings,
            queue: commands.clone(),
            shared: Arc::clone(&shared),
            gate,
            state: State::Open(Box::new(Open::new(opened.committer, opened.mark))),
        };
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Thread { source })?;
        let writer = Mutex::new(Some(thread));
        Ok(Self(Arc::new(Inner {
            checker,
            path,
            settings,
            latest: Latest::default(),
            recovery,
            queue,
            shared,
            writer,
            leftovers: commands,
            _lock: lock,
        })))
    }

    /// What the log knows about itself.
    #[must_use]
    pub fn info(&self) -> LogInfo {
        self.0.shared.info()
    }

    pub(crate) fn checker(&self) -> Checker {
        self.0.checker
    }

    /// What opening it found and did.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }

    /// What opening again after a failure has found and done, and what was dropped at the bound, since the last call.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        self.0.shared.take_notes()
    }

    /// Where the log begins and ends now.
    #[must_use]
    pub fn ends(&self) -> Ends {
        *self.0.shared.ends.borrow()
    }

    /// Whether it takes events, and every change of that.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.shared.health.subscribe()
    }

    /// Asks the writer for a sync, without waiting for it.
    pub fn request_sync(&self) {
        self.0.shared.sync_wanted.store(true, Ordering::Release);
        // NOTE: a full queue means that the writer is awake and will see the flag.
        let _ = self.0.queue.try_send(Command::Wake);
    }

    /// Appends no more, waits until everything is committed and synced, and ends the writer thread.
    ///
    /// # Errors
    /// When the log has failed: what was not durable by then may be lost.
    pub fn close(&self) -> Result<(), AppendError> {
        let (done, closed) = oneshot::channel();
        if self.0.queue.send(Command::Close(done)).is_ok() {
            self.has_ended();
            let _ = closed.blocking_recv();
        }
        let thread = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.failure().map_or(Ok(()), Err)
    }

    pub(crate) fn known_latest(&self) -> &Latest {
        &self.0.latest
    }

    /// Hands the writer something rare to do.
    pub(crate) fn order(&self, order: Order) -> Result<(), AppendError> {
        self.0.queue.send(Command::Order(order)).map_err(|_| self.closed())?;
        self.has_ended();
        Ok(())
    }

    /// Whether the writer has ended. Who has put something into the queue asks afterwards: what nobody reads any more
    /// is dropped here, so that whoever waits for an answer to it learns that there is none.
    pub(crate) fn has_ended(&self) -> bool {
        let has_ended = self.0.shared.ended.load(Ordering::SeqCst);
        if has_ended {
            while self.0.leftovers.try_recv().is_ok() {}
        }
        has_ended
    }

    pub(crate) fn queue(&self) -> &Sender<Command> {
        &self.0.queue
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn backpressure(&self) -> Backpressure {
        self.0.settings.backpressure
    }

    /// The open database, for one read.
    pub(crate) fn engine(&self) -> Result<Arc<Engine>, ReadError> {
        self.0.shared.engine().ok_or_else(|| match self.0.shared.ended.load(Ordering::Acquire) {
            true => ReadError::Closed,
            false => ReadError::Failed,
        })
    }

    /// Why the log takes no events now, if it does not.
    #[must_use]
    pub fn failure(&self) -> Option<AppendError> {
        self.0.shared.failure()
    }

    pub(crate) fn closed(&self) -> AppendError {
        self.failure().unwrap_or(AppendError::Closed)
    }
}

/// Where the log of a data directory is.
pub(crate) fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Whether there is something, also when it cannot be used: a link to a disk that is not mounted is no new log.
pub(crate) fn is_there(path: &Path) -> Result<bool, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(recovery::directory("look at", path)(error)),
    }
}

/// Makes a directory that only its owner can read: transcripts and passwords pass through it.
fn make_private(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| OpenError::Directory { what: "create", path: dir.to_owned(), source })
}

/// Makes a whole log beside `path`, then renames it there.
fn create(data_dir: &Path, path: &Path, host: &HostName) -> Result<(), OpenError> {
    let new = data_dir.join("log.new");
    let error = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Directory { what, path, source }
    };
    if new.exists() {
        // NOTE: nothing was ever acknowledged in it: it would have been renamed first.
        fs::remove_dir_all(&new).map_err(error("remove the unfinished", &new))?;
    }
    let info = LogInfo {
        log_id: LogId::random(),
        birth_id: BirthId::random(),
        host: host.clone(),
        created: Time::from(SystemTime::now()),
    };
    write_identity(&new, &info).map_err(engine_error(&new))?;
    // NOTE: a mark without a log is one of a log that was removed: the new one begins anew.
    match fs::remove_file(crate::mark::path(data_dir)) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(error("remove the old", &crate::mark::path(data_dir))(source));
        }
        _ => {}
    }
    fs::rename(&new, path).map_err(error("rename", &new))?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(error("sync", data_dir))
}

/// Makes the keyspaces of a log and says who it is.
pub(crate) fn write_identity(path: &Path, info: &LogInfo) -> Result<(), fjall::Error> {
    let database = Database::builder(path).worker_threads(1).open()?;
    for name in layout::SMALL_KEYSPACES {
        database.keyspace(name, layout::small_options)?;
    }
    database.keyspace(&layout::segment_name(event::Position::FIRST), layout::events_options)?;
    let meta = database.keyspace(layout::KEYSPACE_META, KeyspaceCreateOptions::default)?;
    let mut batch = database.batch();
    batch.insert(&meta, KEY_LAYOUT, [layout::LAYOUT]);
    batch.insert(&meta, KEY_LOG_ID, *info.log_id.as_bytes());
    batch.insert(&meta, KEY_BIRTH_ID, *info.birth_id.as_bytes());
    batch.insert(&meta, KEY_HOST, info.host.as_str());
    batch.insert(&meta, KEY_CREATED, info.created.micros().to_be_bytes());
    batch.commit()?;
    database.persist(PersistMode::SyncAll)
}
