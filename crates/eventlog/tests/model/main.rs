//! The log against a model: whatever is done in whatever order, it holds what a plain list would hold.
//!
//! A kill is a copy of the directory, taken while the log is open, with which the test goes on: it holds what
//! the kernel had. So every acknowledged event must be in it, in every sync mode.
//!
//! A power cut is such a copy in which the journal behind what was synced is cut or torn, and the older slot of
//! the mark with it. What was durable must be in it, and what else is must be the first of what was appended.
//! A lost tail is worse: synced bytes at the end of the journal go as well, as they do with a disk that lies or
//! breaks, or with an older copy of the files. Then the mark tells, and the log has a hole for them.
//!
//! What this does not show:
//! - that the log asks for the fsyncs that it tells of: it is believed, there is no seam to see them;
//! - files whose making, renaming or removing was not synced yet: all that the copy has is there;
//! - anything torn but the journal and the mark: fjall syncs tables and manifests itself before they count;
//! - synced bytes that change in the middle of the journal, or a sector with old and new synced bytes torn:
//!   damage has tests of its own;
//! - a flush, a compaction or a trim half done: copies are taken between them (real kills hit those);
//! - a lost tail that takes a hole or what stands before the last opening: whoever loses that has damage.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod disk;
mod plain;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::time::Duration;

use disk::Tail;
use event::Kind;
use eventlog::Sync;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use world::World;

#[derive(Clone, Debug)]
enum Step {
    /// Append so many events and wait for the acknowledgement.
    Append(usize),
    /// The same with meta under one of a few keys; `None` removes it.
    AppendMeta { events: usize, key: u8, value: Option<u8> },
    /// Append events of so many minutes before the first.
    Import { events: usize, minutes: i64 },
    /// Hand so many events over without waiting.
    Offer(usize),
    /// Wait until everything is durable.
    Sync,
    /// Read from a place, given in thousandths of the log, a little behind its end included.
    Read { from: u64, events_max: usize, bytes_max: usize },
    /// Ask where events of some kinds may be, of these minutes from the first event on.
    Between { from: i64, minutes: i64, kinds: Vec<Kind> },
    /// Wait for an event that is appended only while we wait.
    Tail(usize),
    /// Trim what lies before a place, given in thousandths of the log.
    Trim(u64),
    /// Close the log and open it again.
    Reopen,
    /// Go on with what a kill would have left.
    Kill,
    /// Go on with what a power cut would have left, and with a torn write of the mark.
    CutPower { tail: Tail, mark: Option<u64> },
    /// Lose the end of what was durable, from so many thousandths of it on: cut off, or zeros.
    LoseTail { place: u64, is_cut: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || prop_oneof![Just(usize::MAX), 1_usize..30];
    prop_oneof![
        8 => (1_usize..=20).prop_map(Step::Append),
        4 => (0_usize..=4, 0_u8..3, any::<Option<u8>>())
            .prop_map(|(events, key, value)| Step::AppendMeta { events, key, value }),
        3 => (1_usize..=12, 1_i64..600).prop_map(|(events, minutes)| Step::Import { events, minutes }),
        4 => (1_usize..=5).prop_map(Step::Offer),
        4 => Just(Step::Sync),
        6 => (0_u64..1_100, limit(), prop_oneof![Just(usize::MAX), 0_usize..400])
            .prop_map(|(from, events_max, bytes_max)| Step::Read { from, events_max, bytes_max }),
        6 => (-600_i64..300, prop_oneof![0_i64..30, 0_i64..900], kinds())
            .prop_map(|(from, minutes, kinds)| Step::Between { from, minutes, kinds }),
        3 => (1_usize..=3).prop_map(Step::Tail),
        3 => prop_oneof![0_u64..1_000, Just(1_000)].prop_map(Step::Trim),
        2 => Just(Step::Reopen),
        2 => Just(Step::Kill),
        4 => (tail(), any::<Option<u64>>()).prop_map(|(tail, mark)| Step::CutPower { tail, mark }),
        2 => (0_u64..1_000, any::<bool>()).prop_map(|(place, is_cut)| Step::LoseTail { place, is_cut }),
    ]
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kinds = [&Kind::ALL[..], &[Kind::SystemSample], &[Kind::TokenUsage], &[Kind::Gap], &[]];
    prop::sample::select(kinds.map(<[Kind]>::to_vec).to_vec())
}

fn tail() -> impl Strategy<Value = Tail> {
    prop_oneof![
        1 => Just(Tail::Keep),
        3 => (0_u64..1_000).prop_map(Tail::Cut),
        3 => (0_u64..1_000).prop_map(Tail::Zeros),
        4 => any::<u64>().prop_map(Tail::Sectors),
    ]
}

/// NOTE: an interval is short enough to run out within a step.
fn sync() -> impl Strategy<Value = Sync> {
    prop_oneof![
        1 => Just(Sync::Always),
        1 => Just(Sync::Interval(Duration::from_millis(2))),
        2 => Just(Sync::Os),
    ]
}

/// NOTE: 40 cases are 35 s on a disk that others keep busy, and 8 s otherwise: fsyncs are what they cost.
fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::Direct("proptest-regressions/model.txt");
    ProptestConfig {
        cases: 40,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_log_is_a_list(
        sync in sync(),
        segment_bytes in 300_u64..1_500,
        steps in prop::collection::vec(step(), 1..24),
    ) {
        walk(sync, segment_bytes, &steps);
    }
}

fn walk(sync: Sync, segment_bytes: u64, steps: &[Step]) {
    let mut world = World::new(sync, segment_bytes);
    for step in steps {
        world.take(step);
    }
    world.end();
}

/// What the model has found, in the shape that it was found in.
#[test]
fn live_events_after_a_reopening_do_not_join_an_imports_block() {
    let import = Step::Import { events: 1, minutes: 1 };
    let between = Step::Between { from: 0, minutes: 1, kinds: Kind::ALL.to_vec() };
    walk(Sync::Always, 1_024, &[import, Step::Reopen, between]);
}

/// The same.
#[test]
fn a_trim_up_to_a_lost_tail_begins_behind_it() {
    let import = Step::Import { events: 8, minutes: 1 };
    let lose = Step::LoseTail { place: 0, is_cut: false };
    walk(Sync::Always, 594, &[import, Step::Append(16), Step::Append(7), lose, Step::Trim(824)]);
}
