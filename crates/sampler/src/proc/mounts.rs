//! `/proc/self/mountinfo`: what is mounted where, as this process sees it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{Parsed, show};

/// A file system at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type, such as `ext4` or `fuse.sshfs`.
    pub kind: String,
    /// Its options, those of the mount before those of the file system.
    pub options: Vec<String>,
}

impl Mount {
    /// The value of an option such as `hidepid=2`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether nothing can be written there.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.options.iter().any(|option| option == "ro")
    }
}

/// Reads all lines.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed<Mount> {
    let mut parsed = Parsed::default();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match mount(line) {
            Some(mount) => parsed.items.push(mount),
            None => parsed.problems.push(format!("not a mount: {}", show(line))),
        }
    }
    parsed
}

/// The mount that a path lies on: of those that cover it the deepest, of several at one place the last.
#[must_use]
pub fn covering<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let covers = |mount: &&Mount| path.starts_with(&mount.point);
    mounts.iter().filter(covers).max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue`; before the dash any number of
/// optional fields.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let point = words.nth(4)?;
    let own = words.next()?;
    words.find(|word| *word == b"-")?;
    let kind = words.next()?;
    let of_file_system = words.nth(1).unwrap_or_default();
    let options = [own, of_file_system].into_iter().flat_map(|list| list.split(|byte| *byte == b','));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Mount {
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: text(kind),
        options: options.filter(|option| !option.is_empty()).map(text).collect(),
    })
}

/// Space, tab, line end and backslash are written as a backslash and three octal digits.
fn unescape(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    while let Some((&byte, rest)) = bytes.split_first() {
        let code = rest.first_chunk::<3>().filter(|_| byte == b'\\').and_then(octal);
        text.push(code.unwrap_or(byte));
        bytes = if code.is_some() { rest.get(3..).unwrap_or_default() } else { rest };
    }
    text
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        23 22 0:21 / /proc rw,nosuid - proc proc rw,hidepid=2\n\
        30 22 0:40 / /home/a\\040b rw - nfs4 server:/x ro,vers=4.2\n\
        31 22 0:41 / /home/a\\040b ro,noatime master:1 propagate_from:2 - fuse.sshfs me@x: rw\n\
        broken\n";

    #[test]
    fn lines_are_read_and_what_is_none_is_told() {
        let parsed = parse(TEXT);
        assert_eq!((parsed.items.len(), parsed.problems.len()), (4, 1));
        let kinds: Vec<&str> = parsed.items.iter().map(|mount| mount.kind.as_str()).collect();
        assert_eq!(kinds, ["ext4", "proc", "nfs4", "fuse.sshfs"]);
        assert_eq!(parsed.items[1].value("hidepid"), Some("2"));
        assert_eq!(parsed.items[0].value("hidepid"), None);
        assert!(parsed.items[2].is_read_only() && !parsed.items[0].is_read_only());
    }

    #[test]
    fn the_deepest_and_then_the_last_covers_a_path() {
        let mounts = parse(TEXT).items;
        let check = |path: &str, kind: &str| {
            assert_eq!(covering(&mounts, Path::new(path)).unwrap().kind, kind, "{path}");
        };
        check("/", "ext4");
        check("/process", "ext4");
        check("/proc/1", "proc");
        check("/home/a b/c", "fuse.sshfs");
        assert_eq!(covering(&mounts, Path::new("relative")), None);
    }

    #[test]
    fn this_process_has_a_root_and_a_proc() {
        let parsed = parse(&std::fs::read("/proc/self/mountinfo").unwrap());
        assert_eq!(parsed.problems, Vec::<String>::new());
        assert_eq!(covering(&parsed.items, Path::new("/proc/self/stat")).unwrap().kind, "proc");
    }
}
