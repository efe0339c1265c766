//! `/proc/net/dev`: a line of counters for each network interface, after two lines of titles.

use event::Text;

use super::Parsed;
use super::words::{lines, number, show, words};
use crate::DeviceCounters;

/// The word of a line, after the colon, that counts sent bytes; the first counts received ones.
const SENT_WORD: usize = 8;

/// Reads every interface, in the order of the file.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed<DeviceCounters> {
    let mut parsed = Parsed::default();
    for line in lines(text).skip(2) {
        match interface(line) {
            Some(interface) => parsed.items.push(interface),
            None => parsed.problems.push(format!("/proc/net/dev has the line {}", show(line))),
        }
    }
    parsed
}

fn interface(line: &[u8]) -> Option<DeviceCounters> {
    // NOTE: an alias such as `eth0:1` has a colon in its name; the counters start after the last one.
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let name = line.get(..colon)?.trim_ascii();
    let mut numbers = words(line.get(colon..)?.strip_prefix(b":")?).map(number);
    let input_bytes = numbers.next()??;
    let output_bytes = numbers.nth(SENT_WORD - 1)??;
    let name = Text::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some(DeviceCounters { name, input_bytes, output_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs\n";

    #[test]
    fn interfaces_and_problems() {
        let text = format!(
            "{HEAD}    lo:    3193      29 0 0 0 0 0 0 3193 29 0 0 0 0 0 0\n  eth0:348398614 17555 0 0 0 0 0 0  1326138 12679 0 0 0 0 0 0\n  half: 1 2 3\n nothing\n"
        );
        let parsed = parse(text.as_bytes());
        let eth0 = DeviceCounters {
            name: Text::const_new("eth0"),
            input_bytes: 348_398_614,
            output_bytes: 1_326_138,
        };
        assert_eq!(parsed.items.len(), 2);
        assert_eq!(parsed.items.last(), Some(&eth0));
        assert_eq!(parsed.problems.len(), 2);
        assert_eq!(parsed.problems[1], "/proc/net/dev has the line \" nothing\"");
    }

    #[test]
    fn no_interfaces() {
        assert_eq!(parse(HEAD.as_bytes()), Parsed::default());
        assert_eq!(parse(b""), Parsed::default());
    }
}
