//! Token usage: snapshots of one call, in any order.

use std::slice;

use event::{Event, TokenUsage};
use projector::ApplyOutcome;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use store::testing::TestEdition;

use crate::support::{World, cases, in_every_edition, log, usage};

const KEPT: &str = "SELECT concat_ws(' ', message_id, final, input_tokens, output_tokens, log_no, position)
    FROM token_metrics ORDER BY message_id";

fn events(usages: &[TokenUsage]) -> Vec<Event> {
    usages.iter().cloned().map(Event::TokenUsage).collect()
}

/// Empties the table and applies one batch after the other.
async fn kept_after(world: &World, batches: &[(u64, Vec<Event>)]) -> Vec<String> {
    let mut range = world.range().await;
    world.execute("TRUNCATE token_metrics").await;
    for (next, events) in batches {
        range.jump(world, *next).await;
        let outcome = range.apply(events).await;
        assert_eq!(outcome.inserted + outcome.present, u64::try_from(events.len()).unwrap());
    }
    world.texts(KEPT).await
}

async fn the_larger_snapshot_wins(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let check = async |first: TokenUsage, second: TokenUsage, kept: &str| {
        // One after the other, in both orders of arrival, and together.
        let [one, two] = [events(slice::from_ref(&first)), events(slice::from_ref(&second))];
        let both = events(&[first, second]);
        assert_eq!(kept_after(&world, &[(1, one.clone()), (2, two.clone())]).await, [kept]);
        assert_eq!(kept_after(&world, &[(2, two), (1, one)]).await, [kept]);
        assert_eq!(kept_after(&world, &[(1, both)]).await, [kept]);
    };
    let with_input =
        |input_tokens: u64, output: u64| TokenUsage { input_tokens, ..usage("x", output, false) };
    check(usage("x", 9, false), usage("x", 1, true), "x t 0 1 1 2").await;
    check(usage("x", 9, true), usage("x", 10, false), "x t 0 9 1 1").await;
    check(usage("x", 1, false), usage("x", 2, false), "x f 0 2 1 2").await;
    check(with_input(5, 1), with_input(6, 1), "x f 6 1 1 2").await;
    check(with_input(9, 1), with_input(1, 2), "x f 1 2 1 2").await;
    check(usage("x", 3, false), usage("x", 3, false), "x f 0 3 1 1").await;
    // Without a message id the first stays, however large the other.
    check(usage("", 1, false), usage("", 9, true), " f 0 1 1 1").await;
}

async fn counts_at_the_limit_do_not_overflow(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let most = i64::MAX as u64;
    let largest = TokenUsage {
        input_tokens: most,
        cache_read: most,
        cache_create: most,
        output_tokens: most,
        ..usage("x", 0, false)
    };
    let less = TokenUsage { cache_read: most - 1, ..largest.clone() };
    let kept = kept_after(&world, &[(1, events(&[less])), (2, events(&[largest]))]).await;
    assert_eq!(kept, [format!("x f {most} {most} 1 2")]);
}

async fn across_logs_the_larger_wins_and_of_equals_the_one_that_is_there(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 10).await;
    range.apply(&events(&[usage("x", 5, false), usage("y", 5, false), usage("", 5, false)])).await;
    let mut other = world.range_of(&log("home")).await;
    let outcome =
        other.apply(&events(&[usage("x", 5, false), usage("y", 6, false), usage("", 6, false)])).await;
    // y replaces the row, x says the same, and the one without an id differs.
    let told = ApplyOutcome { inserted: 0, present: 3, conflicting: 1, ..ApplyOutcome::default() };
    assert_eq!(outcome, told);
    assert_eq!(world.texts(KEPT).await, [" f 0 5 1 12", "x f 0 5 1 10", "y f 0 6 2 2"]);
}

async fn a_call_of_another_time_or_model_is_another_row(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let other_model = TokenUsage { model: "n".into(), ..usage("x", 1, false) };
    let other_id = usage("y", 1, false);
    let outcome = range.apply(&events(&[usage("x", 1, false), other_model, other_id])).await;
    assert_eq!(outcome, ApplyOutcome { inserted: 3, present: 0, ..ApplyOutcome::default() });
}

/// Snapshots of a few calls, and an order in which pieces of their run arrive.
fn snapshots() -> impl Strategy<Value = (Vec<TokenUsage>, Vec<(usize, usize)>)> {
    let snapshot =
        (0..3_u8, 0..3_u64, 0..3_u64, any::<bool>()).prop_map(|(call, input, output, is_final)| {
            let message = if call == 0 { String::new() } else { format!("msg_{call}") };
            TokenUsage { input_tokens: input, ..usage(&message, output, is_final) }
        });
    proptest::collection::vec(snapshot, 1..12).prop_flat_map(|run| {
        let length = run.len();
        let pieces = proptest::collection::vec((0..length, 1..=length), 0..4);
        (Just(run), pieces)
    })
}

fn any_order_of_arrival_gives_one_table_in(edition: TestEdition) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(world) = runtime.block_on(World::of(edition)) else { return };
    runtime.block_on(world.lane());
    let mut runner = TestRunner::new(ProptestConfig { cases: cases(edition), ..ProptestConfig::default() });
    let checked = runner.run(&snapshots(), |(run, pieces)| {
        let events = events(&run);
        let whole = (1, events.clone());
        let piece = |&(from, length): &(usize, usize)| {
            let to = events.len().min(from + length);
            (u64::try_from(from + 1).unwrap(), events[from..to].to_vec())
        };
        let mut batches: Vec<_> = pieces.iter().map(piece).collect();
        batches.push(whole.clone());
        let mixed = runtime.block_on(kept_after(&world, &batches));
        let straight = runtime.block_on(kept_after(&world, &[whole]));
        prop_assert_eq!(mixed, straight);
        Ok(())
    });
    runtime.block_on(world.database.drop());
    checked.unwrap();
}

in_every_edition!(
    the_larger_snapshot_wins,
    counts_at_the_limit_do_not_overflow,
    across_logs_the_larger_wins_and_of_equals_the_one_that_is_there,
    a_call_of_another_time_or_model_is_another_row,
);

#[test]
fn any_order_of_arrival_gives_one_table() {
    TestEdition::ALL.into_iter().for_each(any_order_of_arrival_gives_one_table_in);
}
