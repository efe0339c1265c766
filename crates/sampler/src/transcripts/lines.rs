//! The whole lines of a file, read in large pieces.
//!
//! What has no line end yet is not a line: its writer is in the middle of it. What is behind the last whole line is
//! read again at the next look. A crash of a machine leaves zeros at the end of files, and the next line behind them:
//! zeros around a line are no part of it, and while nothing is behind them they take no memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memchr_iter;

use super::entry::Place;

/// How much is read at once.
const PIECE_BYTES: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is done with the lines.
pub(super) trait Taker {
    /// Takes a line, without its line end.
    fn line(&mut self, line: &[u8]);

    /// Is told that a line was too long.
    fn long_line(&mut self);

    /// Asked between two pieces: whether that is enough for now.
    fn has_enough(&self) -> bool;
}

/// The most bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of a line: what is longer is passed over.
    pub(super) line: usize,
    /// Of what is read at one time, but for a single longer line.
    pub(super) portion: u64,
}

/// Where in a file reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) offset: u64,
    pub(super) place: Place,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is nothing more.
    AtEnd,
    /// It was enough for now.
    Enough,
}

/// Reads whole lines from `at` on; gives where the next one begins.
pub(super) fn read(file: &File, at: At, limits: Limits, taker: &mut impl Taker) -> io::Result<(At, Ended)> {
    let mut window = Window::new(at);
    loop {
        if window.read_more(file, limits)? == 0 {
            return Ok((window.at(), Ended::AtEnd));
        }
        window.take_lines(taker);
        window.keep_rest(limits);
        let is_far = window.base - at.offset >= limits.portion;
        if window.at() != at && (is_far || taker.has_enough()) {
            return Ok((window.at(), Ended::Enough));
        }
    }
}

/// A piece of the file, which begins with the line that is not whole yet.
struct Window {
    buffer: Vec<u8>,
    /// Where the buffer begins.
    base: u64,
    /// How much of the buffer is read.
    filled: usize,
    /// How much of that has no line end in it.
    searched: usize,
    place: Place,
    /// Behind the last whole line.
    offset: u64,
}

impl Window {
    fn new(at: At) -> Self {
        let buffer = vec![0; PIECE_BYTES];
        Self { buffer, base: at.offset, filled: 0, searched: 0, place: at.place, offset: at.offset }
    }

    fn at(&self) -> At {
        match self.place {
            Place::Line => At { offset: self.offset, place: Place::Line },
            Place::LongLine => At { offset: self.base, place: Place::LongLine },
        }
    }

    fn read_more(&mut self, file: &File, limits: Limits) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize((self.filled * 2).min(limits.line.max(PIECE_BYTES) + 1), 0);
        }
        let from = self.base + self.filled as u64;
        loop {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match file.read_at(free, from) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take_lines(&mut self, taker: &mut impl Taker) {
        let fresh = self.buffer.get(self.searched..self.filled).unwrap_or_default();
        let mut start = 0;
        for end in memchr_iter(b'\n', fresh).map(|end| self.searched + end) {
            match self.place {
                Place::LongLine => {
                    self.place = Place::Line;
                    taker.long_line();
                }
                Place::Line => {
                    let line = self.buffer.get(start..end).unwrap_or_default();
                    let line = bare(line, self.base + start as u64);
                    if !line.is_empty() {
                        taker.line(line);
                    }
                }
            }
            start = end + 1;
            self.offset = self.base + start as u64;
        }
        self.drop_front(start);
    }

    /// Keeps what may become a line.
    fn keep_rest(&mut self, limits: Limits) {
        let rest = self.buffer.get(..self.filled).unwrap_or_default();
        let is_long = self.place == Place::LongLine || rest.len() > limits.line;
        if is_long {
            self.place = Place::LongLine;
            self.drop_front(self.filled);
        } else {
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            self.drop_front(zeros);
        }
        self.searched = self.filled;
    }

    fn drop_front(&mut self, bytes: usize) {
        if bytes > 0 {
            self.buffer.copy_within(bytes..self.filled, 0);
            self.filled -= bytes;
            self.base += bytes as u64;
        }
    }
}

/// A line without what does not belong to it.
fn bare(line: &[u8], offset: u64) -> &[u8] {
    let line = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| offset == 0).unwrap_or(line);
    let begin = line.iter().take_while(|byte| **byte == 0).count();
    let line = line.get(begin..).unwrap_or_default().trim_ascii_end();
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    line.get(..line.len() - zeros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Default)]
    struct Taken {
        lines: Vec<Vec<u8>>,
        long: usize,
        enough: bool,
    }

    impl Taker for Taken {
        fn line(&mut self, line: &[u8]) {
            self.lines.push(line.to_vec());
        }

        fn long_line(&mut self) {
            self.long += 1;
        }

        fn has_enough(&self) -> bool {
            self.enough
        }
    }

    const START: At = At { offset: 0, place: Place::Line };
    const LIMITS: Limits = Limits { line: 64 * 1024 * 1024, portion: u64::MAX };

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn check(content: &[u8], lines: &[&[u8]], offset: u64) {
        let mut taken = Taken::default();
        let (at, ended) = read(&file(content), START, LIMITS, &mut taken).unwrap();
        assert_eq!(taken.lines, lines, "{content:?}");
        assert_eq!((at, ended), (At { offset, place: Place::Line }, Ended::AtEnd), "{content:?}");
    }

    #[test]
    fn whole_lines_are_taken() {
        check(b"", &[], 0);
        check(b"a", &[], 0);
        check(b"a\n", &[b"a"], 2);
        check(b"a\r\n\r\n\nb\nc", &[b"a", b"b"], 8);
        check(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &[b"a", b"\xef\xbb\xbfb"], 10);
    }

    #[test]
    fn zeros_are_no_part_of_a_line() {
        check(b"a\n\0\0\0", &[b"a"], 2);
        check(b"a\n\0\0\0b\n", &[b"a", b"b"], 7);
        check(b"a\0\0\n\0\0\n", &[b"a"], 7);
        let mut sparse = b"a\n".to_vec();
        sparse.resize(5 * PIECE_BYTES, 0);
        check(&sparse, &[b"a"], 2);
        sparse.extend_from_slice(b"b\nc");
        check(&sparse, &[b"a", b"b"], sparse.len() as u64 - 1);
    }

    #[test]
    fn a_line_may_be_longer_than_a_piece() {
        let long = vec![b'x'; 3 * PIECE_BYTES + 1];
        let content = [&b"a\n"[..], &long, b"\nb\n"].concat();
        check(&content, &[b"a", &long, b"b"], content.len() as u64);
    }

    #[test]
    fn what_is_too_long_is_passed_over_once() {
        let limits = Limits { line: 2 * PIECE_BYTES, ..LIMITS };
        let long = vec![b'x'; 2 * PIECE_BYTES + 1];
        let half = file(&[&b"a\n"[..], &long].concat());
        let mut taken = Taken::default();
        let (at, _) = read(&half, START, limits, &mut taken).unwrap();
        assert_eq!(at, At { offset: 2 + long.len() as u64, place: Place::LongLine });
        assert_eq!((taken.lines.len(), taken.long), (1, 0));
        let whole = file(&[&b"a\n"[..], &long, b"yz\nb\n"].concat());
        let (at, _) = read(&whole, at, limits, &mut taken).unwrap();
        assert_eq!((taken.lines.last().unwrap().as_slice(), taken.long), (&b"b"[..], 1));
        assert_eq!(at, At { offset: long.len() as u64 + 7, place: Place::Line });
    }

    #[test]
    fn a_portion_ends_between_two_lines_and_goes_on() {
        let line = vec![b'x'; PIECE_BYTES - 1];
        let content: Vec<u8> = std::iter::repeat_n([&line[..], b"\n"].concat(), 4).flatten().collect();
        let content = file(&content);
        let limits = Limits { portion: 2 * PIECE_BYTES as u64, ..LIMITS };
        let mut taken = Taken::default();
        let (at, ended) = read(&content, START, limits, &mut taken).unwrap();
        assert_eq!((taken.lines.len(), ended, at.offset), (2, Ended::Enough, 2 * PIECE_BYTES as u64));
        let (at, ended) = read(&content, at, limits, &mut taken).unwrap();
        assert_eq!((taken.lines.len(), ended), (4, Ended::Enough));
        assert_eq!(read(&content, at, limits, &mut taken).unwrap(), (at, Ended::AtEnd));
        let mut taken = Taken { enough: true, ..Taken::default() };
        assert_eq!(read(&content, START, LIMITS, &mut taken).unwrap().1, Ended::Enough);
        assert_eq!(taken.lines.len(), 1);
    }
}
