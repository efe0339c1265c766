//! `doctor`, from outside: what it says of healthy and of broken machines, logs and databases, and that it changes nothing.
#![cfg(test)]

mod database;
mod machine;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use support::{stderr, stdout, tailwater};

/// The command, with every other place that it looks at inside the test's own folder.
pub(crate) fn doctor(data: &Path) -> Command {
    let mut command = tailwater(data);
    command.arg("doctor");
    command
}

/// What it found.
pub(crate) struct Report {
    pub(crate) findings: Vec<Value>,
    pub(crate) output: Output,
}

impl Report {
    /// Runs the command, which must give findings, and end with 0 or 1 as they say.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.args(["--format", "json"]).output().unwrap();
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", stdout(&output), stderr(&output)));
        let report = Self { findings, output };
        let failures = report.of_sign("failure");
        assert_eq!(report.output.status.code(), Some(i32::from(!failures.is_empty())), "{failures:?}");
        assert_eq!(stderr(&report.output).is_empty(), failures.is_empty(), "{}", stderr(&report.output));
        report
    }

    pub(crate) fn of_sign(&self, sign: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["sign"] == sign).collect()
    }

    /// The findings of one check, of which there must be some.
    fn of_check(&self, check: &str) -> Vec<&Value> {
        let found: Vec<&Value> = self.findings.iter().filter(|finding| finding["check"] == check).collect();
        assert!(!found.is_empty(), "no {check} in {:#?}", self.findings);
        found
    }

    /// One finding of this check has this sign and these words, found or advised.
    pub(crate) fn has(&self, check: &str, sign: &str, words: &str) {
        let found = self.of_check(check);
        let is_it = |finding: &&Value| finding["sign"] == sign && finding.to_string().contains(words);
        assert!(found.iter().any(is_it), "{check} is no {sign} with {words:?}: {found:#?}");
    }

    /// Nothing fails.
    pub(crate) fn is_good(&self) {
        assert_eq!(self.of_sign("failure"), Vec::<&Value>::new());
    }
}

/// Every file below a folder: its mode and what it holds, or where it leads.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            files.insert(path, (metadata.mode(), content));
        }
    }
    files
}
