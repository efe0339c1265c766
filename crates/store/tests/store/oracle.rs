//! Random events under a random rule of the owner's: everything is accounted for, and the tables are an oracle's.

use std::collections::{BTreeMap, BTreeSet};

use event::Event;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use store::testing::TestEdition;

use crate::support::{self, World, sample, usage};

/// How the owner refuses what has the number 0, 1, … of `Case::refused`.
const RULES: [&str; 3] = ["check", "raise", "null"];

/// A key (4 agents or calls, 2 tables) and the number that the rule is about.
type Made = (u8, bool, u64);

#[derive(Clone, Debug)]
struct Case {
    rule: usize,
    refused: u64,
    made: Vec<Made>,
    /// Pieces that are applied in front of the whole.
    pieces: Vec<(usize, usize)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let made = proptest::collection::vec((0..4_u8, any::<bool>(), 0..5_u64), 1..25);
    let pieces = proptest::collection::vec((0..25_usize, 1..25_usize), 0..4);
    (0..RULES.len(), 0..6_u64, made, pieces).prop_map(|(rule, refused, made, pieces)| Case {
        rule,
        refused,
        made,
        pieces,
    })
}

fn event(&(key, is_usage, number): &Made) -> Event {
    if is_usage {
        Event::TokenUsage(usage(&format!("msg_{key}"), number, false))
    } else {
        sample(&format!("a{key}"), 0, number)
    }
}

/// The rows that the whole run leaves: table, key, position. The database judges an event alone.
fn rows(case: &Case) -> BTreeSet<String> {
    let mut kept: BTreeMap<(bool, u8), (u64, usize)> = BTreeMap::new();
    for (index, &(key, is_usage, number)) in case.made.iter().enumerate() {
        if number == case.refused {
            continue;
        }
        let winner = kept.entry((is_usage, key)).or_insert((number, index + 1));
        if is_usage && number > winner.0 {
            *winner = (number, index + 1);
        }
    }
    kept.into_iter()
        .map(
            |((is_usage, key), (_, position))| {
                if is_usage { format!("msg_{key} {position}") } else { format!("a{key} {position}") }
            },
        )
        .collect()
}

async fn set_rule(world: &World, case: &Case) {
    world
        .execute(
            "TRUNCATE agent_metrics, token_metrics, tailwater_quarantine;
             DROP TRIGGER IF EXISTS judge_agent_metrics ON agent_metrics;
             DROP TRIGGER IF EXISTS judge_token_metrics ON token_metrics;
             DROP FUNCTION IF EXISTS judge_agent_metrics, judge_token_metrics;
             ALTER TABLE agent_metrics DROP CONSTRAINT IF EXISTS rule;
             ALTER TABLE token_metrics DROP CONSTRAINT IF EXISTS rule",
        )
        .await;
    for (table, column) in [("agent_metrics", "mem_used_bytes"), ("token_metrics", "output_tokens")] {
        let refused = case.refused;
        match RULES[case.rule] {
            "check" => {
                let sql = format!("ALTER TABLE {table} ADD CONSTRAINT rule CHECK ({column} <> {refused})");
                world.execute(&sql).await;
            }
            "raise" => {
                world.trigger(table, &format!("IF NEW.{column} = {refused} THEN RAISE 'no'; END IF;")).await;
            }
            _ => {
                world.trigger(table, &format!("IF NEW.{column} = {refused} THEN RETURN NULL; END IF;")).await;
            }
        }
    }
}

async fn check(world: &World, case: &Case) -> Result<(), TestCaseError> {
    set_rule(world, case).await;
    let events: Vec<Event> = case.made.iter().map(event).collect();
    let whole = (0, events.len());
    let mut range = world.range().await;
    for &(from, length) in case.pieces.iter().chain([&whole]) {
        let from = from.min(events.len() - 1);
        let piece = &events[from..events.len().min(from + length)];
        range.jump(world, u64::try_from(from + 1).unwrap()).await;
        let rows_before = world.count("agent_metrics").await + world.count("token_metrics").await;
        let held_before = world.quarantined().await.len() as u64;
        let applied = range.apply(piece).await;
        prop_assert_eq!(applied.sent(), piece.len() as u64);
        let rows = world.count("agent_metrics").await + world.count("token_metrics").await;
        prop_assert_eq!(applied.inserted, u64::try_from(rows - rows_before).unwrap());
        prop_assert!(applied.conflicting <= applied.present);
        let held = world.quarantined().await.len() as u64;
        prop_assert!(held + applied.released <= held_before + applied.quarantined);
    }
    let sql = "SELECT agent_name || ' ' || position FROM agent_metrics
        UNION ALL SELECT message_id || ' ' || position FROM token_metrics";
    let found: BTreeSet<String> = world.texts(sql).await.into_iter().collect();
    prop_assert_eq!(found, rows(case));
    // Only what the rule refuses is in quarantine, and what it refuses is there or lost to another of its key.
    for held in world.quarantined().await {
        let position: usize = held.split(' ').next().unwrap().parse().unwrap();
        prop_assert_eq!(case.made[position - 1].2, case.refused, "{}", held);
    }
    Ok(())
}

fn random_events_in(edition: TestEdition) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(world) = runtime.block_on(World::of(edition)) else { return };
    runtime.block_on(world.lane());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: support::cases(edition), ..ProptestConfig::default() });
    let checked = runner.run(&cases(), |case| runtime.block_on(check(&world, &case)));
    runtime.block_on(world.database.drop());
    checked.unwrap();
}

#[test]
fn random_events_under_a_random_rule_are_all_accounted_for() {
    TestEdition::ALL.into_iter().for_each(random_events_in);
}
