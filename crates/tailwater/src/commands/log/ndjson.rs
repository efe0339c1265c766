//! Big NDJSON in bounded memory: line by line, and in chunks of whole lines.

use std::io::{self, BufRead, Read};

use event::json::{self, ParseError, Problem};
use event::limits::LINE_BYTES_MAX;

/// A line of any length, with the memory of a valid one.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    length: u64,
    number: u64,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of this input.
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), length: 0, number: 0, offset: 0 }
    }

    /// Goes to the next line; `false` at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        let mut read = self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(false);
        }
        let is_whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
        self.length = read - u64::from(is_whole);
        if !is_whole && read == most {
            let (rest, has_end) = self.skip_rest()?;
            read += rest;
            self.length = read - u64::from(has_end);
        }
        self.number += 1;
        self.offset += read;
        Ok(true)
    }

    /// Reads on behind the end of the line: how many bytes, and whether the last one is a line end.
    fn skip_rest(&mut self) -> io::Result<(u64, bool)> {
        let mut rest = 0;
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok((rest, false));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            rest += taken as u64;
            self.input.consume(taken);
            if end.is_some() {
                return Ok((rest, true));
            }
        }
    }

    /// The number of this line, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Where the next line begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// This line without its end; `None` when it is too long for an event.
    pub(super) fn line(&self) -> Option<&[u8]> {
        (self.length <= LINE_BYTES_MAX as u64).then_some(&*self.line)
    }

    /// Whether there is an event in it: `Ok(false)` when it is empty.
    ///
    /// # Errors
    /// What is wrong with it, as `record` tells it.
    pub(super) fn check(&self) -> Result<bool, ParseError> {
        if self.line().is_some_and(|line| line.trim_ascii().is_empty()) {
            return Ok(false);
        }
        let checked = json::parse_line(&self.line);
        checked.map(|_| true).map_err(|problem| {
            let problem = match self.line() {
                Some(_) => problem,
                None => Problem {
                    message: format!("the line has {} bytes, the most is {LINE_BYTES_MAX}", self.length),
                    ..problem
                },
            };
            ParseError { line: usize::try_from(self.number).unwrap_or(usize::MAX), problem }
        })
    }
}

/// Whole lines of an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The lines, each with its line end.
    pub bytes: Vec<u8>,
    /// How many lines of the input are before it.
    pub lines_before: u64,
    /// The number of its last line.
    pub last_line: u64,
    /// Where the input goes on behind it.
    pub offset: u64,
    /// How many of its lines are empty because they were too long.
    pub too_long: u64,
}

/// An input in chunks.
#[derive(Debug)]
pub(super) struct Chunks<R> {
    lines: Lines<R>,
    bytes_max: usize,
    /// Whether `lines` is at a line that no chunk has yet.
    is_ahead: bool,
}

impl<R: BufRead> Chunks<R> {
    /// Chunks of at most so many bytes; a line that has more is a chunk of its own.
    pub(super) fn new(input: R, bytes_max: usize) -> Self {
        Self { lines: Lines::new(input), bytes_max, is_ahead: false }
    }

    /// The next chunk; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        if !self.is_ahead && !self.lines.advance()? {
            return Ok(None);
        }
        let lines_before = self.lines.number() - 1;
        let mut chunk =
            Chunk { bytes: Vec::new(), lines_before, last_line: lines_before, offset: 0, too_long: 0 };
        loop {
            let line = self.lines.line();
            let length = line.map_or(0, <[u8]>::len) + 1;
            self.is_ahead = !chunk.bytes.is_empty() && chunk.bytes.len() + length > self.bytes_max;
            if self.is_ahead {
                return Ok(Some(chunk));
            }
            chunk.bytes.extend_from_slice(line.unwrap_or_default());
            chunk.bytes.push(b'\n');
            chunk.too_long += u64::from(line.is_none());
            chunk.last_line = self.lines.number();
            chunk.offset = self.lines.offset();
            if !self.lines.advance()? {
                return Ok(Some(chunk));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"kind":"agent_state","time":"2026-01-02T03:04:05Z","agent_name":"zen"}"#;

    /// What `record` says of the same input.
    fn recorded(input: &[u8]) -> Vec<Result<(), String>> {
        json::parse_lines(input).map(|line| line.map(|_| ()).map_err(|error| error.to_string())).collect()
    }

    fn checked(input: &[u8]) -> Vec<Result<(), String>> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, input));
        let mut said = Vec::new();
        while lines.advance().unwrap() {
            match lines.check() {
                Ok(false) => {}
                Ok(true) => said.push(Ok(())),
                Err(error) => said.push(Err(error.to_string())),
            }
        }
        assert_eq!(lines.offset(), input.len() as u64);
        said
    }

    #[test]
    fn lines_are_judged_as_record_judges_them() {
        let long = |length: usize| GOOD.replace("zen", &"z".repeat(length));
        let exactly = long(LINE_BYTES_MAX - GOOD.len() + 3);
        let over = long(LINE_BYTES_MAX - GOOD.len() + 4);
        for input in [
            String::new(),
            "\n\n".to_owned(),
            GOOD.to_owned(),
            format!("{GOOD}\r\n \n{GOOD}"),
            format!("{GOOD}\n{{}}\n{GOOD}\nnonsense\n"),
            format!("{exactly}\n{GOOD}"),
            format!("{over}\n{GOOD}"),
            format!("{GOOD}\n{over}"),
            format!("{}\n{}", long(3 * LINE_BYTES_MAX), GOOD),
        ] {
            assert_eq!(checked(input.as_bytes()), recorded(input.as_bytes()));
        }
        assert_eq!(checked(b"{\"kind\":\"a\xff\"}"), recorded(b"{\"kind\":\"a\xff\"}"));
    }

    fn chunks(input: &str, bytes_max: usize) -> Vec<Chunk> {
        let mut chunks = Chunks::new(input.as_bytes(), bytes_max);
        std::iter::from_fn(|| chunks.next().unwrap()).collect()
    }

    #[test]
    fn chunks_are_whole_lines_and_know_where_they_are() {
        let all = chunks("aa\nbb\n\ncccccccccc\nd", 6);
        let texts: Vec<_> = all.iter().map(|it| String::from_utf8_lossy(&it.bytes).into_owned()).collect();
        assert_eq!(texts, ["aa\nbb\n", "\n", "cccccccccc\n", "d\n"]);
        let places: Vec<_> = all.iter().map(|it| (it.lines_before, it.last_line, it.offset)).collect();
        assert_eq!(places, [(0, 2, 6), (2, 3, 7), (3, 4, 18), (4, 5, 19)]);
        assert_eq!(chunks("", 6), []);
        assert_eq!(chunks("a\nb", 100).len(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_is_an_empty_one() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let all = chunks(&format!("a\n{long}\nb\n"), 100);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].bytes.as_slice(), all[0].too_long, all[0].last_line), (&b"a\n\nb\n"[..], 1, 3));
    }
}
