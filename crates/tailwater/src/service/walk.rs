//! Walking through the log in order: what `log tail` and `log export` do.
//!
//! A walk reads a stretch, renders it and tells it, one after the other, so that a slow reader slows the walk and
//! nothing gathers. It sees durable positions only; a walk with an end first waits until everything before it is.
//! Where times or kinds are chosen, the log's index says where it must look (`runs.rs`): an hour of ten million
//! events costs about that hour. Holes are told wherever they lie.

mod look_back;
mod runs;
mod tally;

use std::sync::Arc;

use event::{Hole, Position, Stretch};
use eventlog::{AppendError, EventLog, ReadError, ReadLimits};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::look_back::look_back;
use self::runs::Runs;
use super::{Service, blocking};
use crate::control::Progress;
use crate::control::output::Output;
use crate::failure::{Failure, chain};
use crate::render::{Page, Renderer, Style};
use crate::selection::Selection;

pub(super) use self::tally::{Part, Tally};

/// How many entries are read at once: ten milliseconds of work, and less than two megabytes of text.
const STRETCH_EVENTS_MAX: u64 = 4_096;

/// The answer to `log tail` and `log export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WalkAnswer {
    /// How many events were told.
    pub events: u64,
    /// How many were read for that.
    pub read: u64,
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
    runs: Runs,
    end: End,
}

/// A rendered stretch.
#[derive(Default)]
struct Step {
    page: Page,
    next: Position,
    read: u64,
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
        let runs = self.runs(&selection, head).await?;
        let renderer = Renderer::new(Style::Export, self.log.info().host);
        let walk = Walk { log: self.log.clone(), selection, renderer, runs, end: End::Before(end) };
        check_end(walk.go(start, output, stop).await?, end)
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
        let runs = self.runs(&selection, head).await?;
        let start = match begin {
            Begin::Selection => selection.start(),
            Begin::At(position) => Position(position),
            Begin::Last(count) => self.start_of_last(count, &selection, &runs, head, stop).await?,
        };
        let before = selection.end(head.next());
        let end = if follow { End::Never } else { End::Before(before) };
        let renderer = Renderer::new(style, self.log.info().host);
        let walk = Walk { log: self.log.clone(), selection, renderer, runs, end };
        let answer = walk.go(start, output, stop).await?;
        if follow { Ok(answer) } else { check_end(answer, before) }
    }

    /// Where events of the selection can lie.
    async fn runs(&self, selection: &Selection, head: Position) -> Result<Runs, Failure> {
        let (log, selection) = (self.log.clone(), selection.clone());
        blocking(move || Runs::of(&log, &selection, head)).await
    }

    /// The last position there is now, once it is durable; a failure while the log has failed.
    pub(super) async fn durable_head(&self) -> Result<Position, Failure> {
        let head = self.log.ends().next.before();
        let mut health = self.log.health();
        tokio::select! {
            biased;
            waited = self.log.wait_durable(head) => waited.map_err(|error| Failure::error(chain(&error)))?,
            // NOTE: who asks wants an answer; the disk may stay full for long.
            Ok(_) = health.wait_for(|health| health.error().is_some()) => {
                let failure = self.log.failure().unwrap_or(AppendError::Closed);
                return Err(Failure::error(chain(&failure)));
            }
        }
        Ok(head)
    }

    /// Where the last `count` events of the selection begin.
    async fn start_of_last(
        &self,
        count: u64,
        selection: &Selection,
        runs: &Runs,
        head: Position,
        stop: &CancellationToken,
    ) -> Result<Position, Failure> {
        let (log, selection, stop) = (self.log.clone(), selection.clone(), stop.clone());
        let runs = runs.clone();
        blocking(move || {
            let first = log.ends().first;
            let read = |from, events| {
                if stop.is_cancelled() {
                    return Err(Failure::error("stopped before the last events were found"));
                }
                stretch(&log, from, events)
            };
            look_back(read, |entry| selection.has(entry), count, &runs, first, head.next())
        })
        .await
    }
}

impl Walk {
    /// Goes from `start` to the end, or until it is stopped.
    async fn go(
        self,
        start: Position,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<WalkAnswer, Failure> {
        let walk = Arc::new(self);
        let mut answer = WalkAnswer { events: 0, read: 0, unknown: 0, holes: 0, next_position: start.0 };
        let mut at = start;
        while !stop.is_cancelled() && walk.is_before_the_end(at) {
            let this = Arc::clone(&walk);
            let step = blocking(move || this.step(at)).await?;
            if step.next == at {
                walk.wait(at, stop).await?;
                continue;
            }
            at = step.next;
            answer.add(&step);
            output.lines(&step.page.lines).await?;
            for notice in step.page.notices {
                output.notice(notice).await?;
            }
            walk.report(start, at, output);
        }
        Ok(answer)
    }

    fn is_before_the_end(&self, at: Position) -> bool {
        match self.end {
            End::Before(end) => at < end,
            End::Never => true,
        }
    }

    /// Reads and renders what lies at `at`, or goes on to where something can lie. It blocks.
    fn step(&self, at: Position) -> Result<Step, Failure> {
        let (lo, hi) = self.runs.at(at);
        if let Some(next) = self.without_reading(at, lo)? {
            return Ok(Step { next, ..Step::default() });
        }
        let end = match self.end {
            End::Before(end) => end.min(hi.next()),
            End::Never => hi.next(),
        };
        let mut step = Step { next: at, ..Step::default() };
        match stretch(&self.log, at, end.since(at).min(STRETCH_EVENTS_MAX))? {
            Stretch::Events(entries) => {
                step.read = entries.len() as u64;
                for entry in entries {
                    step.next = entry.position.next();
                    if self.selection.has(&entry) {
                        self.renderer.entry(entry, &mut step.page);
                    }
                }
            }
            Stretch::Hole(hole) => {
                let asked = self.part_asked_for(hole, at);
                step.next = asked.hi.next();
                step.is_hole = true;
                self.renderer.hole(&asked, &mut step.page);
            }
        }
        Ok(step)
    }

    /// Where to go on when nothing that was chosen lies before `run`: there, or at a hole on the way, which is
    /// told. `None` when there is something to read at `at`.
    fn without_reading(&self, at: Position, run: Position) -> Result<Option<Position>, Failure> {
        if run <= at {
            return Ok(None);
        }
        let holes = self.log.holes().map_err(|error| Failure::error(chain(&error)))?;
        let hole = holes.iter().find(|hole| hole.hi >= at && hole.lo < run);
        let next = hole.map_or(run, |hole| hole.lo.max(at));
        let next = match self.end {
            End::Before(end) => next.min(end),
            End::Never => next,
        };
        Ok((next > at).then_some(next))
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

impl WalkAnswer {
    fn add(&mut self, step: &Step) {
        self.events += step.page.events;
        self.read += step.read;
        self.unknown += step.page.unknown;
        self.holes += u64::from(step.is_hole);
        self.next_position = step.next.0;
    }
}

/// What lies at `at`: at most so many entries, or the hole that it lies in.
fn stretch(log: &EventLog, at: Position, events_max: u64) -> Result<Stretch, Failure> {
    let events_max = usize::try_from(events_max).unwrap_or(usize::MAX);
    let limits = ReadLimits { events_max, bytes_max: usize::MAX };
    log.read(at, limits).map_err(|error| unread(&error))
}

/// Why a walk ends before its end, and what to do about damage.
fn unread(error: &ReadError) -> Failure {
    let way_out = match error {
        ReadError::Engine { .. } | ReadError::Damaged { .. } | ReadError::Missing { .. } => {
            "; `tailwater log verify` tells how much is damaged, `tailwater log repair` saves the rest"
        }
        ReadError::Meta { .. } | ReadError::Failed | ReadError::Closed => "",
    };
    Failure::error(format!("{}{way_out}", chain(error)))
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

#[cfg(test)]
mod tests;
