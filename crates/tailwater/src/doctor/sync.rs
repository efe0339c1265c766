//! What a crash can take: the sync mode, and how fast the disk of the data directory confirms.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::Sync;

use super::{Finding, Subject, blocking};

/// How often the disk is asked; the median of an odd number is one of them.
const ROUNDS: usize = 5;
/// What one round writes: a page.
const ROUND_BYTES: usize = 4_096;
/// A disk that needs longer makes `always` slow, and the projection late.
const SLOW: Duration = Duration::from_millis(50);
/// How long the probe waits for the disk: less than the deadline of a check, so that its file goes again.
const PROBE_LIMIT: Duration = Duration::from_secs(8);

/// Looks at both.
pub(super) async fn look(subject: Arc<Subject>) -> Vec<Finding> {
    let mut findings = vec![mode(subject.config.sync)];
    if let Some(dir) = subject.existing_data_dir().await {
        findings.push(probe(dir).await);
    }
    findings
}

fn mode(sync: Sync) -> Finding {
    const CHECK: &str = "sync.mode";
    match sync {
        Sync::Always => {
            Finding::ok(CHECK, "always: neither a kill nor a power cut loses what was acknowledged")
        }
        Sync::Interval(interval) => {
            let power = format!("a power cut at most the last {}", event::span::display(interval));
            Finding::ok(CHECK, format!("{sync}: a kill loses nothing acknowledged, {power}"))
        }
        Sync::Os => Finding::note(
            CHECK,
            "os: a kill loses nothing acknowledged, a power cut what the kernel had not written, often half a minute",
            "log.sync = \"interval:200ms\" bounds that, and costs little",
        ),
    }
}

/// Measures it with a file that goes again, also when the disk hangs.
async fn probe(dir: PathBuf) -> Finding {
    let path = dir.join(format!("{PROBE_PREFIX}{}{PROBE_SUFFIX}", std::process::id()));
    let file = Probe(path.clone());
    let measuring = blocking(move || measure(&path));
    match tokio::time::timeout(PROBE_LIMIT, measuring).await {
        Ok(Ok(times)) => {
            drop(file);
            speed(times)
        }
        Ok(Err(error)) => unwritable(&dir, &error),
        Err(_) => Finding::failure(
            "sync.disk",
            format!("the disk did not confirm within {} s", PROBE_LIMIT.as_secs()),
            "look at the disk: `dmesg`, `smartctl -a`; recording stands still while it does",
        ),
    }
}

/// A file that goes with the value.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        // NOTE: it may never have been made; one that stays is named by the next doctor.
        let _ = fs::remove_file(&self.0);
    }
}

const PROBE_PREFIX: &str = "doctor-";
const PROBE_SUFFIX: &str = ".probe";

/// Which process made a file of the data directory as its probe, if that is what the file is.
pub(super) fn prober(name: &str) -> Option<u32> {
    name.strip_prefix(PROBE_PREFIX)?.strip_suffix(PROBE_SUFFIX)?.parse().ok()
}

/// NOTE: the file has a name while it is measured: some file systems take an fsync of one without for nothing.
fn measure(path: &Path) -> io::Result<[Duration; ROUNDS]> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut times = [Duration::ZERO; ROUNDS];
    for time in &mut times {
        file.write_all(&[0x5a; ROUND_BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        *time = began.elapsed();
    }
    Ok(times)
}

fn speed(mut times: [Duration; ROUNDS]) -> Finding {
    times.sort_unstable();
    let [_, _, median, _, worst] = times;
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let found = format!("an fsync takes {} (median of {ROUNDS}, at most {})", millis(median), millis(worst));
    if median <= SLOW {
        return Finding::ok("sync.disk", found);
    }
    let advice = "a busy or slow disk: see what else writes to it (`iostat -x 1`); log.sync = \"always\" is slow on it";
    Finding::warning("sync.disk", found, advice)
}

fn unwritable(dir: &Path, error: &io::Error) -> Finding {
    let found = format!("nothing can be written to {}: {error}", dir.display());
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room: `run` goes on by itself as soon as there is some"
        }
        io::ErrorKind::PermissionDenied => "run tailwater as the owner of the directory",
        _ => "nothing is recorded there: choose another --data-dir, or mend the disk",
    };
    Finding::failure("sync.disk", found, advice)
}

#[cfg(test)]
mod tests {
    use super::super::Sign;
    use super::*;

    #[test]
    fn each_mode_says_what_it_can_lose() {
        let check = |mode: &str, sign: Sign, words: &str| {
            let finding = super::mode(mode.parse().unwrap());
            assert!(finding.sign == sign && finding.found.contains(words), "{finding:?}");
        };
        check("always", Sign::Ok, "neither a kill nor a power cut");
        check("interval:200ms", Sign::Ok, "at most the last 200ms");
        check("os", Sign::Note, "what the kernel had not written");
    }

    #[test]
    fn the_median_decides() {
        let check = |millis: [u64; ROUNDS], sign: Sign, words: &str| {
            let finding = speed(millis.map(Duration::from_millis));
            assert!(finding.sign == sign && finding.found.contains(words), "{finding:?}");
        };
        check([900, 1, 2, 800, 50], Sign::Ok, "50.0 ms (median of 5, at most 900.0 ms)");
        check([51, 51, 51, 1, 1], Sign::Warning, "51.0 ms");
    }

    #[tokio::test]
    async fn the_probe_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let finding = probe(dir.path().to_owned()).await;
        assert!(finding.sign != Sign::Failure && finding.found.contains("an fsync takes"), "{finding:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let finding = probe(dir.path().join("no")).await;
        assert_eq!(finding.sign, Sign::Failure, "{finding:?}");
        assert_eq!(prober("doctor-17.probe"), Some(17));
        for name in ["probe", "doctor-1", "doctor-x.probe"] {
            assert_eq!(prober(name), None, "{name}");
        }
    }
}
