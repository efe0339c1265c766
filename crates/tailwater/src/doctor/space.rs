//! Room on the disk for what the log may still grow, and the limits of the process.

use std::io;

use sampler::machine::{self, Limits, Room};

use super::{Finding, Subject};
use crate::output::{bytes, count};

/// With less than this free a log that has failed does not begin again: half of it for one try, and some air.
const BYTES_LEAST: u64 = 16 << 20;
/// A log makes some dozens of files at a time.
const FILES_LEAST: u64 = 1_000;
/// The engine's journals and tables grow to 64 MiB, for a moment a little more.
const FILE_BYTES_LEAST: u64 = 256 << 20;
/// Tables of a log of 8 GiB, sockets and lanes, with air.
const OPEN_FILES_LEAST: u64 = 1_024;

/// Looks at both.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(dir) = subject.data_dir() {
        let held = match eventlog::inspect::bytes(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            held => held,
        };
        let existing = super::paths::nearest(dir).unwrap_or_else(|| dir.to_owned());
        match held.and_then(|held| Ok((held, machine::room(&existing)?))) {
            Ok((held, room)) => findings.extend(disk(room, held, subject.config.log.bounds.max_bytes)),
            Err(error) => findings.push(Finding::failure(
                "space.disk",
                format!("cannot look at {}: {error}", existing.display()),
                "mend the disk or the permissions of the data directory",
            )),
        }
    }
    findings.extend(limits(machine::limits()));
    findings
}

fn disk(room: Room, held: u64, max: u64) -> Vec<Finding> {
    let free = format!("{} of {} free", bytes(room.bytes_free), bytes(room.bytes));
    let growth = max.saturating_sub(held);
    let found = format!("{free}; the log takes {} and may grow to {}", bytes(held), bytes(max));
    let space = if room.bytes_free < BYTES_LEAST {
        let advice =
            "make room now: the log refuses events on a full disk, and goes on by itself when there is some";
        Finding::failure("space.disk", found, advice)
    } else if room.bytes_free < growth {
        let fitting = held.saturating_add(room.bytes_free / 10 * 9) >> 20;
        let advice = match fitting >= 256 {
            true => format!("log.max_bytes = \"{fitting}MiB\" or less fits; or make room"),
            false => "make room: the least log.max_bytes is 256MiB".to_owned(),
        };
        Finding::warning("space.disk", format!("{found}: it does not fit"), advice)
    } else {
        Finding::ok("space.disk", found)
    };
    let mut findings = vec![space];
    if let Some(files) = room.files_free {
        let found = format!("{} more files can be made", count(files));
        findings.push(match files < FILES_LEAST {
            true => {
                Finding::warning("space.files", found, "remove files: the file system has no inodes left")
            }
            false => Finding::ok("space.files", found),
        });
    }
    findings
}

fn limits(limits: Limits) -> Vec<Finding> {
    let told =
        |limit: Option<u64>, text: fn(u64) -> String| limit.map_or_else(|| "no limit".to_owned(), text);
    let is_low = |limit: Option<u64>, least: u64| limit.is_some_and(|limit| limit < least);
    let file = format!("a file may have: {}", told(limits.file_bytes, bytes));
    let open = format!("open files: {}", told(limits.open_files, count));
    vec![
        match is_low(limits.file_bytes, FILE_BYTES_LEAST) {
            true => Finding::warning(
                "limit.file_bytes",
                file,
                "raise it (ulimit -f, LimitFSIZE=): the log's files grow to 64 MiB, and a write beyond it fails",
            ),
            false => Finding::ok("limit.file_bytes", file),
        },
        match is_low(limits.open_files, OPEN_FILES_LEAST) {
            true => Finding::warning(
                "limit.open_files",
                open,
                format!("raise it to {OPEN_FILES_LEAST} or more (ulimit -n, LimitNOFILE=)"),
            ),
            false => Finding::ok("limit.open_files", open),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Sign;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(bytes_free: u64, files_free: Option<u64>) -> Room {
        Room { bytes_free, bytes: 100 * GIB, files_free }
    }

    #[test]
    fn the_log_fits_or_does_not() {
        let check = |free: u64, held: u64, max: u64, sign: Sign, words: &str| {
            let finding = disk(room(free, None), held, max).remove(0);
            let text = format!("{finding:?}");
            assert!(finding.sign == sign && text.contains(words), "{free} {held} {max}: {text}");
        };
        check(9 * GIB, 0, 8 * GIB, Sign::Ok, "9.0 GiB of 100.0 GiB free");
        check(GIB, 7 * GIB + 1, 8 * GIB, Sign::Ok, "may grow to 8.0 GiB");
        check(GIB, GIB, 8 * GIB, Sign::Warning, "1945MiB");
        check(20 << 20, 0, 8 * GIB, Sign::Warning, "the least log.max_bytes is 256MiB");
        check(15 << 20, 8 * GIB, 8 * GIB, Sign::Failure, "make room now");
    }

    #[test]
    fn files_run_out_where_they_are_counted() {
        let signs = |files: Option<u64>| -> Vec<Sign> {
            disk(room(9 * GIB, files), 0, GIB).iter().map(|finding| finding.sign).collect()
        };
        assert_eq!(signs(None), [Sign::Ok]);
        assert_eq!(signs(Some(1_000)), [Sign::Ok, Sign::Ok]);
        assert_eq!(signs(Some(999)), [Sign::Ok, Sign::Warning]);
    }

    #[test]
    fn low_limits_are_told() {
        let signs = |file_bytes: Option<u64>, open_files: Option<u64>| -> Vec<Sign> {
            limits(Limits { file_bytes, open_files }).iter().map(|finding| finding.sign).collect()
        };
        assert_eq!(signs(None, None), [Sign::Ok, Sign::Ok]);
        assert_eq!(signs(Some(GIB), Some(1_024)), [Sign::Ok, Sign::Ok]);
        assert_eq!(signs(Some(1 << 20), Some(256)), [Sign::Warning, Sign::Warning]);
    }
}
