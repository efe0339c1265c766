//! Chunks that are made beforehand: who waits for whom, and how often one is made.

use event::{Event, Position};
use projector::WriterId;
use store::Extension;

use crate::support::{Range, World, log, outcome, sample};

const DAY: i64 = 86_400;

/// Waits until somebody in this database waits for a lock.
#[tokio::test]
async fn two_lanes_write_into_a_new_day_side_by_side() {
    let Some(world) = World::new().await else { return };
    let other = log("away");
    let [mut one, mut two] = [world.range().await, world.range_of(&other).await];
    one.apply(&[sample("a", 0, 0)]).await;
    two.apply(&[sample("b", 0, 0)]).await;
    // The first lane stops at its COMMIT, with everything written.
    world
        .execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON tailwater_ranges DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.log_no = 1) EXECUTE FUNCTION wait();
             SELECT pg_advisory_lock(7)",
        )
        .await;
    let tomorrow = [sample("a", DAY, 0)];
    let beside = async {
        world.until_blocked().await;
        let applied = two.apply(&[sample("b", DAY, 0)]).await;
        world.execute("SELECT pg_advisory_unlock(7)").await;
        applied
    };
    let (first, second) = tokio::join!(one.apply(&tomorrow), beside);
    assert_eq!((first, second), (outcome(1, 0, 0, 0), outcome(1, 0, 0, 0)));
}

/// Counts the rows that no event has: one for each chunk that was made. A sequence does not go back.
async fn count_made(world: &World) {
    world.execute("CREATE SEQUENCE made MINVALUE 0 START 0; SELECT nextval('made')").await;
    world.trigger("agent_metrics", "IF NEW.log_no = 0 THEN PERFORM nextval('made'); END IF;").await;
}

async fn made(world: &World) -> String {
    world.text("SELECT last_value::text FROM made").await
}

fn days(days: &[i64]) -> Vec<Event> {
    days.iter().map(|day| sample("a", day * DAY, 0)).collect()
}

#[tokio::test]
async fn a_chunk_is_made_once_for_all_lanes_and_only_for_days_with_rows() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    count_made(&world).await;
    range.apply(&days(&[0, 0, 3, 700])).await;
    assert_eq!(made(&world).await, "3");
    let chunks =
        "SELECT count(*)::text FROM timescaledb_information.chunks WHERE hypertable_name = 'agent_metrics'";
    assert_eq!(world.text(chunks).await, "3");
    range.jump(&world, 1).await;
    range.apply(&days(&[3, 0, 700])).await;
    let mut other = world.range_of(&log("away")).await;
    other.apply(&days(&[3, 0, 700])).await;
    assert_eq!(made(&world).await, "3");
    other.apply(&days(&[4])).await;
    range.apply(&days(&[4])).await;
    assert_eq!(made(&world).await, "4");
    // Another process finds them.
    let target = store::TimescaleTarget::new(world.database.url().clone(), store::StoreOptions::default());
    let lane = projector::Target::connect(&target, &world.log, projector::LaneName::Live).await.unwrap();
    let mut range = Range::claim(lane, WriterId::random()).await;
    range.apply(&days(&[0, 3, 4, 700])).await;
    assert_eq!(made(&world).await, "4");
    let strange =
        "SELECT count(*)::text FROM agent_metrics WHERE log_no = 0 OR position = 0 OR agent_name = ''";
    assert_eq!(world.text(strange).await, "0");
}

#[tokio::test]
async fn a_check_that_refuses_the_row_leaves_the_chunk_to_the_copy() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    count_made(&world).await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (agent_name <> '')").await;
    assert_eq!(range.apply(&days(&[0, 1])).await, outcome(2, 0, 0, 0));
    assert_eq!(made(&world).await, "2");
    // It is not tried again.
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&days(&[0, 1])).await, outcome(0, 2, 0, 0));
    assert_eq!(made(&world).await, "2");
    assert_eq!(range.cursor.next, Position(3));
}

#[tokio::test]
async fn plain_tables_need_none() {
    let Some(world) = World::with(Extension::Leave).await else { return };
    let mut range = world.range().await;
    count_made(&world).await;
    range.apply(&days(&[0, 1, 2])).await;
    assert_eq!(made(&world).await, "0");
}
