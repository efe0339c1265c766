//! Counting what was chosen: how many events of which kinds, and how many positions that have none any more.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use event::wire::Decoded;
use event::{Entry, Position, Stretch, Time};
use eventlog::EventLog;
use tokio_util::sync::CancellationToken;

use super::{Runs, STRETCH_EVENTS_MAX, stretch};
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::selection::Selection;
use crate::service::{Service, blocking};

/// Positions from the first of a part to the one behind its last.
pub(crate) type Part = (Position, Position);

/// What parts of the log have of a selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many events of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// How many more there are that the database would not keep.
    pub expired: u64,
    /// Positions that have no event any more.
    pub unavailable: u64,
}

/// What is counted.
struct Count {
    log: EventLog,
    selection: Selection,
    runs: Runs,
    /// Events before this have expired.
    kept_from: Option<Time>,
    tally: Tally,
}

impl Service {
    /// The part of the log that all events of a selection lie in, as its index says; `None` when there is none.
    pub(in crate::service) async fn part(
        &self,
        selection: &Selection,
        head: Position,
    ) -> Result<Option<Part>, Failure> {
        let runs = self.runs(selection, head).await?;
        let (start, end) = (selection.start(), selection.end(head.next()));
        let first = runs.at(start).0.max(start);
        let last = runs.last_before(end).map_or(Position(0), |(_, last)| last.min(end.before()));
        Ok((first <= last).then_some((first, last.next())))
    }

    /// Counts what these parts of the log have of a selection, and what of it a database would not keep.
    pub(in crate::service) async fn tally(
        &self,
        selection: &Selection,
        parts: Vec<Part>,
        head: Position,
        retention: Option<Duration>,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Tally, Failure> {
        let runs = self.runs(selection, head).await?;
        let (log, selection) = (self.log.clone(), selection.clone());
        let (output, stop) = (output.clone(), stop.clone());
        blocking(move || {
            let kept_from = retention.map(|kept| projector::kept_from(kept, SystemTime::now()));
            let mut count = Count { log, selection, runs, kept_from, tally: Tally::default() };
            for part in parts {
                count.holes(part)?;
                count.events(part, &output, &stop)?;
            }
            Ok(count.tally)
        })
        .await
    }
}

impl Tally {
    /// How many events there are that the database would be sent.
    #[must_use]
    pub(crate) fn events(&self) -> u64 {
        self.kinds.values().sum()
    }
}

impl Count {
    fn holes(&mut self, (lo, hi): Part) -> Result<(), Failure> {
        let holes = self.log.holes().map_err(|error| Failure::error(chain(&error)))?;
        let gone = holes.iter().map(|hole| hole.hi.next().min(hi).since(hole.lo.max(lo)));
        self.tally.unavailable += gone.sum::<u64>();
        Ok(())
    }

    fn events(&mut self, (lo, hi): Part, output: &Output, stop: &CancellationToken) -> Result<(), Failure> {
        let mut at = lo;
        while at < hi {
            if stop.is_cancelled() {
                return Err(Failure::error("stopped while the events were counted; nothing was sent"));
            }
            let (first, last) = self.runs.at(at);
            at = at.max(first);
            if at >= hi {
                break;
            }
            let most = hi.min(last.next()).since(at).min(STRETCH_EVENTS_MAX);
            at = match stretch(&self.log, at, most)? {
                Stretch::Hole(hole) => hole.hi.next(),
                Stretch::Events(entries) => {
                    let next = entries.last().map(|last| last.position.next());
                    let next = next.ok_or_else(|| Failure::error(format!("nothing is at position {at}")))?;
                    entries.iter().filter(|entry| entry.position < hi).for_each(|entry| self.add(entry));
                    next
                }
            };
            output.progress(Progress { done: at.since(lo), total: hi.since(lo), waiting: None });
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) {
        if !self.selection.has(entry) {
            return;
        }
        let kind = match &entry.event {
            Decoded::Event(event) => {
                if self.kept_from.is_some_and(|begin| event.time() < begin) {
                    self.tally.expired += 1;
                    return;
                }
                event.kind().name()
            }
            Decoded::Unknown { .. } => "unknown",
        };
        match self.tally.kinds.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.tally.kinds.insert(kind.to_owned(), 1),
        }
    }
}
