//! The time rule: a sampler never repeats a series' time.
//!
//! Every event of one pass carries the pass's time, so one [`Stamps`] per sampler serves all its series.
//! The clock may stand still, wobble, or step back:
//!
//! | the clock says | the pass gets |
//! | --- | --- |
//! | later than the previous pass | what it says |
//! | the same, or at most a millisecond earlier | the previous time and a microsecond |
//! | earlier than that | what it says, and a [`ClockStep`] that becomes a `gap` event |

use event::Time;

/// How far back the clock may be and still count as a wobble, microseconds.
const WOBBLE_MICROS_MAX: i64 = 1_000;

/// Gives each pass a time of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    previous: Option<Time>,
}

/// The clock went back by more than a wobble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// What the clock says now: from here on, times come for the second time.
    pub from: Time,
    /// The time of the previous pass, up to which they have been used before.
    pub to: Time,
}

impl Stamps {
    /// The time for the next pass when the clock says `now`, and the step back if there was one.
    pub fn next(&mut self, now: Time) -> (Time, Option<ClockStep>) {
        let Some(previous) = self.previous else {
            self.previous = Some(now);
            return (now, None);
        };
        let back = previous.micros().saturating_sub(now.micros());
        let (time, step) = if back < 0 {
            (now, None)
        } else if back <= WOBBLE_MICROS_MAX {
            (previous.plus_micros(1), None)
        } else {
            (now, Some(ClockStep { from: now, to: previous }))
        };
        self.previous = Some(time);
        (time, step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: i64 = 1_767_323_045_000_000;

    fn check(offsets: &[i64], expected: &[(i64, bool)]) {
        let mut stamps = Stamps::default();
        for (offset, (time, stepped)) in offsets.iter().zip(expected) {
            let (stamp, step) = stamps.next(Time::from_micros(BASE + offset));
            assert_eq!(stamp, Time::from_micros(BASE + time), "{offsets:?}");
            assert_eq!(step.is_some(), *stepped, "{offsets:?} at {offset}");
        }
    }

    #[test]
    fn forward_is_kept() {
        check(&[0, 1, 1_000_000], &[(0, false), (1, false), (1_000_000, false)]);
    }

    #[test]
    fn a_wobble_adds_a_microsecond() {
        check(&[0, 0, 0], &[(0, false), (1, false), (2, false)]);
        check(&[5_000, 4_000], &[(5_000, false), (5_001, false)]);
    }

    #[test]
    fn a_larger_step_back_is_kept_and_told_once() {
        check(&[5_000, 3_999, 4_500], &[(5_000, false), (3_999, true), (4_500, false)]);
        let mut stamps = Stamps::default();
        stamps.next(Time::from_micros(BASE));
        let (_, step) = stamps.next(Time::from_micros(BASE - 10_000_000));
        let expected = ClockStep { from: Time::from_micros(BASE - 10_000_000), to: Time::from_micros(BASE) };
        assert_eq!(step, Some(expected));
    }

    proptest! {
        #[test]
        fn neighbours_differ_and_only_a_told_step_goes_back(offsets in prop::collection::vec(-5_000_i64..5_000, 1..50)) {
            let mut stamps = Stamps::default();
            let mut previous: Option<Time> = None;
            let mut clock = BASE;
            for offset in offsets {
                clock += offset;
                let (time, step) = stamps.next(Time::from_micros(clock));
                if let Some(previous) = previous {
                    prop_assert_ne!(time, previous);
                    prop_assert_eq!(time < previous, step.is_some());
                }
                previous = Some(time);
            }
        }
    }
}
