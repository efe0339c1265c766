//! Round numbers and round times at an axis.

use event::Time;
use query::Buckets;

use super::Unit;

/// The marks of an axis with their texts, and where it ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    /// Where they are.
    pub at: Vec<f64>,
    /// What stands there.
    pub labels: Vec<String>,
    /// Where the axis ends.
    pub end: f64,
}

/// From 0 to the greatest value, about so many marks.
#[must_use]
pub(crate) fn of_numbers(most: f64, unit: Unit, about: u32) -> Ticks {
    let raw = most / f64::from(about.max(1));
    let step = match unit {
        _ if raw <= 0.0 || !raw.is_finite() => 1.0,
        Unit::Bytes | Unit::BytesPerSecond => 2_f64.powf(raw.log2().ceil()).max(1.0),
        Unit::Tokens | Unit::Count => decimal_step(raw).max(1.0),
        Unit::Percent | Unit::Dollars => decimal_step(raw),
    };
    let steps = (0_u32..).take_while(|number| f64::from(*number) * step < most + step);
    let mut at: Vec<f64> = steps.map(|number| f64::from(number) * step).collect();
    if at.len() < 2 {
        at = vec![0.0, step];
    }
    let labels = at.iter().map(|value| unit.tick(*value, step)).collect();
    Ticks { end: at.last().copied().unwrap_or(step), at, labels }
}

/// 1, 2 or 5 times a power of ten.
fn decimal_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= raw * 0.999_999);
    times.unwrap_or(10.0) * power
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Seconds between two marks.
const STEPS: [i64; 22] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    28 * DAY,
    91 * DAY,
];

/// At most so many round times in UTC; where they are is in seconds after the start.
#[must_use]
pub(crate) fn of_times(from: Time, to: Time, most: u32) -> Ticks {
    let seconds = seconds_between(from, to);
    let fits = |step: i64| Time::from_micros(0).plus_micros(step.saturating_mul(1_000_000));
    let length = |step: i64| seconds_between(Time::from_micros(0), fits(step));
    let whole_years = || (1_i64..).map(|years| years * 364 * DAY);
    let mut steps = STEPS.into_iter().chain(whole_years().take(400));
    let step =
        steps.find(|step| seconds / length(*step) <= f64::from(most.max(1))).unwrap_or(DAY * 364 * 400);
    let origin = Buckets::ORIGIN.micros();
    let micros = step * 1_000_000;
    let first = (from.micros() - origin + micros - 1).div_euclid(micros) * micros + origin;
    let times = (0_i64..).map(|number| Time::from_micros(first + number * micros));
    let times: Vec<Time> = times.take_while(|time| *time <= to).collect();
    Ticks {
        at: times.iter().map(|time| seconds_between(from, *time)).collect(),
        labels: times.iter().map(|time| label(*time, step)).collect(),
        end: seconds,
    }
}

/// Seconds from one time to another.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a pixel is less exact")]
pub(crate) fn seconds_between(from: Time, to: Time) -> f64 {
    (to.micros() - from.micros()) as f64 / 1e6
}

/// `03:04:05`, `03:04`, at midnight `01-02`; of whole days `2026-01-02`.
fn label(time: Time, step: i64) -> String {
    let text = time.to_string();
    let part = match () {
        () if step >= DAY => text.get(..10),
        () if text.get(11..19) == Some("00:00:00") => text.get(5..10),
        () if step >= MINUTE => text.get(11..16),
        () => text.get(11..19),
    };
    part.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_round() {
        let check = |most: f64, unit: Unit, labels: &[&str]| {
            let ticks = of_numbers(most, unit, 5);
            assert_eq!(ticks.labels, labels, "{most} {unit:?}");
            assert!(ticks.end >= most && ticks.at.last() == Some(&ticks.end), "{most} {ticks:?}");
        };
        check(97.0, Unit::Percent, &["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        check(100.0, Unit::Percent, &["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        check(0.0, Unit::Percent, &["0 %", "1 %"]);
        check(0.3, Unit::Percent, &["0 %", "0.1 %", "0.2 %", "0.3 %"]);
        check(2.0, Unit::Count, &["0", "1", "2"]);
        check(700.0 * 1024.0 * 1024.0, Unit::Bytes, &["0 B", "256 MiB", "512 MiB", "768 MiB"]);
        check(3000.0, Unit::BytesPerSecond, &["0 B/s", "1 KiB/s", "2 KiB/s", "3 KiB/s"]);
        check(0.0006, Unit::Dollars, &["$0.0000", "$0.0002", "$0.0004", "$0.0006"]);
        check(1.2, Unit::Dollars, &["$0.00", "$0.50", "$1.00", "$1.50"]);
        check(510_000.0, Unit::Tokens, &["0", "200k", "400k", "600k"]);
    }

    #[test]
    fn times_are_round() {
        let check = |from: &str, to: &str, most: u32, labels: &[&str]| {
            let ticks = of_times(from.parse().unwrap(), to.parse().unwrap(), most);
            assert_eq!(ticks.labels, labels, "{from} {to}");
            assert!(ticks.at.iter().all(|at| (0.0..=ticks.end).contains(at)), "{ticks:?}");
        };
        check("2026-01-01T22:30:00Z", "2026-01-02T02:00:00Z", 5, &["23:00", "01-02", "01:00", "02:00"]);
        check(
            "2026-01-02T00:00:01Z",
            "2026-01-02T00:00:20Z",
            5,
            &["00:00:05", "00:00:10", "00:00:15", "00:00:20"],
        );
        check(
            "2026-01-01T00:00:00Z",
            "2026-01-04T00:00:00Z",
            4,
            &["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
        );
        let centuries =
            of_times("2000-01-01T00:00:00Z".parse().unwrap(), "2200-01-01T00:00:00Z".parse().unwrap(), 10);
        assert!((2..=11).contains(&centuries.at.len()), "{centuries:?}");
    }
}
