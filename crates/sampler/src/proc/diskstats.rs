//! `/proc/diskstats`: a line of counters for each disk, each partition, and what is built on top of them.
//!
//! `major minor name reads merged sectors_read ms writes merged sectors_written …`. A sector is 512 bytes
//! here, whatever the disk's own sectors are.

use event::Text;

use super::Parsed;
use super::words::{lines, number, show, words};
use crate::DeviceCounters;

const SECTOR_BYTES: u64 = 512;
/// The words after the name that count sectors.
const READ_WORD: usize = 2;
const WRITTEN_WORD: usize = 6;

/// Reads every line, partitions and all, in the order of the file.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed<DeviceCounters> {
    let mut parsed = Parsed::default();
    for line in lines(text) {
        match device(line) {
            Some(device) => parsed.items.push(device),
            None => parsed.problems.push(format!("/proc/diskstats has the line {}", show(line))),
        }
    }
    parsed
}

fn device(line: &[u8]) -> Option<DeviceCounters> {
    let mut words = words(line).skip(2);
    let name = Text::from_utf8(words.next()?).ok()?;
    let mut numbers = words.map(number);
    let input_bytes = numbers.nth(READ_WORD)??.checked_mul(SECTOR_BYTES)?;
    let output_bytes = numbers.nth(WRITTEN_WORD - READ_WORD - 1)??.checked_mul(SECTOR_BYTES)?;
    Some(DeviceCounters { name, input_bytes, output_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_problems() {
        let text = b" 254       0 vda 47440 9519 4772042 42728 62326 51106 5083224 35013 0 9488 79454\n 254 1 vda1 1 2 3\n\xff\n";
        let parsed = parse(text);
        let vda = DeviceCounters {
            name: Text::const_new("vda"),
            input_bytes: 4_772_042 * 512,
            output_bytes: 5_083_224 * 512,
        };
        assert_eq!(parsed.items, [vda]);
        assert_eq!(parsed.problems.len(), 2);
    }
}
