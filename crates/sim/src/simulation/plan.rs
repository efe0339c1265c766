//! What a seed means: settings, a workload and a row of troubles.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use projector::{ReadLimits, Settings};

use crate::database::Pace;

/// How long a transaction waits for a lock at the least.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// The heads are looked at, by the projector and by the simulation, a second later at the most.
const LOOKS: Duration = Duration::from_secs(2);

/// How long a lane may take to come back: the longest pause between two attempts is 20 s with its jitter, and a dead
/// backend holds a lock for 3 s.
const RETURN: Duration = Duration::from_secs(60);

/// What is to happen.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// How projectors are tuned.
    pub(super) settings: Settings,
    /// How fast the database is.
    pub(super) pace: Pace,
    /// How long events and troubles come.
    pub(super) lasts: Duration,
    /// Events that come each second.
    pub(super) events_per_second: u64,
    /// Of a thousand events so many are refused.
    pub(super) poison_per_mille: u64,
    /// Imports: how long after the one before, and of how many events.
    pub(super) imports: Vec<(Duration, u64)>,
    /// Troubles: how long after the end of the one before.
    pub(super) troubles: Vec<(Duration, Trouble)>,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// So many of a thousand calls go wrong.
    Faults { per_mille: u64, lasts: Duration },
    /// The server is away.
    ServerAway(Duration),
    /// The log cannot be asked.
    SourceAway(Duration),
    /// The process is killed, and starts again after so long.
    Crash(Duration),
    /// A second projector runs, and is killed.
    Second(Duration),
    /// So many events become a hole: a trim, or anywhere.
    Hole { is_trim: bool, positions: u64 },
    /// The database is backed up.
    BackUp,
    /// The backup takes its place.
    Restore,
    /// The database is dropped and made anew.
    Drop,
    /// The progress goes, the rows stay.
    Wipe,
    /// The database takes from now on what it refused, and everything is applied again.
    TakePoison,
}

impl Plan {
    pub(super) fn of(chance: &mut Rng) -> Self {
        if chance.u8(..3) == 0 { Self::busy(chance) } else { Self::easy(chance) }
    }

    /// The database could do much more than it has to: imports and outages are soon made up for.
    fn easy(chance: &mut Rng) -> Self {
        let lasts = Duration::from_secs(chance.u64(1_200..4_800));
        let settings = Settings {
            batch: batch(chance.usize(50..200)),
            live_events_max: chance.u64(200..400),
            piece_events: chance.u64(200..1_500),
            ..settings(chance)
        };
        let event = Duration::from_micros(chance.u64(100..1_500));
        Self {
            events_per_second: chance.u64(1..6),
            imports: imports(chance, lasts, 500..4_000),
            ..Self::with(chance, settings, event, lasts)
        }
    }

    /// The live events alone are half of what the database can do: only because the backlog lanes wait for the live
    /// lane is that not behind, for its share is one of many, and it may be far behind before it leaves any.
    fn busy(chance: &mut Rng) -> Self {
        let lasts = Duration::from_secs(chance.u64(600..1_200));
        let settings = Settings {
            batch: batch(chance.usize(20..40)),
            live_events_max: 1_500,
            piece_events: chance.u64(100..800),
            ..settings(chance)
        };
        let event = Duration::from_micros(chance.u64(18_000..22_000));
        Self {
            events_per_second: chance.u64(20..26),
            imports: imports(chance, lasts, 2_000..6_000),
            ..Self::with(chance, settings, event, lasts)
        }
    }

    fn with(chance: &mut Rng, settings: Settings, event: Duration, lasts: Duration) -> Self {
        let troubles = (0..chance.usize(3..12)).map(|_| (pause(chance, lasts), trouble(chance))).collect();
        Self {
            settings,
            pace: Pace { event, lock: Some(LOCK_PATIENCE.max(event * 400)) },
            lasts,
            events_per_second: 0,
            poison_per_mille: if chance.bool() { chance.u64(..30) } else { 0 },
            imports: Vec::new(),
            troubles,
        }
    }

    /// How long all must have been well before the live lane is held to its bound: it has to come back, and to work off
    /// what it does not leave to the others, while as much comes again.
    pub(super) fn well_for(&self) -> Duration {
        RETURN + self.pace.event * 3 * u32::try_from(self.settings.live_events_max).unwrap()
    }

    /// How old an event may become before the live lane has it when all is well: so old that the others wait for it,
    /// what they and the live lane itself have under way by then, and the pauses between two looks.
    pub(super) fn lag_max(&self) -> Duration {
        let batches =
            (self.settings.backlog_lanes + 2) * u32::try_from(self.settings.batch.events_max).unwrap();
        self.settings.live_lag_max + self.pace.event * batches + LOOKS
    }
}

fn batch(events_max: usize) -> ReadLimits {
    ReadLimits { events_max, bytes_max: 64 * 1024 }
}

/// Each of them more than the live lane takes upon itself.
fn imports(chance: &mut Rng, lasts: Duration, events: Range<u64>) -> Vec<(Duration, u64)> {
    (0..chance.usize(1..5)).map(|_| (pause(chance, lasts), chance.u64(events.clone()))).collect()
}

fn pause(chance: &mut Rng, lasts: Duration) -> Duration {
    Duration::from_millis(chance.u64(..u64::try_from(lasts.as_millis()).unwrap() / 4))
}

fn settings(chance: &mut Rng) -> Settings {
    let backlog_rate = if chance.u8(..3) == 0 { NonZeroU32::new(chance.u32(100..1_000)) } else { None };
    Settings { backlog_lanes: chance.u32(..4), backlog_rate, ..Settings::default() }
}

fn trouble(chance: &mut Rng) -> Trouble {
    let seconds = |chance: &mut Rng, most: u64| Duration::from_millis(chance.u64(100..most * 1_000));
    match chance.u8(..16) {
        0..3 => Trouble::Faults { per_mille: chance.u64(20..400), lasts: seconds(chance, 300) },
        3..5 => Trouble::ServerAway(seconds(chance, 900)),
        5 => Trouble::SourceAway(seconds(chance, 60)),
        6..8 => Trouble::Crash(seconds(chance, 120)),
        8 => Trouble::Second(seconds(chance, 60)),
        9 => Trouble::Hole { is_trim: chance.bool(), positions: chance.u64(1..800) },
        10 | 11 => Trouble::BackUp,
        12 => Trouble::Restore,
        13 => Trouble::Drop,
        14 => Trouble::Wipe,
        _ => Trouble::TakePoison,
    }
}
