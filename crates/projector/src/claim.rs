//! What a claim finds, judged: whether the log is the one that the range was applied from.
//!
//! The digest names the last applied record. What the log has at its place says:
//!
//! ```text
//! the same record          go
//! another record           halt: diverged
//! a hole that ends there   the same by the checksum that the hole kept, or as above
//! a hole that holds next   cannot be told: go on; who goes over the hole says so with it
//! any other hole           cannot be told: go on, and say so once
//! an unreadable record     cannot be told: go on, and say so once
//! nothing                  halt: the log is behind its database
//! no answer for now        ask again later
//! ```
//!
//! Where the log was trimmed, or lost its tail, `next` may lie in a hole or before one: that is no divergence.

use event::{Found, Hole, Position};

use crate::source::{Source, SourceError};
use crate::target::{Cursor, Digest, Divergence, RangeState, Refusal};

/// A digest that cannot be compared with the log.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// The digest's place.
    at: Position,
    /// Why it cannot be compared.
    reason: String,
}

impl Doubt {
    /// Tells it, unless the same record was told of before.
    ///
    /// NOTE: a claim follows every outage, and the doubt stays for as long as nothing new is applied.
    pub(crate) fn tell(&self, told: &mut Option<Position>) {
        if told.replace(self.at) != Some(self.at) {
            tracing::warn!(
                position = %self.at,
                reason = %self.reason,
                "the last applied event cannot be compared with the log: going on without",
            );
        }
    }
}

/// Whether the log is the one that the range has been applied from; a doubt where that cannot be told.
pub(crate) fn check_range(source: &impl Source, range: &RangeState) -> Result<Option<Doubt>, Refusal> {
    let behind = |next, log_next| Refusal::Diverged(Divergence::Behind { next, log_next });
    let (ends, next) = (source.ends(), range.cursor.next);
    // NOTE: a range that ends beyond the log was cut from one that was longer.
    let reaches = range.hi.unwrap_or(next);
    if reaches > ends.next {
        return Err(behind(reaches, ends.next));
    }
    let Some(digest) = range.cursor.digest else { return Ok(None) };
    let at = digest.at;
    match source.find(at) {
        Ok(Found::Record(found)) => compare(digest, found),
        Ok(Found::Hole(Hole { hi, checksum: Some(found), .. })) if hi == at => compare(digest, found),
        // NOTE: the next step goes over this hole, and warns of it once for all.
        Ok(Found::Hole(Hole { hi, .. })) if hi >= next => Ok(None),
        Ok(Found::Hole(hole)) => Ok(Some(Doubt { at, reason: in_hole(&hole) })),
        // NOTE: only durable positions are applied, so a log that has none there was another one, and grows.
        Ok(Found::Nothing) => Err(behind(next, ends.durable.next())),
        Err(SourceError::Away) => Err(Refusal::SourceAway),
        Err(error) => Ok(Some(Doubt { at, reason: error.to_string() })),
    }
}

/// The cursor of a range that begins at `next`: its digest is the record in front of it, so that the first claim
/// can tell already whether it is the log's.
pub(crate) fn cursor_at(source: &impl Source, next: Position) -> Result<Cursor, Refusal> {
    let at = next.before();
    if at < Position::FIRST {
        return Ok(Cursor { next, digest: None });
    }
    let digest = match source.find(at) {
        Ok(Found::Record(checksum)) => Some(Digest { checksum, at }),
        Err(SourceError::Away) => return Err(Refusal::SourceAway),
        // NOTE: without one, the first batch makes it.
        Ok(Found::Hole(_) | Found::Nothing) | Err(_) => None,
    };
    Ok(Cursor { next, digest })
}

/// Where the hole that `position` lies in ends, if it lies in one: a cut there does not tell it twice.
pub(crate) fn behind_hole(source: &impl Source, position: Position) -> Position {
    match source.find(position) {
        Ok(Found::Hole(hole)) => hole.hi.next(),
        _ => position,
    }
}

fn compare(Digest { checksum: applied, at }: Digest, found: u32) -> Result<Option<Doubt>, Refusal> {
    let different = Divergence::Different { at, applied, found };
    if found == applied { Ok(None) } else { Err(Refusal::Diverged(different)) }
}

fn in_hole(Hole { lo, hi, cause, .. }: &Hole) -> String {
    format!("positions {lo} to {hi} are a hole ({cause})")
}

#[cfg(test)]
mod tests {
    use event::{HoleCause, HostName, LogId, Stretch};

    use super::*;
    use crate::source::{Ends, LogIdentity, ReadLimits};

    /// A log that ends before position 31, durable before 27, and has this at every position.
    struct Fixed(Option<Found>);

    impl Source for Fixed {
        fn identity(&self) -> LogIdentity {
            LogIdentity { log_id: LogId::random(), host: HostName::new("here").unwrap() }
        }

        fn ends(&self) -> Ends {
            Ends { first: Position(11), next: Position(31), durable: Position(26) }
        }

        fn find(&self, position: Position) -> Result<Found, SourceError> {
            let reason = "the checksum differs".to_owned();
            self.0.ok_or(SourceError::Unreadable { position, reason })
        }

        async fn read(&self, _: Position, _: ReadLimits) -> Result<Stretch, SourceError> {
            Ok(Stretch::NOTHING)
        }

        async fn wait_for(&self, _: Position) -> Result<(), SourceError> {
            Ok(())
        }
    }

    fn range(cursor: Cursor, hi: Option<Position>) -> RangeState {
        RangeState { lo: Position(1), cursor, hi, writer: None, applied_at: None }
    }

    fn told(refusal: &Refusal) -> String {
        match refusal {
            Refusal::Diverged(divergence) => divergence.to_string(),
            Refusal::SourceAway => "away".to_owned(),
        }
    }

    /// Judges a range before `next` whose last applied record is 25 with checksum 7: a doubt's text, or a halt's.
    fn check(next: u64, found: Option<Found>, expected: &str) {
        let digest = Some(Digest { checksum: 7, at: Position(25) });
        let cursor = Cursor { next: Position(next), digest };
        let verdict = check_range(&Fixed(found), &range(cursor, None));
        let told = match verdict {
            Ok(doubt) => doubt.map_or_else(String::new, |doubt| format!("{}: {}", doubt.at, doubt.reason)),
            Err(refusal) => told(&refusal),
        };
        assert!(
            told.starts_with(expected) && told.is_empty() == expected.is_empty(),
            "{next} {found:?}: {told}"
        );
    }

    #[test]
    fn what_the_log_has_at_the_digests_place_decides() {
        let hole = |hi, checksum| {
            Some(Found::Hole(Hole { lo: Position(1), hi: Position(hi), cause: HoleCause::Trimmed, checksum }))
        };
        let different = "diverged: the database has applied a record with checksum 00000007 at position 25, the \
                         log has 00000008 there";
        check(26, Some(Found::Record(7)), "");
        check(26, Some(Found::Record(8)), different);
        check(26, hole(25, Some(7)), "");
        check(26, hole(25, Some(8)), different);
        check(26, hole(25, None), "25: positions 1 to 25 are a hole (trimmed)");
        check(30, hole(29, None), "25: positions 1 to 29 are a hole (trimmed)");
        check(30, hole(29, Some(7)), "25: positions 1 to 29 are a hole (trimmed)");
        check(30, hole(29, Some(8)), "25: positions 1 to 29 are a hole (trimmed)");
        // The warning of the hole tells it.
        check(26, hole(29, Some(7)), "");
        check(29, hole(29, Some(8)), "");
        check(26, None, "25: position 25 of the log cannot be read: the checksum differs");
        check(31, Some(Found::Record(7)), "");
        check(32, Some(Found::Record(7)), "log behind database: ");
        check(32, hole(30, None), "log behind database: ");
    }

    /// The range was applied from a log that was durable there.
    #[test]
    fn a_log_that_grows_anew_towards_the_digest_is_behind() {
        let before = "log behind database: the database has applied everything before position 26, the log's \
                      next position is 27";
        check(26, Some(Found::Nothing), before);
    }

    #[test]
    fn a_range_that_ends_beyond_the_log_is_of_a_longer_one() {
        let cursor = Cursor { next: Position(5), digest: None };
        let judged = |hi| check_range(&Fixed(Some(Found::Record(8))), &range(cursor, Some(Position(hi))));
        assert!(matches!(judged(31), Ok(None)));
        let refusal = judged(32).unwrap_err();
        assert!(told(&refusal).starts_with("log behind database: "), "{refusal:?}");
    }

    #[test]
    fn nothing_applied_is_nothing_to_compare() {
        let cursor = Cursor { next: Position(5), digest: None };
        assert!(matches!(check_range(&Fixed(Some(Found::Record(8))), &range(cursor, None)), Ok(None)));
    }
}
