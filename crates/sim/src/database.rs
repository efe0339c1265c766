//! A database in memory that keeps the contract of [`Target`] to the letter, and fails when it is told to.
//!
//! ```text
//! connect ── session      ends when the server goes away, is dropped, restored, or by a fault
//! claim   ── lock range ─ check ─ set writer ─ COMMIT
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

use event::{LogId, Position};
use projector::{
    ApplyError, ApplyOutcome, Batch, ClaimCheck, ClaimError, Cursor, Digest, ErrorKind, Lane, LogIdentity,
    RangeState, Target, TargetError, WriterId,
};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::faults::{Call, Fault, Faults};
use crate::rows::{Rows, plan};

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
    calls: Vec<(Call, Instant)>,
    commits: Vec<Commit>,
}

/// What the database holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Data {
    /// All tables.
    pub rows: Rows,
    /// The progress: ranges by log and first position.
    pub ranges: BTreeMap<(LogId, Position), Range>,
    /// How each range came to where it is.
    pub passed: BTreeMap<(LogId, Position), Vec<Commit>>,
    /// The positions of every event that was ever applied: rows outlive the progress.
    pub applied: BTreeMap<LogId, BTreeSet<Position>>,
}

/// One range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// How far it is.
    pub cursor: Cursor,
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
    lo: Position,
    range: Range,
    rows: Rows,
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

    /// The range of this log, when there is one.
    pub fn range(&self, log: LogId) -> Option<Range> {
        self.shared.server().data.live_range(log).map(|(_, range)| range)
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
    fn live_range(&self, log: LogId) -> Option<(Position, Range)> {
        let mut ranges = self.ranges.iter().filter(|((of, _), _)| *of == log);
        ranges.next_back().map(|((_, lo), range)| (*lo, *range))
    }
}

impl Server {
    fn commit(&mut self, change: Change) {
        self.data.rows.extend(change.rows);
        self.data.ranges.insert((change.log, change.lo), change.range);
        self.commits.extend(change.commit);
        let Some(commit) = change.commit else { return };
        self.data.passed.entry((change.log, change.lo)).or_default().push(commit);
        if !commit.is_hole {
            let positions = (commit.from.0..commit.to.0).map(Position);
            self.data.applied.entry(change.log).or_default().extend(positions);
        }
    }
}

impl Target for MemoryTarget {
    type Lane = MemoryLane;

    async fn connect(&self, log: &LogIdentity) -> Result<MemoryLane, TargetError> {
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
    async fn claim(
        &mut self,
        writer: WriterId,
        first: Position,
        check: ClaimCheck<'_>,
    ) -> Result<RangeState, ClaimError> {
        let fault = self.shared.begin(Call::Claim).await;
        let lock = self.shared.lock().await;
        self.check_session().map_err(ClaimError::Target)?;
        let log = self.log.log_id;
        let found = self.shared.server().data.live_range(log);
        let new = Range { cursor: Cursor { next: first, digest: None }, writer: None };
        let (lo, Range { cursor, writer: before }) = found.unwrap_or((first, new));
        let state = RangeState { lo, cursor, writer: before };
        check(&state).map_err(ClaimError::Diverged)?;
        sleep(STEP).await;
        let range = Range { cursor, writer: Some(writer) };
        let change = Change { log, lo, range, rows: Rows::new(), commit: None };
        self.commit(lock, change, fault).await.map_err(|(_, error)| ClaimError::Target(error))?;
        Ok(state)
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
        if found != Some(Range { cursor: batch.from, writer: Some(batch.writer) }) {
            return Err(ApplyError::Overtaken { lo });
        }
        sleep(STEP).await;
        let (rows, outcome) = plan(&self.shared.server().data.rows, &self.log, batch.entries);
        sleep(STEP).await;
        let range = Range { cursor: batch.to, writer: Some(batch.writer) };
        let (from, to) = (batch.from.next, batch.to.next);
        let commit = Commit { writer: batch.writer, from, to, is_hole: batch.entries.is_empty() };
        let commit = (from != to).then_some(commit);
        let change = Change { log, lo, range, rows, commit };
        match self.commit(lock, change, fault).await {
            Ok(()) => Ok(outcome),
            Err((Committed::No, error)) => Err(ApplyError::Target(error)),
            Err((Committed::Unknown, source)) => Err(ApplyError::Unsettled { outcome, source }),
        }
    }
}

/// What is known of a COMMIT that failed.
enum Committed {
    No,
    Unknown,
}

impl MemoryLane {
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
        sleep(STEP).await;
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
