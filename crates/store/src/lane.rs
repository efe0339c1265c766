//! A lane: one session that works a range, and whether it can be used for the next transaction.

use std::sync::Arc;
use std::time::Duration;

use projector::{
    ApplyError, ApplyOutcome, Batch, Claim, ClaimError, Claimed, ErrorKind, Lane, LogIdentity, TargetError,
};

use crate::apply::Applier;
use crate::chunks::Chunks;
use crate::claim::{self, Taken};
use crate::connect::{Session, within};
use crate::ledger::{Ledger, Owner};

/// How long a claim may take: it waits for one row's lock, for 10 s at the most.
const CLAIM_LIMIT: Duration = Duration::from_secs(60);
/// How long a ROLLBACK may take.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(10);

/// One session that works a range.
pub struct TimescaleLane {
    session: Session,
    log: LogIdentity,
    ledger: Ledger,
    /// Whose ranges are claimed, by its numbers in this database, from the last claim.
    owner: Option<Owner>,
    applier: Applier,
    condition: Condition,
}

/// Whether a transaction may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// Yes.
    Idle,
    /// No: one was begun, and its end was not seen, because it failed or because its future was dropped.
    InTransaction,
}

impl TimescaleLane {
    pub(crate) fn new(session: Session, log: LogIdentity, ledger: Ledger, chunks: Arc<Chunks>) -> Self {
        let applier = Applier::new(chunks, &ledger);
        Self { session, log, ledger, owner: None, applier, condition: Condition::Idle }
    }

    /// Notes that a transaction begins.
    fn enter(&mut self) -> Result<(), TargetError> {
        match self.condition {
            Condition::Idle => {
                self.condition = Condition::InTransaction;
                Ok(())
            }
            Condition::InTransaction => Err(TargetError::new(
                ErrorKind::Retry,
                "the session was left in the middle of a transaction: connect again",
            )),
        }
    }

    /// Ends a transaction that failed. When that fails too, the session is of no more use.
    async fn roll_back(&mut self) {
        let tried = "rolling back";
        if within(ROLLBACK_LIMIT, tried, self.session.roll_back(tried, "ROLLBACK")).await.is_ok() {
            self.condition = Condition::Idle;
        }
    }
}

impl Lane for TimescaleLane {
    async fn claim(&mut self, claim: &Claim<'_>) -> Result<Option<Claimed>, ClaimError> {
        self.enter().map_err(ClaimError::Target)?;
        let claiming = claim::claim(&self.session, &self.log, &self.ledger, claim);
        match within(CLAIM_LIMIT, "claiming a range", claiming).await {
            Ok(taken) => {
                self.condition = Condition::Idle;
                Ok(taken.map(|Taken { owner, claimed }| {
                    self.owner = Some(owner);
                    claimed
                }))
            }
            Err(failure) => {
                self.roll_back().await;
                if let (claim::Failure::Blocked(_), Condition::Idle) = (&failure, self.condition) {
                    let unblocking = claim::unblock(&self.session, &self.log, &self.ledger, claim);
                    within(CLAIM_LIMIT, "claiming a range", unblocking).await.map_err(ClaimError::Target)?;
                }
                Err(failure.into())
            }
        }
    }

    fn is_usable(&self) -> bool {
        self.condition == Condition::Idle
    }

    async fn apply(&mut self, batch: &Batch<'_>) -> Result<ApplyOutcome, ApplyError> {
        // Without a claim the range is somebody else's, or nobody's.
        let Some(owner) = self.owner else { return Err(ApplyError::Overtaken { lo: batch.lo }) };
        self.enter().map_err(ApplyError::Target)?;
        let applied = self.applier.apply(&self.session, &self.log, owner, batch).await;
        match &applied {
            Ok(_) => self.condition = Condition::Idle,
            Err(ApplyError::Unsettled { .. }) => {}
            Err(ApplyError::Overtaken { .. } | ApplyError::Target(_)) => self.roll_back().await,
        }
        applied
    }
}
