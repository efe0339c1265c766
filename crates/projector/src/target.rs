//! Where events go: what the projector asks of a database.

use std::fmt;
use std::future::Future;
use std::time::SystemTime;

use event::{Entry, Position};
use thiserror::Error;
use uuid::Uuid;

use crate::contents::Contents;
use crate::source::LogIdentity;

/// Who has claimed a range: random for every claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriterId(pub Uuid);

impl WriterId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The one of these random bits.
    #[must_use]
    pub fn of(bits: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }
}

/// The last applied record: its place and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// CRC-32C of the record.
    pub checksum: u32,
    /// Where it lies.
    pub at: Position,
}

/// How far a range is: everything before `next` is applied, or lies in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next position to apply.
    pub next: Position,
    /// The last applied record; `None` when nothing was applied yet.
    pub digest: Option<Digest>,
}

/// A range of a log, as it stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeState {
    /// Where the range begins; its name within its log.
    pub lo: Position,
    /// How far it is.
    pub cursor: Cursor,
    /// The position behind its last; the live range has none.
    pub hi: Option<Position>,
    /// Who claimed it last; `None` when nobody did.
    pub writer: Option<WriterId>,
    /// When something of it was applied last, by the database's clock.
    pub applied_at: Option<SystemTime>,
}

impl RangeState {
    /// Whether everything of it is applied, or gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.hi.is_some_and(|hi| self.cursor.next >= hi)
    }
}

/// Which connection this is: the database shows its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneName {
    /// Works the live range, at the head of the log.
    Live,
    /// One of those that fill what was missed, numbered from 1.
    Backlog(u32),
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Backlog(number) => write!(f, "backlog-{number}"),
        }
    }
}

/// Which range a lane wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The live one; where the log has no range at all it is made, beginning at `first`.
    Live {
        /// Where a log without ranges begins.
        first: Position,
    },
    /// The oldest that is unfinished, not live, and not busy.
    Oldest,
    /// The one of this name, which is not live.
    This {
        /// Its name.
        lo: Position,
    },
}

/// Judges the range that a claim found, under the row's lock: where to cut it, if it should be. The part before the
/// cut keeps its name; for a backlog range it is the part that is claimed, for the live range the other one. An
/// error abandons the claim.
pub type Judge<'a> = &'a (dyn Fn(&RangeState) -> Result<Option<Cursor>, Refusal> + Send + Sync);

/// What a lane asks for.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// Who asks. IMPORTANT: a name of its own for every claim, so that whatever an earlier connection of the same
    /// lane still has under way loses its compare-and-set.
    pub writer: WriterId,
    /// Which range.
    pub wanted: Wanted,
    /// Ranges that other lanes of this projector work: they are neither claimed nor merged.
    pub busy: &'a [Position],
    /// Judges it.
    pub judge: Judge<'a>,
}

/// A range that is now the lane's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// As the claim found it.
    pub found: RangeState,
    /// As it is now: merged with what it met, and cut.
    pub range: RangeState,
    /// Every range of the log, this one among them, in order.
    pub ranges: Vec<RangeState>,
    /// How many events of the log the database has in its quarantine.
    pub quarantined: u64,
}

/// When a database may say that a batch is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// When it is on the database's disk, and everything that was committed before it as well.
    Flushed,
    /// At once. A crash of the database may take it back, with everything behind it: the log has it still.
    Buffered,
}

/// What one transaction applies.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Who applies it.
    pub writer: WriterId,
    /// The range's name.
    pub lo: Position,
    /// How far the range must be: the compare of the compare-and-set.
    pub from: Cursor,
    /// How far it is afterwards.
    pub to: Cursor,
    /// Entries from `from.next` up to `to.next`, in order: those that are to be sent, of known kinds and others.
    /// Without any, and with `to` beyond `from`: positions of a hole, or of events that are not sent. Without any,
    /// and with `to` as `from`, the batch only confirms that the range is where it should be.
    pub entries: &'a [Entry],
    /// What those are.
    pub contents: &'a Contents,
    /// When it may be called committed.
    pub commit: Commit,
}

/// What a transaction did. `inserted + present + quarantined` is the number of events that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyOutcome {
    /// Events that made a new row.
    pub inserted: u64,
    /// Events whose key had a row already, or another event of the batch won.
    pub present: u64,
    /// Those of `present` whose content is not that of the row which their key has.
    pub conflicting: u64,
    /// Events that the database refused for their content, and keeps in its quarantine.
    pub quarantined: u64,
    /// Events that were in its quarantine and have a row now.
    pub released: u64,
}

impl ApplyOutcome {
    /// How many events were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.inserted + self.present + self.quarantined
    }
}

/// A database, as the projector sees it.
pub trait Target: Send + Sync + 'static {
    /// One connection that works a range.
    type Lane: Lane;

    /// Makes the schema ready where it is not, and opens a connection.
    ///
    /// # Errors
    /// By [`TargetError::kind`]: retry, or a person must look.
    fn connect(
        &self,
        log: &LogIdentity,
        name: LaneName,
    ) -> impl Future<Output = Result<Self::Lane, TargetError>> + Send;
}

/// One connection that works a range.
pub trait Lane: Send + 'static {
    /// Takes a range for a writer, in a transaction of its own that is flushed ([`Commit::Flushed`]); `None` when there
    /// is none of those wanted.
    ///
    /// On the way ranges merge that meet: one that is finished with the one behind it, and one of which nothing is
    /// applied yet with the one before it; of those that the claim does not want, only neighbours of the wanted one.
    ///
    /// # Errors
    /// [`ClaimError::Diverged`] or [`ClaimError::SourceAway`] when `judge` says so; nothing has changed then.
    fn claim(
        &mut self,
        claim: &Claim<'_>,
    ) -> impl Future<Output = Result<Option<Claimed>, ClaimError>> + Send;

    /// Whether the connection can go on after an error of kind [`ErrorKind::Busy`].
    fn is_usable(&self) -> bool;

    /// Applies a batch: rows and progress in one transaction, whose first statement is the compare-and-set.
    ///
    /// # Errors
    /// [`ApplyError::Overtaken`] when the range is not where the batch begins; [`ApplyError::Unsettled`] when the
    /// connection was lost during COMMIT; otherwise nothing has changed.
    fn apply(&mut self, batch: &Batch<'_>) -> impl Future<Output = Result<ApplyOutcome, ApplyError>> + Send;
}

/// What a judge says against a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Log and database do not belong together.
    Diverged(Divergence),
    /// The log cannot be asked for the moment.
    SourceAway,
}

/// Why a claim was given up.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Log and database do not belong together.
    #[error(transparent)]
    Diverged(Divergence),
    /// The log cannot be asked for the moment, so that nobody can say whether they belong together.
    #[error("the log cannot be read for the moment")]
    SourceAway,
    /// The database would not, or could not.
    #[error(transparent)]
    Target(TargetError),
}

impl From<Refusal> for ClaimError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Diverged(divergence) => Self::Diverged(divergence),
            Refusal::SourceAway => Self::SourceAway,
        }
    }
}

/// Why a batch was not applied, or not known to be.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Somebody else moved or claimed the range.
    #[error("another writer has claimed the range that begins at position {lo}")]
    Overtaken {
        /// The range.
        lo: Position,
    },
    /// The connection was lost during COMMIT.
    #[error("the connection was lost during COMMIT; the next claim tells whether it took effect")]
    Unsettled {
        /// What the transaction did, if it committed.
        outcome: ApplyOutcome,
        /// What happened.
        source: TargetError,
    },
    /// The database would not, or could not: nothing has changed.
    #[error(transparent)]
    Target(TargetError),
}

/// Log and database do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Divergence {
    /// The record at the digest's place is another one.
    #[error(
        "diverged: the database has applied a record with checksum {applied:08x} at position {at}, the log has \
         {found:08x} there; this log or the one that the database has is a copy that went its own way: `tailwater log \
         adopt` makes the copy a log of its own, `tailwater replay` fills a fresh database from it"
    )]
    Different {
        /// The digest's place.
        at: Position,
        /// The digest's checksum.
        applied: u32,
        /// The log's.
        found: u32,
    },
    /// The database is ahead of the log.
    #[error(
        "log behind database: the database has applied everything before position {next}, the log's next \
         position is {log_next}; the log was restored from an older copy: `tailwater log adopt` makes it a log of \
         its own, `tailwater replay` fills a fresh database from it"
    )]
    Behind {
        /// How far the database is.
        next: Position,
        /// How far the log is.
        log_next: Position,
    },
}

/// What the projector does about a database's error. It decides by this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may heal: connect again, later.
    Retry,
    /// Others are in the way for a moment (a lock, a serialization failure, a deadlock): the same connection can
    /// try again soon.
    Busy,
    /// The database refuses an event for its content.
    Data,
    /// Schema, permission or configuration: a person must look.
    Fatal,
}

/// A database's refusal or failure, told in one line.
#[derive(Debug)]
pub struct TargetError {
    kind: ErrorKind,
    message: String,
    position: Option<Position>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TargetError {
    /// An error of this kind: what was tried and what came back, in one line, without secrets.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), position: None, source: None }
    }

    /// Names the event that was refused.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What to do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "the event at position {position}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for TargetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
