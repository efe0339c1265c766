//! Whose progress a lane moves: a projection's, or a replay's. Both are disjoint ranges in a table of one shape, so that
//! one set of statements claims, cuts, merges and moves them.
//!
//! A replay is known by its id. Which one it is settles at the first connection: the unfinished one of the same request,
//! or a new one. From then on each claim finds it, or makes it where it is missing: a database that was dropped, or
//! restored from before the replay, is filled from its beginning.

use event::{LogId, Position, Time};
use projector::{LogIdentity, ReplayBegin, ReplayRequest, TargetError, Wanted};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::claim::{Parameters, TRIED, bigint, execute, position, query};
use crate::connect::{Session, within};
use crate::schema::{self, State};
use crate::url::DatabaseUrl;

const FIND: &str = "SELECT replay_no FROM tailwater_replays WHERE id = $1";
/// NOTE: one that has finished a moment ago may have a lane left that has not heard of it, and would make it anew.
const FORGET: &str = "DELETE FROM tailwater_replays
    WHERE log_no = $1 AND (request = $2 OR finished_at < now() - interval '1 hour')";
const ADD: &str = "INSERT INTO tailwater_replays (id, log_no, request, lo, hi) VALUES ($1, $2, $3, $4, $5)
    RETURNING replay_no";
const ADD_RANGE: &str =
    "INSERT INTO tailwater_replay_ranges (replay_no, lo, next, hi) VALUES ($1, $2, $2, $3)";
const FINISH: &str =
    "UPDATE tailwater_replays SET finished_at = now() WHERE replay_no = $1 AND finished_at IS NULL
    AND NOT EXISTS (SELECT FROM tailwater_replay_ranges WHERE replay_no = $1 AND next < hi)";
const UNFINISHED: &str = "SELECT id, lo, hi, (extract(epoch FROM started_at) * 1000000)::bigint, replay_no
    FROM tailwater_replays JOIN tailwater_logs USING (log_no)
    WHERE log_id = $1 AND request = $2 AND finished_at IS NULL ORDER BY replay_no DESC LIMIT 1";
const LEFT: &str =
    "SELECT next, hi FROM tailwater_replay_ranges WHERE replay_no = $1 AND next < hi ORDER BY lo";

/// Whose progress it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ledger {
    /// The projection's of the log.
    Ranges,
    /// A replay's.
    Replay(Known),
}

/// A replay whose lanes know which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    id: Uuid,
    pub(crate) log_id: LogId,
    request: String,
    lo: Position,
    hi: Position,
}

/// Whose the rows of a ledger are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The log's number.
    pub(crate) log_no: i32,
    /// The number that its ranges carry.
    pub(crate) number: i32,
}

/// A replay that was begun and is not through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedReplay {
    /// Its first position.
    pub lo: Position,
    /// The position behind its last.
    pub hi: Position,
    /// What is left of it: where each run begins, and the position behind its last.
    pub left: Vec<(Position, Position)>,
    /// When it was begun, by the database's clock.
    pub started_at: Time,
}

impl Ledger {
    /// A statement of both ledgers, as it is for this one: of `{ranges}`, whose `{owner}` is a row of `{owners}` with
    /// the unique `{id}`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let [ranges, owner, owners, id] = match self {
            Self::Ranges => ["tailwater_ranges", "log_no", "tailwater_logs", "log_id"],
            Self::Replay(_) => ["tailwater_replay_ranges", "replay_no", "tailwater_replays", "id"],
        };
        let names = [("{ranges}", ranges), ("{owner}", owner), ("{owners}", owners), ("{id}", id)];
        names.into_iter().fold(statement.to_owned(), |sql, (name, is)| sql.replace(name, is))
    }

    /// The `{id}` of the owner.
    pub(crate) const fn owner_id(&self, log: &LogIdentity) -> Uuid {
        match self {
            Self::Ranges => log.log_id.0,
            Self::Replay(known) => known.id,
        }
    }

    /// The owner, in a claim's transaction; a replay that is not there is made.
    pub(crate) async fn owner(&self, session: &Session, log_no: i32) -> Result<Owner, TargetError> {
        let Self::Replay(known) = self else { return Ok(Owner { log_no, number: log_no }) };
        if let Some(row) = query(session, FIND, &[(&known.id, Type::UUID)]).await? {
            let number = row.try_get(0).map_err(|error| session.error(TRIED, error))?;
            return Ok(Owner { log_no, number });
        }
        known.make(session, log_no).await
    }

    /// Ends a claim that has found nothing: a replay of which nothing is left is finished.
    pub(crate) async fn nothing_found(
        &self,
        session: &Session,
        owner: Owner,
        wanted: Wanted,
    ) -> Result<(), TargetError> {
        let end = match (self, wanted) {
            (Self::Replay(_), Wanted::Oldest) => {
                execute(session, FINISH, &[(&owner.number, Type::INT4)]).await?;
                "COMMIT"
            }
            (Self::Ranges | Self::Replay(_), _) => "ROLLBACK",
        };
        session.run(TRIED, end).await
    }
}

impl Known {
    /// Which replay it is: the unfinished one of the same request, or a new one.
    pub(crate) async fn settle(
        session: &Session,
        log: &LogIdentity,
        asked: &ReplayRequest,
    ) -> Result<Self, TargetError> {
        let ReplayRequest { request, lo, hi, begin } = asked.clone();
        let new = Self { id: Uuid::new_v4(), log_id: log.log_id, request, lo, hi };
        if begin == ReplayBegin::Anew {
            return Ok(new);
        }
        // NOTE: in a transaction, for its settings.
        session.run(TRIED, session.begin_sql()).await?;
        let found = unfinished(session, log.log_id, &new.request).await?;
        let known = found.map_or(Ok(new.clone()), |row| {
            let (id, lo, hi) = (row.try_get(0)?, position(row.try_get(1)?), position(row.try_get(2)?));
            Ok(Self { id, lo, hi, ..new })
        });
        let known = known.map_err(|error| session.error(TRIED, error))?;
        session.run(TRIED, "COMMIT").await?;
        Ok(known)
    }

    async fn make(&self, session: &Session, log_no: i32) -> Result<Owner, TargetError> {
        let (lo, hi) = (bigint(self.lo), bigint(self.hi));
        execute(session, FORGET, &[(&log_no, Type::INT4), (&self.request, Type::TEXT)]).await?;
        let parameters: Parameters<'_> = &[
            (&self.id, Type::UUID),
            (&log_no, Type::INT4),
            (&self.request, Type::TEXT),
            (&lo, Type::INT8),
            (&hi, Type::INT8),
        ];
        let added = query(session, ADD, parameters).await?;
        let number = added.map_or(Ok(0), |row| row.try_get(0));
        let number: i32 = number.map_err(|error| session.error(TRIED, error))?;
        let range = [(&number as _, Type::INT4), (&lo as _, Type::INT8), (&hi as _, Type::INT8)];
        execute(session, ADD_RANGE, &range).await?;
        Ok(Owner { log_no, number })
    }
}

async fn unfinished(session: &Session, log: LogId, request: &str) -> Result<Option<Row>, TargetError> {
    query(session, UNFINISHED, &[(&log.0, Type::UUID), (&request, Type::TEXT)]).await
}

/// Looks for a replay of this log and this request that was begun and is not through. It changes nothing: where there are
/// no tables yet there is none.
///
/// # Errors
/// By [`TargetError::kind`], as any connection.
pub async fn unfinished_replay(
    url: &DatabaseUrl,
    log: &LogIdentity,
    request: &str,
) -> Result<Option<UnfinishedReplay>, TargetError> {
    let session = Session::open(url, "tailwater/replay").await?;
    match schema::state(&session, &schema::migrator(), url.connect_timeout()).await? {
        State::Current => {}
        State::Behind(_) => return Ok(None),
        State::Refused(error) => return Err(error),
    }
    let tried = "looking for a replay that was begun";
    let looking = async {
        session.run(tried, session.begin_sql()).await?;
        let Some(row) = unfinished(&session, log.log_id, request).await? else { return Ok(None) };
        let number: i32 = row.try_get(4).map_err(|error| session.error(tried, error))?;
        let left = session.client().query_typed(LEFT, &[(&number, Type::INT4)]).await;
        let left = left.map_err(|error| session.error(tried, error))?;
        read(&row, &left).map(Some).map_err(|error| session.error(tried, error))
    };
    within(url.connect_timeout(), tried, looking).await
}

fn read(row: &Row, left: &[Row]) -> Result<UnfinishedReplay, tokio_postgres::Error> {
    let run = |row: &Row| Ok((position(row.try_get(0)?), position(row.try_get(1)?)));
    Ok(UnfinishedReplay {
        lo: position(row.try_get(1)?),
        hi: position(row.try_get(2)?),
        left: left.iter().map(run).collect::<Result<_, tokio_postgres::Error>>()?,
        started_at: Time::from_micros(row.try_get(3)?),
    })
}
