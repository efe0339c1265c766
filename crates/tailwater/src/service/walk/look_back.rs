//! Where the last events of a selection begin: looking back from the head, until there are enough.

use event::{Entry, Position, Stretch};

use super::STRETCH_EVENTS_MAX;
use super::runs::Runs;
use crate::failure::Failure;

/// Where the last `count` chosen entries before `end` begin; `first` when there are not so many. Only what lies in
/// `runs` is looked at.
pub(super) fn look_back(
    mut read: impl FnMut(Position, u64) -> Result<Stretch, Failure>,
    is_chosen: impl Fn(&Entry) -> bool,
    count: u64,
    runs: &Runs,
    first: Position,
    end: Position,
) -> Result<Position, Failure> {
    let (mut hi, mut wanted) = (end, count);
    while wanted > 0 && hi > first {
        let Some((run_lo, run_hi)) = runs.last_before(hi) else { return Ok(first) };
        hi = hi.min(run_hi.next());
        let mut lo = Position(hi.0.saturating_sub(STRETCH_EVENTS_MAX)).max(run_lo).max(first);
        let mut chosen = Vec::new();
        let mut at = lo;
        while at < hi {
            match read(at, hi.since(at))? {
                Stretch::Events(entries) if entries.is_empty() => break,
                Stretch::Events(entries) => {
                    at = entries.last().map_or(hi, |last| last.position.next());
                    chosen.extend(entries.iter().filter(|it| is_chosen(it)).map(|it| it.position));
                }
                Stretch::Hole(hole) => {
                    at = hole.hi.next();
                    // NOTE: a hole can be longer than the whole rest of the log: go on before its beginning.
                    lo = lo.min(hole.lo);
                }
            }
        }
        let found = chosen.len() as u64;
        if let Some(start) =
            found.checked_sub(wanted).and_then(|skip| chosen.get(usize::try_from(skip).ok()?))
        {
            return Ok(*start);
        }
        wanted -= found;
        hi = lo;
    }
    Ok(if wanted == 0 { end } else { first })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use event::wire::Decoded;
    use event::{AgentState, Event, Gap, Hole, HoleCause};

    use super::*;
    use crate::selection::Selection;

    /// A log of `end - 1` positions: these holes, a gap at every hundredth position, states elsewhere.
    fn read(holes: &[(u64, u64)], end: u64, at: Position, events: u64) -> Stretch {
        if let Some((lo, hi)) = holes.iter().find(|(lo, hi)| (*lo..=*hi).contains(&at.0)) {
            let cause = HoleCause::Trimmed;
            return Stretch::Hole(Hole { lo: Position(*lo), hi: Position(*hi), cause, checksum: None });
        }
        let next_hole = holes.iter().map(|(lo, _)| *lo).filter(|lo| *lo > at.0).min().unwrap_or(end);
        let entry = |position: u64| {
            let event = match position % 100 {
                0 => Event::Gap(Gap::default()),
                _ => Event::AgentState(AgentState::default()),
            };
            Entry { position: Position(position), checksum: 0, bytes: 0, event: Decoded::Event(event) }
        };
        Stretch::Events((at.0..(at.0 + events).min(next_hole).min(end)).map(entry).collect())
    }

    fn check(holes: &[(u64, u64)], first: u64, end: u64, kind: &str, count: u64, start: u64) {
        check_in(&Runs::WHOLE, holes, (first, end), kind, count, start);
    }

    fn check_in(
        runs: &Runs,
        holes: &[(u64, u64)],
        (first, end): (u64, u64),
        kind: &str,
        count: u64,
        start: u64,
    ) {
        let selection = Selection::parse(None, None, Some(kind), event::Time::default()).unwrap();
        let reads = Cell::new(0);
        let found = look_back(
            |at, events| {
                reads.set(reads.get() + 1);
                Ok(read(holes, end, at, events))
            },
            |entry| selection.has(entry),
            count,
            runs,
            Position(first),
            Position(end),
        );
        assert_eq!(found.unwrap(), Position(start), "last {count} {kind} of {first}..{end} with {holes:?}");
        assert!(reads.get() < 100, "{} reads", reads.get());
    }

    #[test]
    fn the_last_events_are_found_from_behind() {
        check(&[], 1, 1, "agent_state", 10, 1);
        check(&[], 1, 6, "agent_state", 10, 1);
        check(&[], 1, 51, "agent_state", 10, 41);
        check(&[], 1, 51, "agent_state", 0, 51);
        check(&[], 1, 100_001, "gap", 10, 99_100);
        check(&[], 1, 100_001, "gap", 500, 50_100);
        check(&[], 1, 100_001, "gap", 5_000, 1);
        check(&[], 1, 100_001, "token_usage", 1, 1);
    }

    #[test]
    fn holes_are_jumped_over() {
        check(&[(1, 90)], 91, 101, "agent_state", 5, 95);
        check(&[(41, 45)], 1, 51, "agent_state", 10, 36);
        check(&[(1_000, 4_000_000_000)], 1, 4_000_000_011, "agent_state", 20, 990);
        check(&[(11, 4_000_000_000)], 1, 4_000_000_001, "agent_state", 3, 8);
        check(&[(1, 50)], 1, 51, "agent_state", 3, 1);
    }

    #[test]
    fn only_the_runs_are_looked_at() {
        let runs = Runs::new(&[(1, 150), (500_000, 500_300), (4_000_000_000, 4_000_000_000)]);
        let check = |count, start| check_in(&runs, &[], (1, 4_000_000_001), "gap", count, start);
        check(1, 4_000_000_000);
        check(2, 500_300);
        check(5, 500_000);
        check(6, 100);
        check(7, 1);
        check_in(&runs, &[(120, 500_250)], (1, 4_000_000_001), "gap", 3, 100);
    }
}
