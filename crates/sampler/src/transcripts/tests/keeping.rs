//! What happens to the log and the process: refusals, failures, kills; and what is heard of changes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{FILE, Fate, INTERVAL, Plain, World};
use crate::transcripts::follow::{Follower, TranscriptSettings};
use crate::transcripts::log::{Age, TranscriptLog};
use crate::transcripts::tailer::{Parts, Turn};
use crate::transcripts::watch::{Changes, SystemWatch, Watch};
use crate::{Registry, SamplerState};

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
fn a_log_that_cannot_be_read_is_waited_for() {
    let mut world = World::new();
    world.write(FILE, "s + 1\n");
    *world.log.is_away.lock().unwrap() = true;
    assert!(world.pass().is_err());
    assert_eq!((world.status.get().state, world.events()), (SamplerState::Failing, 0));
    *world.log.is_away.lock().unwrap() = false;
    world.check(&[("s call-1", 1)]);
    assert_eq!(world.status.get().state, SamplerState::Ok);
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

#[test]
fn a_pass_lasts_until_there_is_nothing_to_do_and_tells_its_events() {
    let mut world = World::new();
    let told = |world: &World| {
        let status = world.status.get();
        (status.events, status.events_total, status.last_duration, status.running.is_some())
    };
    assert_eq!(told(&world), (0, 0, None, false));
    let long: String = (1..=200_000).map(|number| format!("s + {number}\n")).collect();
    world.write(FILE, &long);
    assert_eq!(world.pass().unwrap(), Turn::Worked);
    let (so_far, total, _, is_running) = told(&world);
    assert!(is_running && so_far > 0 && so_far == total && so_far < 200_000, "{so_far} of {total}");
    world.clock.advance(Duration::from_secs(3));
    while world.pass().unwrap() == Turn::Worked {}
    assert_eq!(told(&world), (200_000, 200_000, Some(Duration::from_secs(3)), false));

    world.write(FILE, "s + 200001\n");
    world.log.will([Fate::Refused]);
    world.clock.advance(INTERVAL);
    world.pass().unwrap_err();
    assert_eq!(told(&world), (0, 200_000, Some(Duration::ZERO), false), "refused");
    world.follow();
    assert_eq!(told(&world), (1, 200_001, Some(Duration::ZERO), false));
    world.follow();
    assert_eq!(told(&world), (0, 200_001, Some(Duration::ZERO), false));
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
    let settings = TranscriptSettings { homes: world.homes(), interval: hour, host: None, after: Vec::new() };
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
