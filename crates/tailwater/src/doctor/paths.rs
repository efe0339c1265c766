//! The data directory: whose it is, who may read it, what it lies on, and what has been left in it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sampler::machine;
use sampler::proc::mounts::Mount;

use super::sync::prober;
use super::{Finding, Subject};
use crate::control::socket_path;
use crate::failure::chain;
use crate::output;

/// The longest path of a unix socket, without the NUL behind it.
const SOCKET_BYTES_MAX: usize = 107;

/// File systems over a network or through a process: locks and fsync mean there what somebody else makes of them.
const FOREIGN: [&str; 14] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse",
    "fuseblk",
    "gfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "ocfs",
    "smb",
    "virtiofs",
];

/// Looks at it.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let Some(dir) = subject.data_dir() else { return Vec::new() };
    let mut findings = vec![socket_length(dir)];
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => findings.extend(existing(dir, &metadata)),
        Ok(_) => findings.push(Finding::failure(
            "data_dir",
            format!("{}: it is no directory", dir.display()),
            "move it away, or choose another one: data_dir, TAILWATER_DATA_DIR or --data-dir",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => findings.extend(missing(dir)),
        Err(error) => findings.push(no_directory(dir, &error.to_string())),
    }
    findings.extend([dir.to_owned(), dir.join("log")].iter().filter_map(|path| link(path)));
    findings
}

fn no_directory(dir: &Path, why: &str) -> Finding {
    let advice = "make it readable, or choose another one: data_dir, TAILWATER_DATA_DIR or --data-dir";
    Finding::failure("data_dir", format!("{}: {why}", dir.display()), advice)
}

fn existing(dir: &Path, metadata: &fs::Metadata) -> Vec<Finding> {
    let mut findings = vec![
        Finding::ok("data_dir", dir.display().to_string()),
        owner(dir, metadata.uid(), machine::user()),
        mode(dir, metadata.mode() & 0o7777),
    ];
    findings.extend(mount(dir));
    match fs::read_dir(dir) {
        Ok(entries) => {
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            findings.extend(left_over(names.collect(), |pid| Path::new(&format!("/proc/{pid}")).exists()));
        }
        Err(error) => findings.push(no_directory(dir, &format!("cannot list it: {error}"))),
    }
    findings
}

/// What will be so when `run` makes it.
fn missing(dir: &Path) -> Vec<Finding> {
    let Some(parent) = nearest(dir) else { return Vec::new() };
    let first = if machine::may_write_in(&parent) {
        let found = format!("{} is not there yet", dir.display());
        Finding::note("data_dir", found, "`tailwater run` and `tailwater record` make it")
    } else {
        let found =
            format!("{} is not there, and nothing can be made in {}", dir.display(), parent.display());
        Finding::failure("data_dir", found, "make it for this user, or choose another one: --data-dir")
    };
    let mut findings = vec![first];
    findings.extend(mount(&parent));
    findings
}

/// The nearest folder above that is there.
pub(super) fn nearest(dir: &Path) -> Option<PathBuf> {
    dir.ancestors()
        .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
        .find(|path| path.is_dir())
        .map(Path::to_owned)
}

fn owner(dir: &Path, owner: u32, user: u32) -> Finding {
    if owner == user {
        return Finding::ok("data_dir.owner", format!("user {owner}, as whom this runs"));
    }
    let advice = format!(
        "run tailwater as its owner, or give it away: chown -R {user} {}; files of two users end in refusals",
        dir.display()
    );
    Finding::warning("data_dir.owner", format!("user {owner}, and this runs as user {user}"), advice)
}

fn mode(dir: &Path, mode: u32) -> Finding {
    let text = format!("mode {mode:04o}");
    if mode & 0o077 == 0 && mode & 0o700 == 0o700 {
        return Finding::ok("data_dir.mode", text);
    }
    let why =
        if mode & 0o700 == 0o700 { "others may look into it" } else { "its owner may not use all of it" };
    Finding::warning("data_dir.mode", format!("{text}: {why}"), format!("chmod 700 {}", dir.display()))
}

fn mount(dir: &Path) -> Option<Finding> {
    let path = fs::canonicalize(dir).ok()?;
    match machine::mount_of(&path) {
        Ok(mount) => mount.map(|mount| file_system(&mount)),
        Err(error) => {
            Some(Finding::note("data_dir.file_system", chain(&error), "look at it yourself: `df -T`"))
        }
    }
}

fn file_system(mount: &Mount) -> Finding {
    const CHECK: &str = "data_dir.file_system";
    let found = format!("{} at {}", mount.kind, mount.point.display());
    let kind = mount.kind.split_once('.').map_or(mount.kind.as_str(), |(family, _)| family);
    let kind = kind.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if mount.is_read_only() {
        return Finding::failure(
            CHECK,
            format!("{found}, read-only"),
            "remount it, or choose another --data-dir",
        );
    }
    let why = match kind {
        "tmpfs" | "ramfs" => "it is memory: the log is gone after a restart of the machine",
        "overlay" | "aufs" => "it is a container's own layer: the log goes with the container",
        _ if FOREIGN.contains(&kind) => {
            "locks and fsync go to another machine or process, which may promise less than a disk"
        }
        _ => return Finding::ok(CHECK, found),
    };
    Finding::warning(CHECK, format!("{found}: {why}"), "put data_dir on a disk of this machine")
}

fn socket_length(dir: &Path) -> Finding {
    let path = socket_path(dir);
    let bytes = path.as_os_str().as_bytes().len();
    let found = format!("{} ({bytes} bytes)", path.display());
    if bytes <= SOCKET_BYTES_MAX {
        return Finding::ok("socket.path", found);
    }
    let advice = format!(
        "choose a shorter data_dir: `run` needs a socket, whose path has at most {SOCKET_BYTES_MAX} bytes"
    );
    Finding::failure("socket.path", found, advice)
}

fn link(path: &Path) -> Option<Finding> {
    let target = fs::read_link(path).ok()?;
    let found = format!("{} is a link to {}", path.display(), target.display());
    if path.exists() {
        let advice = "nothing, as long as what it leads to is there before tailwater starts";
        return Some(Finding::note("data_dir.link", found, advice));
    }
    let found = format!("{found}, which is not there");
    Some(Finding::failure("data_dir.link", found, "mount what it leads to, or remove the link"))
}

/// Names of ours that are always welcome.
const KNOWN: [&str; 7] = ["dropped", "lock", "log", "mark", "prices.toml", "set-aside", "tailwater.sock"];

/// NOTE: a probe of a process that runs is at work, our own beside this check among them.
fn left_over(mut names: Vec<String>, runs: impl Fn(u32) -> bool) -> Vec<Finding> {
    const CHECK: &str = "data_dir.files";
    names.sort();
    let is_known = |name: &str| KNOWN.contains(&name);
    let mut groups: [(Vec<String>, &str, &str); 5] = [
        (Vec::new(), "old files of a repaired log", "remove them when the repaired log is trusted"),
        (
            Vec::new(),
            "a log that was not finished being made",
            "nothing: it goes by itself at the next start",
        ),
        (Vec::new(), "a probe that was cut short", "remove it"),
        (Vec::new(), "what recovery has cut from the log", "remove it when nobody wants to look at it"),
        (
            Vec::new(),
            "not tailwater's",
            "keep other files elsewhere: this directory is backed up and moved as a whole",
        ),
    ];
    for name in names {
        let group = match name.as_str() {
            _ if name.starts_with("log.damaged-") => 0,
            "log.new" | "log.repaired" => 1,
            "probe" => 2,
            _ if prober(&name).is_some_and(&runs) => continue,
            _ if prober(&name).is_some() => 2,
            "set-aside" => 3,
            _ if is_known(&name) => continue,
            _ => 4,
        };
        if let Some((found, ..)) = groups.get_mut(group) {
            found.push(name);
        }
    }
    let told = groups
        .into_iter()
        .filter(|(names, ..)| !names.is_empty())
        .map(|(names, what, advice)| Finding::note(CHECK, format!("{}: {what}", listed(&names)), advice));
    let told: Vec<Finding> = told.collect();
    if told.is_empty() { vec![Finding::ok(CHECK, "nothing was left over")] } else { told }
}

/// The first few names, and how many more.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{first} and {} more", output::count(more as u64)),
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sign;
    use super::*;

    #[test]
    fn who_owns_it_and_who_may_read_it() {
        let dir = Path::new("/data");
        assert_eq!(owner(dir, 5, 5).sign, Sign::Ok);
        assert_eq!(owner(dir, 5, 0).sign, Sign::Warning);
        for (bits, sign) in
            [(0o700, Sign::Ok), (0o755, Sign::Warning), (0o710, Sign::Warning), (0o500, Sign::Warning)]
        {
            assert_eq!(mode(dir, bits).sign, sign, "{bits:o}");
        }
        assert!(mode(dir, 0o755).advice.unwrap().contains("chmod 700 /data"));
    }

    #[test]
    fn only_a_disk_of_this_machine_is_good() {
        let check = |kind: &str, options: &str, sign: Sign| {
            let options = options.split(',').map(str::to_owned).collect();
            let mount = Mount { point: "/x".into(), kind: kind.to_owned(), options };
            assert_eq!(file_system(&mount).sign, sign, "{kind}");
        };
        for kind in ["ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs"] {
            check(kind, "rw", Sign::Ok);
        }
        let bad = [
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "fuse.sshfs",
            "fuseblk",
            "virtiofs",
            "tmpfs",
            "overlay",
            "ceph",
        ];
        for kind in bad {
            check(kind, "rw", Sign::Warning);
        }
        check("ext4", "ro,noatime", Sign::Failure);
    }

    #[test]
    fn a_path_fits_a_socket_or_does_not() {
        let of = |bytes: usize| format!("/{}", "x".repeat(bytes - "/tailwater.sock".len() - 1));
        assert_eq!(socket_length(Path::new(&of(107))).sign, Sign::Ok);
        assert_eq!(socket_length(Path::new(&of(108))).sign, Sign::Failure);
    }

    #[test]
    fn what_was_left_over_is_told_by_sort() {
        let check = |names: &[&str], told: &[&str]| {
            let findings = left_over(names.iter().map(|name| (*name).to_owned()).collect(), |pid| pid == 7);
            let found: Vec<&str> = findings.iter().map(|finding| finding.found.as_str()).collect();
            assert_eq!(found, told);
        };
        check(&["log", "mark", "lock", "tailwater.sock"], &["nothing was left over"]);
        check(
            &["log", "z", "log.damaged-1", "a", "b", "c", "set-aside", "doctor-12.probe", "doctor-7.probe"],
            &[
                "log.damaged-1: old files of a repaired log",
                "doctor-12.probe: a probe that was cut short",
                "set-aside: what recovery has cut from the log",
                "a, b, c and 1 more: not tailwater's",
            ],
        );
    }

    #[test]
    fn links_are_told_and_a_dangling_one_fails() {
        let home = tempfile::tempdir().unwrap();
        let (here, there) = (home.path().join("here"), home.path().join("there"));
        std::os::unix::fs::symlink(&there, &here).unwrap();
        assert_eq!(link(&here).unwrap().sign, Sign::Failure);
        fs::create_dir(&there).unwrap();
        assert_eq!(link(&here).unwrap().sign, Sign::Note);
        assert_eq!(link(&there), None);
        assert_eq!(nearest(&there.join("a/b")), Some(there));
    }
}
