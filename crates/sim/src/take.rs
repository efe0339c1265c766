//! A claim, thought through: which range it takes, what that merges with, and where it is cut.

use std::collections::BTreeMap;

use event::Position;
use projector::{Claim, ClaimError, Claimed, Cursor, ErrorKind, RangeState, TargetError, Wanted};

use crate::database::Range;

/// The ranges of a log, by their first positions.
pub(crate) type Ranges = BTreeMap<Position, Range>;

/// The range that is wanted, merged with what it meets.
pub(crate) struct Merged {
    found: (Position, Range),
    lo: Position,
    range: Range,
    /// The others.
    rest: Ranges,
    /// Those that went into it, the one that was found first.
    pub(crate) touched: Vec<Position>,
}

/// What a claim does.
pub(crate) struct Taking {
    pub(crate) claimed: Claimed,
    /// Ranges that change, or go.
    pub(crate) ranges: Vec<(Position, Option<Range>)>,
}

/// Finds the range that is wanted, and merges it with what it meets. One that `is_locked` comes last of those of
/// which any would do.
pub(crate) fn merge(
    ranges: &Ranges,
    claim: &Claim<'_>,
    is_locked: impl Fn(Position) -> bool,
) -> Result<Option<Merged>, ClaimError> {
    let Some(found) = find(ranges, claim, is_locked)? else { return Ok(None) };
    let is_free = |lo: &Position| !claim.busy.contains(lo);
    let (mut rest, mut touched) = (ranges.clone(), vec![found.0]);
    rest.remove(&found.0);
    let (mut lo, mut range) = found;
    while let Some((below, it)) = rest.range(..lo).next_back().map(|(lo, it)| (*lo, *it)) {
        if it.hi != Some(lo) || it.cursor.next < lo || !is_free(&below) {
            break;
        }
        rest.remove(&below);
        touched.push(below);
        let digest = range.cursor.digest.or(it.cursor.digest);
        (lo, range.cursor.digest) = (below, digest);
    }
    while let Some((above, it)) = range.hi.and_then(|hi| rest.get(&hi).map(|it| (hi, *it))) {
        if it.hi.is_none() || it.cursor.next > above || !is_free(&above) {
            break;
        }
        rest.remove(&above);
        touched.push(above);
        range.hi = it.hi;
    }
    Ok(Some(Merged { found, lo, range, rest, touched }))
}

fn find(
    ranges: &Ranges,
    claim: &Claim<'_>,
    is_locked: impl Fn(Position) -> bool,
) -> Result<Option<(Position, Range)>, ClaimError> {
    let new = |first| Range { cursor: Cursor { next: first, digest: None }, hi: None, writer: None };
    let mut all = ranges.iter().map(|(lo, range)| (*lo, *range));
    Ok(match claim.wanted {
        Wanted::Live { first } if ranges.is_empty() => {
            let first = first.max(Position::FIRST);
            Some((first, new(first)))
        }
        Wanted::Live { .. } => match all.find(|(_, range)| range.hi.is_none()) {
            None => return Err(ClaimError::Target(TargetError::new(ErrorKind::Fatal, "no live range"))),
            live => live,
        },
        Wanted::This { lo } => all.find(|(other, range)| *other == lo && range.hi.is_some()),
        Wanted::Oldest => {
            let is_open = |range: &Range| range.hi.is_some_and(|hi| range.cursor.next < hi);
            let open: Vec<_> = all.filter(|(lo, range)| is_open(range) && !claim.busy.contains(lo)).collect();
            open.iter().find(|(lo, _)| !is_locked(*lo)).or_else(|| open.first()).copied()
        }
    })
}

impl Merged {
    /// Has it judged, and cuts it as the judge says. `before` are the ranges as they were.
    pub(crate) fn judged(self, before: &Ranges, claim: &Claim<'_>) -> Result<Taking, ClaimError> {
        let Self { found, lo, range, rest: mut after, .. } = self;
        let cut = (claim.judge)(&state(lo, &range))?;
        let ours = Range { writer: Some(claim.writer), ..range };
        let taken = match (cut, range.hi) {
            (None, _) => (lo, ours),
            (Some(cut), None) => {
                after.insert(lo, Range { hi: Some(cut.next), ..range });
                (cut.next, Range { cursor: cut, ..ours })
            }
            (Some(cut), hi) => {
                after.insert(cut.next, Range { cursor: cut, hi, writer: None });
                (lo, Range { hi: Some(cut.next), ..ours })
            }
        };
        after.insert(taken.0, taken.1);
        let claimed = Claimed {
            found: state(found.0, &found.1),
            range: state(taken.0, &taken.1),
            ranges: after.iter().map(|(lo, range)| state(*lo, range)).collect(),
            quarantined: 0,
        };
        let gone = before.keys().filter(|lo| !after.contains_key(lo)).map(|lo| (*lo, None));
        let changed = after.iter().filter(|(lo, range)| before.get(lo) != Some(range));
        let ranges = gone.chain(changed.map(|(lo, range)| (*lo, Some(*range)))).collect();
        Ok(Taking { claimed, ranges })
    }
}

fn state(lo: Position, range: &Range) -> RangeState {
    let Range { cursor, hi, writer } = *range;
    RangeState { lo, cursor, hi, writer, applied_at: None }
}
