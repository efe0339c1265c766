//! `/proc/meminfo`: what memory the machine has and could give.

use super::ParseError;
use super::words::{lines, number, words};

/// Memory of the whole machine; limits of control groups are not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it, bytes.
    pub total_bytes: u64,
    /// What a new program could get without swapping, bytes.
    pub available_bytes: u64,
}

/// Reads the file; its numbers are in KiB.
///
/// # Errors
/// When one of the two is missing. Linux before 3.14 does not tell what is available.
pub fn parse(text: &[u8]) -> Result<Memory, ParseError> {
    Ok(Memory { total_bytes: total(text)?, available_bytes: bytes(text, "MemAvailable")? })
}

/// Reads the total alone, bytes.
///
/// # Errors
/// When it is missing.
pub fn total(text: &[u8]) -> Result<u64, ParseError> {
    bytes(text, "MemTotal")
}

fn bytes(text: &[u8], name: &'static str) -> Result<u64, ParseError> {
    lines(text)
        .filter_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        .find_map(|rest| words(rest).next().and_then(number)?.checked_mul(1024))
        .ok_or(ParseError { field: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kib_become_bytes() {
        let text = b"MemTotal:       24684084 kB\nMemFree:  1 kB\nMemAvailable:   24292160 kB\n";
        let memory = Memory { total_bytes: 24_684_084 * 1024, available_bytes: 24_292_160 * 1024 };
        assert_eq!(parse(text), Ok(memory));
        assert_eq!(total(b"MemTotal: 1 kB"), Ok(1024));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse(b"MemTotal: 5 kB\n"), Err(ParseError { field: "MemAvailable" }));
        assert_eq!(total(b"MemTotal: 18446744073709551615 kB"), Err(ParseError { field: "MemTotal" }));
    }
}
