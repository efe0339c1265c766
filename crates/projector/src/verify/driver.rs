//! One verification from its beginning to its end: the rows, the walk, and what must be looked at again.

use std::time::Duration;

use event::wire::Decoded;
use event::{Entry, Kind, Position, Stretch, Time};
use tokio::time::Instant;

use super::comparison::{Comparison, Left, positions_of};
use super::found::Verification;
use super::positions::{Picker, Positions, nothing_at};
use super::{Block, Row, RowsOf, Snapshot, VerifyError};
use crate::source::{ReadLimits, Source, SourceError};
use crate::target::TargetError;

/// How much of the log is read at a time: enough that a read's own cost is nothing, and two of them are megabytes.
const READ: ReadLimits = ReadLimits { events_max: 2_000, bytes_max: 1 << 20 };
/// How many keys are looked up at a time; a statement about so many is tens of milliseconds.
const LOOK_UP_EVENTS_MAX: usize = 10_000;
/// The most bytes of their payloads.
const LOOK_UP_BYTES_MAX: usize = 4 << 20;
/// How many blocks are read again at a time: their rows are kept one by one, about half a million of them.
const BLOCKS_AGAIN: usize = 128;
/// How often the snapshot hears that it is still wanted.
///
/// NOTE: a session that does nothing within a transaction is ended by the server after 60 s.
const HOLD_INTERVAL: Duration = Duration::from_secs(15);
/// How often progress is told, in rows.
const ROWS_TOLD: u64 = 1 << 14;

/// Holds a log against what a database has of it. `kept_from` is the time before which events have expired; `progress`
/// hears how much is done, and of how much.
///
/// # Errors
/// When either of the two cannot be read.
pub async fn verify<S: Source, N: Snapshot>(
    source: &S,
    snapshot: &mut N,
    kept_from: Option<Time>,
    progress: impl Fn(u64, u64) + Send + Sync,
) -> Result<Verification, VerifyError> {
    // NOTE: after the snapshot was taken: every row of it is of a position that is durable by now.
    let head = source.ends().durable;
    // Rows and events, though nobody knows yet how many rows there are.
    let total = head.0.saturating_mul(2);
    let mut comparison = Comparison::new(snapshot.ranges().await?, snapshot.quarantined().await?, kept_from);
    let mut rows = 0_u64;
    for kind in Kind::ALL {
        let mut tell = |row: Row| {
            comparison.row(kind, row);
            rows += 1;
            if rows.is_multiple_of(ROWS_TOLD) {
                progress(rows.min(head.0), total);
            }
        };
        snapshot.rows(kind, RowsOf::All, &mut tell).await?;
    }
    let mut walk = Walk { comparison, looks: Looks::default(), snapshot, told: Instant::now() };
    walk.whole_log(source, head, |done| progress(head.0.saturating_add(done), total)).await?;
    walk.what_is_left(source, head).await?;
    Ok(walk.comparison.finish(head))
}

/// Of events that were missing: those that still are.
///
/// # Errors
/// When the log or the database cannot be read.
pub async fn still_missing<S: Source, N: Snapshot>(
    source: &S,
    snapshot: &mut N,
    positions: Positions,
) -> Result<Positions, VerifyError> {
    let quarantined: Positions = snapshot.quarantined().await?.into_iter().collect();
    let mut missing = Positions::default();
    let mut picker = Picker::new(source, positions, READ);
    loop {
        let mut entries = picker.next().await?;
        if entries.is_empty() {
            return Ok(missing);
        }
        entries.retain(|entry| !quarantined.contains(entry.position));
        for entry in entries.extract_if(.., |entry| matches!(entry.event, Decoded::Unknown { .. })) {
            missing.insert(entry.position);
        }
        if !entries.is_empty() {
            snapshot.unexplained(&entries).await?.into_iter().for_each(|position| missing.insert(position));
        }
    }
}

/// Events whose keys are to be looked up.
#[derive(Default)]
struct Looks {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Looks {
    fn add(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        self.entries.push(entry);
    }

    const fn is_full(&self) -> bool {
        self.entries.len() >= LOOK_UP_EVENTS_MAX || self.bytes >= LOOK_UP_BYTES_MAX
    }
}

/// What goes along the log.
struct Walk<'a, N> {
    comparison: Comparison,
    looks: Looks,
    snapshot: &'a mut N,
    /// When the snapshot was last asked for something.
    told: Instant,
}

impl<N: Snapshot> Walk<'_, N> {
    /// Goes from the first position to the head; the next read is under way while the last one is compared.
    async fn whole_log<S: Source>(
        &mut self,
        source: &S,
        head: Position,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<(), VerifyError> {
        let mut from = Position::FIRST;
        let mut stretch = read(source, from, head).await?;
        while let Some(found) = stretch {
            from = behind(&found, from)?;
            let (next, compared) = tokio::join!(read(source, from, head), self.compare(found, head));
            compared?;
            stretch = next?;
            progress(from.before().0.min(head.0));
        }
        self.look_up().await
    }

    async fn compare(&mut self, stretch: Stretch, head: Position) -> Result<(), VerifyError> {
        match stretch {
            Stretch::Hole(hole) => self.comparison.hole(hole),
            Stretch::Events(entries) => {
                for entry in entries.into_iter().filter(|entry| entry.position <= head) {
                    if let Some(entry) = self.comparison.event(entry) {
                        self.look_up_later(entry).await?;
                    }
                }
            }
        }
        self.hold().await
    }

    /// Reads those blocks again in which rows and events do not come out even.
    async fn what_is_left<S: Source>(&mut self, source: &S, head: Position) -> Result<(), VerifyError> {
        for (kind, blocks) in self.comparison.suspects() {
            for blocks in blocks.chunks(BLOCKS_AGAIN) {
                self.again(source, head, kind, blocks).await?;
            }
        }
        self.look_up().await
    }

    async fn again<S: Source>(
        &mut self,
        source: &S,
        head: Position,
        kind: Kind,
        blocks: &[Block],
    ) -> Result<(), VerifyError> {
        let mut left = Left::new(kind);
        self.snapshot.rows(kind, RowsOf::Blocks(blocks), &mut |row| left.row(row)).await?;
        self.told = Instant::now();
        let mut positions = Positions::default();
        for (first, last) in blocks.iter().filter_map(|block| positions_of(*block)) {
            if first <= head {
                positions.insert_run(first..=last.min(head));
            }
        }
        let mut picker = Picker::new(source, positions, READ);
        loop {
            let entries = picker.next().await?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if let Some(entry) = self.comparison.event_again(&mut left, entry) {
                    self.look_up_later(entry).await?;
                }
            }
            self.hold().await?;
        }
        self.comparison.no_more(left, &picker.into_holes());
        Ok(())
    }

    async fn look_up_later(&mut self, entry: Entry) -> Result<(), TargetError> {
        self.looks.add(entry);
        if self.looks.is_full() { self.look_up_now().await } else { Ok(()) }
    }

    async fn look_up(&mut self) -> Result<(), VerifyError> {
        Ok(self.look_up_now().await?)
    }

    async fn look_up_now(&mut self) -> Result<(), TargetError> {
        let Looks { entries, .. } = std::mem::take(&mut self.looks);
        if !entries.is_empty() {
            let unexplained = self.snapshot.unexplained(&entries).await?;
            self.comparison.looked_up(&entries, &unexplained);
            self.told = Instant::now();
        }
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), VerifyError> {
        if self.told.elapsed() >= HOLD_INTERVAL {
            self.snapshot.hold().await?;
            self.told = Instant::now();
        }
        Ok(())
    }
}

/// What is there from `from` on; `None` behind the head.
async fn read<S: Source>(source: &S, from: Position, head: Position) -> Result<Option<Stretch>, SourceError> {
    if from > head {
        return Ok(None);
    }
    source.read(from, READ).await.map(Some)
}

/// The position behind an answer to a read from `from`.
fn behind(stretch: &Stretch, from: Position) -> Result<Position, SourceError> {
    match stretch {
        Stretch::Hole(hole) if hole.contains(from) => Ok(hole.hi.next()),
        Stretch::Events(entries) if entries.first().is_some_and(|entry| entry.position == from) => {
            Ok(from.plus(entries.len() as u64))
        }
        _ => Err(nothing_at(from)),
    }
}
