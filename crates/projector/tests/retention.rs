//! A database that keeps events for a time: what is older is passed over and counted, whatever the lanes do and
//! wherever a run is killed.
#![cfg(test)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event::{Entry, Event, HoleCause, Position, SystemSample, Time};
use projector::{Parts, Projector, Settings, Sieve, Source, Until, kept_from};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use event::wire::Decoded;
use sim::database::Sending;
use sim::log::Kept;
use sim::rows::expected;
use sim::{MemoryProjector, World, assert_adds_up, killed_after, settings};

/// The time of day in all of this.
const NOW: Time = Time::from_micros(1_767_323_045_000_000);
/// Longer than anything here takes on the paused clock.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A log, and what happens to it.
#[derive(Clone, Debug)]
struct Story {
    /// How many seconds old each event is.
    ages: Vec<i64>,
    /// For how many seconds the database keeps events.
    kept: u64,
    /// Where holes begin, and how many positions they have.
    holes: Vec<(u64, u64)>,
    lanes: u32,
    /// After how many polls runs are killed.
    kills: Vec<usize>,
}

fn stories() -> impl Strategy<Value = Story> {
    let ages = proptest::collection::vec(-5..100_i64, 1..150);
    let holes = proptest::collection::vec((1..150_u64, 1..20_u64), 0..4);
    let kills = proptest::collection::vec(1..60_usize, 0..4);
    (ages, 0..110_u64, holes, 0..4_u32, kills).prop_map(|(ages, kept, holes, lanes, kills)| Story {
        ages,
        kept,
        holes,
        lanes,
        kills,
    })
}

impl Story {
    fn world(&self) -> World {
        let event = |(index, age): (usize, &i64)| {
            let name = format!("n{index}").into();
            let time = NOW.plus_micros(-age * 1_000_000);
            Event::SystemSample(SystemSample { time, system_name: name, ..SystemSample::default() })
        };
        let world = World::with(self.ages.iter().enumerate().map(event));
        for (lo, positions) in &self.holes {
            let (lo, head) = (Position(*lo), world.log.head());
            if lo <= head {
                world.log.make_hole(lo, lo.plus(positions - 1).min(head), HoleCause::Damaged, Kept::Checksum);
            }
        }
        world
    }

    fn projector(&self, world: &World, seed: u64) -> MemoryProjector {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(NOW.micros().try_into().unwrap());
        let sieve = Sieve { retention: Some(Duration::from_secs(self.kept)), ..Sieve::default() };
        let parts = Parts { seed, now: Arc::new(move || now), sieve, ..Parts::default() };
        let settings =
            Settings { backlog_lanes: self.lanes, live_events_max: 25, piece_events: 20, ..settings() };
        Projector::with_parts(Arc::clone(&world.log), Arc::clone(&world.target), settings, parts)
    }

    async fn check(self) {
        let world = self.world();
        world.target.set_sending(Sending::Kept);
        let (until, stop) = (Until::Applied(world.log.head()), CancellationToken::new());
        for (seed, polls) in (1..).zip(&self.kills) {
            let killed = self.projector(&world, seed);
            killed_after(*polls, killed.run(until, &stop)).await;
            assert_adds_up(&killed.status().borrow().totals);
        }
        world.target.settled().await;
        let totals = timeout(PATIENCE, self.projector(&world, 0).run(until, &stop)).await;
        let totals = totals.expect("it never ended").unwrap();
        assert_adds_up(&totals);

        let mut there = world.log.entries();
        there.retain(|entry| !world.log.is_gone(entry.position));
        let begin = kept_from(
            Duration::from_secs(self.kept),
            SystemTime::UNIX_EPOCH + Duration::from_micros(NOW.micros().try_into().unwrap()),
        );
        let is_kept = |entry: &Entry| matches!(&entry.event, Decoded::Event(event) if event.time() >= begin);
        let (kept, expired): (Vec<Entry>, Vec<Entry>) = there.into_iter().partition(is_kept);
        let data = world.target.data();
        assert_eq!(data.rows, expected(&world.log.identity(), &kept), "what is there is what is kept");
        assert!(sim::audit::is_all_passed(&world.log, &data), "the progress is behind it all");
        if self.kills.is_empty() {
            // A database that is new begins where the log does, behind what is gone there.
            let read = world.log.head().next().since(world.log.ends().first);
            let [kept, expired] = [kept, expired].map(|entries| entries.len() as u64);
            let counted = [totals.read, totals.sent, totals.expired, totals.unavailable];
            let all = [read, kept, expired, read - kept - expired];
            assert_eq!(counted, all, "read, sent, expired, unavailable");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/retention.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_kept_is_there_and_the_rest_is_counted(story in stories()) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(story.check());
    }
}
