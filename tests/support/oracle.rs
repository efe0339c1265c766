//! What a log has promised and shown, so that what it shows later can be held against it.
//!
//! Tests record in requests of unique names: the event of a request at `index` has the agent name
//! `<request>.<index>.<count>`. The oracle file has a line `<first> <last> <request>` for each request, written the
//! moment that it is acknowledged; it is read again for every comparison.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use super::agent_line;

/// The lines of a request; `more` goes into each of them.
pub fn lines(request: &str, count: u64, more: &str) -> String {
    let line = |index| agent_line(&format!("{request}.{index}.{count}"), index, 1.0);
    (0..count).map(|index| line(index).replacen('{', &format!("{{{more}"), 1)).collect()
}

/// An event, as far as two of them must not be taken for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whose it is; none for what the samplers have made.
    pub name: Option<String>,
    hash: u64,
}

/// The whole log, as `log tail --from 1 --format json` shows it.
#[derive(Debug, Default)]
pub struct Listing {
    pub events: BTreeMap<u64, Seen>,
    /// First and last position, and the cause.
    pub holes: Vec<(u64, u64, String)>,
    /// The position behind the last one.
    pub end: u64,
}

#[derive(Deserialize)]
struct Line {
    position: Option<u64>,
    kind: Option<String>,
    agent_name: Option<String>,
    hole: Option<HoleLine>,
}

#[derive(Deserialize)]
struct HoleLine {
    from: u64,
    to: u64,
    cause: String,
}

impl Listing {
    /// Reads lines; each must go on where the one before ended.
    pub fn read(text: &str) -> Self {
        let mut listing = Self { end: 1, ..Self::default() };
        for (line, found) in text.lines().map(|line| (line, parse(line))) {
            let (from, to) = match &found {
                Line { hole: Some(hole), .. } => (hole.from, hole.to),
                Line { position, .. } => (position.expect(line), position.expect(line)),
            };
            assert_eq!(from, listing.end, "positions are dense: {line}");
            listing.end = to + 1;
            match found.hole {
                Some(hole) => listing.holes.push((from, to, hole.cause)),
                None => _ = listing.events.insert(from, seen(line, found)),
            }
        }
        listing
    }
}

fn parse(line: &str) -> Line {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn seen(line: &str, found: Line) -> Seen {
    assert_ne!(found.kind.as_deref(), Some("gap"), "a kill leaves no gap: {line}");
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    Seen { name: found.agent_name, hash: hasher.finish() }
}

/// Who remembers. Threads tell it while they work; between two lives it is asked.
pub struct Oracle {
    path: PathBuf,
    file: Mutex<File>,
    acknowledged: AtomicU64,
    /// What readers were shown since the last comparison.
    shown: Mutex<Vec<(u64, Seen)>>,
    /// Everything before this position may have been trimmed.
    trim_asked: AtomicU64,
    /// Everything before this position was acknowledged as trimmed.
    trimmed: AtomicU64,
    events: BTreeMap<u64, Seen>,
    requests: HashMap<String, u64>,
}

impl Oracle {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: Mutex::new(File::create(path).expect("an oracle file")),
            acknowledged: AtomicU64::new(0),
            shown: Mutex::default(),
            trim_asked: AtomicU64::new(1),
            trimmed: AtomicU64::new(1),
            events: BTreeMap::new(),
            requests: HashMap::new(),
        }
    }

    /// The log has acknowledged a request.
    pub fn acknowledge(&self, first: u64, last: u64, request: &str) {
        writeln!(self.file.lock().expect("no panic"), "{first} {last} {request}").expect("a line");
        self.acknowledged.fetch_add(last + 1 - first, Ordering::Relaxed);
    }

    /// How many events were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// A reader was shown these lines of `log tail`.
    pub fn show(&self, text: &str) {
        let lines = text.lines().map(|line| (line, parse(line)));
        let events = lines.filter_map(|(line, found)| Some((found.position?, seen(line, found))));
        self.shown.lock().expect("no panic").extend(events);
    }

    /// The log is about to be asked to trim what lies before `position`.
    pub fn ask_trim(&self, position: u64) {
        self.trim_asked.fetch_max(position, Ordering::Relaxed);
    }

    /// It has, and says that it begins at `first` now: nothing else may go until it is asked again.
    pub fn trim(&self, first: u64) {
        self.trim_asked.store(first, Ordering::Relaxed);
        self.trimmed.fetch_max(first, Ordering::Relaxed);
    }

    /// Holds a listing against all that is known; it is all that can be known then.
    pub fn compare(&mut self, listing: Listing) {
        let first = self.check_holes(&listing);
        self.check_acknowledged(&listing, first);
        self.check_shown(&listing, first);
        self.check_requests(&listing);
        // NOTE: nobody is asked any more: what is there now was not trimmed.
        self.trim_asked.store(first, Ordering::Relaxed);
        self.trimmed.store(first, Ordering::Relaxed);
        self.events = listing.events;
    }

    /// Only what was to be trimmed is a hole, and what was trimmed stays one. Gives the first position outside.
    fn check_holes(&self, listing: &Listing) -> u64 {
        let first = match listing.holes.as_slice() {
            [] => 1,
            [(1, to, cause)] if cause == "trimmed" => to + 1,
            holes => panic!("holes that nobody asked for: {holes:?}"),
        };
        let asked = self.trim_asked.load(Ordering::Relaxed);
        let trimmed = self.trimmed.load(Ordering::Relaxed);
        assert!(first <= asked, "trimmed was up to {first}, asked for was up to {asked}");
        assert!(first >= trimmed, "{trimmed} was the first position, and now it is {first}");
        first
    }

    fn check_acknowledged(&self, listing: &Listing, begin: u64) {
        let text = fs::read_to_string(&self.path).expect("the oracle file");
        for line in text.lines() {
            let mut words = line.split(' ');
            let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect(line);
            let (first, last) = (number(), number());
            let request = words.next().expect(line);
            let count = last + 1 - first;
            for position in first.max(begin)..=last {
                let name = format!("{request}.{}.{count}", position - first);
                let found = listing.events.get(&position).and_then(|seen| seen.name.as_deref());
                assert_eq!(found, Some(name.as_str()), "position {position} was acknowledged ({line})");
            }
        }
    }

    /// What was in the log once, or was shown to a reader, is in it still, at its place.
    fn check_shown(&self, listing: &Listing, begin: u64) {
        let mut shown = self.shown.lock().expect("no panic");
        let shown = std::mem::take(&mut *shown);
        let before = self.events.iter().map(|(position, seen)| (*position, seen));
        let all = before.chain(shown.iter().map(|(position, seen)| (*position, seen)));
        for (position, seen) in all.filter(|(position, _)| *position >= begin) {
            assert_eq!(listing.events.get(&position), Some(seen), "position {position} was durable");
        }
    }

    /// A request is there whole, in order and once, or not at all.
    fn check_requests(&mut self, listing: &Listing) {
        let mut due: Option<(u64, String)> = None;
        for (position, seen) in &listing.events {
            let name = seen.name.as_deref();
            if let Some((at, expected)) = due.take() {
                assert_eq!((*position, name), (at, Some(expected.as_str())), "a request is whole");
            } else if let Some(name) = name {
                assert!(name.contains(".0."), "position {position}: {name} is not the first of its request");
            }
            let Some(name) = name else { continue };
            let [request, index, count] = name.splitn(3, '.').collect::<Vec<_>>()[..] else {
                panic!("position {position}: {name} is nobody's")
            };
            let [index, count] = [index, count].map(|it| it.parse::<u64>().expect(name));
            if index == 0 {
                let before = self.requests.insert(request.to_owned(), *position);
                assert!(
                    before.is_none_or(|it| it == *position),
                    "{request} was at {before:?} and is at {position}"
                );
            }
            due = (index + 1 < count).then(|| (position + 1, format!("{request}.{}.{count}", index + 1)));
        }
        assert_eq!(due, None, "the last request is whole");
    }
}

/// An export is the tail without positions and holes; a daemon may have sampled between the two.
pub fn check_export(tail: &str, export: &str) {
    let mut exported = export.lines();
    for line in tail.lines().filter(|line| !line.starts_with(r#"{"hole""#)) {
        let event = line.split_once(',').expect("a position, then the event").1;
        let exported = exported.next().expect("the export has as many events as the tail");
        assert_eq!(exported.get(1..), Some(event), "the export tells what the tail tells");
    }
}
