//! Walking through the log in order: what `log tail` and `log export` do.
//!
//! A walk reads a stretch, renders it and tells it, one after the other, so that a slow reader slows the walk and
//! nothing gathers. It sees durable positions only; a walk with an end first waits until everything before it is.

use std::sync::Arc;

use event::{Hole, Position, Stretch};
use eventlog::{EventLog, ReadLimits};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Service, blocking};
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::render::{Page, Renderer, Style};
use crate::selection::Selection;

/// How many entries are read at once: ten milliseconds of work, and less than two megabytes of text.
const STRETCH_EVENTS_MAX: u64 = 4_096;

/// The answer to `log tail` and `log export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WalkAnswer {
    /// How many events were told.
    pub events: u64,
    /// How many were chosen and could not be read: a newer version wrote them.
    pub unknown: u64,
    /// How many holes there were.
    pub holes: u64,
    /// Where the walk ended: the next position to read.
    pub next_position: u64,
}

/// Where a tail begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Begin {
    /// Where the selection begins.
    Selection,
    /// At so many events of the selection before the head.
    Last(u64),
    /// At this position.
    At(u64),
}

/// How a walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Before this position, which everything there is durable up to.
    Before(Position),
    /// When it is stopped.
    Never,
}

/// What stays the same on the way.
struct Walk {
    log: EventLog,
    selection: Selection,
    renderer: Renderer,
    end: End,
}

/// A rendered stretch.
struct Step {
    page: Page,
    next: Position,
    is_hole: bool,
}

impl Service {
    pub(super) async fn export(
        &self,
        selection: Selection,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<WalkAnswer, Failure> {
        let head = self.durable_head().await?;
        let (start, end) = (selection.start(), selection.end(head.next()));
        let answer = self.walk(Style::Export, selection, start, End::Before(end), output, stop).await?;
        check_end(answer, end)
    }

    pub(super) async fn tail(
        &self,
        selection: Selection,
        begin: Begin,
        follow: bool,
        style: Style,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<WalkAnswer, Failure> {
        let head = self.durable_head().await?;
        let start = match begin {
            Begin::Selection => selection.start(),
            Begin::At(position) => Position(position),
            Begin::Last(count) => self.start_of_last(count, &selection, head, stop).await?,
        };
        let before = selection.end(head.next());
        let end = if follow { End::Never } else { End::Before(before) };
        let answer = self.walk(style, selection, start, end, output, stop).await?;
        if follow { Ok(answer) } else { check_end(answer, before) }
    }

    /// The last position there is now, once it is durable.
    async fn durable_head(&self) -> Result<Position, Failure> {
        let head = self.log.ends().next.before();
        self.log.wait_durable(head).await.map_err(|error| Failure::error(chain(&error)))?;
        Ok(head)
    }

    /// Where the last `count` events of the selection begin.
    async fn start_of_last(
        &self,
        count: u64,
        selection: &Selection,
        head: Position,
        stop: &CancellationToken,
    ) -> Result<Position, Failure> {
        let (log, selection, stop) = (self.log.clone(), selection.clone(), stop.clone());
        blocking(move || {
            let first = log.ends().first;
            let read = |from, events| {
                if stop.is_cancelled() {
                    return Err(Failure::error("stopped before the last events were found"));
                }
                stretch(&log, from, events)
            };
            look_back(read, |entry| selection.has(entry), count, first, head.next())
        })
        .await
    }

    async fn walk(
        &self,
        style: Style,
        selection: Selection,
        start: Position,
        end: End,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<WalkAnswer, Failure> {
        let renderer = Renderer::new(style, self.log.info().host);
        let walk = Arc::new(Walk { log: self.log.clone(), selection, renderer, end });
        let mut answer = WalkAnswer { events: 0, unknown: 0, holes: 0, next_position: start.0 };
        let mut at = start;
        while !stop.is_cancelled() && walk.is_before_the_end(at) {
            let this = Arc::clone(&walk);
            let step = blocking(move || this.step(at)).await?;
            if step.next == at {
                walk.wait(at, stop).await?;
                continue;
            }
            output.lines(&step.page.lines).await?;
            for notice in step.page.notices {
                output.notice(notice).await?;
            }
            at = step.next;
            answer.events += step.page.events;
            answer.unknown += step.page.unknown;
            answer.holes += u64::from(step.is_hole);
            answer.next_position = at.0;
            walk.report(start, at, output);
        }
        Ok(answer)
    }
}

impl Walk {
    fn is_before_the_end(&self, at: Position) -> bool {
        match self.end {
            End::Before(end) => at < end,
            End::Never => true,
        }
    }

    /// Reads and renders what lies at `at`. It blocks.
    fn step(&self, at: Position) -> Result<Step, Failure> {
        let room = match self.end {
            End::Before(end) => end.since(at).min(STRETCH_EVENTS_MAX),
            End::Never => STRETCH_EVENTS_MAX,
        };
        let (mut page, mut next) = (Page::default(), at);
        let found = stretch(&self.log, at, room)?;
        let is_hole = matches!(found, Stretch::Hole(_));
        match found {
            Stretch::Events(entries) => {
                for entry in entries {
                    next = entry.position.next();
                    if self.selection.has(&entry) {
                        self.renderer.entry(entry, &mut page);
                    }
                }
            }
            Stretch::Hole(hole) => {
                let asked = self.part_asked_for(hole, at);
                next = asked.hi.next();
                self.renderer.hole(&asked, &mut page);
            }
        }
        Ok(Step { page, next, is_hole })
    }

    /// The part of a hole that lies in what was asked for.
    fn part_asked_for(&self, hole: Hole, at: Position) -> Hole {
        let hi = match self.end {
            End::Before(end) => hole.hi.min(end.before()),
            End::Never => hole.hi,
        };
        Hole { lo: hole.lo.max(at), hi, ..hole }
    }

    /// Waits until there is something at `at`, or it is to stop.
    async fn wait(&self, at: Position, stop: &CancellationToken) -> Result<(), Failure> {
        if let End::Before(end) = self.end {
            return Err(Failure::error(format!("nothing is at position {at}, and the log goes on to {end}")));
        }
        tokio::select! {
            waited = self.log.wait_durable(at) => waited.map_err(|error| Failure::error(chain(&error))),
            () = stop.cancelled() => Ok(()),
        }
    }

    fn report(&self, start: Position, at: Position, output: &Output) {
        if let End::Before(end) = self.end {
            let progress = Progress { done: at.since(start), total: end.since(start), waiting: None };
            output.progress(progress);
        }
    }
}

/// What lies at `at`: at most so many entries, or the hole that it lies in.
fn stretch(log: &EventLog, at: Position, events_max: u64) -> Result<Stretch, Failure> {
    let events_max = usize::try_from(events_max).unwrap_or(usize::MAX);
    let limits = ReadLimits { events_max, bytes_max: usize::MAX };
    log.read(at, limits).map_err(|error| Failure::error(chain(&error)))
}

/// Being stopped is no good end for what has one.
fn check_end(answer: WalkAnswer, end: Position) -> Result<WalkAnswer, Failure> {
    if answer.next_position >= end.0 {
        return Ok(answer);
    }
    Err(Failure::error(format!(
        "stopped before the end: everything before position {} was told, asked for was everything before {end}",
        answer.next_position
    )))
}

/// Where the last `count` chosen entries before `end` begin; `first` when there are not so many.
fn look_back(
    mut read: impl FnMut(Position, u64) -> Result<Stretch, Failure>,
    is_chosen: impl Fn(&event::Entry) -> bool,
    count: u64,
    first: Position,
    end: Position,
) -> Result<Position, Failure> {
    let (mut hi, mut wanted) = (end, count);
    while wanted > 0 && hi > first {
        let mut lo = Position(hi.0.saturating_sub(STRETCH_EVENTS_MAX)).max(first);
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
    use event::{AgentState, Entry, Event, Gap, HoleCause};

    use super::*;

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
        let selection = Selection::parse(None, None, Some(kind), event::Time::default()).unwrap();
        let reads = Cell::new(0);
        let found = look_back(
            |at, events| {
                reads.set(reads.get() + 1);
                Ok(read(holes, end, at, events))
            },
            |entry| selection.has(entry),
            count,
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
}
