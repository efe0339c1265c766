//! Snapshots, which see one moment, and the mender, which writes outside of any range.

use event::wire::Decoded;
use event::{Event, Kind, Position};
use projector::ErrorKind;
use projector::verify::{Block, Row, RowsOf, Snapshot};
use store::{MendOutcome, TimescaleSnapshot};

use crate::support::{World, entries, log, outcome, sample, samples, seconds, usage};

async fn take(world: &World) -> TimescaleSnapshot {
    world.target.snapshot(&world.log).await.unwrap().expect("the log is known")
}

async fn rows(snapshot: &mut TimescaleSnapshot, kind: Kind, of: RowsOf<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    snapshot.rows(kind, of, &mut |row| rows.push(row)).await.unwrap();
    rows.sort_unstable();
    rows
}

async fn positions(snapshot: &mut TimescaleSnapshot, of: RowsOf<'_>) -> Vec<i64> {
    rows(snapshot, Kind::AgentSample, of).await.iter().map(|row| row.position).collect()
}

#[tokio::test]
async fn a_snapshot_sees_one_moment_and_one_log() {
    let Some(world) = World::new().await else { return };
    let lane = world.lane().await;
    assert!(world.target.snapshot(&world.log).await.unwrap().is_none(), "nobody has claimed a range of it");
    drop(lane);
    let mut range = world.range().await;
    let refuse = "ALTER TABLE agent_metrics ADD CONSTRAINT small CHECK (mem_used_bytes < 100)";
    world.execute(refuse).await;
    assert_eq!(range.apply(&[sample("a", 0, 1), sample("a", 1, 100)]).await, outcome(1, 0, 0, 1));
    let other = log("away");
    world.range_of(&other).await.apply(&samples("o", 5)).await;

    let mut snapshot = take(&world).await;
    assert_eq!(range.apply(&[sample("a", 2, 3), sample("a", 3, 100)]).await, outcome(1, 0, 0, 1));
    world.execute("DELETE FROM agent_metrics WHERE position = 1").await;
    let all = rows(&mut snapshot, Kind::AgentSample, RowsOf::All).await;
    assert_eq!(all, [Row { position: 1, time: seconds(0) }]);
    assert_eq!(rows(&mut snapshot, Kind::Gap, RowsOf::All).await, []);
    let spans = snapshot.ranges().await.unwrap();
    assert_eq!(
        spans.iter().map(|span| (span.lo.0, span.next.0, span.hi)).collect::<Vec<_>>(),
        [(1, 3, None)]
    );
    assert_eq!(snapshot.quarantined().await.unwrap(), [Position(2)]);
    snapshot.hold().await.unwrap();
    assert_eq!(positions(&mut take(&world).await, RowsOf::All).await, [3]);
}

#[tokio::test]
async fn rows_are_told_by_blocks_of_positions_whatever_somebody_has_written() {
    let Some(world) = World::new().await else { return };
    world.range().await.apply(&samples("a", 3)).await;
    world
        .execute(
            "ALTER TABLE agent_metrics ALTER COLUMN position DROP NOT NULL;
             INSERT INTO agent_metrics (time, agent_name, host, log_no, position)
             SELECT now(), 'x' || p, 'h', 1, p FROM unnest(ARRAY[-4097, -4096, -1, 0, 4095, 4096, 9223372036854775807]) p",
        )
        .await;
    let mut snapshot = take(&world).await;
    let all = positions(&mut snapshot, RowsOf::All).await;
    assert_eq!(all, [-4097, -4096, -1, 0, 1, 2, 3, 4095, 4096, i64::MAX]);
    for (blocks, expected) in [
        (&[-2][..], &[-4097][..]),
        (&[-1], &[-4096, -1]),
        (&[0], &[0, 1, 2, 3, 4095]),
        (&[1, -2], &[-4097, 4096]),
        (&[i64::MAX >> 12], &[i64::MAX]),
        (&[7], &[]),
    ] {
        let blocks: Vec<Block> = blocks.iter().copied().map(Block).collect();
        assert_eq!(positions(&mut snapshot, RowsOf::Blocks(&blocks)).await, expected, "{blocks:?}");
        let told = expected.iter().map(|position| Row { position: *position, time: seconds(0) }.block());
        assert!(told.into_iter().all(|block| blocks.contains(&block)), "{blocks:?}");
    }
}

#[tokio::test]
async fn keys_are_looked_up_by_the_rule_and_nothing_is_left_of_it() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    let snapshots = [30, 10].map(|output| Event::TokenUsage(usage("msg_1", output, false)));
    range.apply(&[&samples("a", 3)[..], &snapshots].concat()).await;
    world.range_of(&log("away")).await.apply(&[sample("other", 0, 1)]).await;
    world
        .execute(
            "ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes <> 777) NOT VALID;
             DELETE FROM agent_metrics WHERE position = 2",
        )
        .await;
    let usage = |output| Event::TokenUsage(usage("msg_1", output, false));
    // From position 2 on: gone; loses to position 3; a key of nobody; would be refused and loses; loses; wins.
    let asked =
        [sample("a", 1, 1), sample("a", 2, 2), sample("b", 0, 1), sample("a", 0, 777), usage(29), usage(31)];
    let asked = entries(Position(2), &asked);
    let mut snapshot = take(&world).await;
    for _ in 0..50 {
        let mut unexplained = snapshot.unexplained(&asked).await.unwrap();
        unexplained.sort_unstable();
        assert_eq!(unexplained, [2, 4, 7].map(Position));
    }
    let locks = "SELECT count(*)::text FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'tailwater/%/verify' AND datname = current_database()
          AND relation IS NOT NULL AND mode = 'AccessExclusiveLock'";
    assert_eq!(world.text(locks).await, "0", "a temporary table is gone with its lock");
    assert_eq!(world.count("agent_metrics").await, 3);
}

fn newer(position: u64) -> projector::Entry {
    let event = Decoded::Unknown { kind: 9, version: 2, payload: vec![0x93, 9, 2, 42].into() };
    projector::Entry { position: Position(position), checksum: 1, bytes: 4, event }
}

#[tokio::test]
async fn what_is_mended_lands_by_the_rules_and_moves_no_range() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    world.execute("ALTER TABLE agent_metrics ADD CONSTRAINT even CHECK (mem_used_bytes % 2 = 0)").await;
    range.apply(&samples("a", 4)).await;
    let ranges = "SELECT t::text FROM tailwater_ranges AS t";
    let before = world.texts(ranges).await;
    world
        .execute(
            "DELETE FROM agent_metrics; DELETE FROM tailwater_quarantine WHERE position = 2;
             ALTER TABLE agent_metrics DROP CONSTRAINT even;
             ALTER TABLE agent_metrics ADD CONSTRAINT not_one CHECK (mem_used_bytes <> 1)",
        )
        .await;
    let mut mender = world.target.mender(&world.log).await.unwrap().unwrap();
    let mut batch = entries(Position(1), &samples("a", 4));
    batch.push(newer(5));
    let done = mender.mend(&batch).await.unwrap();
    assert_eq!(done, MendOutcome { inserted: 3, present: 0, quarantined: 2 });
    assert_eq!(world.quarantined().await, ["2 agent_sample 23514", "5 unknown(9) TW001"], "4 has left it");
    let again = mender.mend(&batch).await.unwrap();
    assert_eq!(again, MendOutcome { inserted: 0, present: 3, quarantined: 2 });
    assert_eq!(world.texts(ranges).await, before);

    world.execute("ALTER TABLE agent_metrics ADD CHECK (agent_name <> 'b')").await;
    let many = entries(Position(6), &samples("b", 200));
    let error = mender.mend(&many).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fatal, "so many are no poison: {error}");
    assert_eq!(world.quarantined().await.len(), 2, "nothing is quarantined for it");
    assert_eq!(mender.mend(&entries(Position(300), &samples("c", 1))).await.unwrap().inserted, 1);
    let unknown = world.target.mender(&log("away")).await.unwrap();
    assert!(unknown.is_none(), "the database has never seen it");
}
