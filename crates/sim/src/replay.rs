//! The progress of replays in a database in memory, and a target whose lanes move it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use event::{LogId, Position};
use projector::{Cursor, LaneName, LogIdentity, ReplayBegin, ReplayRequest, Target, TargetError};

use crate::database::{Commit, Data, MemoryTarget, Range};
use crate::lane::MemoryLane;
use crate::locks::Owner;
use crate::take::Ranges;

/// Whose progress a lane moves.
#[derive(Clone, Debug)]
pub(crate) enum Ledger {
    /// The projection's of the log.
    Ranges,
    /// A replay's.
    Replay(Known),
}

/// A replay whose lanes know which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    number: u64,
    asked: ReplayRequest,
}

/// A replay, as the database has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayData {
    /// Which log's.
    pub log: LogId,
    /// What was asked for.
    pub request: String,
    /// Its first position, and the one behind its last.
    pub ends: (Position, Position),
    /// Its progress.
    pub ranges: BTreeMap<Position, Range>,
    /// How that came to where it is, in the order of the commits.
    pub passed: Vec<Commit>,
    /// The positions of the events that it sent.
    pub sent: BTreeSet<Position>,
    /// Whether a claim has found that nothing is left.
    pub is_finished: bool,
}

impl Ledger {
    pub(crate) const fn owner(&self, log: LogId) -> Owner {
        match self {
            Self::Ranges => Owner::Log(log),
            Self::Replay(known) => Owner::Replay(known.number),
        }
    }

    /// The ranges that a claim finds: a replay that is not there is made.
    pub(crate) fn ranges(&self, data: &Data, log: LogId) -> Ranges {
        match self {
            Self::Ranges => data.ranges_of(log).into_iter().collect(),
            Self::Replay(known) => {
                let there = data.replays.get(&known.number).map(|replay| replay.ranges.clone());
                there.unwrap_or_else(|| known.new_ranges())
            }
        }
    }
}

impl Known {
    fn new_ranges(&self) -> Ranges {
        let ReplayRequest { lo, hi, .. } = self.asked;
        let range = Range { cursor: Cursor { next: lo, digest: None }, hi: Some(hi), writer: None };
        BTreeMap::from([(lo, range)])
    }

    fn new_data(&self, log: LogId) -> ReplayData {
        ReplayData {
            log,
            request: self.asked.request.clone(),
            ends: (self.asked.lo, self.asked.hi),
            ranges: self.new_ranges(),
            passed: Vec::new(),
            sent: BTreeSet::new(),
            is_finished: false,
        }
    }

    /// Which replay it is: the unfinished one of the same request, or a new one.
    fn settle(data: &Data, log: LogId, new: u64, asked: &ReplayRequest) -> Self {
        let is_it = |it: &ReplayData| it.log == log && it.request == asked.request && !it.is_finished;
        let found = data.replays.iter().rev().find(|(_, it)| is_it(it));
        match found.filter(|_| asked.begin == ReplayBegin::Resume) {
            None => Self { number: new, asked: asked.clone() },
            Some((number, ReplayData { ends: (lo, hi), .. })) => {
                Self { number: *number, asked: ReplayRequest { lo: *lo, hi: *hi, ..asked.clone() } }
            }
        }
    }
}

impl Data {
    pub(crate) fn commit_of_replay(
        &mut self,
        known: &Known,
        log: LogId,
        ranges: &[(Position, Option<Range>)],
        sent: &[Position],
        commit: Option<Commit>,
    ) {
        let is_new = !self.replays.contains_key(&known.number);
        if is_new && ranges.is_empty() {
            // NOTE: its end, said so late that another one has taken its place: the row that it would mark is gone.
            return;
        }
        if is_new {
            self.replays
                .retain(|_, it| it.log != log || !it.is_finished && it.request != known.asked.request);
        }
        let replay = self.replays.entry(known.number).or_insert_with(|| known.new_data(log));
        for (lo, range) in ranges {
            match range {
                Some(range) => _ = replay.ranges.insert(*lo, *range),
                None => _ = replay.ranges.remove(lo),
            }
        }
        replay.passed.extend(commit);
        replay.sent.extend(sent);
        let is_open = |range: &Range| range.hi.is_some_and(|hi| range.cursor.next < hi);
        // NOTE: a claim that has found something changes ranges.
        replay.is_finished |= ranges.is_empty() && !replay.ranges.values().any(is_open);
    }
}

/// What a replay is given.
#[derive(Debug)]
pub struct MemoryReplayTarget {
    target: Arc<MemoryTarget>,
    asked: ReplayRequest,
    /// Its number, if it is a new one.
    number: u64,
    settled: OnceLock<Known>,
}

impl MemoryReplayTarget {
    /// A replay into this database; a new one gets this number.
    pub fn new(target: Arc<MemoryTarget>, asked: ReplayRequest, number: u64) -> Arc<Self> {
        Arc::new(Self { target, asked, number, settled: OnceLock::new() })
    }
}

impl Target for MemoryReplayTarget {
    type Lane = MemoryLane;

    async fn connect(&self, log: &LogIdentity, _name: LaneName) -> Result<MemoryLane, TargetError> {
        let settle = |data: &mut Data| {
            let known = || Known::settle(data, log.log_id, self.number, &self.asked);
            Ledger::Replay(self.settled.get_or_init(known).clone())
        };
        self.target.open(log, settle).await
    }
}
