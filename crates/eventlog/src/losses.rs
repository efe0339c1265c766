//! What the log tells of its own losses.

use event::{Event, Gap, Time};

/// The `gap` event that tells at `time` of so many events of the log itself, lost from `from` to `to`. A gap ends where
/// it begins, or later, also when the clock has stepped back meanwhile.
pub(crate) fn gap(time: Time, from: Time, to: Time, events: u64, reason: &str) -> Event {
    let (what, reason) = ("log".into(), reason.into());
    Event::Gap(Gap { time, host: None, from, to: to.max(from), events, what, reason })
}
