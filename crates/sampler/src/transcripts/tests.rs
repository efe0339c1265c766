//! The whole sampler over real files, with a log in memory that fails on demand and readers of a simple format.
//!
//! A line is `<session> <message> <output> [directory]`. The message `+` gets its number from the reader's state, and
//! `hold` is told when the next line comes or the file is quiet: so a state that is lost or used twice is seen.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use event::{Event, SinkError, SinkErrorKind, Text, Time, TokenUsage};
use tempfile::TempDir;
use usage::Tool;
use usage::transcript::{Call, Family, StateError, Told, TranscriptReader};

use super::entry::FILES;
use super::follow::{Follower, TranscriptSettings};
use super::homes::Home;
use super::log::{Age, Portion, States, TranscriptLog};
use super::tailer::{Parts, QUIET, Turn};
use super::watch::{Changes, SystemWatch, Watch, WatchError};
use crate::{Clock, ManualClock, Registry, SamplerState, StatusHandle};

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
        let settings = TranscriptSettings { homes: self.homes(), interval: INTERVAL, host: None };
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

#[test]
fn a_line_counts_when_it_is_whole() {
    let mut world = World::new();
    world.check(&[]);
    assert_eq!(world.status.get().state, SamplerState::Idle);
    world.write(FILE, "s m1 5\ns m1 ");
    world.check(&[("s m1", 5)]);
    world.write(FILE, "9");
    world.check(&[("s m1", 5)]);
    world.restart();
    world.write(FILE, "0\ns + 1\n");
    world.check(&[("s m1", 90), ("s call-3", 1)]);
    assert_eq!(world.events(), 3, "nothing is read twice");
    world.restart();
    world.check(&[("s m1", 90), ("s call-3", 1)]);
    assert_eq!(world.events(), 3);
    assert_eq!(world.status.get().state, SamplerState::Ok);
}

#[test]
fn what_a_reader_holds_back_comes_when_the_file_is_quiet() {
    let mut world = World::new();
    world.write(FILE, "s hold\n");
    world.pass().unwrap();
    assert_eq!(world.events(), 0);
    world.restart();
    assert_eq!(world.pass().unwrap(), Turn::Rested);
    world.clock.advance(QUIET);
    while world.pass().unwrap() == Turn::Worked {}
    assert_eq!(world.log.totals(), [("s held".to_owned(), 1)].into());
    world.restart();
    world.clock.advance(QUIET);
    world.check(&[("s held", 1)]);
    assert_eq!(world.events(), 1, "it is told once");
}

#[test]
fn a_file_that_is_written_anew_is_read_from_its_start() {
    let mut world = World::new();
    world.write(FILE, "s m1 5\ns m2 6\n");
    world.check(&[("s m1", 5), ("s m2", 6)]);
    for text in ["s m3 7\n", "s m4 8\ns m5 9\n", "", "s m6 1\ns m7 1\ns m8 1\n"] {
        fs::write(world.path(FILE), text).unwrap();
        world.follow();
    }
    let keys: Vec<String> = world.log.totals().into_keys().collect();
    assert_eq!(keys, ["s m1", "s m2", "s m3", "s m4", "s m5", "s m6", "s m7", "s m8"]);
}

#[test]
fn a_file_whose_middle_changed_is_read_again() {
    let mut world = World::new();
    let head = "x".repeat(2_000) + "\n";
    world.write(FILE, format!("{head}s m1 5\n"));
    world.follow();
    fs::write(world.path(FILE), format!("{head}s m2 5\ns m3 1\n")).unwrap();
    world.check(&[("s m1", 5), ("s m2", 5), ("s m3", 1)]);
}

#[test]
fn a_renamed_file_goes_on_and_another_in_its_place_is_another() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    world.follow();
    world.write(FILE, "s + 2\n");
    fs::rename(world.path(FILE), world.path("claude/projects/-w-a/old.jsonl")).unwrap();
    world.write(FILE, "t + 3\n");
    world.check(&[("s call-1", 1), ("s call-2", 2), ("t call-1", 3)]);
    assert_eq!((world.events(), world.log.files()), (3, 2));
    fs::rename(world.path("claude/projects/-w-a/old.jsonl"), world.path(FILE)).unwrap();
    world.write(FILE, "s + 4\n");
    world.check(&[("s call-1", 1), ("s call-2", 2), ("s call-3", 4), ("t call-1", 3)]);
    assert_eq!(world.events(), 4);
}

#[test]
fn what_is_gone_is_forgotten_after_a_day_and_a_home_that_is_away_is_not() {
    let mut world = World::new();
    world.write(FILE, "s m1 1\n");
    world.write("other/projects/-w-b/t.jsonl", "t m1 1\n");
    world.follow();
    assert_eq!(world.log.files(), 2);
    fs::remove_file(world.path(FILE)).unwrap();
    fs::rename(world.path("other"), world.path("away")).unwrap();
    world.follow();
    world.restart();
    world.follow();
    assert_eq!(world.log.files(), 2, "it may come back");
    world.clock.advance(Duration::from_secs(25 * 3_600));
    world.follow();
    assert_eq!((world.log.files(), world.log.kept().meta.len()), (1, 2), "with what its reader remembered");
    fs::rename(world.path("away"), world.path("other")).unwrap();
    world.check(&[("s m1", 1), ("t m1", 1)]);
    assert_eq!(world.events(), 2, "what came back was not read again");
    assert_eq!(world.status.get().state, SamplerState::Ok);
}

#[test]
fn each_home_is_read_and_a_session_that_is_archived_as_well_once() {
    let mut world = World::new();
    let name = "rollout-2026-01-02T03-04-05-00000000-0000-0000-0000-000000000001.jsonl";
    world.write(FILE, "s m1 1 /w/a/src\n");
    world.write("other/projects/-w-b/sub/subagents/agent-1.jsonl", "t m1 1\n");
    world.write(&format!("codex/sessions/2026/{name}"), "c + 1 /w/c\n".replace('+', "m1"));
    world.write(&format!("codex/archived_sessions/2026/{name}"), "c m2 1\n");
    world.write("codex/archived_sessions/notes.jsonl", "n m1 1\n");
    world.write("codex/history.jsonl", "n m1 1\n");
    world.check(&[("c m1", 1), ("s m1", 1), ("t m1", 1)]);
    let owners: Vec<String> = world.log.calls().into_values().map(|(_, owner)| owner).collect();
    assert_eq!(owners, ["c", "a", "b"]);
    fs::remove_file(world.path(&format!("codex/sessions/2026/{name}"))).unwrap();
    world.check(&[("c m1", 1), ("c m2", 1), ("s m1", 1), ("t m1", 1)]);
}

#[test]
fn a_file_with_two_names_is_read_once_and_circles_are_not_walked() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    let folder = world.path("claude/projects/-w-a");
    std::os::unix::fs::symlink(world.path(FILE), folder.join("link.jsonl")).unwrap();
    fs::hard_link(world.path(FILE), folder.join("a.jsonl")).unwrap();
    std::os::unix::fs::symlink(&folder, folder.join("circle")).unwrap();
    world.check(&[("s call-1", 1)]);
    world.write(FILE, "s + 2\n");
    world.check(&[("s call-1", 1), ("s call-2", 2)]);
    assert_eq!((world.events(), world.log.files()), (2, 1));
}

#[test]
fn what_cannot_be_read_or_understood_is_told_and_the_rest_is_read() {
    let mut world = World::new();
    let circle = world.path("claude/projects/-w-a/c.jsonl");
    world.write(FILE, "s m1 1\nsekret words of a prompt\n\0\0\0s m2 2\r\n");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    world.check(&[("s m1", 1), ("s m2", 2)]);
    let told = world.status.get();
    assert_eq!(told.state, SamplerState::Ok);
    let error = told.error.unwrap();
    assert!(error.contains("c.jsonl") && error.contains("; and 2 more"), "{error}");
    fs::remove_file(circle).unwrap();
    world.follow();
    let error = world.status.get().error.unwrap();
    assert!(error.contains("not in this test") && error.contains("and 1 more"), "{error}");
    assert!(!error.contains("sekret"), "{error}");
}

#[test]
fn a_log_that_refuses_loses_nothing() {
    let mut world = World::new();
    world.write(FILE, "s + 1\ns + 2\n");
    world.log.will([Fate::Refused, Fate::KeptAndFailed, Fate::Refused]);
    for _ in 0..2 {
        assert!(world.pass().is_err());
        let status = world.status.get();
        assert_eq!(status.state, SamplerState::Failing, "{status:?}");
    }
    world.write(FILE, "s + 3\n");
    world.clock.advance(INTERVAL);
    assert!(world.pass().is_err());
    world.check(&[("s call-1", 1), ("s call-2", 2), ("s call-3", 3)]);
    assert_eq!(world.events(), 3, "what was kept without a word is not read again");
    assert_eq!(world.status.get().state, SamplerState::Ok);
}

#[test]
fn a_log_that_comes_back_with_less_is_filled_again() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    world.follow();
    let before = world.log.kept().clone();
    world.write(FILE, "s + 2\n");
    world.write("claude/projects/-w-a/t.jsonl", "t + 1\n");
    world.follow();
    *world.log.kept() = before;
    *world.log.anew.lock().unwrap() += 1;
    while world.pass().unwrap() == Turn::Worked {}
    assert_eq!(world.log.totals().into_values().collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn devices_that_are_numbered_anew_change_nothing() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    world.write("claude/projects/-w-a/t.jsonl", "t + 1\n");
    world.follow();
    let meta = std::mem::take(&mut world.log.kept().meta);
    for (key, value) in meta {
        let key = String::from_utf8(key).unwrap();
        let (before, inode) = key.rsplit_once('-').unwrap();
        let (kind, _) = before.rsplit_once('/').unwrap();
        world.log.kept().meta.insert(format!("{kind}/abcdef-{inode}").into_bytes(), value);
    }
    world.restart();
    world.write(FILE, "s + 2\n");
    world.check(&[("s call-1", 1), ("s call-2", 2), ("t call-1", 1)]);
    assert_eq!((world.events(), world.log.kept().meta.len()), (3, 4), "the old numbers are gone");
}

#[test]
fn a_state_that_cannot_be_read_is_told_and_the_file_is_read_again() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    world.follow();
    for (key, value) in &mut world.log.kept().meta {
        if key.starts_with(b"transcript/reader/") {
            *value = b"damaged".to_vec();
        }
    }
    world.restart();
    world.write(FILE, "s + 2\n");
    world.check(&[("s call-1", 1), ("s call-2", 2)]);
    assert!(world.status.get().error.unwrap().contains("more"));
}

#[test]
fn a_long_file_is_read_in_portions_and_progress_is_told() {
    let mut world = World::new();
    let line = |number: u32| format!("s + {number}\n");
    let text: String = (1..=200_000).map(line).collect();
    world.write(FILE, &text);
    world.write("claude/projects/-w-a/t.jsonl", "t + 1\n");
    assert_eq!(world.pass().unwrap(), Turn::Worked);
    let progress = world.status.get().progress.unwrap();
    assert!(progress.files_left == 2 && progress.bytes > 0, "{progress:?}");
    assert_eq!(progress.bytes + progress.bytes_left, text.len() as u64 + 6, "{progress:?}");
    world.restart();
    world.follow();
    assert_eq!((world.events(), world.log.totals().len()), (200_001, 200_001));
    assert_eq!(world.status.get().progress, None);
    let kept = world.log.kept();
    assert!(kept.ages.len() > 2 && kept.ages.iter().take(2).all(|age| *age == Age::Old), "{:?}", kept.ages);
}

/// Writers that append half lines, begin anew, and rename, while appends fail and the process is killed: in the end the
/// log has every call as it was told last.
#[test]
fn whatever_befalls_it_each_call_is_there_once_as_large_as_it_was() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        let mut expected = BTreeMap::new();
        for step in 0..40 {
            let file = random.u32(0..3);
            let name = format!("claude/projects/-w-{file}/s{file}.jsonl");
            match random.u32(0..10) {
                0 => _ = fs::rename(world.path(&name), world.path(&format!("{name}.{step}.jsonl"))),
                1 => {
                    let again = expected.iter().map(|(key, output)| format!("{key} {output}\n"));
                    let again: String = again.collect();
                    fs::create_dir_all(world.path(&name).parent().unwrap()).unwrap();
                    fs::write(world.path(&name), again).unwrap();
                }
                _ => {
                    let key = format!("f{file} m{}", random.u32(0..5));
                    let output = *expected.entry(key.clone()).and_modify(|it| *it += 1).or_insert(1_u64);
                    let line = format!("{key} {output}\n");
                    let (first, second) = line.split_at(random.usize(0..line.len()));
                    world.write(&name, first);
                    if random.bool() {
                        let _ = world.pass();
                    }
                    world.write(&name, second);
                }
            }
            match random.u32(0..6) {
                0 => world.restart(),
                1 => world.log.will([Fate::Refused]),
                2 => world.log.will([Fate::KeptAndFailed]),
                _ => {}
            }
            world.clock.advance(Duration::from_secs(random.u64(0..90)));
            let _ = world.pass();
        }
        world.log.fates.lock().unwrap().clear();
        world.follow();
        assert_eq!(world.log.totals(), expected, "seed {seed}");
    }
}

#[test]
fn a_new_line_is_heard_of_in_folders_old_and_new() {
    let world = World::new();
    fs::create_dir_all(world.path("claude/projects/-w-a")).unwrap();
    fs::create_dir_all(world.path("codex")).unwrap();
    let hour = Duration::from_secs(3_600);
    let settings = TranscriptSettings { homes: world.homes(), interval: hour, host: None };
    let parts = Parts {
        log: Arc::clone(&world.log) as Arc<dyn TranscriptLog>,
        registry: Registry::default(),
        clock: Arc::new(crate::SystemClock),
        host: None,
        make_reader: Plain::make,
    };
    let status = world.status.clone();
    let following = crate::PacedSampler::spawn(status.clone(), move |stop| {
        let (changes, nudged) = (Arc::new(Changes::default()), Arc::clone(stop));
        let watch = SystemWatch::new(Arc::clone(&changes), move || nudged.nudge());
        let watch = watch.map(|watch| Box::new(watch) as Box<dyn Watch>);
        Follower::new(settings, parts, status, changes, watch).follow(stop);
    });
    let following = following.unwrap();
    let wait = |what: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !what() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{:?} {:?}",
                world.log.totals(),
                world.status.get()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait(&|| world.status.get().last_run.is_some());
    for (name, key) in [
        (FILE, "a m1"),
        ("claude/projects/-w-new/s.jsonl", "b m1"),
        ("claude/projects/-w-new/deep/er/agent-1.jsonl", "c m1"),
        ("codex/sessions/2026/01/02/rollout-x.jsonl", "d m1"),
        (FILE, "a m2"),
    ] {
        world.write(name, format!("{key} 1\n"));
        wait(&|| world.log.totals().contains_key(key));
    }
    assert_eq!(following.stop(Duration::from_secs(30)), crate::StopOutcome::Ended);
    assert_eq!(world.status.get().error, None);
}
