//! Spans of time as people write them: a whole number and one of the units s, m, h, d.

/// The units with their seconds, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a span such as `30s` or `2d`; its seconds, `None` when it is no span or beyond u64.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let digits = text.strip_suffix(unit)?;
    // NOTE: u64's own parser also takes a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(seconds)
}

/// Writes a span in the longest unit that divides it.
pub(crate) fn display_seconds(seconds: u64) -> String {
    let unit = UNITS.into_iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (name, unit) = unit.unwrap_or(('s', 1));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_with_a_unit() {
        let check = |text: &str, seconds: Option<u64>| assert_eq!(parse_seconds(text), seconds, "{text:?}");
        check("30s", Some(30));
        check("5m", Some(300));
        check("01h", Some(3_600));
        check("1d", Some(86_400));
        check("0s", Some(0));
        for text in
            ["", "s", "5", "5 m", " 5m", "5M", "-5m", "+5m", "1.5h", "5w", "1h30m", "5min", "５m", "5µ"]
        {
            check(text, None);
        }
        check("18446744073709551615s", Some(u64::MAX));
        check("18446744073709551615m", None);
        check("99999999999999999999s", None);
    }

    #[test]
    fn it_is_written_in_the_longest_unit() {
        for text in ["30s", "90s", "5m", "90m", "1h", "1d", "0s"] {
            assert_eq!(display_seconds(parse_seconds(text).unwrap()), text);
        }
        assert_eq!(display_seconds(172_800), "2d");
    }
}
