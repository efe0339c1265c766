//! What a log keeps: which segments may go, and whether there is room.
//!
//! Whole segments go, the oldest first. What no database has yet is held back; only when such events alone
//! exceed the bound does `when_full` decide between refusing new events and dropping the oldest.

use std::time::Duration;

use event::{HoleCause, Position, Time};

use crate::settings::{Bounds, WhenFull};

/// Up to where events may be trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// No database: nothing is held back.
    None,
    /// A database has everything before this position, and nothing from it on.
    Unprojected(Position),
}

impl Floor {
    fn holds_back(self, last: Position) -> bool {
        matches!(self, Self::Unprojected(unprojected) if last >= unprojected)
    }
}

/// A segment that no event is added to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) last: Position,
    /// Bytes of its tables.
    pub(crate) bytes: u64,
    /// When the next one was begun, if that is known.
    pub(crate) sealed: Option<Time>,
}

/// What to do now. Positions are last positions of segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Up to where to trim.
    pub(crate) trim: Option<Position>,
    /// Up to where to drop what no database has.
    pub(crate) drop: Option<Position>,
    /// Whether new events must be refused.
    pub(crate) is_full: bool,
}

impl Plan {
    /// The steps in their order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Position, HoleCause)> + use<> {
        let trim = self.trim.map(|last| (last, HoleCause::Trimmed));
        let drop = self.drop.map(|last| (last, HoleCause::Dropped));
        trim.into_iter().chain(drop)
    }
}

/// Decides. `segments` are the sealed ones, the oldest first; `bytes` is all that the log takes on the disk.
pub(crate) fn plan(segments: &[Sealed], bytes: u64, bounds: &Bounds, floor: Floor, now: Time) -> Plan {
    let mut plan = Plan::default();
    let mut left = bytes;
    let mut rest = segments.iter().peekable();
    while let Some(segment) = rest.next_if(|segment| {
        !floor.holds_back(segment.last) && (left > bounds.max_bytes || is_old(segment, bounds.keep, now))
    }) {
        left = left.saturating_sub(segment.bytes);
        plan.trim = Some(segment.last);
    }
    if bounds.when_full == WhenFull::DropOldest {
        while let Some(segment) = rest.next_if(|_| left > bounds.max_bytes) {
            left = left.saturating_sub(segment.bytes);
            plan.drop = Some(segment.last);
        }
    }
    plan.is_full = left > bounds.max_bytes && bounds.when_full == WhenFull::Refuse && floor != Floor::None;
    plan
}

fn is_old(segment: &Sealed, keep: Option<Duration>, now: Time) -> bool {
    let (Some(keep), Some(sealed)) = (keep, segment.sealed) else { return false };
    let age = u64::try_from(now.micros().saturating_sub(sealed.micros())).unwrap_or_default();
    Duration::from_micros(age) > keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Trims;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Ten segments of 100 positions and 10 bytes, one sealed each hour, the last one now.
    fn segments() -> Vec<Sealed> {
        let hour = |hours: i64| Time::from_micros(hours * 3_600_000_000);
        (1..=10)
            .map(|number| Sealed {
                last: Position(number * 100),
                bytes: 10,
                sealed: Some(hour(i64::try_from(number).unwrap())),
            })
            .collect()
    }

    fn check(keep: Option<Duration>, max_bytes: u64, when_full: WhenFull, floor: Floor, expected: Plan) {
        let bounds = Bounds { keep, max_bytes, when_full, trims: Trims::Itself };
        let now = Time::from_micros(10 * 3_600_000_000);
        assert_eq!(plan(&segments(), 120, &bounds, floor, now), expected, "{bounds:?} {floor:?}");
    }

    fn trim(last: u64) -> Plan {
        Plan { trim: Some(Position(last)), ..Plan::default() }
    }

    #[test]
    fn within_the_bounds_everything_stays() {
        check(None, 120, WhenFull::Refuse, Floor::None, Plan::default());
        check(Some(HOUR * 10), 120, WhenFull::DropOldest, Floor::None, Plan::default());
    }

    #[test]
    fn the_oldest_segments_go_by_age_and_by_size() {
        check(Some(HOUR * 3), 120, WhenFull::Refuse, Floor::None, trim(600));
        check(None, 90, WhenFull::Refuse, Floor::None, trim(300));
        check(Some(HOUR * 8), 90, WhenFull::Refuse, Floor::None, trim(300));
        check(None, 90, WhenFull::Refuse, Floor::Unprojected(Position(1_000)), trim(300));
    }

    #[test]
    fn what_no_database_has_is_held_back_whatever_its_age() {
        let floor = Floor::Unprojected(Position(201));
        check(Some(HOUR * 3), 120, WhenFull::Refuse, floor, trim(200));
        check(Some(HOUR), 120, WhenFull::Refuse, Floor::Unprojected(Position(100)), Plan::default());
    }

    #[test]
    fn beyond_the_bound_new_events_are_refused_or_the_oldest_are_dropped() {
        let floor = Floor::Unprojected(Position(201));
        check(None, 90, WhenFull::Refuse, floor, Plan { is_full: true, ..trim(200) });
        check(None, 90, WhenFull::DropOldest, floor, Plan { drop: Some(Position(300)), ..trim(200) });
        check(None, 105, WhenFull::Refuse, floor, trim(200));
    }

    #[test]
    fn without_a_database_there_is_always_room() {
        check(None, 5, WhenFull::Refuse, Floor::None, trim(1_000));
    }
}
