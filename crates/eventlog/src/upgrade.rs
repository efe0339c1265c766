//! Older layouts: what they lack is made when they are opened.
//!
//! Layout 1 kept everything in one segment and had no index by time. Everything that layout 2 adds is made from
//! the events that are there; the layout's number is written last, so a kill on the way begins it anew.

use std::path::Path;

use event::wire::{self, Decoded};
use event::{BirthId, Position};
use fjall::{Database, Keyspace, PersistMode};

use crate::blocks::{Block, Stamp};
use crate::engine::{engine_error, foreign};
use crate::error::OpenError;
use crate::layout::{self, KEY_BIRTH_ID, KEY_LAYOUT, KEY_LOST_EVENTS};

/// Where layout 1 kept the number of lost events.
const STATE_LOST_EVENTS: &str = "log/lost_events";

/// Makes a log of layout 1 one of layout 2; leaves every other one alone.
pub(crate) fn upgrade(
    database: &Database,
    meta: &Keyspace,
    state: &Keyspace,
    path: &Path,
) -> Result<(), OpenError> {
    let error = engine_error(path);
    let layout = meta.get(KEY_LAYOUT).map_err(&error)?;
    if layout.is_none_or(|layout| *layout != [layout::LAYOUT_WITHOUT_BLOCKS]) {
        return Ok(());
    }
    let blocks = database.keyspace(layout::KEYSPACE_BLOCKS, layout::small_options).map_err(&error)?;
    let birth = meta.get(KEY_BIRTH_ID).map_err(&error)?;
    let birth = birth.and_then(|birth| Some(BirthId::from_bytes((*birth).try_into().ok()?)));
    let birth = birth.ok_or_else(|| foreign(path, "its meta has no birth_id"))?;
    let events =
        database.keyspace(&layout::segment_name(Position::FIRST), layout::events_options).map_err(&error)?;
    index(&events, &blocks, &birth).map_err(&error)?;
    if let Some(lost) = state.get(STATE_LOST_EVENTS).map_err(&error)? {
        meta.insert(KEY_LOST_EVENTS, lost).map_err(&error)?;
    }
    database.persist(PersistMode::SyncAll).map_err(&error)?;
    meta.insert(KEY_LAYOUT, [layout::LAYOUT]).map_err(&error)?;
    database.persist(PersistMode::SyncAll).map_err(&error)
}

/// Indexes a segment by time.
fn index(events: &Keyspace, blocks: &Keyspace, birth: &BirthId) -> Result<(), fjall::Error> {
    let mut block = Block::new(Position::FIRST);
    for guard in events.iter() {
        let (key, record) = guard.into_inner()?;
        let Some(position) = layout::key_position(&key) else { continue };
        if block.is_full() || position != block.last().next() {
            put(blocks, &block)?;
            block = Block::new(position);
        }
        block.add(stamp(birth, position, &record));
    }
    put(blocks, &block)
}

fn put(blocks: &Keyspace, block: &Block) -> Result<(), fjall::Error> {
    if block.positions == 0 {
        return Ok(());
    }
    blocks.insert(layout::position_key(block.first), block.encode())
}

/// Kind and time of a record; of one that is damaged or of a newer version, no kind.
fn stamp(birth: &BirthId, position: Position, record: &[u8]) -> Stamp {
    let decoded = wire::open(birth, position, record).and_then(|record| wire::decode(record.payload));
    match decoded {
        Ok(Decoded::Event(event)) => Stamp::of(&event),
        _ => Stamp::UNKNOWN,
    }
}
