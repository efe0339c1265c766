//! Claims that meet others: what they wait for, whom they end, and whom they leave alone.

use event::Position;
use projector::{
    Claim, ClaimError, Claimed, Cursor, ErrorKind, Lane, LaneName, Target, TargetError, Wanted, WriterId,
};
use store::TimescaleLane;
use tokio_postgres::Client;

use crate::support::{Range, World, claim_live, samples};

async fn lane(world: &World, number: u32) -> TimescaleLane {
    world.target.connect(&world.log, LaneName::Backlog(number)).await.expect("connect")
}

async fn claim(
    lane: &mut TimescaleLane,
    wanted: Wanted,
    busy: &[Position],
) -> Result<Option<Claimed>, ClaimError> {
    lane.claim(&Claim { writer: WriterId::random(), wanted, busy, judge: &|_| Ok(None) }).await
}

/// A live range, and in front of it pieces that begin at these positions.
async fn pieces(world: &World, begin: &[i64]) {
    drop(world.range().await);
    world.execute("UPDATE tailwater_ranges SET lo = 1000, next = 1000").await;
    let ends = begin.iter().skip(1).chain(&[1000]);
    for (lo, hi) in begin.iter().zip(ends) {
        let sql = "INSERT INTO tailwater_ranges (log_no, lo, next, hi) SELECT log_no, $1, $1, $2 FROM tailwater_logs";
        world.client.execute(sql, &[lo, hi]).await.unwrap();
    }
}

/// Somebody who holds a range's row and does not go on.
async fn holder(world: &World, lo: i64) -> Client {
    let client = world.database.client().await;
    let sql = format!("BEGIN; UPDATE tailwater_ranges SET applied_at = now() WHERE lo = {lo}");
    client.batch_execute(&sql).await.unwrap();
    client
}

fn blocked(claimed: Result<Option<Claimed>, ClaimError>) -> TargetError {
    match claimed {
        Err(ClaimError::Target(error)) => error,
        other => panic!("not blocked: {other:?}"),
    }
}

/// A lane in the middle of a batch holds its range as a dead one does; only what keeps the claim from its range
/// may be ended.
#[tokio::test]
async fn a_blocked_claim_leaves_the_lanes_beside_it_alone() {
    let Some(world) = World::new().await else { return };
    pieces(&world, &[1, 500]).await;
    let mut one = lane(&world, 1).await;
    let claimed = claim(&mut one, Wanted::Oldest, &[Position(500)]).await.unwrap().unwrap();
    assert_eq!(claimed.range.lo, Position(1));
    let writer = claimed.range.writer.unwrap();
    let cursor = Cursor { next: Position(1), digest: None };
    let mut one = Range { lane: one, writer, lo: Position(1), cursor };
    // The chunk is there then, and the next batch waits behind its compare-and-set.
    one.apply(&samples("b", 3)).await;
    let table = holder_of_table(&world).await;
    let dead = holder(&world, 500).await;
    let events = samples("a", 3);
    let applying = one.try_apply(&events);
    let claiming = async {
        world.until_blocked().await;
        let mut two = lane(&world, 2).await;
        let error = blocked(claim(&mut two, Wanted::Oldest, &[Position(1)]).await);
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        table.batch_execute("COMMIT").await.unwrap();
    };
    let (applied, ()) = tokio::join!(applying, claiming);
    assert_eq!(applied.unwrap().inserted, 3);
    dead.batch_execute("COMMIT").await.unwrap();
}

/// Keeps every batch waiting in its COPY.
async fn holder_of_table(world: &World) -> Client {
    let client = world.database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE agent_metrics IN SHARE MODE").await.unwrap();
    client
}

/// The live lane claims again on its connection, and cuts: what it leaves is no longer its backend's.
#[tokio::test]
async fn a_range_that_was_cut_off_is_nobodys_backends() {
    let Some(world) = World::new().await else { return };
    let mut live = world.range().await;
    live.apply(&samples("a", 3)).await;
    let cut = |_: &_| Ok(Some(Cursor { next: Position(100), digest: None }));
    let claimed = claim_live(&mut live.lane, WriterId::random(), Position(1), &cut).await.unwrap();
    assert_eq!(claimed.range.lo, Position(100));
    let of = "SELECT concat_ws(' ', lo, backend IS NULL) FROM tailwater_ranges ORDER BY lo";
    assert_eq!(world.texts(of).await, ["1 t", "100 f"]);
}
/// The neighbour's first batch is under way in a session that nobody speaks to any more.
#[tokio::test]
async fn a_neighbour_that_is_held_does_not_keep_a_range_from_being_claimed() {
    let Some(world) = World::new().await else { return };
    pieces(&world, &[1, 500]).await;
    let dead = holder(&world, 500).await;
    let mut one = lane(&world, 1).await;
    let claimed = claim(&mut one, Wanted::Oldest, &[]).await.unwrap().unwrap();
    assert_eq!((claimed.range.lo, claimed.range.hi), (Position(1), Some(Position(500))));
    dead.batch_execute("ROLLBACK").await.unwrap();
    let claimed = claim(&mut one, Wanted::This { lo: Position(1) }, &[]).await.unwrap().unwrap();
    assert_eq!(claimed.range.hi, Some(Position(1000)));
}
