//! Manifests that fjall wrote, whole and damaged at each place.

use std::fs::File;

use super::super::fixture::{EVENTS, Fixture, STATE, Writing, events, state};
use super::*;

/// The events have two tables, the state has none.
fn database() -> Fixture {
    let mut writing = Writing::new();
    for first in [1, 11] {
        writing.commit(events(first, 10, 40));
        writing.flush(EVENTS);
    }
    writing.commit(vec![state("turn", "one")]);
    writing.close()
}

fn reason(dir: &Path) -> String {
    match check(dir).unwrap() {
        KeyspaceState::Broken { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// The manifest that `current` names.
fn manifest(dir: &Path) -> PathBuf {
    let current = fs::read(dir.join("current")).unwrap();
    dir.join(format!("v{}", u64::from_le_bytes(current[..8].try_into().unwrap())))
}

#[test]
fn what_fjall_wrote_is_whole() {
    let fixture = database();
    let mut expected: Vec<u64> = fs::read_dir(fixture.keyspace(EVENTS).join("tables"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), 2);
    let KeyspaceState::Whole { mut tables } = check(&fixture.keyspace(EVENTS)).unwrap() else {
        panic!("whole")
    };
    tables.sort_unstable();
    assert_eq!(tables, expected);
    assert_eq!(check(&fixture.keyspace(STATE)).unwrap(), KeyspaceState::Whole { tables: vec![] });
    assert!(
        matches!(check(&fixture.keyspace(0)).unwrap(), KeyspaceState::Whole { tables } if !tables.is_empty())
    );
    assert_eq!(check(&fixture.keyspace(9)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn every_wrong_bit_is_told() {
    let fixture = database();
    for id in [0, EVENTS] {
        let dir = fixture.keyspace(id);
        for path in [dir.join("current"), manifest(&dir)] {
            let bytes = fs::read(&path).unwrap();
            for at in 0..bytes.len() {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << (at % 8);
                fs::write(&path, &wrong).unwrap();
                let reason = reason(&dir);
                assert!(reason.contains(dir.to_str().unwrap()) && !reason.contains('\n'), "{reason}");
            }
            for length in (0..bytes.len()).step_by(7) {
                fs::write(&path, &bytes[..length]).unwrap();
                reason(&dir);
            }
            fs::write(&path, [&*bytes, &*bytes].concat()).unwrap();
            reason(&dir);
            fs::write(&path, &bytes).unwrap();
        }
        assert!(matches!(check(&dir).unwrap(), KeyspaceState::Whole { .. }), "{id}");
    }
}

#[test]
fn missing_files_are_told() {
    let check_without = |what: &dyn Fn(&Path) -> PathBuf, expected: &str| {
        let fixture = database();
        let dir = fixture.keyspace(EVENTS);
        let path = what(&dir);
        fs::remove_file(&path).unwrap();
        let reason = reason(&dir);
        assert!(reason.contains(expected) && reason.contains(path.to_str().unwrap()), "{reason}");
    };
    check_without(&|dir| dir.join("current"), "files are left of it");
    check_without(&manifest, "names a manifest that is missing");
    let table = |dir: &Path| fs::read_dir(dir.join("tables")).unwrap().next().unwrap().unwrap().path();
    check_without(&table, "lists a table that is missing");
}

#[test]
fn a_keyspace_that_never_had_a_manifest_is_unfinished() {
    let fixture = database();
    let dir = fixture.keyspace(STATE);
    fs::remove_file(dir.join("current")).unwrap();
    assert_eq!(check(&dir).unwrap(), KeyspaceState::Unfinished);
    fs::remove_file(dir.join("v0")).unwrap();
    fs::remove_dir(dir.join("tables")).unwrap();
    assert_eq!(check(&dir).unwrap(), KeyspaceState::Unfinished);
    fs::write(dir.join("v1"), "").unwrap();
    assert!(reason(&dir).contains("1 files are left of it"));
}

#[test]
fn keyspaces_are_found_by_number() {
    let fixture = database();
    let ids = |listing: &Listing| listing.found.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let found = keyspaces(fixture.dir.path()).unwrap();
    assert_eq!((ids(&found), &found.strange), (vec![0, EVENTS, STATE], &vec![]));
    assert_eq!(found.found[1].1, fixture.keyspace(EVENTS));
    for name in ["events", "007", "+7", "18446744073709551616"] {
        fs::create_dir(fixture.dir.path().join("keyspaces").join(name)).unwrap();
    }
    File::create(fixture.dir.path().join("keyspaces/note")).unwrap();
    let found = keyspaces(fixture.dir.path()).unwrap();
    assert_eq!((ids(&found), found.strange.len()), (vec![0, EVENTS, STATE], 4), "{found:?}");
    assert_eq!(keyspaces(&fixture.keyspace(EVENTS)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn journals_are_found_by_number_and_gaps_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let check = |add: &[&str], ids: &[u64], strange: &[&str]| {
        for name in add {
            File::create(dir.path().join(name)).unwrap();
        }
        let found = journals(dir.path()).unwrap();
        assert_eq!(found.found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
        assert_eq!(found.strange.len(), strange.len(), "{found:?}");
        for expected in strange {
            assert!(found.strange.iter().any(|told| told.contains(expected)), "{expected}: {found:?}");
        }
    };
    check(&["lock", "version", "jnl"], &[], &["has no journal"]);
    check(&["9.jnl", "10.jnl"], &[9, 10], &[]);
    check(&["14.jnl"], &[9, 10, 14], &["3 between 10.jnl and 14.jnl"]);
    check(&["12.JNL", "013.jnl", "x.jnl"], &[9, 10, 14], &["12.JNL", "013.jnl", "x.jnl", "3 between"]);
    fs::create_dir(dir.path().join("11.jnl")).unwrap();
    check(&[], &[9, 10, 14], &["12.JNL", "013.jnl", "x.jnl", "11.jnl", "3 between"]);
}

#[test]
fn the_version_of_the_database_is_told() {
    let fixture = database();
    let dir = fixture.dir.path();
    assert_eq!(version_problem(dir).unwrap(), None);
    let bytes = fs::read(dir.join("version")).unwrap();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        fs::write(dir.join("version"), wrong).unwrap();
        assert!(version_problem(dir).unwrap().unwrap().contains("does not begin with FJL 3"));
    }
    fs::remove_file(dir.join("version")).unwrap();
    assert!(version_problem(dir).unwrap().unwrap().contains("is missing"));
}
