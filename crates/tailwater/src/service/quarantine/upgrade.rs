//! After an upgrade: events that an older version has put into quarantine because it did not know them.

use std::collections::BTreeMap;
use std::time::Duration;

use event::Position;
use event::wire::Decoded;
use eventlog::EventLog;
use projector::{ErrorKind, TargetError};
use store::{DatabaseUrl, Quarantine, QuarantineFilter, RetryMode};

use super::{Pages, look_anew, open};
use crate::failure::chain;
use crate::service::project::Live;

/// The SQLSTATE of events that the version which met them did not know.
const UNKNOWN: &str = "TW001";
/// Between two attempts while the database is away: as long as the projection's longest.
const PAUSE: Duration = Duration::from_secs(20);

/// Once the daemon's database was reached: tries the events again that an older version has put into quarantine
/// because it did not know them, and that this one knows.
pub(crate) async fn retry_what_is_known_now(live: &Live, log: &EventLog) {
    let mut status = live.status.clone();
    let reached =
        status.wait_for(|status| status.quarantined.is_some()).await.map(|status| status.quarantined);
    if !matches!(reached, Ok(Some(1..))) {
        return;
    }
    let mut events = 0;
    let tried = loop {
        match retry_known(&live.database, log, &mut events).await {
            // NOTE: the database has gone away meanwhile; the projection tells that, and it is not given up for it.
            Err(error) if matches!(error.kind(), ErrorKind::Retry | ErrorKind::Busy) => {
                tokio::time::sleep(PAUSE).await;
            }
            tried => break tried,
        }
    };
    if events > 0 {
        tracing::info!(events, "events that an older version did not know have left the quarantine");
        look_anew(live).await;
    }
    if let Err(error) = tried {
        tracing::warn!(
            error = chain(&error),
            "events that an older version did not know stay in quarantine: `tailwater quarantine retry --sqlstate {UNKNOWN}`"
        );
    }
}

/// Tries them, and counts how many have landed.
async fn retry_known(database: &DatabaseUrl, log: &EventLog, landed: &mut u64) -> Result<(), TargetError> {
    let mut quarantine = open(database, log).await?;
    let unknown = QuarantineFilter { sqlstate: Some(UNKNOWN.to_owned()), ..QuarantineFilter::default() };
    for (kind, first) in first_of_each_kind(&quarantine, unknown.clone()).await? {
        let found = quarantine.show(first).await?;
        // NOTE: what this version does not know either keeps the time at which it was refused.
        if matches!(found, Some((_, Decoded::Event(_)))) {
            let of_kind = QuarantineFilter { kind: Some(kind), ..unknown.clone() };
            *landed += quarantine.retry(&of_kind, RetryMode::Run).await?.landed();
        }
    }
    Ok(())
}

async fn first_of_each_kind(
    quarantine: &Quarantine,
    filter: QuarantineFilter,
) -> Result<BTreeMap<String, Position>, TargetError> {
    let mut pages = Pages { quarantine, rest: filter };
    let mut kinds = BTreeMap::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(kinds);
        }
        for event in page {
            kinds.entry(event.kind).or_insert(event.position);
        }
    }
}
