//! Hears of changes in folders, so that a line is read soon after it was written.
//!
//! What is heard is only a hint where to look: a change that nobody tells of is found by the next scan.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// So many paths are worth a whole scan.
const CHANGED_MAX: usize = 4_096;

/// What has changed since it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Files and folders that were made, written, renamed or removed.
    pub(super) paths: HashSet<PathBuf>,
    /// Something was missed: everything may have changed.
    pub(super) is_all: bool,
}

/// Collects changes on the way from whoever hears of them.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Changed>);

impl Changes {
    pub(super) fn take(&self) -> Changed {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, told: Result<Event, notify::Error>) -> Told {
        let mut changed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(event) = told.ok().filter(|event| !event.need_rescan()) else {
            changed.is_all = true;
            return Told::Something;
        };
        // NOTE: our own reading is told as access.
        if matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_))) {
            return Told::Nothing;
        }
        changed.paths.extend(event.paths);
        if changed.paths.len() > CHANGED_MAX {
            changed.paths.clear();
            changed.is_all = true;
        }
        Told::Something
    }
}

/// Whether a message was worth waking up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Something,
}

/// Tells of changes in folders.
pub(super) trait Watch: Send {
    /// Watches the names and files in a folder, not the folders in it; again is fine.
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError>;

    /// Watches it no more.
    fn leave(&mut self, folder: &Path);
}

/// Why a folder is not watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WatchError {
    /// It is not there any more.
    #[error("it is gone")]
    Gone,
    /// The system watches as much as it may.
    #[error("the limit fs.inotify.max_user_watches is reached: raise it")]
    Limit,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// The system's own.
pub(super) struct SystemWatch(RecommendedWatcher);

impl SystemWatch {
    /// Watches nothing yet; `nudge` is called for each change.
    pub(super) fn new(changes: Arc<Changes>, nudge: impl Fn() + Send + 'static) -> Result<Self, WatchError> {
        let hear = move |told| {
            if changes.add(told) == Told::Something {
                nudge();
            }
        };
        notify::recommended_watcher(hear).map(Self).map_err(watch_error)
    }
}

impl Watch for SystemWatch {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.0.watch(folder, RecursiveMode::NonRecursive).map_err(watch_error)
    }

    fn leave(&mut self, folder: &Path) {
        // NOTE: of a folder that is gone it has heard itself.
        let _ = self.0.unwatch(folder);
    }
}

fn watch_error(error: notify::Error) -> WatchError {
    match error.kind {
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => WatchError::Gone,
        ErrorKind::MaxFilesWatch => WatchError::Limit,
        ErrorKind::Io(error) if super::read::is_gone(&error) => WatchError::Gone,
        ErrorKind::Io(error) => WatchError::Other(error.to_string()),
        ErrorKind::Generic(problem) => WatchError::Other(problem),
        ErrorKind::InvalidConfig(_) => WatchError::Other("it takes no such setting".to_owned()),
    }
}

/// The folders that are watched.
pub(super) struct Watches {
    watch: Result<Box<dyn Watch>, WatchError>,
    watched: HashSet<PathBuf>,
    /// Why not all are, since the last whole scan began.
    failure: Option<WatchError>,
}

impl Watches {
    pub(super) fn new(watch: Result<Box<dyn Watch>, WatchError>) -> Self {
        let failure = watch.as_ref().err().cloned();
        Self { watch, watched: HashSet::new(), failure }
    }

    /// Forgets what has failed: a whole scan tries everything again.
    pub(super) fn begin(&mut self) {
        self.failure = self.watch.as_ref().err().cloned();
    }

    /// Watches a folder, also one that was watched before: what has its name now may be another.
    pub(super) fn add(&mut self, folder: &Path) {
        let Ok(watch) = &mut self.watch else { return };
        // NOTE: at the limit every attempt fails the same way.
        if self.failure == Some(WatchError::Limit) && !self.watched.contains(folder) {
            return;
        }
        match watch.watch(folder) {
            Ok(()) => _ = self.watched.insert(folder.to_owned()),
            Err(WatchError::Gone) => {}
            Err(error) => self.failure = Some(error),
        }
    }

    /// Leaves every folder but these, which a whole scan has met.
    pub(super) fn keep(&mut self, folders: &HashSet<&Path>) {
        let Ok(watch) = &mut self.watch else { return };
        self.watched.retain(|folder| {
            let stays = folders.contains(folder.as_path());
            if !stays {
                watch.leave(folder);
            }
            stays
        });
    }

    pub(super) const fn failure(&self) -> Option<&WatchError> {
        self.failure.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag, MetadataKind};

    use super::*;

    fn event(kind: EventKind, path: &str) -> Result<Event, notify::Error> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn what_matters_is_collected_until_it_is_taken() {
        let changes = Changes::default();
        for kind in
            [EventKind::Access(AccessKind::Any), EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any))]
        {
            assert_eq!(changes.add(event(kind, "/a")), Told::Nothing);
        }
        assert_eq!(changes.take(), Changed::default());
        for path in ["/a", "/b", "/a"] {
            assert_eq!(changes.add(event(EventKind::Create(CreateKind::File), path)), Told::Something);
        }
        let paths = ["/a", "/b"].map(PathBuf::from).into();
        assert_eq!(changes.take(), Changed { paths, is_all: false });
        assert_eq!(changes.take(), Changed::default());
    }

    #[test]
    fn too_much_or_something_missed_is_everything() {
        let all = Changed { is_all: true, ..Changed::default() };
        let changes = Changes::default();
        changes.add(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert_eq!(changes.take(), all);
        changes.add(Err(notify::Error::generic("x")));
        assert_eq!(changes.take(), all);
        for number in 0..=CHANGED_MAX {
            changes.add(event(EventKind::Create(CreateKind::File), &format!("/{number}")));
        }
        assert_eq!(changes.take(), all);
    }

    /// Watches a few folders and no more.
    struct Limited(usize);

    impl Watch for Limited {
        fn watch(&mut self, _: &Path) -> Result<(), WatchError> {
            self.0 = self.0.checked_sub(1).ok_or(WatchError::Limit)?;
            Ok(())
        }

        fn leave(&mut self, _: &Path) {
            self.0 += 1;
        }
    }

    #[test]
    fn the_limit_is_told_and_heals() {
        let mut watches = Watches::new(Ok(Box::new(Limited(2))));
        let (one, two, three) = (Path::new("/1"), Path::new("/2"), Path::new("/3"));
        [one, two].into_iter().for_each(|folder| watches.add(folder));
        assert_eq!(watches.failure(), None);
        watches.add(three);
        assert_eq!(watches.failure(), Some(&WatchError::Limit));
        watches.keep(&HashSet::from([one]));
        watches.begin();
        watches.add(three);
        assert_eq!(watches.failure(), None);
        let mut none = Watches::new(Err(WatchError::Other("no".to_owned())));
        none.begin();
        none.add(one);
        assert_eq!(none.failure(), Some(&WatchError::Other("no".to_owned())));
    }
}
