//! The loop: looks where something has changed soon after, everywhere now and then, and reads what it finds.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{HostName, SinkError, Text};
use usage::Tool;

use super::entry::FileId;
use super::homes::{Home, Root};
use super::log::TranscriptLog;
use super::scan::{Found, Scan};
use super::tailer::{Parts, Tailer, Turn};
use super::watch::{Changes, SystemWatch, Watch, WatchError, Watches};
use crate::error::{in_one_line, in_short};
use crate::pace::Stop;
use crate::{Clock, PaceError, PacedSampler, Registry, SamplerState, StatusHandle};

/// The name of this sampler.
const NAME: &str = "transcripts";
/// What is written shortly after a change is read with it.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The pauses while the log takes nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the first passes of other samplers are waited for, and how often they are looked at.
const OTHERS_DEADLINE: Duration = Duration::from_secs(5);
const OTHERS_PAUSE: Duration = Duration::from_millis(20);

/// How transcripts are followed.
#[derive(Clone, Debug)]
pub struct TranscriptSettings {
    /// Where they are looked for.
    pub homes: Vec<Home>,
    /// The time between two looks at every file; what changes between is heard of at once where that works.
    pub interval: Duration,
    /// Stamped on every event, when the machine no longer has the name that the log was created with.
    pub host: Option<HostName>,
    /// Samplers that may know where agents work: their first passes are waited for, at most 5 s.
    pub after: Vec<StatusHandle>,
}

/// Follows the transcripts on a thread of its own.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    settings: TranscriptSettings,
    registry: Registry,
    clock: Arc<dyn Clock>,
    log: Arc<dyn TranscriptLog>,
) -> Result<PacedSampler, PaceError> {
    let status = StatusHandle::new(NAME);
    let told = status.clone();
    PacedSampler::spawn(status, move |stop| {
        let changes = Arc::new(Changes::default());
        let nudged = Arc::clone(stop);
        let watch = SystemWatch::new(Arc::clone(&changes), move || nudged.nudge());
        let watch = watch.map(|watch| Box::new(watch) as Box<dyn Watch>);
        let host = settings.host.as_ref().map(|host| Text::new(host.as_str()));
        let parts = Parts { log, registry, clock, host, make_reader: Tool::reader };
        wait_for(&settings.after, stop);
        Follower::new(settings, parts, told, changes, watch).follow(stop);
    })
}

fn wait_for(others: &[StatusHandle], stop: &Stop) {
    let began = Instant::now();
    let is_waiting = || others.iter().any(|other| other.get().last_run.is_none());
    while is_waiting() && began.elapsed() < OTHERS_DEADLINE && !stop.wait_requested(OTHERS_PAUSE) {}
}

/// What was last traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Partial,
    Refused,
}

/// Whether what was there at the start is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Since(Duration),
    Over,
}

/// Whether it was traced that a line was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misread {
    Never,
    Told,
}

/// From waking until there is nothing to do: a pass, as the status tells it.
#[derive(Clone, Copy, Debug)]
struct Awake {
    since: Duration,
    /// The events that had been made by then.
    events: u64,
}

/// Follows transcripts, a pass at a time.
pub(super) struct Follower {
    settings: TranscriptSettings,
    registry: Registry,
    clock: Arc<dyn Clock>,
    tailer: Tailer,
    changes: Arc<Changes>,
    watches: Watches,
    /// When everything is looked at again, on the clock that never steps.
    next_scan: Duration,
    roots: Vec<Root>,
    start: Start,
    awake: Option<Awake>,
    misread: Misread,
    health: Health,
    status: StatusHandle,
}

impl Follower {
    pub(super) fn new(
        settings: TranscriptSettings,
        parts: Parts,
        status: StatusHandle,
        changes: Arc<Changes>,
        watch: Result<Box<dyn Watch>, WatchError>,
    ) -> Self {
        Self {
            start: Start::Since(parts.clock.monotonic()),
            settings,
            registry: parts.registry.clone(),
            clock: Arc::clone(&parts.clock),
            tailer: Tailer::new(parts),
            changes,
            watches: Watches::new(watch),
            next_scan: Duration::ZERO,
            roots: Vec::new(),
            awake: None,
            misread: Misread::Never,
            health: Health::Good,
            status,
        }
    }

    pub(super) fn follow(mut self, stop: &Stop) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_requested() {
            match self.pass(&|| stop.is_requested()) {
                Ok(Turn::Worked) => pause = FIRST_PAUSE,
                Ok(Turn::Rested) => {
                    pause = FIRST_PAUSE;
                    stop.wait_nudged(self.rest());
                    stop.wait_requested(DEBOUNCE);
                }
                Err(_) => {
                    stop.wait_requested(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// How long there is nothing to do, unless something changes.
    fn rest(&self) -> Duration {
        let next = self.tailer.next_quiet().map_or(self.next_scan, |quiet| quiet.min(self.next_scan));
        next.saturating_sub(self.clock.monotonic())
    }

    /// Looks where there is reason to, and reads some of what is to be read.
    pub(super) fn pass(&mut self, is_stopped: &dyn Fn() -> bool) -> Result<Turn, SinkError> {
        let awake = self.wake();
        let turn = match self.settle() {
            Ok(()) => {
                let turn = self.look().and_then(|()| self.tailer.turn(is_stopped));
                self.report(turn.as_ref().err());
                turn
            }
            Err(error) => Err(error),
        };
        self.count(awake);
        if !matches!(turn, Ok(Turn::Worked)) {
            self.awake = None;
            self.status.end(0);
        }
        if matches!(turn, Ok(Turn::Rested)) {
            self.tell_start();
        }
        turn
    }

    /// The pass that is under way, or one that begins.
    fn wake(&mut self) -> Awake {
        if let Some(awake) = self.awake {
            return awake;
        }
        let awake = Awake { since: self.clock.monotonic(), events: self.tailer.done().events };
        self.awake = Some(awake);
        self.status.begin_without_ticks();
        awake
    }

    fn count(&self, awake: Awake) {
        let events = self.tailer.done().events;
        self.status.update(|status| {
            status.last_duration = Some(self.clock.monotonic().saturating_sub(awake.since));
            status.events = events.saturating_sub(awake.events);
            status.events_total = events;
        });
    }

    /// Reads back what the log keeps, where that is in doubt; everything is looked at again then.
    ///
    /// NOTE: a log that cannot be read has told so itself, and maybe there is nothing to be kept: no trace.
    fn settle(&mut self) -> Result<(), SinkError> {
        if !self.tailer.is_in_doubt() {
            return Ok(());
        }
        self.next_scan = Duration::ZERO;
        self.tailer.settle().inspect_err(|error| {
            self.status.update(|status| {
                status.state = SamplerState::Failing;
                status.error = Some(refusal(error));
            });
        })
    }

    fn look(&mut self) -> Result<(), SinkError> {
        let changed = self.changes.take();
        if changed.is_all || self.clock.monotonic() >= self.next_scan {
            self.look_everywhere()?;
            self.next_scan = self.clock.monotonic().saturating_add(self.settings.interval);
        } else {
            self.look_at(changed.paths);
        }
        Ok(())
    }

    /// The homes that were set, and those of agents that have one of their own.
    fn homes(&self) -> Vec<Home> {
        let mut homes = self.settings.homes.clone();
        let mut known: HashSet<Home> = homes.iter().cloned().collect();
        let of_agents = self.registry.homes();
        let of_agents = of_agents.iter().flat_map(|home| super::in_user_home(Path::new(home.as_str())));
        homes.extend(of_agents.filter(|home| known.insert(home.clone())));
        homes
    }

    fn look_everywhere(&mut self) -> Result<(), SinkError> {
        let homes = self.homes();
        self.roots = homes.iter().flat_map(Home::roots).collect();
        self.watches.begin();
        let mut scan = Scan::default();
        for root in &self.roots {
            scan.folder(root, &root.path, &mut |folder| self.watches.add(folder));
        }
        // NOTE: a home whose folder is still to come tells of it. Others have files in them that change all the time.
        let is_incomplete = |home: &&Home| home.roots().iter().any(|root| !root.path.is_dir());
        let waiting: Vec<&Path> = homes.iter().filter(is_incomplete).map(|home| &*home.path).collect();
        waiting.iter().for_each(|home| self.watches.add(home));
        let folders = scan.folders.iter().map(PathBuf::as_path).chain(waiting).collect();
        self.watches.keep(&folders);
        let present: HashSet<FileId> = scan.found.iter().map(|file: &Found| file.id).collect();
        let looked_into = looked_into(&self.roots, &scan);
        self.tailer.found_all(scan);
        self.tailer.miss(&present, looked_into)
    }

    fn look_at(&mut self, changed: HashSet<PathBuf>) {
        let mut scan = Scan::default();
        for path in changed {
            let Some(root) = self.roots.iter().find(|root| path.starts_with(&root.path)) else { continue };
            let is_root = *path == *root.path;
            let metadata = if is_root { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            if metadata.is_ok_and(|metadata| metadata.is_dir()) {
                scan.folder(root, &path, &mut |folder| self.watches.add(folder));
            } else {
                scan.file(root, path);
            }
        }
        if !scan.found.is_empty() {
            self.tailer.found_fresh(scan);
        }
    }

    fn report(&mut self, refused: Option<&SinkError>) {
        let problems = self.problems();
        let misread = self.misread();
        let (state, health, error) = match (refused, problems.is_empty()) {
            (Some(error), _) => (SamplerState::Failing, Health::Refused, Some(refusal(error))),
            (None, false) => (self.activity(), Health::Partial, in_short(&problems)),
            (None, true) => (self.activity(), Health::Good, None),
        };
        self.trace_health(health, error.as_deref().unwrap_or_default());
        self.trace_misread(misread.as_deref());
        let error = match refused {
            Some(_) => error,
            None => in_short(&problems.into_iter().chain(misread).collect::<Vec<_>>()),
        };
        self.status.update(|status| {
            status.state = state;
            status.last_run = Some(self.clock.now());
            status.error = error;
            status.progress = self.tailer.progress();
        });
    }

    fn activity(&self) -> SamplerState {
        if self.tailer.known() == 0 { SamplerState::Idle } else { SamplerState::Ok }
    }

    /// What cannot be read now; it may heal.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.tailer.unreadable();
        problems.extend(self.watches.failure().map(|failure| {
            let every = event::span::display(self.settings.interval);
            format!("not every folder is watched, new lines are read every {every}: {failure}")
        }));
        problems
    }

    /// What was read and not understood; that does not heal.
    fn misread(&self) -> Option<String> {
        let misread = self.tailer.what_was_misread();
        let times = if misread.lines == 1 { "once".to_owned() } else { format!("{} times", misread.lines) };
        (misread.lines > 0).then(|| format!("not understood: {times}, the last {}", misread.last))
    }

    /// Tells the first line that was not understood, and leaves the others to the status.
    fn trace_misread(&mut self, misread: Option<&str>) {
        if let Some(misread) = misread.filter(|_| self.misread == Misread::Never) {
            self.misread = Misread::Told;
            tracing::warn!(
                sampler = NAME,
                misread,
                "a line of a transcript is left out; the status counts them"
            );
        }
    }

    fn trace_health(&mut self, health: Health, error: &str) {
        if self.health == health {
            return;
        }
        let was_refused = self.health == Health::Refused;
        self.health = health;
        if was_refused {
            tracing::info!(sampler = NAME, "the log takes what transcripts tell again");
        }
        match health {
            Health::Good if was_refused => {}
            Health::Good => tracing::info!(sampler = NAME, "the sampler works again"),
            Health::Partial => tracing::warn!(sampler = NAME, error, "the sampler cannot read everything"),
            Health::Refused => tracing::warn!(sampler = NAME, error, "transcripts are read later"),
        }
    }

    /// Tells once how much of what was there at the start had not been read before.
    fn tell_start(&mut self) {
        let Start::Since(since) = self.start else { return };
        self.start = Start::Over;
        let done = self.tailer.done();
        if done.files > 0 {
            let seconds = self.clock.monotonic().saturating_sub(since).as_secs_f64();
            let (files, events, mb) = (done.files, done.events, done.bytes / 1_000_000);
            tracing::info!(files, mb, events, seconds, "the transcripts that were there are read");
        }
    }
}

fn refusal(error: &SinkError) -> String {
    format!("the log takes nothing of what transcripts tell, they are read later: {}", in_one_line(error))
}

/// Whether a file would have been found if it were there: of a home that is not there, nothing is known.
fn looked_into(roots: &[Root], scan: &Scan) -> impl Fn(&Path) -> bool + use<> {
    let folders: HashSet<&Path> = scan.folders.iter().map(PathBuf::as_path).collect();
    let roots: Vec<Arc<Path>> = roots
        .iter()
        .filter(|root| folders.contains(&*root.path))
        .map(|root| Arc::clone(&root.path))
        .collect();
    let unreadable: Vec<PathBuf> = scan.unreadable.keys().cloned().collect();
    move |path| {
        roots.iter().any(|root| path.starts_with(root))
            && !unreadable.iter().any(|hidden| path.starts_with(hidden))
    }
}
