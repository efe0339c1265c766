//! Opening a log: the directory, its lock, the database, the identity, the writer thread.
//!
//! A new log is made in `log.new` and renamed when it is complete, so a process that dies here leaves either
//! a whole log or none. What a kill leaves in an existing log, fjall's journal recovery puts right: after it
//! every position that is there is durable, for it syncs the journal that it has read.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::Sender;
use event::{BirthId, HostName, LogId, Position, Time};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::sync::{oneshot, watch};

use crate::error::{AppendError, EngineError, OpenError};
use crate::layout::{self, KEY_BIRTH_ID, KEY_CREATED, KEY_HOST, KEY_LAYOUT, KEY_LOG_ID, LAYOUT};
use crate::lock::DirectoryLock;
use crate::settings::Settings;
use crate::writer::{Command, Ends, Shared, Writer};

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
    info: LogInfo,
    dir: PathBuf,
    queue: Sender<Command>,
    shared: Arc<Shared>,
    database: Database,
    events: Keyspace,
    state: Keyspace,
    writer: Mutex<Option<JoinHandle<()>>>,
    // NOTE: the last field, so that the lock goes after the database.
    _lock: DirectoryLock,
}

impl EventLog {
    /// Opens the log in `data_dir`, or creates it for `host`.
    ///
    /// # Errors
    /// [`OpenError::Held`] while another process has it; otherwise what is in the way, and where.
    pub fn open(data_dir: &Path, host: &HostName, settings: Settings) -> Result<Self, OpenError> {
        make_private(data_dir)?;
        let lock = DirectoryLock::take(data_dir)?;
        let path = data_dir.join("log");
        if !path.exists() {
            create(data_dir, &path, host)?;
        }
        let database = open_database(&path)?;
        check_keyspaces(&database, &path)?;
        let info = read_info(&database, &path)?;
        let engine = engine_error(&path);
        let events =
            database.keyspace(&layout::segment(Position::FIRST), layout::events_options).map_err(&engine)?;
        let state = database.keyspace(layout::KEYSPACE_STATE, layout::state_options).map_err(&engine)?;
        let ends = find_ends(&events, &path)?;
        let shared = Arc::new(Shared {
            ends: watch::Sender::new(ends),
            sync_wanted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            lost_events: AtomicU64::new(read_lost_events(&state, &path)?),
            failure: OnceLock::new(),
        });
        let (queue, commands) = crossbeam_channel::bounded(settings.queue_appends_max);
        let writer = Writer {
            database: database.clone(),
            events: events.clone(),
            state: state.clone(),
            birth: info.birth_id,
            sync: settings.sync,
            queue: commands,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self(Arc::new(Inner {
            info,
            dir: path,
            queue,
            shared,
            database,
            events,
            state,
            writer: Mutex::new(Some(thread)),
            _lock: lock,
        })))
    }

    /// What the log knows about itself.
    #[must_use]
    pub fn info(&self) -> &LogInfo {
        &self.0.info
    }

    /// Where the log begins and ends now.
    #[must_use]
    pub fn ends(&self) -> Ends {
        *self.0.shared.ends.borrow()
    }

    /// What an appender keeps under `key`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let value = self.0.state.get(key).map_err(engine_error(&self.0.dir))?;
        Ok(value.map(|value| value.to_vec()))
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
    /// When the log had failed: what was not durable by then may be lost.
    pub fn close(&self) -> Result<(), AppendError> {
        let (done, closed) = oneshot::channel();
        if self.0.queue.send(Command::Close(done)).is_ok() {
            let _ = closed.blocking_recv();
        }
        let thread = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.failure().map_or(Ok(()), Err)
    }

    pub(crate) fn queue(&self) -> &Sender<Command> {
        &self.0.queue
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn events(&self) -> &Keyspace {
        &self.0.events
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(crate) fn segments(&self) -> usize {
        // NOTE: every keyspace but `meta` and `state`.
        self.0.database.keyspace_count().saturating_sub(2)
    }

    /// The failure that ended the log, if there was one.
    #[must_use]
    pub fn failure(&self) -> Option<AppendError> {
        self.0.shared.failure.get().map(|error| AppendError::Failed(Arc::clone(error)))
    }

    pub(crate) fn closed(&self) -> AppendError {
        self.failure().unwrap_or(AppendError::Closed)
    }
}

fn engine_error(path: &Path) -> impl Fn(fjall::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |error| OpenError::Engine { path: path.clone(), source: EngineError(error) }
}

/// Makes a directory that only its owner can read: transcripts and passwords pass through it.
fn make_private(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| OpenError::Directory { what: "create", path: dir.to_owned(), source })
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    Database::builder(path)
        .cache_size(layout::CACHE_BYTES)
        .worker_threads(layout::WORKER_THREADS)
        .max_journaling_size(layout::JOURNALS_BYTES_MAX)
        .open()
        .map_err(engine_error(path))
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
    write_identity(&new, host).map_err(engine_error(&new))?;
    fs::rename(&new, path).map_err(error("rename", &new))?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(error("sync", data_dir))
}

fn write_identity(path: &Path, host: &HostName) -> Result<(), fjall::Error> {
    let database = Database::builder(path).worker_threads(1).open()?;
    let meta = database.keyspace(layout::KEYSPACE_META, KeyspaceCreateOptions::default)?;
    database.keyspace(layout::KEYSPACE_STATE, layout::state_options)?;
    database.keyspace(&layout::segment(Position::FIRST), layout::events_options)?;
    let created = Time::from(SystemTime::now());
    let mut batch = database.batch();
    batch.insert(&meta, KEY_LAYOUT, [LAYOUT]);
    batch.insert(&meta, KEY_LOG_ID, *LogId::random().as_bytes());
    batch.insert(&meta, KEY_BIRTH_ID, *BirthId::random().as_bytes());
    batch.insert(&meta, KEY_HOST, host.as_str());
    batch.insert(&meta, KEY_CREATED, created.micros().to_be_bytes());
    batch.commit()?;
    database.persist(PersistMode::SyncAll)
}

/// A log was made with all of its keyspaces: one that is missing is damage, and fjall would make an empty one.
fn check_keyspaces(database: &Database, path: &Path) -> Result<(), OpenError> {
    let segment = layout::segment(Position::FIRST);
    for name in [layout::KEYSPACE_META, layout::KEYSPACE_STATE, &segment] {
        if !database.keyspace_exists(name) {
            let reason = format!("it has no keyspace {name:?}");
            return Err(OpenError::Foreign { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

fn read_info(database: &Database, path: &Path) -> Result<LogInfo, OpenError> {
    let foreign = |reason: String| OpenError::Foreign { path: path.to_owned(), reason };
    let meta = database
        .keyspace(layout::KEYSPACE_META, KeyspaceCreateOptions::default)
        .map_err(engine_error(path))?;
    let value = |key: &str| {
        let value = meta.get(key).map_err(engine_error(path))?;
        value.ok_or_else(|| foreign(format!("its meta has no {key}")))
    };
    let layout = value(KEY_LAYOUT)?;
    if *layout != [LAYOUT] {
        return Err(foreign(format!("its layout is {:?}, this version knows {LAYOUT}", &*layout)));
    }
    let sixteen = |key: &str| {
        let bytes = value(key)?;
        <[u8; 16]>::try_from(&*bytes).map_err(|_| foreign(format!("its {key} has {} bytes", bytes.len())))
    };
    let created = <[u8; 8]>::try_from(&*value(KEY_CREATED)?)
        .map_err(|_| foreign("its time of creation is no time".to_owned()))?;
    let host = String::from_utf8_lossy(&value(KEY_HOST)?).into_owned();
    Ok(LogInfo {
        log_id: LogId::from_bytes(sixteen(KEY_LOG_ID)?),
        birth_id: BirthId::from_bytes(sixteen(KEY_BIRTH_ID)?),
        host: HostName::new(host).map_err(|source| OpenError::Host { path: path.to_owned(), source })?,
        created: Time::from_micros(i64::from_be_bytes(created)),
    })
}

fn read_lost_events(state: &Keyspace, path: &Path) -> Result<u64, OpenError> {
    let Some(value) = state.get(layout::STATE_LOST_EVENTS).map_err(engine_error(path))? else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(&*value).map_err(|_| OpenError::Foreign {
        path: path.to_owned(),
        reason: format!("its count of lost events has {} bytes", value.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// Where the log begins and ends. Everything that recovery has read is durable.
fn find_ends(events: &Keyspace, path: &Path) -> Result<Ends, OpenError> {
    let position = |guard: Option<fjall::Guard>| -> Result<Option<Position>, OpenError> {
        let Some(guard) = guard else { return Ok(None) };
        let key = guard.key().map_err(engine_error(path))?;
        let reason = || format!("an event has the key {:?}", &*key);
        layout::key_position(&key)
            .map(Some)
            .ok_or_else(|| OpenError::Foreign { path: path.to_owned(), reason: reason() })
    };
    let first = position(events.first_key_value())?.unwrap_or(Position::FIRST);
    let last = position(events.last_key_value())?.unwrap_or_else(|| first.before());
    Ok(Ends { first, next: last.next(), durable: last })
}
