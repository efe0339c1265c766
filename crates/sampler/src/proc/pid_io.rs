//! `/proc/PID/io`: what one process had read from and written to disks.
//!
//! The kernel adds a child's counts to its parent's when the parent waits for it (`signal->ioac`), as it does
//! with CPU time, but keeps them in one number with the parent's own.

use super::ParseError;
use super::words::{lines, number, words};

/// Bytes that went to or came from the layer of block devices; caches do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidIo {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written; those of a file that was removed before they reached the disk are counted too.
    pub write_bytes: u64,
}

/// Reads the file.
///
/// # Errors
/// When one of the two counters is missing or not a number.
pub fn parse(text: &[u8]) -> Result<PidIo, ParseError> {
    Ok(PidIo { read_bytes: field(text, "read_bytes")?, write_bytes: field(text, "write_bytes")? })
}

fn field(text: &[u8], name: &'static str) -> Result<u64, ParseError> {
    lines(text)
        .filter_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        .find_map(|rest| words(rest).next().and_then(number))
        .ok_or(ParseError { field: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_counters() {
        let text = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(parse(text), Ok(PidIo { read_bytes: 5, write_bytes: 6 }));
    }

    #[test]
    fn half_a_file() {
        assert_eq!(parse(b"read_bytes: 5\n"), Err(ParseError { field: "write_bytes" }));
        assert_eq!(parse(b"read_bytes: \nwrite_bytes: 1"), Err(ParseError { field: "read_bytes" }));
        assert_eq!(parse(b"\xff"), Err(ParseError { field: "read_bytes" }));
    }
}
