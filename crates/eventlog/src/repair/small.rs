//! What the small keyspaces of a damaged log held: the newest value of each key.

use std::collections::BTreeMap;

use event::{BirthId, HostName, LogId, Time};

use super::{Files, RepairError, file};
use crate::forensic::{journal, table};
use crate::holes::{self, Holes};
use crate::layout::{self, KEYSPACE_META, KEYSPACE_STATE};
use crate::open::LogInfo;

/// By key, the newest value and its sequence number; no value when it was removed.
type Newest = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

/// What `meta` and `state` held.
#[derive(Default)]
pub(super) struct Small {
    meta: Newest,
    state: Newest,
}

impl Small {
    pub(super) fn read(files: &Files) -> Result<Self, RepairError> {
        let mut small = Self::default();
        for (keyspace, path) in &files.tables {
            if name(*keyspace).is_some() {
                // NOTE: a table that cannot be read at all is one more damage, and told with the events.
                let _ = table::scan(path, |item| {
                    small.take(*keyspace, item.key, item.value, item.seqno, item.deleted);
                });
            }
        }
        for path in &files.journals {
            journal::salvage(path, 0, |_, item| {
                small.take(item.keyspace, item.key, &item.value, item.seqno, item.deleted);
            })
            .map_err(file("read", path))?;
        }
        Ok(small)
    }

    fn take(&mut self, keyspace: u64, key: &[u8], value: &[u8], seqno: u64, deleted: bool) {
        let newest = match name(keyspace) {
            Some(KEYSPACE_META) => &mut self.meta,
            Some(KEYSPACE_STATE) => &mut self.state,
            _ => return,
        };
        if newest.get(key).is_none_or(|(known, _)| *known <= seqno) {
            newest.insert(key.to_vec(), (seqno, (!deleted).then(|| value.to_vec())));
        }
    }

    /// What the log kept about itself under `key`.
    pub(super) fn meta(&self, key: &str) -> Option<&[u8]> {
        self.meta.get(key.as_bytes())?.1.as_deref()
    }

    /// What appenders kept.
    pub(super) fn state(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.state.iter().filter_map(|(key, (_, value))| Some((key.as_slice(), value.as_deref()?)))
    }

    /// Which log this was, if all of it can be read.
    pub(super) fn info(&self) -> Option<LogInfo> {
        let sixteen = |key: &str| <[u8; 16]>::try_from(self.meta(key)?).ok();
        let host = std::str::from_utf8(self.meta(layout::KEY_HOST)?).ok()?;
        let created = i64::from_be_bytes(self.meta(layout::KEY_CREATED)?.try_into().ok()?);
        Some(LogInfo {
            log_id: LogId::from_bytes(sixteen(layout::KEY_LOG_ID)?),
            birth_id: BirthId::from_bytes(sixteen(layout::KEY_BIRTH_ID)?),
            host: HostName::new(host).ok()?,
            created: Time::from_micros(created),
        })
    }

    /// The holes that the log had.
    pub(super) fn holes(&self) -> Holes {
        let prefix = layout::PREFIX_HOLE.as_bytes();
        let entries = self.meta.iter().filter_map(|(key, (_, value))| {
            let lo = layout::key_position(key.strip_prefix(prefix)?)?;
            holes::decode(lo, value.as_deref()?)
        });
        let mut holes = Holes::default();
        // NOTE: where a removal is lost, a hole that has become a part of a larger one is back: they must not overlap.
        entries.for_each(|hole| _ = holes.add(hole));
        holes
    }
}

/// The name of a small keyspace, by its number in fjall's files.
fn name(keyspace: u64) -> Option<&'static str> {
    let index = usize::try_from(keyspace.checked_sub(1)?).ok()?;
    layout::SMALL_KEYSPACES.get(index).copied()
}
