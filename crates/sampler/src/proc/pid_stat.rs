//! `/proc/PID/stat`: one line about one process.
//!
//! `pid (comm) state ppid pgrp … utime stime cutime cstime … starttime vsize rss …`. The name in brackets is
//! whatever the process likes: it may hold spaces, brackets and line ends, so the fields are counted from the
//! last closing bracket. Fields after the ones read here are not looked at.

use super::words::{next, number, signed_number, words};
use super::{ParseError, Pid};

/// What is read of it. Ticks are those of `_SC_CLK_TCK`, 100 a second nearly everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidStat {
    /// The process.
    pub pid: Pid,
    /// Its parent; 0 when the parent is outside of this namespace.
    pub parent: Pid,
    /// The letter of its state, such as `R`; `Z` is one that ended and waits for its parent.
    pub state: u8,
    /// CPU time of its own, user and system, all threads, ticks.
    pub own_ticks: u64,
    /// CPU time of its children that ended and were waited for, and of theirs, ticks.
    pub reaped_ticks: u64,
    /// When it started, ticks since boot. With the pid it tells a process apart from a later one.
    pub start_ticks: u64,
    /// Resident memory, pages.
    pub rss_pages: u64,
}

impl PidStat {
    /// All the CPU time that this process answers for, ticks.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.own_ticks.saturating_add(self.reaped_ticks)
    }
}

/// Fields between the parent and utime: pgrp, session, tty_nr, tpgid, flags and four counts of page faults.
const FIELDS_BEFORE_UTIME: usize = 9;
/// Fields between cstime and starttime: priority, nice, num_threads, itrealvalue.
const FIELDS_BEFORE_STARTTIME: usize = 4;
/// Fields between starttime and rss: vsize.
const FIELDS_BEFORE_RSS: usize = 1;

/// Reads the line.
///
/// # Errors
/// The first field that is missing or not a number.
pub fn parse(text: &[u8]) -> Result<PidStat, ParseError> {
    let open = text.iter().position(|byte| *byte == b'(').ok_or(ParseError { field: "comm" })?;
    let close = text.iter().rposition(|byte| *byte == b')').ok_or(ParseError { field: "comm" })?;
    let pid = text.get(..open).unwrap_or_default().trim_ascii();
    let pid = number(pid).and_then(|pid| u32::try_from(pid).ok()).ok_or(ParseError { field: "pid" })?;
    let rest = text.get(close..).unwrap_or_default().strip_prefix(b")").unwrap_or_default();

    let mut words = words(rest);
    let state = words.next().and_then(<[u8]>::first).ok_or(ParseError { field: "state" })?;
    let parent = next(&mut words, "ppid")?;
    let mut words = words.skip(FIELDS_BEFORE_UTIME);
    let utime = next(&mut words, "utime")?;
    let stime = next(&mut words, "stime")?;
    let cutime = next_signed(&mut words, "cutime")?;
    let cstime = next_signed(&mut words, "cstime")?;
    let mut words = words.skip(FIELDS_BEFORE_STARTTIME);
    let start_ticks = next(&mut words, "starttime")?;
    let mut words = words.skip(FIELDS_BEFORE_RSS);
    let rss_pages = next_signed(&mut words, "rss")?;
    Ok(PidStat {
        pid: Pid(pid),
        parent: Pid(u32::try_from(parent).map_err(|_| ParseError { field: "ppid" })?),
        state: *state,
        own_ticks: utime.saturating_add(stime),
        reaped_ticks: cutime.saturating_add(cstime),
        start_ticks,
        rss_pages,
    })
}

fn next_signed<'a>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    field: &'static str,
) -> Result<u64, ParseError> {
    words.next().and_then(signed_number).ok_or(ParseError { field })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(comm: &[u8]) -> Vec<u8> {
        let mut line = b"4242 (".to_vec();
        line.extend_from_slice(comm);
        line.extend_from_slice(
            b") S 17 4242 4242 0 -1 4194560 105 0 0 0 7 11 100 1000 20 0 1 0 987654 8192000 555 18446744073709551615",
        );
        line
    }

    #[test]
    fn the_name_can_be_anything() {
        let expected = PidStat {
            pid: Pid(4242),
            parent: Pid(17),
            state: b'S',
            own_ticks: 18,
            reaped_ticks: 1100,
            start_ticks: 987_654,
            rss_pages: 555,
        };
        for comm in [&b"bash"[..], b"a) R (b", b"", b")", b"((", b") S 1 2 3", b"\xff\n\0", b" ", b"a b c"] {
            assert_eq!(parse(&line(comm)), Ok(expected), "{}", comm.escape_ascii());
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |text: &[u8], field| assert_eq!(parse(text), Err(ParseError { field }), "{text:?}");
        check(b"", "comm");
        check(b"12 bash S 1", "comm");
        check(b"x (bash) S 1", "pid");
        check(b"99999999999 (bash) S 1", "pid");
        check(b") ( 1", "pid");
        check(b"1 (bash", "comm");
        check(b"1 (bash)", "state");
        check(b"1 (bash) S -1", "ppid");
        check(b"1 (bash) S 1 2 3", "utime");
        let whole = line(b"x");
        let cut = whole.len() - b"555 18446744073709551615".len();
        check(&whole[..cut], "rss");
    }

    #[test]
    fn negative_counters_count_as_zero() {
        let text = b"1 (x) R 0 0 0 0 0 0 0 0 0 0 1 1 -5 -6 0 0 0 0 9 0 -3";
        let stat = parse(text).unwrap();
        assert_eq!((stat.own_ticks, stat.reaped_ticks, stat.rss_pages), (2, 0, 0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_name_hides_the_fields(comm in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(parse(&line(&comm)).map(|stat| stat.ticks()), Ok(1118));
        }
    }
}
