//! What each fixture tells, read whole, read in parts, and damaged.
#![cfg(test)]
#![expect(unreachable_pub, reason = "the support is a module of its own")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use event::{Event, limits};
use proptest::prelude::*;
use usage::Tool;
use usage::transcript::{Family, Told};

use support::{Fixture, Sessions, counted, fixtures, lines, show};

/// Every fixture of TOKENS.md section 8 that concerns these tools, by the names of their folders.
const CLAUDE: [&str; 11] = [
    "advisor",
    "cache-parts",
    "clock-back",
    "growing-output",
    "missing-ids",
    "no-model-call",
    "one-line-per-block",
    "reported-cost",
    "resume-copy",
    "sidechain-copy",
    "torn-lines",
];
const CODEX: [&str; 20] = [
    "archived-and-active",
    "clock-back",
    "compaction",
    "compaction-copied",
    "compaction-copied-old-times",
    "compaction-copied-parent-gone",
    "fork-in-a-hurry",
    "fork-of-one-call",
    "fork-of-the-end",
    "fork-with-old-times",
    "fork-with-parent",
    "fork-without-parent",
    "headless",
    "no-model",
    "plain",
    "re-emit",
    "subagent-from-nothing",
    "subagent-over-a-second",
    "torn-lines",
    "totals-only",
];

fn all() -> Vec<Fixture> {
    Tool::ALL.into_iter().flat_map(fixtures).collect()
}

fn nobody() -> Arc<dyn Family> {
    Arc::new(Sessions(BTreeMap::new()))
}

#[test]
fn each_fixture_tells_what_it_should() {
    let names = |tool| fixtures(tool).into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(names(Tool::Claude), CLAUDE);
    assert_eq!(names(Tool::Codex), CODEX);
    for fixture in all() {
        let told = fixture.read(&fixture.family());
        let name = format!("{}/{}", fixture.tool.name(), fixture.name);
        similar(&show(&told), &fixture.told, &name);
    }
}

fn similar(found: &str, expected: &str, name: &str) {
    assert!(found == expected, "{name} tells\n{found}\nand should tell\n{expected}");
}

#[test]
fn what_is_told_is_valid_and_quotes_nothing() {
    for fixture in all() {
        let told = fixture.read(&fixture.family());
        check(&told, &fixture.name);
    }
}

fn check(told: &Told, name: &str) {
    for call in &told.calls {
        let mut usage = call.usage.clone();
        usage.agent_name = "zen".into();
        limits::check(&Event::TokenUsage(usage)).unwrap();
    }
    for problem in &told.problems {
        let is_short = problem.len() < 200 && !problem.contains('\n');
        assert!(is_short && !problem.contains("SECRET"), "{name}: {problem}");
    }
}

#[test]
fn a_reader_goes_on_from_its_state_behind_any_line() {
    for fixture in all() {
        let family = fixture.family();
        for (path, bytes) in &fixture.files {
            let whole = fixture.read_cut(path, 0, &family);
            for cut in 1..=lines(bytes).count() {
                let parts = fixture.read_cut(path, cut, &family);
                assert_eq!(parts, whole, "{} cut behind line {cut} of {}", fixture.name, path.display());
            }
        }
    }
}

#[test]
fn an_archived_transcript_tells_the_same_calls_as_the_active_one() {
    let fixture = fixture(Tool::Codex, "archived-and-active");
    let family = fixture.family();
    let of = |path: &Path| fixture.read_cut(path, 0, &family).calls;
    let mut paths = fixture.files.keys();
    let (archived, active) = (of(paths.next().unwrap()), of(paths.next().unwrap()));
    assert!(!archived.is_empty() && active.starts_with(&archived), "{archived:?} {active:?}");
}

fn fixture(tool: Tool, name: &str) -> Fixture {
    fixtures(tool).into_iter().find(|it| it.name == name).unwrap()
}

/// Whether its parent is there or not, a fork's own calls have the same ids and counts.
#[test]
fn a_parent_that_comes_or_goes_changes_no_identity() {
    for name in ["fork-with-parent", "fork-of-the-end", "compaction-copied", "subagent-from-nothing"] {
        let fixture = fixture(Tool::Codex, name);
        let (with, without) = (fixture.read(&fixture.family()), fixture.read(&nobody()));
        assert_eq!(counted(&with.calls), counted(&without.calls), "{name}");
    }
    // By the times of this one every call is its own; those that both tell are the same.
    let fixture = fixture(Tool::Codex, "fork-with-old-times");
    let (with, without) = (fixture.read(&fixture.family()), fixture.read(&nobody()));
    assert!(with.calls.len() < without.calls.len());
    assert!(with.calls.iter().all(|call| without.calls.contains(call)));
}

/// The parent's file goes while its copy is being read, and only the state is left of what was compared.
#[test]
fn a_parent_that_goes_in_the_middle_leaves_the_times() {
    let fixture = fixture(Tool::Codex, "fork-with-parent");
    let (path, bytes) = fixture.files.iter().next_back().unwrap();
    let whole = fixture.read_cut(path, 0, &fixture.family());
    for cut in 0..lines(bytes).count() {
        let mut told = Told::default();
        let mut reader = Tool::Codex.reader(path, None, fixture.family()).unwrap();
        lines(bytes).take(cut).for_each(|line| reader.line(line, &mut told));
        let mut reader = Tool::Codex.reader(path, Some(&reader.state()), nobody()).unwrap();
        lines(bytes).skip(cut).for_each(|line| reader.line(line, &mut told));
        reader.quiet(&mut told);
        assert_eq!(told, whole, "gone behind line {cut}");
    }
}

/// A call that waits for the next one is told when nothing comes, and once.
#[test]
fn a_first_call_is_held_until_it_is_quiet() {
    let fixture = fixture(Tool::Codex, "subagent-from-nothing");
    let (path, bytes) = fixture.files.iter().nth(1).unwrap();
    let mut told = Told::default();
    let mut reader = Tool::Codex.reader(path, None, fixture.family()).unwrap();
    lines(bytes).for_each(|line| reader.line(line, &mut told));
    assert!(told.calls.is_empty());
    let mut reader = Tool::Codex.reader(path, Some(&reader.state()), fixture.family()).unwrap();
    reader.quiet(&mut told);
    reader.quiet(&mut told);
    assert_eq!(told.calls.len(), 1);
}

/// A repeat behind its like is left out: ten lines of one answer are one call to keep.
#[test]
fn the_lines_of_one_answer_are_told_once() {
    let fixture = fixture(Tool::Claude, "one-line-per-block");
    assert_eq!(fixture.read(&nobody()).calls.len(), 2);
}

#[test]
fn a_state_of_another_version_or_damaged_is_refused() {
    for tool in Tool::ALL {
        let path = Path::new("rollout-x.jsonl");
        let state = tool.reader(path, None, nobody()).unwrap().state();
        let text = String::from_utf8(state.clone()).unwrap();
        let newer = text.replacen("\"version\":1", "\"version\":2", 1);
        for (damaged, how) in [(newer.as_bytes(), "version 2"), (&state[..9], "byte 9"), (b"", "byte 0")] {
            let error = tool.reader(path, Some(damaged), nobody()).err().unwrap().to_string();
            assert!(error.contains(how) && error.contains(tool.name()), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_lines_are_problems_at_the_most(found in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
        for tool in Tool::ALL {
            let mut told = Told::default();
            let mut reader = tool.reader(Path::new("rollout-x.jsonl"), None, nobody()).unwrap();
            found.iter().for_each(|line| reader.line(line, &mut told));
            prop_assert!(told.calls.is_empty());
            prop_assert!(told.problems.len() <= found.len());
        }
    }
}
