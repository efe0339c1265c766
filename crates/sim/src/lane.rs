//! One connection with a database in memory: its two transactions, and how they end.
//!
//! ```text
//! claim   ── lock range and neighbours ─ merge ─ judge ─ cut ─ set writer ─ COMMIT
//! apply   ── lock range ─ compare next, digest, writer ─ lock each row ─ rows by the tie-break ─ COMMIT
//! ```
//!
//! It panics where the projector breaks its side of the contract: batches that are not dense, or whose cursors do
//! not fit them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::wire::Decoded;
use event::{Entry, Event, Position};
use projector::{
    ApplyError, ApplyOutcome, Batch, Claim, ClaimError, Claimed, Commit as Flush, Cursor, Digest, ErrorKind,
    Lane, LogIdentity, TargetError, Wanted,
};
use tokio::time::sleep;

use crate::database::{Commit, POISON, Poison, Range, STEP, Sending, Shared};
use crate::faults::{Call, Fault};
use crate::locks::{Lock, Owner, Taken, Transaction};
use crate::replay::Ledger;
use crate::rows::{Key, Plan, plan};
use crate::take::{Merged, Ranges, merge};

/// One connection.
#[derive(Debug)]
pub struct MemoryLane {
    shared: Arc<Shared>,
    log: LogIdentity,
    ledger: Ledger,
    session: u64,
    is_lost: bool,
}

/// What a transaction will change when it commits.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) log: LogIdentity,
    pub(crate) ledger: Ledger,
    /// Ranges that change, or go.
    pub(crate) ranges: Vec<(Position, Option<Range>)>,
    pub(crate) plan: Plan,
    /// Where the events lie that were sent.
    pub(crate) sent: Vec<Position>,
    pub(crate) commit: Option<Commit>,
    pub(crate) flush: Flush,
}

/// What is known of a COMMIT that failed.
enum Committed {
    No,
    Unknown,
}

impl Lane for MemoryLane {
    async fn claim(&mut self, claim: &Claim<'_>) -> Result<Option<Claimed>, ClaimError> {
        let fault = self.shared.begin(Call::Claim).await;
        let transaction = self.shared.transaction();
        self.check_session().map_err(ClaimError::Target)?;
        let Some((before, merged)) = self.find(&transaction, claim).await? else {
            self.nothing_found(transaction, claim.wanted, fault).await?;
            return Ok(None);
        };
        self.check_session().map_err(ClaimError::Target)?;
        let mut taking = merged.judged(&before, claim)?;
        taking.claimed.quarantined = self.quarantine().len() as u64;
        sleep(STEP).await;
        let change = Change { ranges: taking.ranges, ..self.change() };
        let committed = self.commit(transaction, change, fault).await;
        committed.map_err(|(_, error)| ClaimError::Target(error))?;
        Ok(Some(taking.claimed))
    }

    fn is_usable(&self) -> bool {
        !self.is_lost
    }

    async fn apply(&mut self, batch: &Batch<'_>) -> Result<ApplyOutcome, ApplyError> {
        match (&self.ledger, self.shared.server().sending) {
            (Ledger::Ranges, Sending::All) => check_batch(batch),
            (Ledger::Ranges, Sending::Kept) | (Ledger::Replay(_), _) => check_sifted(batch),
        }
        let fault = self.shared.begin(Call::Apply).await;
        let transaction = self.shared.transaction();
        self.check_session().map_err(ApplyError::Target)?;
        transaction.lock(Lock::Range(self.owner(), batch.lo)).await.map_err(ApplyError::Target)?;
        if fault == Some(Fault::Overtaken) {
            self.shared.usurp(self.owner(), batch.lo);
        }
        let range = self.compare(batch)?;
        sleep(STEP).await;
        let plan = self.write(&transaction, batch.entries).await.map_err(ApplyError::Target)?;
        let outcome = plan.outcome;
        self.shared.work(batch.entries.len()).await;
        sleep(STEP).await;
        let (from, to) = (batch.from.next, batch.to.next);
        let commit = Commit { writer: batch.writer, from, to, is_hole: batch.entries.is_empty() };
        let ranges = vec![(batch.lo, Some(Range { cursor: batch.to, ..range }))];
        let sent = batch.entries.iter().map(|entry| entry.position).collect();
        let (commit, flush) = ((from != to).then_some(commit), batch.commit);
        let change = Change { ranges, plan, sent, commit, flush, ..self.change() };
        match self.commit(transaction, change, fault).await {
            Ok(()) => Ok(outcome),
            Err((Committed::No, error)) => Err(ApplyError::Target(error)),
            Err((Committed::Unknown, source)) => Err(ApplyError::Unsettled { outcome, source }),
        }
    }
}

impl MemoryLane {
    pub(crate) fn new(shared: Arc<Shared>, log: LogIdentity, ledger: Ledger, session: u64) -> Self {
        Self { shared, log, ledger, session, is_lost: false }
    }

    /// The wanted range and those that it merges with, all of them locked; and all ranges as they were.
    async fn find(
        &self,
        transaction: &Transaction,
        claim: &Claim<'_>,
    ) -> Result<Option<(Ranges, Merged)>, ClaimError> {
        let log = self.log.log_id;
        loop {
            let before = self.ranges();
            if before.is_empty() && matches!(claim.wanted, Wanted::Live { .. }) {
                let taken = transaction.lock(Lock::Live(log)).await.map_err(ClaimError::Target)?;
                if taken == Taken::AfterOthers {
                    continue;
                }
            }
            let is_locked = |lo| transaction.is_held_by_another(&Lock::Range(self.owner(), lo));
            let Some(merged) = merge(&before, claim, is_locked)? else { return Ok(None) };
            let mut has_waited = false;
            for lo in &merged.touched {
                let taken =
                    transaction.lock(Lock::Range(self.owner(), *lo)).await.map_err(ClaimError::Target)?;
                has_waited |= taken == Taken::AfterOthers;
            }
            if !has_waited {
                return Ok(Some((before, merged)));
            }
        }
    }

    /// The compare of the compare-and-set; the range is locked.
    fn compare(&mut self, batch: &Batch<'_>) -> Result<Range, ApplyError> {
        let lo = batch.lo;
        self.check_session().map_err(ApplyError::Target)?;
        let is_ours = |range: &Range| range.cursor == batch.from && range.writer == Some(batch.writer);
        let found = self.ranges().get(&lo).copied().filter(is_ours);
        let range = found.ok_or(ApplyError::Overtaken { lo })?;
        assert!(range.hi.is_none_or(|hi| batch.to.next <= hi), "a batch that leads out of its range");
        Ok(range)
    }

    /// Locks the rows in the order in which they come, as COPY does, and says what becomes of them.
    async fn write(&mut self, transaction: &Transaction, entries: &[Entry]) -> Result<Plan, TargetError> {
        for entry in entries {
            if let Decoded::Event(event) = &entry.event {
                transaction.lock(Lock::Row(Key::of(event, &self.log))).await?;
            }
        }
        self.check_session()?;
        let refused = self.quarantine();
        let server = self.shared.server();
        let is_poison =
            |event: &Event| matches!(event, Event::SystemSample(sample) if sample.system_name == POISON);
        let refuses = |event: &Event| server.poison == Poison::Refused && is_poison(event);
        Ok(plan(&server.data.rows, &self.log, entries, refuses, &refused))
    }

    fn ranges(&self) -> Ranges {
        self.ledger.ranges(&self.shared.server().data, self.log.log_id)
    }

    fn owner(&self) -> Owner {
        self.ledger.owner(self.log.log_id)
    }

    /// A change of nothing.
    fn change(&self) -> Change {
        let (log, ledger) = (self.log.clone(), self.ledger.clone());
        let (ranges, plan, sent) = (Vec::new(), Plan::default(), Vec::new());
        Change { log, ledger, ranges, plan, sent, commit: None, flush: Flush::Flushed }
    }

    /// Ends a claim that has found nothing: a replay of which nothing is left is finished.
    async fn nothing_found(
        &mut self,
        transaction: Transaction,
        wanted: Wanted,
        fault: Option<Fault>,
    ) -> Result<(), ClaimError> {
        if !matches!((&self.ledger, wanted), (Ledger::Replay(_), Wanted::Oldest)) {
            return Ok(());
        }
        let ended = self.commit(transaction, self.change(), fault).await;
        ended.map_err(|(_, error)| ClaimError::Target(error))
    }

    fn quarantine(&self) -> BTreeSet<Position> {
        self.shared.server().data.quarantine.get(&self.log.log_id).cloned().unwrap_or_default()
    }

    fn check_session(&mut self) -> Result<(), TargetError> {
        let sessions = self.shared.server().sessions;
        self.is_lost |= sessions != self.session;
        if self.is_lost { Err(lost()) } else { Ok(()) }
    }

    /// Ends a transaction as `fault` says.
    async fn commit(
        &mut self,
        transaction: Transaction,
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
                tokio::spawn(finish_alone(Arc::clone(&self.shared), transaction, change, effect, after));
                return Err((Committed::Unknown, lost()));
            }
            _ => self.shared.commit(change),
        }
        drop(transaction);
        sleep(if let Some(Fault::Late(time)) = fault { time } else { STEP }).await;
        // A server that goes away here has committed, and the answer does not arrive.
        self.check_session().map_err(|error| (Committed::Unknown, error))
    }
}

/// A server backend whose client has gone.
async fn finish_alone(
    shared: Arc<Shared>,
    transaction: Transaction,
    change: Change,
    effect: bool,
    after: Duration,
) {
    let database = shared.server().databases;
    sleep(after).await;
    if effect && shared.server().databases == database {
        shared.commit(change);
    }
    drop(transaction);
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

/// The same, where not all events that were read are sent.
fn check_sifted(batch: &Batch<'_>) {
    let mut next = batch.from.next;
    assert!(batch.lo <= next && next <= batch.to.next, "a batch that leads back");
    for entry in batch.entries {
        assert!(entry.position >= next && entry.position < batch.to.next, "a batch that is not in order");
        next = entry.position.next();
    }
    let digest = batch.to.digest;
    assert!(digest == batch.from.digest || digest.is_some_and(|it| it.at.next() == batch.to.next));
}

pub(crate) fn lost() -> TargetError {
    TargetError::new(ErrorKind::Retry, "the connection to the database was lost")
}

pub(crate) fn refused(kind: ErrorKind) -> TargetError {
    let position = (kind == ErrorKind::Data).then_some(Position(1));
    TargetError::new(kind, format!("the database refuses: {kind:?}")).at(position)
}
