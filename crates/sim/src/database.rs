//! A database in memory that keeps the contract of [`Target`] to the letter, and fails when it is told to.
//!
//! A transaction changes nothing before its COMMIT, so a future that is dropped is a rollback, and one that is
//! dropped behind its COMMIT is a commit that nobody heard of. A connection that is lost during COMMIT leaves a
//! server backend that holds its locks until it has committed or rolled back; who wants them waits for it. Each
//! call takes [`STEP`] between its statements, so that everything can happen there. Ranges and rows have a lock
//! each, so that the transactions of several lanes run beside each other.
//!
//! What was committed it keeps for the auditor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event::{LogId, Position};
use projector::{Commit as Flush, Cursor, LaneName, LogIdentity, Target, TargetError, WriterId};
use tokio::time::{Instant, sleep};

use crate::faults::{Call, Fault, Faults};
use crate::lane::{Change, MemoryLane, lost, refused};
use crate::locks::{Locks, Owner, Transaction};
use crate::replay::{Ledger, ReplayData};
use crate::rows::Rows;

/// How long a statement takes.
pub const STEP: Duration = Duration::from_millis(1);

/// A database server with one database.
#[derive(Debug)]
pub struct MemoryTarget {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    server: Mutex<Server>,
    faults: Mutex<Faults>,
    locks: Arc<Locks>,
    /// What all lanes work on together: one at a time.
    disk: tokio::sync::Mutex<()>,
}

/// What a database tells of itself to a witness.
#[derive(Debug)]
pub enum Told<'a> {
    /// A call has begun, and this goes wrong with it.
    Called(Call, Option<Fault>),
    /// A transaction was committed, that of a batch or, without one, of a claim; so it is now.
    Committed(Option<Commit>, &'a Data),
}

/// Who is told of everything that happens to a database.
pub(crate) struct Witness(Box<dyn Fn(Told<'_>) + Send>);

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Server {
    is_away: bool,
    /// Counts up when every connection ends.
    pub(crate) sessions: u64,
    /// Counts up when the database becomes another one, so that no old backend can commit.
    pub(crate) databases: u64,
    pub(crate) data: Data,
    /// What a crash leaves, for whoever wants one.
    flushed: Option<Data>,
    pub(crate) poison: Poison,
    pub(crate) sending: Sending,
    pace: Pace,
    calls: Vec<(Call, Instant)>,
    commits: Vec<Commit>,
    usurpers: u64,
    witness: Option<Witness>,
}

/// How fast the database is, and how patient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How long an event takes, beside the statements. The lanes share this time.
    pub event: Duration,
    /// How long a transaction waits for a lock; `None` is for ever.
    pub lock: Option<Duration>,
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

/// Which events of what was read a batch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sending {
    /// All.
    #[default]
    All,
    /// Those that the database keeps.
    Kept,
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
    /// The replays, by their numbers.
    pub replays: BTreeMap<u64, ReplayData>,
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

impl MemoryTarget {
    /// A server with an empty database.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { shared: Arc::default() })
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

    /// Which events are sent from now on.
    pub fn set_sending(&self, sending: Sending) {
        self.shared.server().sending = sending;
    }

    /// How fast the database is from now on, and how patient.
    pub fn set_pace(&self, pace: Pace) {
        self.shared.server().pace = pace;
    }

    /// Tells this of everything that happens from now on.
    pub fn tell(&self, witness: impl Fn(Told<'_>) + Send + 'static) {
        self.shared.server().witness = Some(Witness(Box::new(witness)));
    }

    /// The server is there again.
    pub fn come_back(&self) {
        self.shared.server().is_away = false;
    }

    /// What is committed.
    pub fn data(&self) -> Data {
        self.shared.server().data.clone()
    }

    /// Looks at what is committed.
    pub fn look<T>(&self, look: impl FnOnce(&Data) -> T) -> T {
        look(&self.shared.server().data)
    }

    /// The rows that are committed.
    pub fn rows(&self) -> Rows {
        self.data().rows
    }

    /// The live range of this log, when there is one.
    pub fn range(&self, log: LogId) -> Option<Range> {
        self.look(|data| data.live(log).map(|(_, range)| range))
    }

    /// Another database stands in the place of this one: a backup, or `Data::default()`, an empty one.
    pub fn replace(&self, data: Data) {
        let mut server = self.shared.server();
        server.sessions += 1;
        server.databases += 1;
        server.data = data;
    }

    /// Keeps from now on what a crash would leave.
    pub fn keep_flushed(&self) {
        let mut server = self.shared.server();
        server.flushed = Some(server.data.clone());
    }

    /// What a crash would leave now, if that is kept: what was committed at the last flush.
    pub fn flushed(&self) -> Option<Data> {
        self.shared.server().flushed.clone()
    }

    /// Takes the progress away and leaves the rows.
    pub async fn wipe_progress(&self) {
        self.shared.locks.all_released().await;
        let mut server = self.shared.server();
        server.data.ranges.clear();
        server.data.passed.clear();
    }

    /// Waits until no server backend holds a lock.
    pub async fn settled(&self) {
        self.shared.locks.all_released().await;
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
    pub(crate) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    pub(crate) fn transaction(&self) -> Transaction {
        self.locks.begin(self.server().pace.lock)
    }

    /// Works on so many events, when nobody else does.
    pub(crate) async fn work(&self, events: usize) {
        let pace = self.server().pace.event;
        if pace > Duration::ZERO {
            let _disk = self.disk.lock().await;
            sleep(pace * u32::try_from(events).unwrap()).await;
        }
    }

    pub(crate) fn commit(&self, change: Change) {
        self.server().commit(change);
    }

    /// Another writer claims a range, from nowhere.
    pub(crate) fn usurp(&self, owner: Owner, lo: Position) {
        let mut server = self.server();
        server.usurpers += 1;
        let usurper = Some(WriterId::of(u128::MAX - u128::from(server.usurpers)));
        match owner {
            Owner::Log(log) => {
                server.data.ranges.entry((log, lo)).and_modify(|range| range.writer = usurper);
            }
            Owner::Replay(number) => {
                let replay = server.data.replays.entry(number);
                replay.and_modify(|it| _ = it.ranges.entry(lo).and_modify(|range| range.writer = usurper));
            }
        }
    }

    /// Begins a call: draws its fault, and waits as long as it says.
    pub(crate) async fn begin(&self, call: Call) -> Option<Fault> {
        let fault = self.faults.lock().unwrap().next(call);
        {
            let mut server = self.server();
            server.calls.push((call, Instant::now()));
            server.tell(Told::Called(call, fault));
        }
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
        let of = self.ranges.range((log, Position::default())..=(log, Position(u64::MAX)));
        of.map(|((_, lo), range)| (*lo, *range)).collect()
    }

    /// The live range of a log, when there is one.
    pub fn live(&self, log: LogId) -> Option<(Position, Range)> {
        self.ranges_of(log).into_iter().find(|(_, range)| range.hi.is_none())
    }
}

impl Server {
    fn tell(&self, told: Told<'_>) {
        if let Some(Witness(witness)) = &self.witness {
            witness(told);
        }
    }

    fn commit(&mut self, change: Change) {
        let log = change.log.log_id;
        self.data.rows.extend(change.plan.rows);
        let quarantine = self.data.quarantine.entry(log).or_default();
        quarantine.extend(change.plan.refused);
        quarantine.retain(|position| !change.plan.released.contains(position));
        let Change { ledger, ranges, sent, .. } = change;
        self.data.applied.entry(log).or_default().extend(&sent);
        match ledger {
            Ledger::Ranges => {
                for (lo, range) in ranges {
                    match range {
                        Some(range) => _ = self.data.ranges.insert((log, lo), range),
                        None => _ = self.data.ranges.remove(&(log, lo)),
                    }
                }
                self.commits.extend(change.commit);
                self.data.passed.entry(log).or_default().extend(change.commit);
            }
            Ledger::Replay(known) => self.data.commit_of_replay(&known, log, &ranges, &sent, change.commit),
        }
        if let Some(flushed) = self.flushed.as_mut().filter(|_| change.flush == Flush::Flushed) {
            flushed.clone_from(&self.data);
        }
        self.tell(Told::Committed(change.commit, &self.data));
    }
}

impl MemoryTarget {
    /// Opens a connection whose lanes move the progress that `ledger` says, once there is one.
    pub(crate) async fn open(
        &self,
        log: &LogIdentity,
        ledger: impl FnOnce(&mut Data) -> Ledger,
    ) -> Result<MemoryLane, TargetError> {
        match self.shared.begin(Call::Connect).await {
            Some(Fault::Lost | Fault::LostInCommit { .. }) => return Err(lost()),
            Some(Fault::Refused(kind)) => return Err(refused(kind)),
            _ => {}
        }
        let mut server = self.shared.server();
        if server.is_away {
            return Err(lost());
        }
        let session = server.sessions;
        let ledger = ledger(&mut server.data);
        drop(server);
        Ok(MemoryLane::new(Arc::clone(&self.shared), log.clone(), ledger, session))
    }
}

impl Target for MemoryTarget {
    type Lane = MemoryLane;

    async fn connect(&self, log: &LogIdentity, _name: LaneName) -> Result<MemoryLane, TargetError> {
        self.open(log, |_| Ledger::Ranges).await
    }
}
