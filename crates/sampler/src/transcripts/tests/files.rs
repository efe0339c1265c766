//! What happens to files: they grow, are written anew, renamed, gone, and read once all the same.

use std::fs;
use std::time::Duration;

use super::{FILE, World};
use crate::SamplerState;
use crate::transcripts::tailer::{QUIET, Turn};

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
