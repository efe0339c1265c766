//! The coding tools: where their transcripts are, and whether the tools delete them.
//!
//! Claude Code unlinks transcripts that are older than `cleanupPeriodDays` when it starts, 30 days unless set, without a
//! word. A managed settings file wins over the user's. Codex keeps its sessions: its `history.*` settings are about
//! `history.jsonl` alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sampler::transcripts::{Home, of_environment};
use serde_json::Value;
use usage::Tool;

use super::{Finding, Subject};
use crate::output::{bytes, counted};

/// What Claude Code takes where nothing is set.
const CLEANUP_DAYS_DEFAULT: f64 = 30.0;
/// Transcripts that stay for a year outlast a log that nobody has looked at for long.
const CLEANUP_DAYS_ENOUGH: f64 = 365.0;
/// The settings of an organisation, which win.
const MANAGED: &str = "/etc/claude-code/managed-settings.json";
/// A home may hold years of transcripts: so many entries and so long are looked at.
const ENTRIES_MAX: u64 = 50_000;
const WALK_LIMIT: Duration = Duration::from_secs(3);

/// The name that people know a tool by.
const fn label(tool: Tool) -> &'static str {
    match tool {
        Tool::Claude => "Claude Code",
        Tool::Codex => "Codex",
    }
}

/// The homes that are read, and without reading those of the environment, as far as they are there.
fn existing_homes(subject: &Subject) -> Vec<Home> {
    let homes = match &subject.config.transcripts {
        Some(transcripts) => transcripts.homes.clone(),
        None => of_environment(crate::variable),
    };
    homes.into_iter().filter(|home| is_there(&home.path)).collect()
}

/// Whether something is there, or may be where nobody may look.
fn is_there(path: &Path) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    !fs::symlink_metadata(path).is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

/// How much there is to read.
pub(super) fn transcripts(subject: &Subject) -> Vec<Finding> {
    const CHECK: &str = "source.transcripts";
    if subject.config.transcripts.is_none() {
        let found = "not read: transcripts.enabled is false";
        return vec![Finding::note(CHECK, found, "nothing, if that is meant")];
    }
    let folders = existing_homes(subject)
        .into_iter()
        .flat_map(|home| home.folders().into_iter().map(move |folder| (home.tool, folder)));
    let folders = folders.filter(|(_, folder)| is_there(folder));
    let told: Vec<Finding> = folders.map(|(tool, folder)| transcripts_in(tool, &folder)).collect();
    if told.is_empty() { vec![Finding::ok(CHECK, "none of Claude Code or Codex here")] } else { told }
}

fn transcripts_in(tool: Tool, folder: &Path) -> Finding {
    let place = format!("{}, {}", label(tool), folder.display());
    match walk(tool, folder) {
        Ok(found) => walked(&place, &found),
        Err(error) => not_read(format!("{place}: {error}")),
    }
}

fn walked(place: &str, found: &Walked) -> Finding {
    let more = if found.is_all { "" } else { " or more" };
    let told = format!("{place}: {}, {}{more}", counted(found.files, "transcript"), bytes(found.bytes));
    match &found.hidden {
        None => Finding::ok("source.transcripts", told),
        Some((first, error)) => not_read(format!("{told}; {} cannot be read: {error}", first.display())),
    }
}

fn not_read(found: String) -> Finding {
    let mend = "run tailwater as the user who owns them, or let it read them";
    Finding::warning("source.transcripts", found, mend)
}

/// What a walk has met.
#[derive(Debug, Default)]
struct Walked {
    files: u64,
    bytes: u64,
    entries: u64,
    is_all: bool,
    /// The first folder that could not be looked into.
    hidden: Option<(PathBuf, io::Error)>,
}

/// Counts the transcripts below a folder, within bounds; links are not followed.
fn walk(tool: Tool, folder: &Path) -> io::Result<Walked> {
    let began = Instant::now();
    let mut walked = Walked::default();
    let mut folders = vec![fs::read_dir(folder)?];
    while let Some(entries) = folders.last_mut() {
        let Some(entry) = entries.next() else {
            folders.pop();
            continue;
        };
        walked.entries += 1;
        if walked.entries > ENTRIES_MAX || began.elapsed() > WALK_LIMIT {
            return Ok(walked);
        }
        // NOTE: files come and go while the tools run.
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            match fs::read_dir(entry.path()) {
                Ok(entries) => folders.push(entries),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => walked.hidden = walked.hidden.take().or_else(|| Some((entry.path(), error))),
            }
        } else if tool.is_transcript(&entry.path()) {
            walked.files += 1;
            walked.bytes += metadata.len();
        }
    }
    walked.is_all = true;
    Ok(walked)
}

/// Whether the tools delete what they have written.
pub(super) fn cleanup(subject: &Subject) -> Vec<Finding> {
    const CHECK: &str = "tool.cleanup";
    let told: Vec<Finding> =
        existing_homes(subject).iter().flat_map(|home| cleanup_of(home, Path::new(MANAGED))).collect();
    if told.is_empty() { vec![Finding::ok(CHECK, "no Claude Code or Codex here")] } else { told }
}

fn cleanup_of(home: &Home, managed: &Path) -> Vec<Finding> {
    const CHECK: &str = "tool.cleanup";
    if home.tool == Tool::Codex {
        let found = format!("Codex, {}: no setting of Codex deletes its sessions", home.path.display());
        return vec![Finding::ok(CHECK, found)];
    }
    let own = home.path.join("settings.json");
    let mut findings = Vec::new();
    let mut decided = None;
    for file in [managed, &own] {
        match days_in(file) {
            Ok(days) => decided = decided.or(days.map(|days| (days, file))),
            Err(problem) => findings.push(unreadable(file, &problem)),
        }
    }
    findings.push(days(&home.path, &own, decided));
    findings
}

fn unreadable(file: &Path, problem: &str) -> Finding {
    Finding::warning(
        "tool.cleanup",
        format!("Claude Code, {}: {problem}", file.display()),
        "mend it: while it cannot be read nobody knows when transcripts are deleted",
    )
}

/// What a settings file says; `None` when it says nothing, or is not there.
fn days_in(file: &Path) -> Result<Option<f64>, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    // IMPORTANT: the file may hold keys of services: of what is wrong only the place is told.
    let settings: Value = serde_json::from_str(&text)
        .map_err(|error| format!("is not JSON at line {}, column {}", error.line(), error.column()))?;
    match settings.get("cleanupPeriodDays") {
        None => Ok(None),
        Some(days) => match days.as_f64().filter(|days| *days >= 0.0) {
            Some(days) => Ok(Some(days)),
            None => Err("cleanupPeriodDays is not a number of days".to_owned()),
        },
    }
}

fn days(home: &Path, own: &Path, decided: Option<(f64, &Path)>) -> Finding {
    const CHECK: &str = "tool.cleanup";
    let place = format!("Claude Code, {}", home.display());
    let (days, origin) = match decided {
        Some((days, file)) => (days, file.display().to_string()),
        None => (CLEANUP_DAYS_DEFAULT, "its default".to_owned()),
    };
    let found = format!("{place}: cleanupPeriodDays is {days} ({origin})");
    if days >= CLEANUP_DAYS_ENOUGH {
        return Finding::ok(CHECK, found);
    }
    let file = decided.map_or(own, |(_, file)| file).display();
    let advice = format!("set \"cleanupPeriodDays\": 3650 in {file}");
    let what = if days == 0.0 {
        "transcripts are not written, or deleted at once".to_owned()
    } else {
        format!("at each start it deletes transcripts older than {days} days, without a word")
    };
    Finding::warning(CHECK, format!("{found}: {what}"), advice)
}

#[cfg(test)]
mod tests {
    use super::super::Sign;
    use super::*;

    #[test]
    fn a_walk_counts_transcripts_only() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("slug/session/subagents");
        fs::create_dir_all(&deep).unwrap();
        fs::write(dir.path().join("slug/a.jsonl"), "12345").unwrap();
        fs::write(deep.join("agent-1.jsonl"), "123").unwrap();
        fs::write(deep.join("notes.txt"), "1").unwrap();
        std::os::unix::fs::symlink(dir.path(), deep.join("round")).unwrap();
        let met = walk(Tool::Claude, dir.path()).unwrap();
        assert_eq!(
            (met.files, met.bytes, met.entries, met.is_all, met.hidden.is_none()),
            (2, 8, 7, true, true)
        );
        assert!(walk(Tool::Claude, &dir.path().join("no")).is_err());
        let told = transcripts_in(Tool::Claude, dir.path());
        assert!(told.sign == Sign::Ok && told.found.ends_with("2 transcripts, 8 B"), "{told:?}");
        assert_eq!(transcripts_in(Tool::Codex, &dir.path().join("no")).sign, Sign::Warning);
        let hidden = Some((deep.clone(), io::Error::from(io::ErrorKind::PermissionDenied)));
        let told = walked("here", &Walked { files: 1, hidden, ..Walked::default() });
        let says =
            format!("here: 1 transcript, 0 B or more; {} cannot be read: permission denied", deep.display());
        assert_eq!((told.sign, told.found.as_str()), (Sign::Warning, says.as_str()));
    }

    #[test]
    fn a_short_period_is_told_with_the_file_to_change() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home { tool: Tool::Claude, path: dir.path().join("home") };
        fs::create_dir(&home.path).unwrap();
        let (own, managed) = (home.path.join("settings.json"), dir.path().join("managed.json"));
        let check = |own_text: Option<&str>, managed_text: Option<&str>, signs: &[Sign], words: &str| {
            for (path, text) in [(&own, own_text), (&managed, managed_text)] {
                let _ = fs::remove_file(path);
                if let Some(text) = text {
                    fs::write(path, text).unwrap();
                }
            }
            let findings = cleanup_of(&home, &managed);
            let found: Vec<Sign> = findings.iter().map(|finding| finding.sign).collect();
            let text = format!("{findings:?}");
            assert!(found == signs && text.contains(words), "{own_text:?} {managed_text:?}: {text}");
            assert!(!text.contains("sekret"), "{text}");
        };
        let warning = [Sign::Warning];
        check(None, None, &warning, "cleanupPeriodDays is 30 (its default): at each start it deletes");
        check(Some("{}"), None, &warning, "home/settings.json");
        check(Some(r#"{"cleanupPeriodDays": 90}"#), None, &warning, "older than 90 days");
        check(Some(r#"{"cleanupPeriodDays": 0}"#), None, &warning, "not written");
        check(Some(r#"{"cleanupPeriodDays": 365}"#), None, &[Sign::Ok], "is 365");
        let long = r#"{"cleanupPeriodDays": 9999}"#;
        check(Some(long), Some(r#"{"cleanupPeriodDays": 7}"#), &warning, "managed.json");
        check(Some("{\"apiKey\": \"sekret\""), None, &[Sign::Warning; 2], "is not JSON at line 1");
        check(
            Some(r#"{"cleanupPeriodDays": "sekret"}"#),
            Some(long),
            &[Sign::Warning, Sign::Ok],
            "not a number",
        );
    }

    #[test]
    fn codex_deletes_nothing() {
        let home = Home { tool: Tool::Codex, path: "/x/.codex".into() };
        assert_eq!(cleanup_of(&home, Path::new("/no"))[0].sign, Sign::Ok);
    }
}
