//! The histories of the projector's model, with fixed seeds, each in a database of its own.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::history::History;
use sim::steps::{Step, histories};
use store::testing::TestEdition;

use crate::arena::{Template, TimescaleArena};

/// How many steps a history has at the most.
const STEPS_MAX: usize = 12;

/// The history of a seed.
///
/// NOTE: of good events only, for the target halts at one that it cannot take: it keeps no quarantine yet.
fn history(seed: u8) -> Vec<Step> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    histories(STEPS_MAX).new_tree(&mut runner).unwrap().current()
}

async fn live(edition: TestEdition, seeds: std::ops::Range<u8>) {
    let Some(template) = Template::make(edition).await else { return };
    for seed in seeds {
        println!("history {seed}");
        let mut world = History::new(TimescaleArena::new(&template).await);
        world.live(history(seed)).await;
        world.into_arena().gone().await;
    }
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_1() {
    live(TestEdition::Apache, 0..4).await;
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_2() {
    live(TestEdition::Apache, 4..8).await;
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_3() {
    live(TestEdition::Apache, 8..12).await;
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_4() {
    live(TestEdition::Apache, 12..16).await;
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_in_plain_postgresql_1() {
    live(TestEdition::Plain, 0..6).await;
}

#[tokio::test]
async fn the_tables_are_the_logs_whatever_happened_in_plain_postgresql_2() {
    live(TestEdition::Plain, 6..12).await;
}
