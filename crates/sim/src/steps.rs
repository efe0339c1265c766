//! What a history is made of, drawn by proptest.

use std::num::NonZeroU32;
use std::time::Duration;

use event::{Event, HoleCause, Kind, SystemSample};
use projector::{ErrorKind, Settings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::database::POISON;
use crate::events::{Draw, DrawnHost, time};
use crate::faults::{Call, Fault};
use crate::log::Kept;
use crate::settings;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// Events come.
    Append {
        /// Which.
        events: Vec<Drawn>,
        /// Whether they are durable at once.
        is_synced: bool,
    },
    /// Many durable ones come, made from this number.
    Import {
        /// How many.
        events: u64,
        /// Tells one import from the next.
        number: u64,
    },
    /// What is not durable is lost.
    CutPower,
    /// So many of the durable ones are lost, too.
    LoseTail(u64),
    /// Events become a hole.
    Hole(DrawnHole),
    /// A projector runs to the head, through these faults.
    Project(Tuning, Vec<(Call, Fault)>),
    /// A projector runs to the head, and after so long something happens.
    Meanwhile(Tuning, Duration, Happening),
    /// A projector runs and is killed when it has been polled so often.
    Crash(Tuning, usize, Vec<(Call, Fault)>),
    /// Two projectors run to the head at once.
    Beside(Tuning, Tuning),
    /// Two projectors run at once, and the second is killed when it has been polled so often.
    CrashBeside(Tuning, Tuning, usize),
    /// The database is backed up, over the last backup.
    BackUp,
    /// The backup takes the database's place.
    Restore,
    /// The progress goes, the rows stay.
    WipeProgress,
    /// The database is dropped and created empty.
    Drop,
    /// The database takes from now on what it refused, and everything is applied again.
    TakePoison,
}

/// What happens while a projector runs.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Events become a hole.
    Hole(DrawnHole),
    /// So many events come.
    Import(u64),
    /// The backup takes the database's place.
    Restore,
    /// The progress goes, the rows stay.
    WipeProgress,
    /// The database is dropped and created empty.
    Drop,
}

/// An event that comes.
#[derive(Clone, Copy, Debug)]
pub enum Drawn {
    /// One that a database takes.
    Good(Draw),
    /// One that a database refuses, of this time.
    Poison(u8),
    /// One of a kind or version that nobody knows.
    Unknown(u8, u8),
}

/// What of the settings a history draws.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    backlog_lanes: u32,
    backlog_rate: Option<NonZeroU32>,
}

/// A hole somewhere among what is durable.
#[derive(Clone, Debug)]
pub struct DrawnHole {
    /// Where it begins.
    pub begin: Begin,
    /// How many positions it has.
    pub positions: u64,
    /// Why.
    pub cause: HoleCause,
    /// What it keeps.
    pub kept: Kept,
}

/// Where a hole begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// At the first position: a trim.
    First,
    /// Anywhere: the remainder by the number of positions.
    Anywhere(u64),
    /// So far in front of a range's next position, or behind it; which range is the remainder by their number.
    Near(usize, i64),
}

impl Tuning {
    /// No faults of its own: two lanes, and no limit.
    pub const PLAIN: Self = Self { backlog_lanes: 2, backlog_rate: None };

    /// The settings: so small that a history of a hundred events has batches, pieces and a backlog.
    pub fn settings(self) -> Settings {
        let Self { backlog_lanes, backlog_rate } = self;
        Settings { backlog_lanes, backlog_rate, live_events_max: 25, piece_events: 20, ..settings() }
    }
}

impl Drawn {
    /// The event, or a newer version's kind and version.
    pub fn event(self) -> Result<Event, (u8, u8)> {
        match self {
            Self::Good(draw) => Ok(draw.event()),
            Self::Poison(number) => Ok(Event::SystemSample(SystemSample {
                time: time(number.into()),
                system_name: POISON.into(),
                ..SystemSample::default()
            })),
            Self::Unknown(kind, version) => Err((kind, version)),
        }
    }
}

/// A history of up to this many steps.
pub fn histories(steps_max: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(steps(), 1..steps_max)
}

fn tunings() -> impl Strategy<Value = Tuning> {
    let rate = option::weighted(0.2, (5..200_u32).prop_map(|rate| NonZeroU32::new(rate).unwrap()));
    (0..4_u32, rate).prop_map(|(backlog_lanes, backlog_rate)| Tuning { backlog_lanes, backlog_rate })
}

fn holes() -> impl Strategy<Value = DrawnHole> {
    let begin = prop_oneof![
        2 => Just(Begin::First),
        3 => any::<u64>().prop_map(Begin::Anywhere),
        3 => (any::<usize>(), -15..15_i64).prop_map(|(range, offset)| Begin::Near(range, offset)),
    ];
    let kept = select(vec![Kept::Checksum, Kept::Nothing]);
    (begin, 1..40_u64, select(HoleCause::ALL.to_vec()), kept)
        .prop_map(|(begin, positions, cause, kept)| DrawnHole { begin, positions, cause, kept })
}

fn draws() -> impl Strategy<Value = Draw> {
    let kinds = select(Kind::ALL.to_vec());
    let hosts = select(vec![DrawnHost::Absent, DrawnHost::Own, DrawnHost::Other]);
    (kinds, hosts, 0..2_u8, 0..3_u8, 0..3_u8, (0..3_u8, 0..3_u8), any::<bool>()).prop_map(
        |(kind, host, name, time, message, counts, is_final)| Draw {
            kind,
            host,
            name,
            time,
            message,
            counts,
            is_final,
        },
    )
}

fn drawn() -> impl Strategy<Value = Drawn> {
    prop_oneof![
        20 => draws().prop_map(Drawn::Good),
        1 => (0..5_u8).prop_map(Drawn::Poison),
        1 => select(vec![(77, 1), (1, 9)]).prop_map(|(kind, version)| Drawn::Unknown(kind, version)),
    ]
}

/// Things that go wrong with some calls, and heal.
pub fn faults() -> impl Strategy<Value = Vec<(Call, Fault)>> {
    let after = (0..40_u64).prop_map(Duration::from_secs);
    let fault = prop_oneof![
        2 => Just(Fault::Lost),
        4 => (any::<bool>(), after.clone()).prop_map(|(effect, after)| Fault::LostInCommit { effect, after }),
        1 => Just(Fault::Overtaken),
        1 => Just(Fault::Refused(ErrorKind::Retry)),
        1 => Just(Fault::Refused(ErrorKind::Busy)),
        1 => after.prop_map(Fault::Slow),
    ];
    let call = prop_oneof![1 => Just(Call::Connect), 2 => Just(Call::Claim), 4 => Just(Call::Apply)];
    vec((call, fault), 0..6)
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => holes().prop_map(Happening::Hole),
        2 => (1..80_u64).prop_map(Happening::Import),
        1 => Just(Happening::Restore),
        1 => Just(Happening::WipeProgress),
        1 => Just(Happening::Drop),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let after = (0..120_u64).prop_map(Duration::from_millis);
    prop_oneof![
        6 => (vec(drawn(), 1..40), any::<bool>())
            .prop_map(|(events, is_synced)| Step::Append { events, is_synced }),
        4 => (26..200_u64, any::<u64>()).prop_map(|(events, number)| Step::Import { events, number }),
        2 => Just(Step::CutPower),
        2 => (1..30_u64).prop_map(Step::LoseTail),
        3 => holes().prop_map(Step::Hole),
        4 => (tunings(), faults()).prop_map(|(tuning, faults)| Step::Project(tuning, faults)),
        5 => (tunings(), after, happenings())
            .prop_map(|(tuning, after, happening)| Step::Meanwhile(tuning, after, happening)),
        6 => (tunings(), 1..150_usize, faults())
            .prop_map(|(tuning, polls, faults)| Step::Crash(tuning, polls, faults)),
        2 => (tunings(), tunings()).prop_map(|(one, two)| Step::Beside(one, two)),
        2 => (tunings(), tunings(), 1..150_usize)
            .prop_map(|(one, two, polls)| Step::CrashBeside(one, two, polls)),
        2 => Just(Step::BackUp),
        2 => Just(Step::Restore),
        2 => Just(Step::WipeProgress),
        1 => Just(Step::Drop),
        1 => Just(Step::TakePoison),
    ]
}
