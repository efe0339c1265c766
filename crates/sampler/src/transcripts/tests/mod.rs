//! The whole sampler over real files, with a log in memory that fails on demand and readers of a simple format.
//!
//! A line is `<session> <message> <output> [directory]`. The message `+` gets its number from the reader's state, and
//! `hold` is told when the next line comes or the file is quiet: so a state that is lost or used twice is seen.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event::{Event, SinkError, SinkErrorKind, Text, Time, TokenUsage};
use tempfile::TempDir;
use usage::Tool;
use usage::transcript::{Call, Family, StateError, Told, TranscriptReader};

use super::entry::FILES;
use super::follow::{Follower, TranscriptSettings};
use super::homes::Home;
use super::log::{Age, Portion, States, TranscriptLog};
use super::tailer::{Parts, Turn};
use super::watch::WatchError;
use crate::{Clock, ManualClock, Registry, StatusHandle};

mod files;
mod keeping;

const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Plain {
    lines: u64,
    held: Option<Text>,
}

impl Plain {
    fn make(
        tool: Tool,
        _: &Path,
        state: Option<&[u8]>,
        _: Arc<dyn Family>,
    ) -> Result<Box<dyn TranscriptReader>, StateError> {
        let Some(state) = state else { return Ok(Box::new(Self::default())) };
        let text = String::from_utf8(state.to_vec()).unwrap();
        let Some((lines, held)) = text.split_once(' ') else {
            return Err(StateError { tool: tool.name(), problem: "it is damaged".to_owned() });
        };
        let held = (!held.is_empty()).then(|| held.into());
        Ok(Box::new(Self { lines: lines.parse().unwrap(), held }))
    }

    fn let_go(&mut self, told: &mut Told) {
        if let Some(session) = self.held.take() {
            told.calls.push(call(&session, "held", 1, ""));
        }
    }
}

fn call(session: &str, message: &str, output: u64, directory: &str) -> Call {
    let (session_id, message_id) = (session.into(), message.into());
    let usage = TokenUsage {
        time: Time::from_micros(1_780_000_000_000_000),
        model: "m".into(),
        session_id,
        message_id,
        output_tokens: output,
        ..TokenUsage::default()
    };
    Call { usage, directory: directory.into() }
}

impl TranscriptReader for Plain {
    fn line(&mut self, line: &[u8], told: &mut Told) {
        self.lines += 1;
        self.let_go(told);
        let text = String::from_utf8_lossy(line);
        match text.split(' ').collect::<Vec<_>>()[..] {
            [session, "hold"] => self.held = Some(session.into()),
            [session, "+", output] => {
                let number = format!("call-{}", self.lines);
                told.calls.push(call(session, &number, output.parse().unwrap(), ""));
            }
            [session, message, output] => {
                told.calls.push(call(session, message, output.parse().unwrap(), ""));
            }
            [session, message, output, directory] => {
                told.calls.push(call(session, message, output.parse().unwrap(), directory));
            }
            _ => told.problems.push("a line of no kind".to_owned()),
        }
    }

    fn quiet(&mut self, told: &mut Told) {
        self.let_go(told);
    }

    fn state(&self) -> Vec<u8> {
        format!("{} {}", self.lines, self.held.as_deref().unwrap_or_default()).into_bytes()
    }
}

/// What happens to an append.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Kept,
    Refused,
    /// It is kept, and nobody is told.
    KeptAndFailed,
}

#[derive(Clone, Default)]
struct Kept {
    meta: BTreeMap<Vec<u8>, Vec<u8>>,
    events: Vec<Event>,
    ages: Vec<Age>,
}

#[derive(Default)]
struct MemoryLog {
    kept: Mutex<Kept>,
    fates: Mutex<VecDeque<Fate>>,
    anew: Mutex<u32>,
    is_away: Mutex<bool>,
}

impl MemoryLog {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    fn will(&self, fates: impl IntoIterator<Item = Fate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// The largest output of each call, and whose it is by its first snapshot.
    fn calls(&self) -> BTreeMap<String, (u64, String)> {
        let mut calls = BTreeMap::new();
        for event in &self.kept().events {
            let Event::TokenUsage(usage) = event else { panic!("{event:?}") };
            let key = format!("{} {}", usage.session_id, usage.message_id);
            let call = calls.entry(key).or_insert((0, usage.agent_name.to_string()));
            call.0 = usage.output_tokens.max(call.0);
        }
        calls
    }

    fn totals(&self) -> BTreeMap<String, u64> {
        self.calls().into_iter().map(|(key, (output, _))| (key, output)).collect()
    }

    fn files(&self) -> usize {
        self.kept().meta.keys().filter(|key| key.starts_with(FILES)).count()
    }
}

impl TranscriptLog for MemoryLog {
    fn append(&self, portion: Portion) -> Result<(), SinkError> {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Kept);
        if fate == Fate::Refused {
            return Err(SinkError::new(SinkErrorKind::Full, "the log is full"));
        }
        let mut kept = self.kept();
        kept.events.extend(portion.events);
        kept.ages.push(portion.age);
        for (key, value) in portion.changes {
            match value {
                Some(value) => _ = kept.meta.insert(key, value),
                None => _ = kept.meta.remove(&key),
            }
        }
        match fate {
            Fate::KeptAndFailed => Err(SinkError::new(SinkErrorKind::Failed, "the log has failed")),
            _ => Ok(()),
        }
    }

    fn was_opened_anew(&self) -> bool {
        let mut anew = self.anew.lock().unwrap();
        let was = *anew > 0;
        *anew = 0;
        was
    }

    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SinkError> {
        Ok(self.kept().meta.get(key).cloned())
    }

    fn states(&self, prefix: &[u8]) -> Result<States, SinkError> {
        if *self.is_away.lock().unwrap() {
            return Err(SinkError::new(SinkErrorKind::Failed, "the log cannot be read"));
        }
        let kept = self.kept();
        let found = kept.meta.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Homes, a log, and what follows the transcripts.
struct World {
    dir: TempDir,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    status: StatusHandle,
    follower: Option<Follower>,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new(Time::from(std::time::SystemTime::now()));
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            log: Arc::default(),
            clock: Arc::new(clock),
            status: StatusHandle::new("transcripts"),
            follower: None,
        };
        world.restart();
        world
    }

    fn homes(&self) -> Vec<Home> {
        let home = |tool, name: &str| Home { tool, path: self.dir.path().join(name) };
        vec![home(Tool::Claude, "claude"), home(Tool::Claude, "other"), home(Tool::Codex, "codex")]
    }

    /// A process that knows only what the log keeps.
    fn restart(&mut self) {
        let settings =
            TranscriptSettings { homes: self.homes(), interval: INTERVAL, host: None, after: Vec::new() };
        let parts = Parts {
            log: Arc::clone(&self.log) as Arc<dyn TranscriptLog>,
            registry: Registry::default(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            host: None,
            make_reader: Plain::make,
        };
        let watch = Err(WatchError::Other("not in this test".to_owned()));
        let (status, changes) = (self.status.clone(), Arc::default());
        self.follower = Some(Follower::new(settings, parts, status, changes, watch));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::options().create(true).append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
    }

    fn pass(&mut self) -> Result<Turn, SinkError> {
        self.follower.as_mut().unwrap().pass(&|| false)
    }

    /// Looks everywhere and reads all that there is.
    fn follow(&mut self) {
        self.clock.advance(INTERVAL);
        while self.pass().unwrap() == Turn::Worked {}
    }

    fn check(&mut self, expected: &[(&str, u64)]) {
        self.follow();
        let expected = expected.iter().map(|(key, output)| ((*key).to_owned(), *output)).collect();
        assert_eq!(self.log.totals(), expected);
    }

    fn events(&self) -> usize {
        self.log.kept().events.len()
    }
}
const FILE: &str = "claude/projects/-w-a/s.jsonl";
