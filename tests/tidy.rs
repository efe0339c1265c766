//! The house rules that a compiler does not check: who may see whom, and who owns which dependency.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Which of our crates each crate may depend on (ARCHITECTURE.md, "Who may see whom").
const MAY_SEE: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("eventlog", &["event"]),
    ("projector", &["event"]),
    ("query", &["event"]),
    ("sampler", &["event", "usage"]),
    ("server", &["event", "query", "usage"]),
    ("sim", &["event", "projector", "query"]),
    ("store", &["event", "projector", "query"]),
    ("tailwater", &["event", "eventlog", "projector", "query", "sampler", "server", "store", "usage"]),
    ("usage", &["event"]),
];

/// Dependencies that shape a boundary, and the crates that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("fjall", &["eventlog"]),
    ("lsm-tree", &["eventlog"]),
    ("lz4_flex", &["eventlog"]),
    ("xxhash-rust", &["eventlog"]),
    ("crossbeam-channel", &["eventlog"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("hyper-util", &["server"]),
    ("opentelemetry-proto", &["server"]),
    ("prost", &["server"]),
    ("bollard", &["sampler"]),
    ("notify", &["sampler"]),
    ("sqlx", &["store"]),
    ("tokio-postgres", &["store"]),
    ("tokio-postgres-rustls", &["store"]),
    ("rustls", &["store", "server"]),
    ("tokio-rustls", &["server"]),
    ("tower-http", &["server"]),
    ("clap", &["tailwater"]),
    ("indicatif", &["tailwater"]),
    ("comfy-table", &["tailwater"]),
    ("terminal_size", &["tailwater"]),
    ("unicode-width", &["tailwater"]),
    ("prometheus", &["tailwater"]),
    ("plotly", &["tailwater"]),
    ("plotters", &["tailwater"]),
    ("ratatui", &["tailwater"]),
    ("rmp-serde", &["event"]),
    ("rmp", &["event"]),
    ("rustix", &["sampler"]),
];

/// The most lines of a file before its tests.
const FILE_LINES_MAX: usize = 400;

fn short(name: &str) -> &str {
    name.strip_prefix("tailwater-").unwrap_or(name)
}

/// Each package of the workspace with what its code (not its tests) depends on.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let code = |package: &Package| {
        let normal = package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
        normal.map(|it| it.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (short(&package.name).to_owned(), code(package))).collect()
}

fn allowed<'a>(table: &'a [(&str, &'a [&str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(key, _)| *key == name).map(|(_, values)| *values)
}

#[test]
fn no_arrow_between_crates_turns_round() {
    let packages = packages();
    let known: BTreeSet<&str> = MAY_SEE.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = packages.keys().map(String::as_str).collect();
    assert_eq!(found, known, "every crate has its row in MAY_SEE");
    for (name, dependencies) in &packages {
        let may_see = allowed(MAY_SEE, name).expect("checked above");
        for ours in dependencies.iter().filter_map(|it| it.strip_prefix("tailwater-")) {
            assert!(may_see.contains(&ours), "{name} must not see {ours}");
        }
    }
}

#[test]
fn each_dependency_that_shapes_a_boundary_has_one_owner() {
    for (name, dependencies) in &packages() {
        for dependency in dependencies {
            if let Some(owners) = allowed(OWNERS, dependency) {
                assert!(owners.contains(&name.as_str()), "{name} must not name {dependency}");
            }
        }
    }
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["crates", "tests", "benches", "fuzz/fuzz_targets"] {
        rust_files(&root.join(dir), &mut files);
    }
    files
}

#[test]
fn every_file_opens_with_what_it_is() {
    for path in all_rust_files() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let is_target = path.components().any(|part| part.as_os_str() == "fuzz_targets");
        let told = text.starts_with("//! ") || is_target && text.contains("//! ");
        assert!(told, "{} does not open with //!", path.display());
    }
}

#[test]
fn files_are_small() {
    for path in all_rust_files() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let code = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(code <= FILE_LINES_MAX, "{} has {code} lines before its tests", path.display());
    }
}

#[test]
fn a_fuzz_target_is_short() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets"), &mut files);
    assert!(!files.is_empty(), "there are fuzz targets");
    for path in files {
        let text = fs::read_to_string(&path).expect("a readable file");
        let code = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//"));
        assert!(code.count() < 15, "{} is too long", path.display());
    }
}
