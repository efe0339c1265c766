//! Lengths of time as people write them: a whole number and one of the units ms, s, m, h, d.

use std::time::Duration;

/// The units with their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a span such as `500ms`, `30s` or `2d`; `None` when it is no span or beyond u64 seconds.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number: u64 = number.parse().ok()?;
    if millis == 1 {
        return Some(Duration::from_millis(number));
    }
    number.checked_mul(millis / 1_000).map(Duration::from_secs)
}

/// Writes a span in the longest unit that divides it; what is below a millisecond is cut off.
#[must_use]
pub fn display(span: Duration) -> String {
    let unit = UNITS.into_iter().find(|(_, millis)| {
        let millis = u128::from(*millis);
        span.as_millis() >= millis && span.as_millis().is_multiple_of(millis)
    });
    let (name, millis) = unit.unwrap_or(("s", 1_000));
    format!("{}{name}", span.as_millis() / u128::from(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_with_a_unit() {
        let check = |text: &str, span: Option<Duration>| assert_eq!(parse(text), span, "{text:?}");
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        check("250ms", Some(Duration::from_millis(250)));
        check("30s", seconds(30));
        check("5m", seconds(300));
        check("01h", seconds(3_600));
        check("1d", seconds(86_400));
        check("0s", seconds(0));
        for text in [
            "", "s", "5", "5 m", " 5m", "5M", "-5m", "+5m", "1.5h", "5w", "1h30m", "5min", "５m", "5µ", "5µs",
        ] {
            check(text, None);
        }
        check("18446744073709551615s", seconds(u64::MAX));
        check("18446744073709551615m", None);
        check("99999999999999999999s", None);
    }

    #[test]
    fn it_is_written_in_the_longest_unit() {
        for text in ["30s", "90s", "5m", "90m", "1h", "1d", "0s", "1500ms", "7ms"] {
            assert_eq!(display(parse(text).unwrap()), text);
        }
        assert_eq!(display(Duration::from_secs(172_800)), "2d");
        assert_eq!(display(parse("18446744073709551615s").unwrap()), "18446744073709551615s");
    }
}
