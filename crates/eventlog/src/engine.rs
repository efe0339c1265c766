//! The fjall database of an open log, and the parts of it that the log names.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use event::{BirthId, Hole, HostName, LogId, Position, Time};
use fjall::{Database, Guard, Keyspace, PersistMode};

use crate::error::{EngineError, OpenError};
use crate::holes::{self, Holes};
use crate::layout::{self, KEY_BIRTH_ID, KEY_CREATED, KEY_HOST, KEY_LAYOUT, KEY_LOG_ID};
use crate::open::LogInfo;
use crate::recovery::{directory, dropped_path};

/// Memtables that wait to be flushed before the writer waits for them. IMPORTANT: at four fjall waits itself,
/// and for ever when its workers have died of a full disk.
const WAITING_MEMTABLES_MAX: usize = 2;
/// How long between two looks at them.
const MEMTABLE_PAUSE: Duration = Duration::from_millis(2);

/// A segment: a keyspace of events, from its first position up to the next segment's.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) first: Position,
    pub(crate) events: Keyspace,
    /// When it was begun, if that is known.
    pub(crate) begun: Option<Time>,
}

/// The open database.
pub(crate) struct Engine {
    pub(crate) path: PathBuf,
    pub(crate) meta: Keyspace,
    pub(crate) state: Keyspace,
    pub(crate) blocks: Keyspace,
    segments: RwLock<BTreeMap<Position, Segment>>,
    pub(crate) holes: RwLock<Holes>,
    // NOTE: its keyspaces go before it.
    pub(crate) database: Database,
    /// Goes when the database has closed its files; the `Engine` itself is no more before that.
    pub(crate) gone: Arc<()>,
}

impl Engine {
    /// Opens what is there. The caller has looked at the files before (`recovery.rs`).
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let database = open_database(path)?;
        let small = |name: &str| keyspace(&database, name, path);
        let meta = small(layout::KEYSPACE_META)?;
        // NOTE: before anything else: a newer layout may have other keyspaces.
        let number = meta.get(KEY_LAYOUT).map_err(engine_error(path))?;
        number.map_or(Ok(()), |number| check_layout(&number, path))?;
        let state = small(layout::KEYSPACE_STATE)?;
        crate::upgrade::upgrade(&database, &meta, &state, path)?;
        if !database.keyspace_exists(layout::KEYSPACE_BLOCKS) {
            let reason = "its keyspace \"blocks\" is missing".to_owned();
            return Err(OpenError::Damaged { path: path.to_owned(), reason });
        }
        let blocks = small(layout::KEYSPACE_BLOCKS)?;
        let segments = RwLock::new(find_segments(&database, &meta, path)?);
        let holes = RwLock::new(read_holes(&meta, path)?);
        Ok(Self { path: path.to_owned(), meta, state, blocks, segments, holes, database, gone: Arc::new(()) })
    }

    /// The segment that `position` belongs to, and the first position of the next one.
    pub(crate) fn segment_of(&self, position: Position) -> Option<(Segment, Option<Position>)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let (_, segment) = segments.range(..=position).next_back()?;
        let next = segments.range(position.next()..).next().map(|(first, _)| *first);
        Some((segment.clone(), next))
    }

    /// All segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes the segment that begins at `first`.
    pub(crate) fn begin_segment(&self, first: Position, now: Time) -> Result<Segment, fjall::Error> {
        let events = self.database.keyspace(&layout::segment_name(first), layout::events_options)?;
        self.meta.insert(layout::key_of(layout::PREFIX_SEGMENT, first), now.micros().to_be_bytes())?;
        let segment = Segment { first, events, begun: Some(now) };
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(first, segment.clone());
        Ok(segment)
    }

    /// Takes the segments that begin within `lo..=hi` out and gives their disk back.
    ///
    /// IMPORTANT: the hole that tells of them is durable before this is called.
    pub(crate) fn drop_segments(&self, lo: Position, hi: Position) -> Result<usize, fjall::Error> {
        let dropped: Vec<Segment> = {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let firsts: Vec<Position> = segments.range(lo..=hi).map(|(first, _)| *first).collect();
            firsts.iter().filter_map(|first| segments.remove(first)).collect()
        };
        let count = dropped.len();
        self.note_dropped(&dropped)?;
        for segment in dropped {
            self.meta.remove(layout::key_of(layout::PREFIX_SEGMENT, segment.first))?;
            self.database.delete_keyspace(segment.events)?;
        }
        Ok(count)
    }

    /// Notes which keyspaces fjall is about to delete, beside the log: a kill can leave any part of them.
    fn note_dropped(&self, segments: &[Segment]) -> Result<(), fjall::Error> {
        let Some(data_dir) = self.path.parent() else { return Ok(()) };
        let ids: Vec<_> = segments.iter().filter_map(|segment| segment.events.path().file_name()).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(dropped_path(data_dir))?;
        for id in ids {
            writeln!(file, "{}", id.to_string_lossy())?;
        }
        file.sync_all()?;
        File::open(data_dir)?.sync_all()?;
        Ok(())
    }

    /// A copy of the holes.
    pub(crate) fn holes(&self) -> Holes {
        self.holes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells readers of the holes that are durable now.
    pub(crate) fn set_holes(&self, holes: Holes) {
        *self.holes.write().unwrap_or_else(PoisonError::into_inner) = holes;
    }

    /// The hole that `position` lies in.
    pub(crate) fn hole_at(&self, position: Position) -> Option<Hole> {
        self.holes.read().unwrap_or_else(PoisonError::into_inner).at(position)
    }

    /// Whether a trim has committed a hole at `position`, also when readers are not told of it yet: the index goes
    /// with that commit. It reads all holes: for what is rare.
    pub(crate) fn is_being_trimmed(&self, position: Position) -> bool {
        read_holes(&self.meta, &self.path).is_ok_and(|holes| holes.at(position).is_some())
    }

    /// The first hole that begins behind `position`.
    pub(crate) fn holes_after(&self, position: Position) -> Option<Hole> {
        self.holes.read().unwrap_or_else(PoisonError::into_inner).after(position)
    }

    /// The record at `position`, as its bytes.
    pub(crate) fn record(&self, position: Position) -> Result<Option<fjall::Slice>, fjall::Error> {
        match self.segment_of(position) {
            Some((segment, _)) => segment.events.get(layout::position_key(position)),
            None => Ok(None),
        }
    }

    /// The last position that has a record.
    pub(crate) fn last_record(&self) -> Result<Option<Position>, OpenError> {
        for segment in self.segments().iter().rev() {
            if let Some(last) = segment.events.last_key_value() {
                return key_position(last, &self.path).map(Some);
            }
        }
        Ok(None)
    }

    /// Waits while a segment has more in memory than its flushes keep up with.
    pub(crate) fn wait_for_memtables(&self, segment: &Segment) -> Result<(), fjall::Error> {
        while segment.events.sealed_memtable_count() > WAITING_MEMTABLES_MAX {
            // NOTE: a worker that has died leaves an error here, and would never flush.
            self.check()?;
            std::thread::sleep(MEMTABLE_PAUSE);
        }
        Ok(())
    }

    /// Whether everything that was written is on its way to the disk, or the database has given up.
    pub(crate) fn check(&self) -> Result<(), fjall::Error> {
        self.database.persist(PersistMode::Buffer)
    }
}

/// Turns fjall's errors into ours.
pub(crate) fn engine_error(path: &Path) -> impl Fn(fjall::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |error| OpenError::Engine { path: path.clone(), source: EngineError::from(error) }
}

pub(crate) fn foreign(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Foreign { path: path.to_owned(), reason: reason.into() }
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    // NOTE: fjall needs a file for its own lock and does not make it again. Ours is the one that counts.
    let lock = path.join("lock");
    OpenOptions::new().create(true).append(true).open(&lock).map_err(directory("make", &lock))?;
    let builder = Database::builder(path)
        .cache_size(layout::CACHE_BYTES)
        .worker_threads(layout::WORKER_THREADS)
        .max_journaling_size(layout::JOURNALS_BYTES_MAX);
    // NOTE: fjall asserts some of what it finds in its files; a damaged log must not end the process.
    match catch_unwind(AssertUnwindSafe(|| builder.open())) {
        Ok(opened) => opened.map_err(engine_error(path)),
        Err(_) => Err(OpenError::Damaged {
            path: path.to_owned(),
            reason: "fjall gave up on its files (it panicked)".to_owned(),
        }),
    }
}

/// A keyspace that every log has: one that is missing is damage, and fjall would make an empty one.
fn keyspace(database: &Database, name: &str, path: &Path) -> Result<Keyspace, OpenError> {
    if !database.keyspace_exists(name) {
        return Err(foreign(path, format!("it has no keyspace {name:?}")));
    }
    database.keyspace(name, layout::small_options).map_err(engine_error(path))
}

fn find_segments(
    database: &Database,
    meta: &Keyspace,
    path: &Path,
) -> Result<BTreeMap<Position, Segment>, OpenError> {
    let time = |key: &[u8]| -> Result<Option<Time>, OpenError> {
        let value = meta.get(key).map_err(engine_error(path))?;
        Ok(value.and_then(|value| Some(Time::from_micros(i64::from_be_bytes((*value).try_into().ok()?)))))
    };
    // NOTE: nobody notes when the first segment is begun: it is as old as the log.
    let created = time(KEY_CREATED.as_bytes())?;
    let mut segments = BTreeMap::new();
    for name in database.list_keyspace_names() {
        let Some(first) = layout::segment_first(&name) else { continue };
        let events = database.keyspace(&name, layout::events_options).map_err(engine_error(path))?;
        let begun = time(&layout::key_of(layout::PREFIX_SEGMENT, first))?
            .or(created.filter(|_| first == Position::FIRST));
        segments.insert(first, Segment { first, events, begun });
    }
    if segments.is_empty() {
        return Err(foreign(path, "it has no keyspace with events"));
    }
    Ok(segments)
}

fn read_holes(meta: &Keyspace, path: &Path) -> Result<Holes, OpenError> {
    let mut holes = Vec::new();
    for guard in meta.prefix(layout::PREFIX_HOLE) {
        let (key, value) = guard.into_inner().map_err(engine_error(path))?;
        let lo = key.get(layout::PREFIX_HOLE.len()..).and_then(layout::key_position);
        let hole = lo.and_then(|lo| holes::decode(lo, &value));
        holes.push(hole.ok_or_else(|| foreign(path, format!("the hole {key:?} is none of ours")))?);
    }
    Ok(holes.into_iter().collect())
}

pub(crate) fn key_position(guard: Guard, path: &Path) -> Result<Position, OpenError> {
    let key = guard.key().map_err(engine_error(path))?;
    layout::key_position(&key).ok_or_else(|| foreign(path, format!("an event has the key {:?}", &*key)))
}

/// Whether this version can read a log whose layout has this number.
pub(crate) fn check_layout(number: &[u8], path: &Path) -> Result<(), OpenError> {
    match number {
        [layout::LAYOUT | layout::LAYOUT_WITHOUT_BLOCKS] => Ok(()),
        [newer] => {
            let known = layout::LAYOUT;
            Err(foreign(path, format!("its layout is {newer}, this version knows {known} and older ones")))
        }
        other => Err(foreign(path, format!("its layout is a number of {} bytes", other.len()))),
    }
}

/// What the log says about itself.
pub(crate) fn read_info(meta: &Keyspace, path: &Path) -> Result<LogInfo, OpenError> {
    let value = |key: &str| {
        let value = meta.get(key).map_err(engine_error(path))?;
        value.ok_or_else(|| foreign(path, format!("its meta has no {key}")))
    };
    check_layout(&value(KEY_LAYOUT)?, path)?;
    let sixteen = |key: &str| {
        let bytes = value(key)?;
        <[u8; 16]>::try_from(&*bytes)
            .map_err(|_| foreign(path, format!("its {key} has {} bytes", bytes.len())))
    };
    let created = <[u8; 8]>::try_from(&*value(KEY_CREATED)?)
        .map_err(|_| foreign(path, "its time of creation is no time"))?;
    let host = String::from_utf8_lossy(&value(KEY_HOST)?).into_owned();
    Ok(LogInfo {
        log_id: LogId::from_bytes(sixteen(KEY_LOG_ID)?),
        birth_id: BirthId::from_bytes(sixteen(KEY_BIRTH_ID)?),
        host: HostName::new(host).map_err(|source| OpenError::Host { path: path.to_owned(), source })?,
        created: Time::from_micros(i64::from_be_bytes(created)),
    })
}

/// A number that the log keeps under `key`; 0 when it keeps none.
pub(crate) fn read_number(meta: &Keyspace, key: &str, path: &Path) -> Result<u64, OpenError> {
    let Some(value) = meta.get(key).map_err(engine_error(path))? else { return Ok(0) };
    let bytes = <[u8; 8]>::try_from(&*value)
        .map_err(|_| foreign(path, format!("its {key} has {} bytes", value.len())))?;
    Ok(u64::from_be_bytes(bytes))
}
