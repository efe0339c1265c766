//! Forgetting: what nothing has touched for [`KEPT_DAYS`] goes, a page at a time.

use event::Time;

use super::key::{CALLS, SESSIONS};
use super::shelf::{Shelf, ShelfError};
use super::value::{self, Call, Day};

/// How long a call is remembered after the last append that touched it, days.
pub(super) const KEPT_DAYS: Day = 90;
/// How often a page is looked at.
const PAUSE_MICROS: i64 = 600_000_000;
/// Keys of a page: some ten milliseconds of work.
const PAGE: usize = 10_000;

/// Where the sweep is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The last key that was looked at; empty before the first.
    after: Vec<u8>,
    due: Option<Time>,
}

impl Sweep {
    /// When the next page is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// It begins a pause from now on.
    pub(super) fn open(&mut self, now: Time) {
        *self = Self { after: Vec::new(), due: Some(now.plus_micros(PAUSE_MICROS)) };
    }

    /// Looks at one page; true when it was time to.
    pub(super) fn pass(&mut self, now: Time, shelf: &mut dyn Shelf) -> Result<bool, ShelfError> {
        if self.due.is_none_or(|due| due > now) {
            return Ok(false);
        }
        self.due = Some(now.plus_micros(PAUSE_MICROS));
        let part = if self.after.starts_with(SESSIONS) { SESSIONS } else { CALLS };
        let page = shelf.scan(part, &self.after, PAGE)?;
        let is_whole = page.len() == PAGE;
        for (key, bytes) in &page {
            let touched =
                if part == CALLS { touched_call(bytes, shelf)? } else { value::decode_session(bytes) };
            if touched.is_some_and(|touched| touched.saturating_add(KEPT_DAYS) < value::day(now)) {
                shelf.remove(key.clone());
            }
        }
        self.after = match (page.last(), part) {
            (Some((last, _)), _) if is_whole => last.clone(),
            (_, CALLS) => SESSIONS.to_vec(),
            _ => Vec::new(),
        };
        Ok(true)
    }
}

/// When a call was touched last. One that is another call goes when that one is gone.
fn touched_call(bytes: &[u8], shelf: &dyn Shelf) -> Result<Option<Day>, ShelfError> {
    Ok(match Call::decode(bytes) {
        Some(Call::Itself(known)) => Some(known.touched),
        Some(Call::Also(other)) => shelf.get(&other.key(CALLS))?.is_none().then_some(0),
        None => None,
    })
}
