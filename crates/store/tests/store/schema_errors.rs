//! When so much is refused that the schema must be wrong: everything is rolled back, and a person must look.

use projector::ErrorKind;

use crate::support::{Range, World, outcome, sample, samples, target_error};

async fn world_with_check() -> Option<(World, Range)> {
    let world = World::new().await?;
    let mut range = world.range().await;
    range.apply(&samples("a", 10)).await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes < 1000)").await;
    Some((world, range))
}

/// So many good events, and so many that the CHECK refuses.
fn with_poison(count: u64) -> Vec<event::Event> {
    let poison = (0..count).map(|index| sample("p", i64::try_from(index).unwrap(), 1_000));
    samples("b", 50).into_iter().chain(poison).collect()
}

/// Applies events, and sees that nothing has changed but the error.
async fn is_schema_error(world: &World, range: &mut Range, events: &[event::Event], told: &[&str]) {
    let before = (world.checksums().await, world.quarantined().await);
    let progress = world.text("SELECT next::text FROM tailwater_ranges").await;
    let error = target_error(range.try_apply(events).await);
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    let message = error.to_string();
    assert!(told.iter().all(|part| message.contains(part)) && !message.contains('\n'), "{message}");
    assert_eq!((world.checksums().await, world.quarantined().await), before);
    assert_eq!(world.text("SELECT next::text FROM tailwater_ranges").await, progress);
    // The lane is good for the next batch.
    assert_eq!(range.apply(&samples("c", 1)).await, outcome(1, 0, 0, 0));
}

#[tokio::test]
async fn a_hundred_of_a_batch_are_kept_and_one_more_is_a_schema_error() {
    let Some((world, mut range)) = world_with_check().await else { return };
    let told = ["23514", "101", "position 61", "mem_used_bytes_check"];
    is_schema_error(&world, &mut range, &with_poison(101), &told).await;
    assert_eq!(range.apply(&with_poison(100)).await, outcome(50, 0, 0, 100));
}

#[tokio::test]
async fn rows_that_are_dropped_without_a_word_are_a_schema_error_as_well() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 10)).await;
    world.trigger("agent_metrics", "IF NEW.agent_name = 'p' THEN RETURN NULL; END IF;").await;
    is_schema_error(&world, &mut range, &with_poison(101), &["TW002", "101", "position 61"]).await;
}

#[tokio::test]
async fn a_thousand_within_an_hour_are_kept_and_one_more_is_a_schema_error() {
    let Some((world, mut range)) = world_with_check().await else { return };
    for _ in 0..10 {
        range.apply(&with_poison(100)).await;
    }
    let count = "SELECT count(*)::text FROM tailwater_quarantine";
    assert_eq!(world.text(count).await, "1000");
    let one = [sample("p", 5_000, 1_000)];
    is_schema_error(&world, &mut range, &one, &["23514", "1001 within an hour", "mem_used_bytes_check"])
        .await;

    // Those that are refused again are no new ones.
    let next = range.cursor.next.0;
    range.jump(&world, 11).await;
    assert_eq!(range.apply(&with_poison(100)).await.quarantined, 100);
    // What was refused more than an hour ago does not count, nor does another SQLSTATE.
    range.jump(&world, next).await;
    world
        .execute(
            "UPDATE tailwater_quarantine SET first_at = first_at - interval '2 hours' WHERE position = 61",
        )
        .await;
    assert_eq!(range.apply(&one).await, outcome(0, 0, 0, 1));
    world.execute("UPDATE tailwater_quarantine SET sqlstate = '22001' WHERE position = 62").await;
    assert_eq!(range.apply(&[sample("q", 5_001, 1_000)]).await, outcome(0, 0, 0, 1));
}
