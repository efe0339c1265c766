//! What goes wrong between a projector and its database: scripted, or drawn from a seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use projector::ErrorKind;

/// What a projector asks of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A connection.
    Connect,
    /// A claim of the range.
    Claim,
    /// A batch.
    Apply,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Claim, Self::Apply];
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost before COMMIT: the server rolls back.
    Lost,
    /// The connection is lost during COMMIT. `after` so long the server commits, or rolls back; until then it
    /// holds its locks. A connect has no COMMIT and is refused.
    LostInCommit {
        /// Whether it commits.
        effect: bool,
        /// When.
        after: Duration,
    },
    /// Another writer claims the range just before. It concerns batches only.
    Overtaken,
    /// The database refuses, and nothing has changed.
    Refused(ErrorKind),
    /// The call takes so long and then does what it should.
    Slow(Duration),
    /// The call does what it should, and its answer takes so long.
    Late(Duration),
    /// No answer, ever.
    Hangs,
}

/// Which calls go wrong.
#[derive(Debug, Default)]
pub struct Faults {
    script: BTreeMap<Call, VecDeque<Option<Fault>>>,
    seeded: Option<Seeded>,
}

impl Faults {
    /// The next call of this sort that has no fault yet gets this one; `None` lets it pass.
    pub fn script(&mut self, call: Call, fault: impl Into<Option<Fault>>) {
        self.script.entry(call).or_default().push_back(fault.into());
    }

    /// From now on `per_mille` of the calls that no script tells about go wrong, in ways that heal.
    pub fn seed(&mut self, seed: u64, per_mille: u64) {
        self.seeded = Some(Seeded { state: seed, per_mille });
    }

    /// Nothing goes wrong any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault of the call that is made now.
    pub fn next(&mut self, call: Call) -> Option<Fault> {
        match self.script.get_mut(&call).and_then(VecDeque::pop_front) {
            Some(scripted) => scripted,
            None => self.seeded.as_mut().and_then(Seeded::draw),
        }
    }
}

/// A SplitMix64 generator of faults that heal.
#[derive(Debug)]
struct Seeded {
    state: u64,
    per_mille: u64,
}

impl Seeded {
    fn draw(&mut self) -> Option<Fault> {
        if self.number() % 1_000 >= self.per_mille {
            return None;
        }
        let after = Duration::from_millis(self.number() % 3_000);
        Some(match self.number() % 6 {
            0 => Fault::Lost,
            1 => Fault::LostInCommit { effect: true, after },
            2 => Fault::LostInCommit { effect: false, after },
            3 => Fault::Refused(ErrorKind::Retry),
            4 => Fault::Refused(ErrorKind::Busy),
            _ => Fault::Slow(after),
        })
    }

    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
