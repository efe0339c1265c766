//! Words and numbers in bytes, without a detour over UTF-8.

use super::ParseError;

/// The words of a line, split at spaces and tabs.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The lines of a file, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// A whole number from 0; `None` for anything else, and for one beyond u64.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number that the kernel prints as signed: a negative one, which a racing counter can be, counts as 0.
pub(crate) fn signed_number(word: &[u8]) -> Option<u64> {
    match word.strip_prefix(b"-") {
        Some(rest) => number(rest).map(|_| 0),
        None => number(word),
    }
}

/// The next word as a number.
pub(crate) fn next<'a>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    field: &'static str,
) -> Result<u64, ParseError> {
    words.next().and_then(number).ok_or(ParseError { field })
}

/// Foreign bytes as text for a problem's line: short, and readable whatever they are.
pub(crate) fn show(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 80;
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    format!("\"{}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b"1.0", b"18446744073709551616", b"12a", b"\xff"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(signed_number(b"-12"), Some(0));
        assert_eq!(signed_number(b"12"), Some(12));
        assert_eq!(signed_number(b"-"), None);
    }

    #[test]
    fn shown_bytes_are_short_and_readable() {
        assert_eq!(show(b"a\tb\xff"), "\"a\\tb\\xff\"");
        assert!(show(&[b'x'; 1000]).len() < 100);
    }
}
