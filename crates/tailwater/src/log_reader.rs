//! The log as a reader: the same questions as the database answers, for when there is none, or it is away.
//!
//! The index by time says which positions may hold events of the range; those are read and folded. What is
//! acknowledged and not yet durable is waited for, so that an answer has all that was told to be there.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use event::wire::Decoded;
use event::{Event, Kind, Position, Stretch, Text, Time, TokenUsage};
use eventlog::{EventLog, ReadLimits};
use query::fold::{
    AgentLatestFold, AgentSeriesFold, AgentStatesFold, AgentSummaryFold, ChannelSeriesFold, GapsFold,
    SystemSeriesFold, TokenSeriesFold,
};
use query::{
    AgentLatest, AgentRow, AgentSeries, AgentStates, AgentSummary, ChannelRow, ChannelSeries, GapRow, Gaps,
    ReadError, ReadErrorKind, Reader, StateRow, SystemRow, SystemSeries, TimeRange, TokenRow, TokenSeries,
};
use tokio::task::JoinError;
use usage::prices::Prices;

use crate::failure::chain;

/// How much is read at once: a millisecond or two of work.
const LIMITS: ReadLimits = ReadLimits { events_max: 4_096, bytes_max: usize::MAX };
/// The same for who waits for what is new.
const LIVE_LIMITS: ReadLimits = ReadLimits { events_max: 512, bytes_max: 1 << 20 };
/// How many reads may be done before they are folded.
const AHEAD: usize = 2;
/// How long one answer may take, as for a statement of the database.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The most events that one answer is folded from: a few hundred bytes of memory each.
const EVENTS_MAX: u64 = 2_000_000;

/// Answers from a log that this process holds: the [`Reader`] that stands in for a database.
#[derive(Clone)]
pub struct LogReader {
    log: EventLog,
    prices: Arc<Prices>,
}

impl LogReader {
    /// A reader of this log, which computes costs by these prices.
    #[must_use]
    pub fn new(log: EventLog, prices: Arc<Prices>) -> Self {
        Self { log, prices }
    }

    /// The earliest time of which the log has something, and the host that it is of.
    ///
    /// # Errors
    /// When the log's index cannot be read.
    pub(crate) async fn covers(&self) -> Result<(Option<Time>, Vec<Text>), ReadError> {
        let log = self.log.clone();
        let work = move || log.earliest().map_err(|error| unreadable(&error));
        let earliest =
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(panicked(error)))?;
        Ok((earliest, vec![Text::new(self.log.info().host.as_str())]))
    }

    /// The position that the next event gets, and the host of events that name none.
    #[must_use]
    pub(crate) fn head(&self) -> (Position, Text) {
        (self.log.ends().next, Text::new(self.log.info().host.as_str()))
    }

    /// What lies from this position on, once there is something durable.
    ///
    /// # Errors
    /// When it cannot be read, or the log ends before.
    pub(crate) async fn stretch(&self, from: Position) -> Result<Stretch, ReadError> {
        let log = self.log.clone();
        log.wait_durable(from).await.map_err(|error| unreadable(&error))?;
        let work = move || log.read(from, LIVE_LIMITS).map_err(|error| unreadable(&error));
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(panicked(error)))
    }

    /// Folds the events of these kinds and times on a thread that may block.
    async fn fold<A: Send + 'static>(
        &self,
        range: TimeRange,
        kinds: &'static [Kind],
        answer: impl FnOnce(Scan<'_>) -> Result<A, ReadError> + Send + 'static,
    ) -> Result<A, ReadError> {
        let head = self.log.ends().next.before();
        if head >= Position::FIRST {
            let durable = tokio::time::timeout(DEADLINE, self.log.wait_durable(head)).await;
            durable.map_err(|_| late())?.map_err(|error| unreadable(&error))?;
        }
        let (log, prices) = (self.log.clone(), Arc::clone(&self.prices));
        let work = move || {
            let host = log.info().host.to_string();
            answer(Scan { log: &log, prices: &prices, host: &host, range, kinds })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(panicked(error)))
    }
}

/// What one answer is made of.
struct Scan<'a> {
    log: &'a EventLog,
    prices: &'a Prices,
    /// Where events lie that name no host.
    host: &'a str,
    range: TimeRange,
    kinds: &'static [Kind],
}

impl Scan<'_> {
    /// What a call costs where nobody reported it.
    fn computed_cost(&self, usage: &TokenUsage) -> Option<f64> {
        self.prices.computed_cost(usage)
    }

    /// Hands over each event of the range and of these kinds, in the order of the positions. A thread reads and decodes
    /// meanwhile what comes next.
    fn each(&self, mut take: impl FnMut(&Event)) -> Result<(), ReadError> {
        let began = Instant::now();
        let times = eventlog::TimeRange { from: self.range.from(), to: self.range.to().plus_micros(-1) };
        let runs = self.log.runs_between(times, self.kinds).map_err(|error| unreadable(&error))?;
        let (ahead, stretches) = mpsc::sync_channel(AHEAD);
        let (back, spent) = mpsc::channel();
        let log = self.log;
        thread::scope(|scope| {
            scope.spawn(move || read(log, runs, &ahead, &spent));
            let mut folded = 0;
            for read in stretches {
                let (stretch, hi) = read?;
                if let Stretch::Events(entries) = &stretch {
                    for entry in entries.iter().filter(|entry| entry.position <= hi) {
                        if let Decoded::Event(event) = &entry.event
                            && self.range.contains(event.time())
                            && self.kinds.contains(&event.kind())
                        {
                            folded += 1;
                            take(event);
                        }
                    }
                }
                check(folded, began)?;
                // NOTE: at the end nobody wants it.
                let _ = back.send(stretch);
            }
            Ok(())
        })
    }
}

/// A stretch, and the last position in it that is wanted.
type Read = Result<(Stretch, Position), ReadError>;

/// Reads these runs, into the memory of stretches that are spent. It ends with them, with an error, or when nobody
/// takes what it has read.
fn read(
    log: &EventLog,
    runs: Vec<(Position, Position)>,
    ahead: &mpsc::SyncSender<Read>,
    spent: &mpsc::Receiver<Stretch>,
) {
    for (lo, hi) in runs {
        let mut at = lo;
        while at <= hi {
            let memory = spent.try_recv().unwrap_or(Stretch::NOTHING);
            let stretch = match log.read_again(at, LIMITS, memory) {
                Ok(stretch) => stretch,
                Err(error) => {
                    // NOTE: who has taken enough does not wait for this.
                    let _ = ahead.send(Err(unreadable(&error)));
                    return;
                }
            };
            at = match &stretch {
                Stretch::Hole(hole) => hole.hi.next(),
                Stretch::Events(entries) => match entries.last() {
                    Some(last) => last.position.next(),
                    None => break,
                },
            };
            if ahead.send(Ok((stretch, hi))).is_err() {
                return;
            }
        }
    }
}

fn check(folded: u64, began: Instant) -> Result<(), ReadError> {
    if folded > EVENTS_MAX {
        let message = format!(
            "the range has more than {EVENTS_MAX} events, which the log cannot fold at once: take a shorter one, or ask \
             with a database"
        );
        return Err(ReadError::new(ReadErrorKind::Invalid, message));
    }
    if began.elapsed() > DEADLINE { Err(late()) } else { Ok(()) }
}

fn panicked(error: JoinError) -> ReadError {
    ReadError::new(ReadErrorKind::Fatal, "the log's reader panicked").caused_by(error)
}

fn late() -> ReadError {
    let message = format!("the log gave no answer within {} s: take a shorter range", DEADLINE.as_secs());
    ReadError::new(ReadErrorKind::Unavailable, message)
}

fn unreadable(error: &eventlog::ReadError) -> ReadError {
    let kind = match error {
        eventlog::ReadError::Failed | eventlog::ReadError::Closed => ReadErrorKind::Unavailable,
        _ => ReadErrorKind::Fatal,
    };
    ReadError::new(kind, chain(error))
}

/// Makes the events of one kind rows: a fold that takes them one by one, and gives them at the end.
macro_rules! folded {
    ($self:ident, $request:ident, $range:expr, $kind:ident, $fold:ident) => {{
        let request = $request.clone();
        $self
            .fold($range, &[Kind::$kind], move |scan| {
                let mut fold = $fold::new(&request, scan.host);
                scan.each(|event| {
                    if let Event::$kind(it) = event {
                        fold.push(it);
                    }
                })?;
                Ok(fold.finish())
            })
            .await
    }};
}

impl Reader for LogReader {
    async fn system_series(&self, request: &SystemSeries) -> Result<Vec<SystemRow>, ReadError> {
        folded!(self, request, request.buckets.range(), SystemSample, SystemSeriesFold)
    }

    async fn agent_series(&self, request: &AgentSeries) -> Result<Vec<AgentRow>, ReadError> {
        folded!(self, request, request.buckets.range(), AgentSample, AgentSeriesFold)
    }

    async fn agent_latest(&self, request: &AgentLatest) -> Result<Vec<AgentRow>, ReadError> {
        folded!(self, request, request.range, AgentSample, AgentLatestFold)
    }

    async fn agent_summary(
        &self,
        agent_name: &str,
        range: TimeRange,
    ) -> Result<Option<AgentSummary>, ReadError> {
        let agent_name = agent_name.to_owned();
        self.fold(range, &[Kind::AgentSample, Kind::TokenUsage], move |scan| {
            let pricing = |usage: &TokenUsage, _: &str| scan.computed_cost(usage);
            let mut fold = AgentSummaryFold::new(&agent_name, range, scan.host, &pricing);
            scan.each(|event| match event {
                Event::AgentSample(sample) => fold.push(sample),
                Event::TokenUsage(usage) => fold.push_usage(usage),
                _ => {}
            })?;
            Ok(fold.finish())
        })
        .await
    }

    async fn channel_series(&self, request: &ChannelSeries) -> Result<Vec<ChannelRow>, ReadError> {
        folded!(self, request, request.buckets.range(), ChannelSample, ChannelSeriesFold)
    }

    async fn token_series(&self, request: &TokenSeries) -> Result<Vec<TokenRow>, ReadError> {
        let request = request.clone();
        self.fold(request.cut.range(), &[Kind::TokenUsage], move |scan| {
            let pricing = |usage: &TokenUsage, _: &str| scan.computed_cost(usage);
            let mut fold = TokenSeriesFold::new(&request, scan.host, &pricing);
            scan.each(|event| {
                if let Event::TokenUsage(usage) = event {
                    fold.push(usage);
                }
            })?;
            Ok(fold.finish())
        })
        .await
    }

    async fn agent_states(&self, request: &AgentStates) -> Result<Vec<StateRow>, ReadError> {
        folded!(self, request, request.range, AgentState, AgentStatesFold)
    }

    async fn gaps(&self, request: &Gaps) -> Result<Vec<GapRow>, ReadError> {
        folded!(self, request, request.range, Gap, GapsFold)
    }
}

#[cfg(test)]
mod tests;
