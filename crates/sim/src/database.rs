//! A database in memory that keeps the contract of [`Target`] to the letter, and fails when it is told to.
//!
//! ```text
//! connect ── session      ends when the server goes away, is dropped, restored, or by a fault
//! claim   ── lock range ─ merge ─ judge ─ cut ─ set writer ─ COMMIT
//! apply   ── lock range ─ compare next, digest, writer ─ rows by the tie-break ─ COMMIT
//! ```
//!
//! A transaction changes nothing before its COMMIT, so a future that is dropped is a rollback, and one that
//! is dropped behind its COMMIT is a commit that nobody heard of. A connection that is lost during COMMIT
//! leaves a server backend that holds the range's lock until it has committed or rolled back; the next claim
//! waits for it. Each call takes [`STEP`] between its statements, so that everything can happen there.
//!
//! It panics where the projector breaks its side of the contract: batches that are not dense, or whose
//! cursors do not fit them. What was committed it keeps for the auditor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event::{Entry, Event, LogId, Position};
use projector::{
    ApplyError, ApplyOutcome, Batch, Claim, ClaimError, Claimed, Cursor, Digest, ErrorKind, Lane, LaneName,
    LogIdentity, RangeState, Target, TargetError, Wanted, WriterId,
};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::faults::{Call, Fault, Faults};
use crate::rows::{Plan, Rows, plan};

/// How long a statement takes.
pub const STEP: Duration = Duration::from_millis(1);

/// A database server with one database.
#[derive(Debug)]
pub struct MemoryTarget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<Server>,
    faults: Mutex<Faults>,
    /// The lock of the ranges' rows.
    lock: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Server {
    is_away: bool,
    /// Counts up when every connection ends.
    sessions: u64,
    /// Counts up when the database becomes another one, so that no old backend can commit.
    databases: u64,
    data: Data,
    poison: Poison,
    calls: Vec<(Call, Instant)>,
    commits: Vec<Commit>,
}

/// Whether the database refuses events whose name is [`POISON`], as by a CHECK that its owner added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poison {
    /// It does.
    #[default]
    Refused,
    /// It takes them as any other.
    Taken,
}

/// The name of a system that the database refuses.
pub const POISON: &str = "poison";

/// What the database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data {
    /// All tables.
    pub rows: Rows,
    /// The progress: ranges by log and first position.
    pub ranges: BTreeMap<(LogId, Position), Range>,
    /// How the ranges of each log came to where they are, in the order of the commits.
    pub passed: BTreeMap<LogId, Vec<Commit>>,
    /// Events that the database refused.
    pub quarantine: BTreeMap<LogId, BTreeSet<Position>>,
    /// The positions of every event that was ever applied: rows outlive the progress.
    pub applied: BTreeMap<LogId, BTreeSet<Position>>,
}

/// One range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// How far it is.
    pub cursor: Cursor,
    /// The position behind its last; the live one has none.
    pub hi: Option<Position>,
    /// Who claimed it last.
    pub writer: Option<WriterId>,
}

/// A batch that was committed and moved its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Who applied it.
    pub writer: WriterId,
    /// Its first position.
    pub from: Position,
    /// The position behind its last.
    pub to: Position,
    /// Whether it has no events, and went over a hole.
    pub is_hole: bool,
}

/// What a transaction will change when it commits.
#[derive(Debug)]
struct Change {
    log: LogId,
    /// Ranges that change, or go.
    ranges: Vec<(Position, Option<Range>)>,
    plan: Plan,
    commit: Option<Commit>,
}

/// One connection.
#[derive(Debug)]
pub struct MemoryLane {
    shared: Arc<Shared>,
    log: LogIdentity,
    session: u64,
    is_lost: bool,
}

impl MemoryTarget {
    /// A server with an empty database.
    pub fn new() -> Arc<Self> {
        let shared = Shared { server: Mutex::default(), faults: Mutex::default(), lock: Arc::new(().into()) };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// What goes wrong from now on.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults.lock().unwrap()
    }

    /// The server goes away: every connection ends, and no new one begins.
    pub fn go_away(&self) {
        let mut server = self.shared.server();
        server.is_away = true;
        server.sessions += 1;
    }

    /// What becomes of poison from now on.
    pub fn set_poison(&self, poison: Poison) {
        self.shared.server().poison = poison;
    }

    /// The server is there again.
    pub fn come_back(&self) {
        self.shared.server().is_away = false;
    }

    /// What is committed.
    pub fn data(&self) -> Data {
        self.shared.server().data.clone()
    }

    /// The rows that are committed.
    pub fn rows(&self) -> Rows {
        self.data().rows
    }

    /// The live range of this log, when there is one.
    pub fn range(&self, log: LogId) -> Option<Range> {
        self.data().live(log).map(|(_, range)| range)
    }

    /// Another database stands in the place of this one: a backup, or `Data::default()`, an empty one.
    pub fn replace(&self, data: Data) {
        let mut server = self.shared.server();
        server.sessions += 1;
        server.databases += 1;
        server.data = data;
    }

    /// Takes the progress away and leaves the rows.
    pub async fn wipe_progress(&self) {
        let _lock = self.shared.lock().await;
        let mut server = self.shared.server();
        server.data.ranges.clear();
        server.data.passed.clear();
    }

    /// Waits until no server backend holds a lock.
    pub async fn settled(&self) {
        drop(self.shared.lock().await);
    }

    /// The batches that were committed, in order; those that only confirmed are not among them.
    pub fn commits(&self) -> Vec<Commit> {
        self.shared.server().commits.clone()
    }

    /// When calls of this sort began.
    pub fn times(&self, of: Call) -> Vec<Instant> {
        let server = self.shared.server();
        server.calls.iter().filter(|(call, _)| *call == of).map(|(_, at)| *at).collect()
    }
}

impl Shared {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    async fn lock(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.lock).lock_owned().await
    }

    /// Begins a call: draws its fault, and waits as long as it says.
    async fn begin(&self, call: Call) -> Option<Fault> {
        self.server().calls.push((call, Instant::now()));
        let fault = self.faults.lock().unwrap().next(call);
        match fault {
            Some(Fault::Slow(time)) => sleep(time).await,
            Some(Fault::Hangs) => std::future::pending().await,
            _ => sleep(STEP).await,
        }
        fault
    }
}

impl Data {
    /// The ranges of a log, in order.
    pub fn ranges_of(&self, log: LogId) -> Vec<(Position, Range)> {
        let of = self.ranges.iter().filter(|((of, _), _)| *of == log);
        of.map(|((_, lo), range)| (*lo, *range)).collect()
    }

    fn live(&self, log: LogId) -> Option<(Position, Range)> {
        self.ranges_of(log).into_iter().find(|(_, range)| range.hi.is_none())
    }
}

impl Server {
    fn commit(&mut self, change: Change) {
        self.data.rows.extend(change.plan.rows);
        let quarantine = self.data.quarantine.entry(change.log).or_default();
        quarantine.extend(change.plan.refused);
        quarantine.retain(|position| !change.plan.released.contains(position));
        for (lo, range) in change.ranges {
            match range {
                Some(range) => _ = self.data.ranges.insert((change.log, lo), range),
                None => _ = self.data.ranges.remove(&(change.log, lo)),
            }
        }
        self.commits.extend(change.commit);
        let Some(commit) = change.commit else { return };
        self.data.passed.entry(change.log).or_default().push(commit);
        if !commit.is_hole {
            let positions = (commit.from.0..commit.to.0).map(Position);
            self.data.applied.entry(change.log).or_default().extend(positions);
        }
    }
}

impl Target for MemoryTarget {
    type Lane = MemoryLane;

    async fn connect(&self, log: &LogIdentity, _name: LaneName) -> Result<MemoryLane, TargetError> {
        match self.shared.begin(Call::Connect).await {
            Some(Fault::Lost | Fault::LostInCommit { .. }) => return Err(lost()),
            Some(Fault::Refused(kind)) => return Err(refused(kind)),
            _ => {}
        }
        let server = self.shared.server();
        if server.is_away {
            return Err(lost());
        }
        let (shared, session) = (Arc::clone(&self.shared), server.sessions);
        Ok(MemoryLane { shared, log: log.clone(), session, is_lost: false })
    }
}

impl Lane for MemoryLane {
    async fn claim(&mut self, claim: &Claim<'_>) -> Result<Option<Claimed>, ClaimError> {
        let fault = self.shared.begin(Call::Claim).await;
        let lock = self.shared.lock().await;
        self.check_session().map_err(ClaimError::Target)?;
        let log = self.log.log_id;
        let ranges = self.shared.server().data.ranges_of(log);
        let Some(mut taken) = take(&ranges, claim)? else { return Ok(None) };
        let quarantine = self.shared.server().data.quarantine.get(&log).map_or(0, BTreeSet::len);
        taken.claimed.quarantined = quarantine as u64;
        sleep(STEP).await;
        let change = Change { log, ranges: taken.ranges, plan: Plan::default(), commit: None };
        self.commit(lock, change, fault).await.map_err(|(_, error)| ClaimError::Target(error))?;
        Ok(Some(taken.claimed))
    }

    async fn apply(&mut self, batch: &Batch<'_>) -> Result<ApplyOutcome, ApplyError> {
        check_batch(batch);
        let fault = self.shared.begin(Call::Apply).await;
        let lock = self.shared.lock().await;
        self.check_session().map_err(ApplyError::Target)?;
        let (log, lo) = (self.log.log_id, batch.lo);
        if fault == Some(Fault::Overtaken) {
            let usurper = Some(WriterId::random());
            self.shared.server().data.ranges.entry((log, lo)).and_modify(|range| range.writer = usurper);
        }
        let found = self.shared.server().data.ranges.get(&(log, lo)).copied();
        let is_ours = |range: &Range| range.cursor == batch.from && range.writer == Some(batch.writer);
        let Some(range) = found.filter(is_ours) else { return Err(ApplyError::Overtaken { lo }) };
        assert!(range.hi.is_none_or(|hi| batch.to.next <= hi), "a batch that leads out of its range");
        sleep(STEP).await;
        let plan = self.plan(batch.entries);
        let outcome = plan.outcome;
        sleep(STEP).await;
        let range = Range { cursor: batch.to, ..range };
        let (from, to) = (batch.from.next, batch.to.next);
        let commit = Commit { writer: batch.writer, from, to, is_hole: batch.entries.is_empty() };
        let commit = (from != to).then_some(commit);
        let change = Change { log, ranges: vec![(lo, Some(range))], plan, commit };
        match self.commit(lock, change, fault).await {
            Ok(()) => Ok(outcome),
            Err((Committed::No, error)) => Err(ApplyError::Target(error)),
            Err((Committed::Unknown, source)) => Err(ApplyError::Unsettled { outcome, source }),
        }
    }
}

/// A claim, thought through.
struct Taking {
    claimed: Claimed,
    /// Ranges that change, or go.
    ranges: Vec<(Position, Option<Range>)>,
}

/// Finds the range that is wanted, merges it with what it meets, and cuts it as the judge says.
fn take(ranges: &[(Position, Range)], claim: &Claim<'_>) -> Result<Option<Taking>, ClaimError> {
    let is_free = |lo: &Position| !claim.busy.contains(lo);
    let new = |first| Range { cursor: Cursor { next: first, digest: None }, hi: None, writer: None };
    let wanted = match claim.wanted {
        Wanted::Live { first } if ranges.is_empty() => Some((first, new(first))),
        Wanted::Live { .. } => ranges.iter().find(|(_, range)| range.hi.is_none()).copied(),
        Wanted::This { lo } => ranges.iter().find(|(other, _)| *other == lo).copied(),
        Wanted::Oldest => {
            let is_open = |range: &Range| range.hi.is_some_and(|hi| range.cursor.next < hi);
            ranges.iter().find(|(lo, range)| is_open(range) && is_free(lo)).copied()
        }
    };
    let Some((found_lo, found)) = wanted else { return Ok(None) };
    let mut after: BTreeMap<Position, Range> = ranges.iter().copied().collect();
    after.remove(&found_lo);
    let (mut lo, mut range) = (found_lo, found);
    while let Some((below, it)) = after.range(..lo).next_back().map(|(lo, it)| (*lo, *it)) {
        if it.hi != Some(lo) || it.cursor.next < lo || !is_free(&below) {
            break;
        }
        after.remove(&below);
        let digest = range.cursor.digest.or(it.cursor.digest);
        (lo, range.cursor.digest) = (below, digest);
    }
    while let Some((above, it)) = range.hi.and_then(|hi| after.get(&hi).map(|it| (hi, *it))) {
        if it.hi.is_none() || it.cursor.next > above || !is_free(&above) {
            break;
        }
        after.remove(&above);
        range.hi = it.hi;
    }
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
    let gone = ranges.iter().filter(|(lo, _)| !after.contains_key(lo)).map(|(lo, _)| (*lo, None));
    let claimed = Claimed {
        found: state(found_lo, &found),
        range: state(taken.0, &taken.1),
        ranges: after.iter().map(|(lo, range)| state(*lo, range)).collect(),
        quarantined: 0,
    };
    let ranges = gone.chain(after.iter().map(|(lo, range)| (*lo, Some(*range)))).collect();
    Ok(Some(Taking { claimed, ranges }))
}

fn state(lo: Position, range: &Range) -> RangeState {
    let Range { cursor, hi, writer } = *range;
    RangeState { lo, cursor, hi, writer, applied_at: None }
}

/// What is known of a COMMIT that failed.
enum Committed {
    No,
    Unknown,
}

impl MemoryLane {
    fn plan(&self, entries: &[Entry]) -> Plan {
        let server = self.shared.server();
        let is_poison =
            |event: &Event| matches!(event, Event::SystemSample(sample) if sample.system_name == POISON);
        let refuses = |event: &Event| server.poison == Poison::Refused && is_poison(event);
        let refused = server.data.quarantine.get(&self.log.log_id).cloned().unwrap_or_default();
        plan(&server.data.rows, &self.log, entries, refuses, &refused)
    }

    fn check_session(&mut self) -> Result<(), TargetError> {
        let sessions = self.shared.server().sessions;
        self.is_lost |= sessions != self.session;
        if self.is_lost { Err(lost()) } else { Ok(()) }
    }

    /// Ends a transaction as `fault` says.
    async fn commit(
        &mut self,
        lock: OwnedMutexGuard<()>,
        change: Change,
        fault: Option<Fault>,
    ) -> Result<(), (Committed, TargetError)> {
        self.check_session().map_err(|error| (Committed::No, error))?;
        match fault {
            Some(Fault::Lost) => {
                self.is_lost = true;
                return Err((Committed::No, lost()));
            }
            Some(Fault::Refused(kind)) => return Err((Committed::No, refused(kind))),
            Some(Fault::LostInCommit { effect, after }) => {
                self.is_lost = true;
                tokio::spawn(finish_alone(Arc::clone(&self.shared), lock, change, effect, after));
                return Err((Committed::Unknown, lost()));
            }
            _ => self.shared.server().commit(change),
        }
        drop(lock);
        sleep(if let Some(Fault::Late(time)) = fault { time } else { STEP }).await;
        // A server that goes away here has committed, and the answer does not arrive.
        self.check_session().map_err(|error| (Committed::Unknown, error))
    }
}

/// A server backend whose client has gone.
async fn finish_alone(
    shared: Arc<Shared>,
    lock: OwnedMutexGuard<()>,
    change: Change,
    effect: bool,
    after: Duration,
) {
    let database = shared.server().databases;
    sleep(after).await;
    let mut server = shared.server();
    if effect && server.databases == database {
        server.commit(change);
    }
    drop(server);
    drop(lock);
}

/// The projector's side of the contract.
fn check_batch(batch: &Batch<'_>) {
    assert!(batch.lo <= batch.from.next, "a batch before its range");
    let Some(last) = batch.entries.last() else {
        assert!(batch.to.next >= batch.from.next, "a hole that leads back");
        assert_eq!(batch.to.digest, batch.from.digest, "a digest of nothing");
        return;
    };
    let mut next = batch.from.next;
    for entry in batch.entries {
        assert_eq!(entry.position, next, "a batch that is not dense");
        next = next.next();
    }
    let digest = Some(Digest { checksum: last.checksum, at: last.position });
    assert_eq!(batch.to, Cursor { next, digest }, "the cursor behind a batch");
}

fn lost() -> TargetError {
    TargetError::new(ErrorKind::Retry, "the connection to the database was lost")
}

fn refused(kind: ErrorKind) -> TargetError {
    let position = (kind == ErrorKind::Data).then_some(Position(1));
    TargetError::new(kind, format!("the database refuses: {kind:?}")).at(position)
}
