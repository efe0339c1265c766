//! The log: who holds it, whether its daemon answers and how that is doing, and what the files say when nobody holds it.

mod daemon;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::HostName;
use eventlog::inspect::{self, Files, Marked};
use eventlog::{LogInfo, OpenError};

use self::daemon::Daemon;
use super::{Finding, LIMIT, Subject, blocking};
use crate::control::socket_path;
use crate::failure::chain;
use crate::output::{bytes, count, counted};

/// Which log this is, as its mark tells; a daemon moves that, and it is whole all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// What the mark says; `None` when there is no data directory, or it cannot be read.
    pub(super) marked: Option<Marked>,
}

impl Identity {
    /// What the log knows about itself.
    pub(super) fn info(&self) -> Option<&LogInfo> {
        match &self.marked {
            Some(Marked::Durable { info, .. }) => Some(info),
            _ => None,
        }
    }
}

/// Reads which log this is.
pub(super) async fn identity(subject: &Subject) -> Identity {
    let reading = async {
        let dir = subject.existing_data_dir().await?;
        blocking(move || inspect::marked(&dir).ok()).await
    };
    Identity { marked: tokio::time::timeout(LIMIT, reading).await.ok().flatten() }
}

/// Looks at the log, through whoever holds it.
pub(super) async fn look(subject: Arc<Subject>, log: Identity) -> Vec<Finding> {
    let Some(dir) = subject.existing_data_dir().await else { return vec![no_log()] };
    let daemon = daemon::ask(&dir).await;
    let of_lock = dir.clone();
    let (holder, has_socket) =
        blocking(move || (inspect::holder(&of_lock), socket_path(&of_lock).exists())).await;
    let mut findings = vec![lock(&holder, &daemon)];
    findings.extend(stale_socket(&dir, &holder, &daemon, has_socket));
    let max = subject.config.log.bounds.max_bytes;
    match (daemon, holder) {
        (Daemon::Nobody, Ok(None)) => {
            let looked = blocking(move || (inspect::files(&dir), inspect::bytes(&dir))).await;
            findings.extend(files(looked, &log, max));
        }
        (daemon, Ok(holder)) => findings.extend(daemon::judge(&daemon, holder.as_deref(), max)),
        (daemon, Err(_)) => findings.extend(daemon::judge(&daemon, None, max)),
    }
    findings.extend(log.info().and_then(|info| host(info, subject.host.as_ref().ok()?)));
    findings
}

fn no_log() -> Finding {
    Finding::note("log", "there is none yet", "`tailwater run` or `tailwater record` makes one")
}

/// Who holds the log.
fn lock(holder: &io::Result<Option<String>>, daemon: &Daemon) -> Finding {
    const CHECK: &str = "lock";
    match (holder, daemon) {
        (Err(error), _) => Finding::failure(
            CHECK,
            format!("cannot look at it: {error}"),
            "make the file `lock` readable for this user, or remove it while nothing runs",
        ),
        (Ok(None), _) => Finding::ok(CHECK, "nobody holds the log: a command opens it itself"),
        (Ok(Some(holder)), Daemon::Nobody) => Finding::warning(
            CHECK,
            format!("{holder} holds the log, and no daemon answers"),
            "a command is at work, or a daemon starts or ends: run this again; if it stays so, look at that process",
        ),
        (Ok(Some(holder)), _) => Finding::ok(CHECK, format!("{holder} holds the log")),
    }
}

fn stale_socket(
    dir: &Path,
    holder: &io::Result<Option<String>>,
    daemon: &Daemon,
    has_socket: bool,
) -> Option<Finding> {
    let is_stale = has_socket && matches!((holder, daemon), (Ok(None), Daemon::Nobody));
    let found =
        format!("{} is one that nobody listens to: its daemon was killed", socket_path(dir).display());
    is_stale.then(|| {
        Finding::note(
            "socket",
            found,
            "nothing: the next `tailwater run` replaces it, and commands go on without",
        )
    })
}

/// What the files of a log say that nobody holds.
fn files(
    (files, held): (Result<Files, OpenError>, io::Result<u64>),
    log: &Identity,
    max: u64,
) -> Vec<Finding> {
    const CHECK: &str = "log";
    let damaged = |error: OpenError| {
        Finding::failure(
            CHECK,
            chain(&error),
            "`tailwater log repair` saves what can be read and keeps the old files",
        )
    };
    match files {
        Ok(Files::Missing) => vec![no_log()],
        Ok(Files::InUse) => {
            vec![Finding::note(
                CHECK,
                "others open and close it all the time",
                "run this again to have it looked at",
            )]
        }
        Ok(Files::Sound(notes)) => {
            let mut findings = vec![Finding::ok(CHECK, described(log, held, max))];
            findings.extend(notes.into_iter().map(|note| {
                Finding::warning(
                    CHECK,
                    note,
                    "nothing: it mends itself when it is opened; `tailwater log verify` then",
                )
            }));
            findings.extend(mark(log.marked.as_ref()));
            findings
        }
        Ok(Files::Refused(error)) => vec![damaged(error)],
        Err(error @ OpenError::Directory { .. }) => {
            vec![Finding::failure(
                CHECK,
                chain(&error),
                "make it readable for this user, or run tailwater as its owner",
            )]
        }
        Err(error) => vec![damaged(error)],
    }
}

fn described(log: &Identity, held: io::Result<u64>, max: u64) -> String {
    let size = held.map_or_else(
        |error| format!("of unknown size ({error})"),
        |held| format!("{} of at most {}", bytes(held), bytes(max)),
    );
    match &log.marked {
        Some(Marked::Durable { info, position, .. }) => format!(
            "{} of {}, durable to position {}, {size}; its records were not read: `tailwater log verify` does",
            info.log_id,
            info.host,
            count(position.0)
        ),
        _ => format!("{size}; which log it is nobody tells without opening it"),
    }
}

fn mark(marked: Option<&Marked>) -> Option<Finding> {
    const CHECK: &str = "log.mark";
    let advice = "the next opening writes it anew; where the log may have lost its end, compare with its database first";
    match marked {
        Some(Marked::Durable { .. }) => None,
        Some(Marked::Damaged) => Some(Finding::warning(
            CHECK,
            "the file `mark` is damaged: a lost end of the log would not be noticed",
            advice,
        )),
        Some(Marked::Missing) | None => Some(Finding::warning(
            CHECK,
            "the file `mark` is missing: a lost end of the log would not be noticed",
            advice,
        )),
    }
}

/// The log keeps the name that it was made with.
fn host(info: &LogInfo, here: &HostName) -> Option<Finding> {
    const CHECK: &str = "log.host";
    if info.host == *here {
        return Some(Finding::ok(CHECK, format!("{here}, as this machine is called")));
    }
    let found = format!("the log was made on {}, and this machine is called {here}", info.host);
    let advice = format!(
        "nothing after a rename: new events carry {here}; if this is a copy of another machine's log: `tailwater log adopt`"
    );
    Some(Finding::note(CHECK, found, advice))
}

/// Where the program of a process was, if that file is no longer there.
fn replaced_program(holder: &str, program_of: impl Fn(&str) -> io::Result<PathBuf>) -> Option<String> {
    let pid = holder.strip_prefix("process ")?.split(' ').next()?;
    let program = program_of(pid).ok()?.to_string_lossy().into_owned();
    let old = program.strip_suffix(" (deleted)")?;
    old.ends_with("/tailwater").then(|| old.to_owned())
}

/// Events that are gone and were not let go.
fn lost(holes: &[crate::service::HoleObject]) -> Option<Finding> {
    let lost: u64 = holes.iter().filter(|hole| hole.cause != "trimmed").map(|hole| hole.events).sum();
    let found = format!("{} without an event: dropped, damaged or lost", counted(lost, "position"));
    (lost > 0)
        .then(|| Finding::note("log.holes", found, "`tailwater log stat` lists them, with the cause of each"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use event::{BirthId, LogId, Position, Time};

    use super::super::Sign;
    use super::*;

    fn info(host: &str) -> LogInfo {
        LogInfo {
            log_id: LogId::random(),
            birth_id: BirthId::random(),
            host: HostName::new(host).unwrap(),
            created: Time::from_micros(0),
        }
    }

    fn identity_of(host: &str) -> Identity {
        let marked = Marked::Durable { info: info(host), position: Position(41), at: SystemTime::UNIX_EPOCH };
        Identity { marked: Some(marked) }
    }

    #[test]
    fn who_holds_it_decides() {
        let held = || Ok(Some("process 7 (tailwater run)".to_owned()));
        assert_eq!(lock(&Ok(None), &Daemon::Nobody).sign, Sign::Ok);
        assert_eq!(lock(&held(), &Daemon::Silent).sign, Sign::Ok);
        assert_eq!(lock(&held(), &Daemon::Nobody).sign, Sign::Warning);
        assert_eq!(lock(&Err(io::ErrorKind::PermissionDenied.into()), &Daemon::Nobody).sign, Sign::Failure);
        let dir = Path::new("/data");
        assert!(stale_socket(dir, &Ok(None), &Daemon::Nobody, true).is_some());
        assert!(stale_socket(dir, &Ok(None), &Daemon::Nobody, false).is_none());
        assert!(stale_socket(dir, &held(), &Daemon::Nobody, true).is_none());
    }

    #[test]
    fn files_are_told_with_what_the_mark_says() {
        let log = identity_of("here");
        let sound = files((Ok(Files::Sound(vec!["40 bytes".to_owned()])), Ok(1 << 20)), &log, 1 << 30);
        let signs: Vec<Sign> = sound.iter().map(|finding| finding.sign).collect();
        assert_eq!(signs, [Sign::Ok, Sign::Warning]);
        assert!(sound[0].found.contains("durable to position 41, 1.0 MiB of at most 1.0 GiB"), "{sound:?}");
        let unmarked = Identity { marked: Some(Marked::Missing) };
        let told = files((Ok(Files::Sound(Vec::new())), Ok(0)), &unmarked, 1);
        assert_eq!((told.len(), told[1].check, told[1].sign), (2, "log.mark", Sign::Warning));
        let damage = OpenError::Damaged { path: "/data/log".into(), reason: "a bit".to_owned() };
        let told = files((Ok(Files::Refused(damage)), Ok(0)), &log, 1);
        assert!(told[0].sign == Sign::Failure && told[0].advice.as_ref().unwrap().contains("log repair"));
        assert_eq!(files((Ok(Files::Missing), Ok(0)), &log, 1)[0].sign, Sign::Note);
    }

    #[test]
    fn a_renamed_machine_is_a_note() {
        let here = HostName::new("here").unwrap();
        assert_eq!(host(&info("here"), &here).unwrap().sign, Sign::Ok);
        let told = host(&info("there"), &here).unwrap();
        assert!(told.sign == Sign::Note && told.advice.unwrap().contains("log adopt"));
    }

    #[test]
    fn a_replaced_program_is_seen_in_proc() {
        let check = |holder: &str, program: &str, told: Option<&str>| {
            let found = replaced_program(holder, |pid| match pid {
                "7" => Ok(program.into()),
                _ => Err(io::ErrorKind::NotFound.into()),
            });
            assert_eq!(found.as_deref(), told, "{holder} {program}");
        };
        check("process 7 (tailwater run)", "/bin/tailwater (deleted)", Some("/bin/tailwater"));
        check("process 7 (tailwater run)", "/bin/tailwater", None);
        check("process 7 (tailwater run)", "/bin/sh (deleted)", None);
        check("process 8 (tailwater run)", "/bin/tailwater (deleted)", None);
        check("another process", "/bin/tailwater (deleted)", None);
    }
}
