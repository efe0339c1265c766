//! The end of a dead predecessor: a backend that holds our range, while nobody is left who speaks to it.
//!
//! When a host loses its link in mid-COPY, its backend waits for more and keeps the lock of the range. The kernel of
//! the server ends that in the end (`connect.rs`), a person's patience may end before. A lane that ran into the lock
//! of its range may end the backend that claimed it last. IMPORTANT: never another one: process id, time of start and
//! name must all be those of the range's claim, it must be in a transaction that has written to the ranges, and our own
//! session must not be a pooler's, where a backend is everybody's.

use event::LogId;
use projector::TargetError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::connect::{Link, Session, application_name};
use crate::ledger::Ledger;

/// How long the server gives the backend to end, in milliseconds: it rolls back first.
const END_MS: i64 = 5_000;

/// The look and the end are one statement; MATERIALIZED keeps the second behind the first.
///
/// NOTE: of another user's backend the server shows neither start nor name, so it does not match.
const END: &str = "WITH found AS MATERIALIZED (
        SELECT activity.pid
        FROM {ranges} AS ranges
        JOIN pg_stat_activity AS activity
            ON activity.pid = ranges.backend AND activity.backend_start = ranges.backend_start
        WHERE ranges.{owner} = $1 AND ranges.lo = $2
          AND activity.datname = current_database()
          AND activity.application_name LIKE $4
          AND activity.pid <> pg_backend_pid()
          AND EXISTS (SELECT FROM pg_locks AS locks WHERE locks.pid = activity.pid AND locks.granted
              AND locks.mode = 'RowExclusiveLock' AND locks.relation = '{ranges}'::regclass
              AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())))
    SELECT pid, pg_terminate_backend(pid, $3) FROM found";

/// What was done about a predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing: a pooler stands in between.
    Pooled,
    /// Nothing: whoever holds the range is not a dead predecessor of this lane's.
    Nobody,
    /// Nothing: the database's user may not end it.
    NotPermitted,
    /// This backend was told to end, and has not yet.
    Told(i32),
    /// This backend has ended: the range is free.
    Gone(i32),
}

/// Ends the backend that claimed a range before, if it still holds the range. To be called when the claim ran into
/// `lock_timeout` on the range's row and was rolled back; outside a transaction.
pub(crate) async fn end_predecessor(
    session: &Session,
    log: &LogId,
    ledger: &Ledger,
    owner: i32,
    lo: i64,
) -> Result<Ended, TargetError> {
    let tried = "ending the range's predecessor";
    match session.link() {
        Link::Direct => {}
        Link::Pooled => return Ok(Ended::Pooled),
    }
    // Whichever lane it was: the one that claims a piece again may have another number.
    let lanes = application_name(log, "%");
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] =
        [(&owner, Type::INT4), (&lo, Type::INT8), (&END_MS, Type::INT8), (&lanes, Type::TEXT)];
    let rows = match session.client().query_typed(&ledger.sql(END), &parameters).await {
        Ok(rows) => rows,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            return Ok(Ended::NotPermitted);
        }
        Err(error) => return Err(session.error(tried, error)),
    };
    let Some(row) = rows.first() else { return Ok(Ended::Nobody) };
    let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let (pid, has_ended) = read(row).map_err(|error| session.error(tried, error))?;
    Ok(if has_ended { Ended::Gone(pid) } else { Ended::Told(pid) })
}

#[cfg(test)]
mod tests {
    use event::{HostName, Position};
    use projector::{Claim, ErrorKind, Judge, Lane, LaneName, LogIdentity, Target, Wanted, WriterId};

    use super::*;
    use crate::testing::TestDatabase;
    use crate::{DatabaseUrl, StoreOptions, TimescaleTarget};

    /// A database in which a log has a live range from position 1.
    struct World {
        database: TestDatabase,
        log: LogIdentity,
    }

    impl World {
        async fn new() -> Option<Self> {
            let database = TestDatabase::create().await?;
            let log = LogIdentity { log_id: LogId::random(), host: HostName::new("home").unwrap() };
            let target = TimescaleTarget::new(database.url().clone(), StoreOptions::default());
            let mut lane = target.connect(&log, LaneName::Live).await.unwrap();
            lane.claim(&live(&|_| Ok(None))).await.unwrap();
            Some(Self { database, log })
        }

        async fn end(&self, session: &Session) -> Ended {
            end_predecessor(session, &self.log.log_id, &Ledger::Ranges, 1, 1).await.unwrap()
        }

        async fn session(&self, lane: &str) -> Session {
            self.session_at(self.database.url(), lane).await
        }

        async fn session_at(&self, url: &DatabaseUrl, lane: &str) -> Session {
            Session::open(url, &application_name(&self.log.log_id, lane)).await.unwrap()
        }

        /// A session that has claimed the range, and is in the middle of a batch.
        async fn predecessor(&self) -> (Session, i32) {
            let session = self.session("live").await;
            let claim = "UPDATE tailwater_ranges SET backend = pg_backend_pid(), backend_start =
                (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
            session.run("claiming", claim).await.unwrap();
            let move_on = format!("{}; UPDATE tailwater_ranges SET next = 2", session.begin_sql());
            session.run("moving", &move_on).await.unwrap();
            let row = session.client().query_typed_one("SELECT pg_backend_pid()", &[]).await.unwrap();
            let pid = row.get(0);
            (session, pid)
        }
    }

    fn live(judge: Judge<'_>) -> Claim<'_> {
        let wanted = Wanted::Live { first: Position(1) };
        Claim { writer: WriterId::random(), wanted, busy: &[], judge }
    }

    /// The claim that runs into it ends it, and the next one has the range.
    #[tokio::test]
    async fn a_claim_is_not_blocked_by_a_dead_backend_for_long() {
        let Some(world) = World::new().await else { return };
        let (dead, _) = world.predecessor().await;
        let target = TimescaleTarget::new(world.database.url().clone(), StoreOptions::default());
        let mut lane = target.connect(&world.log, LaneName::Live).await.unwrap();
        let blocked = lane.claim(&live(&|_| Ok(None))).await.unwrap_err();
        assert!(blocked.to_string().contains("55P03"), "{blocked}");
        let claimed = lane.claim(&live(&|_| Ok(None))).await.unwrap().unwrap();
        assert_eq!(claimed.found.cursor.next, Position(1), "what it had not committed is undone");
        assert!(dead.run("going on", "COMMIT").await.is_err());
    }

    /// Whether the range's row is locked, told as a claim is told.
    async fn is_locked(session: &Session) -> bool {
        let sql =
            format!("{}; SELECT FROM tailwater_ranges FOR UPDATE NOWAIT; ROLLBACK", session.begin_sql());
        match session.run("claiming", &sql).await {
            Ok(()) => false,
            Err(error) => {
                assert!(error.to_string().contains("55P03"), "{error}");
                session.roll_back("claiming", "ROLLBACK").await.unwrap();
                true
            }
        }
    }

    #[tokio::test]
    async fn a_dead_predecessor_is_ended_and_leaves_the_range_free() {
        let Some(world) = World::new().await else { return };
        let (dead, pid) = world.predecessor().await;
        let session = world.session("live").await;
        assert!(is_locked(&session).await);
        assert_eq!(world.end(&session).await, Ended::Gone(pid));
        assert!(!is_locked(&session).await);
        assert_eq!(world.end(&session).await, Ended::Nobody);
        let error = dead.run("going on", "COMMIT").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    }

    #[tokio::test]
    async fn whoever_is_not_the_ranges_predecessor_is_left_alone() {
        let Some(world) = World::new().await else { return };
        let (holder, _) = world.predecessor().await;
        let session = world.session("live").await;
        let log = world.log.log_id;
        let nobody = async |session: &Session, lo| {
            assert_eq!(end_predecessor(session, &log, &Ledger::Ranges, 1, lo).await.unwrap(), Ended::Nobody);
        };
        // Another log, another range, and itself.
        let other = end_predecessor(&session, &LogId::random(), &Ledger::Ranges, 1, 1).await.unwrap();
        assert_eq!(other, Ended::Nobody);
        nobody(&session, 2).await;
        nobody(&holder, 1).await;
        // Not in a transaction any more: it holds nothing.
        holder.run("moving", "COMMIT").await.unwrap();
        nobody(&session, 1).await;
        // In one, but the range was claimed by a backend that had its number before.
        let forget = "UPDATE tailwater_ranges SET backend_start = backend_start - interval '1 microsecond'";
        session.run("claiming", forget).await.unwrap();
        let sql = format!("{}; UPDATE tailwater_ranges SET next = 3", holder.begin_sql());
        holder.run("moving", &sql).await.unwrap();
        nobody(&session, 1).await;
        holder.run("moving", "COMMIT").await.unwrap();
    }

    #[tokio::test]
    async fn a_user_who_may_not_end_it_is_no_error() {
        let Some(world) = World::new().await else { return };
        let (holder, _) = world.predecessor().await;
        let client = world.database.client().await;
        let role = format!("{}_u", world.database.url().database());
        let sql = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT pg_read_all_stats TO {role}; GRANT SELECT ON tailwater_ranges TO {role}"
        );
        client.batch_execute(&sql).await.unwrap();
        let url = world.database.url().secret().replacen("//postgres", &format!("//{role}:p"), 1);
        let session = world.session_at(&url.parse().unwrap(), "live").await;
        let ended = end_predecessor(&session, &world.log.log_id, &Ledger::Ranges, 1, 1).await;
        client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
        assert_eq!(ended.unwrap(), Ended::NotPermitted);
        holder.run("moving", "COMMIT").await.unwrap();
    }
}
