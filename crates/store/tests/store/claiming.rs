//! Claims: one live range for a log, and who has it.

use event::Position;
use projector::{ApplyError, ClaimError, Cursor, Digest, Divergence, Refusal, WriterId};

use crate::support::{Range, World, claim_live, log, samples};

#[tokio::test]
async fn the_first_claim_makes_the_live_range_and_the_next_keeps_it() {
    let Some(world) = World::new().await else { return };
    let writers = [WriterId::random(), WriterId::random()];
    let mut lane = world.lane().await;

    let made = claim_live(&mut lane, writers[0], Position(7), &|_| Ok(None)).await.unwrap().found;
    assert_eq!((made.lo, made.writer), (Position(7), None));
    assert_eq!(made.cursor, Cursor { next: Position(7), digest: None });

    let kept = claim_live(&mut lane, writers[1], Position(9), &|_| Ok(None)).await.unwrap().found;
    assert_eq!((kept.lo, kept.writer), (Position(7), Some(writers[0])));

    let row = "SELECT concat_ws(' ', host, lo, next, hi IS NULL, writer,
        activity.backend_start = ranges.backend_start, claimed_at IS NOT NULL, application_name) FROM tailwater_ranges AS ranges JOIN tailwater_logs USING (log_no)
        JOIN pg_stat_activity AS activity ON pid = backend";
    let id = &world.log.log_id.to_string()[..8];
    assert_eq!(world.texts(row).await, [format!("home 7 7 t {} t t tailwater/{id}/live", writers[1].0)]);
    world.database.drop().await;
}

#[tokio::test]
async fn a_position_of_zero_begins_at_the_first() {
    let Some(world) = World::new().await else { return };
    let mut lane = world.lane().await;
    let made = claim_live(&mut lane, WriterId::random(), Position(0), &|_| Ok(None)).await.unwrap();
    assert_eq!(made.range.lo, Position::FIRST);
}

#[tokio::test]
async fn every_log_has_its_own_range_and_its_number_is_found_again() {
    let Some(world) = World::new().await else { return };
    let other = log("away");
    world.range().await.apply(&samples("a", 3)).await;
    world.range_of(&other).await.apply(&samples("b", 2)).await;
    assert_eq!(world.range().await.cursor.next, Position(4));
    assert_eq!(world.range_of(&other).await.cursor.next, Position(3));
    assert_eq!(world.count("tailwater_logs").await, 2);
    let hosts = "SELECT DISTINCT host || ' ' || agent_name FROM agent_metrics ORDER BY 1";
    assert_eq!(world.texts(hosts).await, ["away b", "home a"]);
}

#[tokio::test]
async fn a_check_that_refuses_changes_nothing_and_the_lane_goes_on() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 3)).await;
    let before = world.text("SELECT t::text FROM tailwater_ranges AS t").await;

    let divergence = Divergence::Behind { next: Position(4), log_next: Position(2) };
    let digest = Some(Digest { checksum: 3, at: Position(3) });
    let refused = claim_live(&mut range.lane, WriterId::random(), Position(1), &|found| {
        assert_eq!(found.cursor, Cursor { next: Position(4), digest });
        Err(Refusal::Diverged(divergence.clone()))
    })
    .await;
    assert!(matches!(refused, Err(ClaimError::Diverged(found)) if found == divergence));
    assert_eq!(world.text("SELECT t::text FROM tailwater_ranges AS t").await, before);
    range.claim_again().await;
    range.apply(&samples("b", 1)).await;
}

#[tokio::test]
async fn two_that_claim_a_new_log_at_once_get_one_range() {
    let Some(world) = World::new().await else { return };
    let mut lanes = [world.lane().await, world.lane().await];
    let [one, two] = &mut lanes;
    let (one, two) = tokio::join!(
        claim_live(one, WriterId::random(), Position(1), &|_| Ok(None)),
        claim_live(two, WriterId::random(), Position(1), &|_| Ok(None)),
    );
    assert_eq!(one.unwrap().range.lo, two.unwrap().range.lo);
    assert_eq!(world.count("tailwater_ranges").await, 1);
}

#[tokio::test]
async fn an_overtaken_lane_commits_nothing_and_can_claim_again() {
    let Some(world) = World::new().await else { return };
    let mut first = world.range().await;
    first.apply(&samples("a", 2)).await;
    let mut second = world.range().await;

    let overtaken = first.try_apply(&samples("b", 5)).await;
    assert!(matches!(overtaken, Err(ApplyError::Overtaken { lo: Position(1) })), "{overtaken:?}");
    assert_eq!(world.count("agent_metrics").await, 2);

    second.apply(&samples("c", 1)).await;
    assert_eq!(first.claim_again().await.writer, Some(second.writer));
    first.apply(&samples("d", 1)).await;
    assert_eq!(
        world.texts("SELECT agent_name FROM agent_metrics ORDER BY position").await,
        ["a", "a", "c", "d"]
    );
}

#[tokio::test]
async fn any_difference_of_the_cursor_is_overtaking() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 2)).await;
    let right = range.cursor;
    let digest = |checksum, at| Some(Digest { checksum, at: Position(at) });
    for wrong in [
        Cursor { next: Position(2), ..right },
        Cursor { digest: None, ..right },
        Cursor { digest: digest(7, 2), ..right },
        Cursor { digest: digest(2, 1), ..right },
    ] {
        range.cursor = wrong;
        let overtaken = range.try_apply(&samples("b", 1)).await;
        assert!(matches!(overtaken, Err(ApplyError::Overtaken { .. })), "{wrong:?}: {overtaken:?}");
    }
    range.cursor = right;
    range.apply(&samples("b", 1)).await;
}

#[tokio::test]
async fn a_lane_that_has_claimed_nothing_applies_nothing() {
    let Some(world) = World::new().await else { return };
    let cursor = Cursor { next: Position(1), digest: None };
    let mut range = Range { lane: world.lane().await, writer: WriterId::random(), lo: Position(1), cursor };
    assert!(matches!(range.try_apply(&samples("a", 1)).await, Err(ApplyError::Overtaken { .. })));
}

/// As a claim of ours may whose COMMIT nobody has heard of: it cuts the range while the next claim waits for its row.
#[tokio::test]
async fn a_live_range_that_is_cut_while_a_claim_waits_is_found_where_it_is_now() {
    let Some(world) = World::new().await else { return };
    let mut lane = world.lane().await;
    world.range().await.apply(&samples("a", 3)).await;
    let other = world.database.client().await;
    let cut = "BEGIN; UPDATE tailwater_ranges SET hi = 50;
        INSERT INTO tailwater_ranges (log_no, lo, next) SELECT log_no, 50, 50 FROM tailwater_logs";
    other.batch_execute(cut).await.unwrap();
    let committing = async {
        world.until_blocked().await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let claiming = claim_live(&mut lane, WriterId::random(), Position(1), &|_| Ok(None));
    let (claimed, ()) = tokio::join!(claiming, committing);
    assert_eq!(claimed.unwrap().range.lo, Position(50));
}
