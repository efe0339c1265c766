//! Chunks that their owner has compressed, under the Timescale licence: whatever comes late lands there as anywhere.

use event::{Event, TokenUsage};
use projector::ErrorKind;
use query::{AgentFilter, AgentSeries, Buckets, Interval, Reader, TimeRange};
use store::read::{ReadOptions, TimescaleReader};
use store::testing::TestEdition;
use store::{QuarantineFilter, RetryMode, RetryOutcome};

use crate::support::{
    World, in_the_licensed_edition, log, outcome, sample, samples, seconds, target_error, usage,
};

const SEGMENTS: [(&str, &str, &str); 2] = [
    ("agent_metrics", "agent_name, host", "time"),
    ("token_metrics", "agent_name, host", "time, message_id"),
];

/// Each chunk and what the server knows of it: 1 is compressed, 9 compressed with rows beside it that are not.
const CHUNKS: &str = "SELECT concat_ws(' ', hypertable.table_name, chunk.status)
    FROM _timescaledb_catalog.chunk JOIN _timescaledb_catalog.hypertable ON hypertable.id = hypertable_id
    WHERE hypertable.table_name IN ('agent_metrics', 'token_metrics') AND NOT dropped ORDER BY 1";

/// Has the owner compress everything.
async fn compress(world: &World) {
    for (table, segments, order) in SEGMENTS {
        let sql = format!(
            "ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segments}',
                 timescaledb.compress_orderby = '{order}');
             SELECT compress_chunk(chunk) FROM show_chunks('{table}') AS chunk"
        );
        world.execute(&sql).await;
    }
}

fn usages(count: u64, output: u64) -> Vec<Event> {
    (0..count).map(|number| Event::TokenUsage(usage(&format!("msg_{number}"), output, false))).collect()
}

async fn late_events_land_straight_and_the_way_round(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 1_000)).await;
    compress(&world).await;
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 1"]);
    world.count_statements("agent_metrics").await;
    // Between the times that are compressed there, behind them, and of another agent.
    let late = [samples("b", 500), vec![sample("a", 2_000, 0), sample("a", -5, 0)]].concat();
    assert_eq!(range.apply(&late).await, outcome(502, 0, 0, 0));
    assert_eq!(world.statements("agent_metrics").await, 1, "one COPY, and no more");
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 9"]);

    // Ten keys are there: the COPY ends at the first of them, and everything goes round.
    let mixed = [samples("c", 500), samples("a", 10), samples("d", 500)].concat();
    assert_eq!(range.apply(&mixed).await, outcome(1_000, 10, 0, 0));
    assert_eq!(world.count("agent_metrics").await, 2_502);
    assert_eq!(world.statements("agent_metrics").await, 2);
}

async fn a_replay_finds_compressed_rows_and_leaves_them_compressed(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let events = [samples("a", 2_000), samples("b", 2_000), usages(2_000, 5)].concat();
    range.apply(&events).await;
    compress(&world).await;
    let before = world.checksums().await;
    for _ in 0..2 {
        range.jump(&world, 1).await;
        assert_eq!(range.apply(&events).await, outcome(0, 6_000, 0, 0));
    }
    // Another log's events of the same keys.
    let mut other = world.range_of(&log("home")).await;
    assert_eq!(other.apply(&samples("a", 2_000)).await, outcome(0, 2_000, 0, 0));
    assert_eq!(other.apply(&[sample("b", 7, 1_000_000)]).await, outcome(0, 1, 1, 0));
    assert_eq!(world.checksums().await, before);
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 1", "token_metrics 1"]);
}

/// Every second key is in a compressed row that loses, the others are new.
async fn the_smaller_position_takes_the_place_of_a_compressed_row(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 10_001).await;
    let odd = |event: &Event| event.time().micros() / 1_000_000 % 2 == 1;
    let all = [samples("a", 1_000), samples("b", 1_000)].concat();
    let there: Vec<Event> = all.iter().filter(|event| odd(event)).cloned().collect();
    assert_eq!(range.apply(&there).await, outcome(1_000, 0, 0, 0));
    compress(&world).await;
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&all).await, outcome(1_000, 1_000, 0, 0));
    let rows =
        "SELECT concat_ws(' ', count(*), count(DISTINCT (agent_name, time)), min(position), max(position),
        sum(position)) FROM agent_metrics";
    assert_eq!(world.text(rows).await, "2000 2000 1 2000 2001000");
    // The larger positions are told as what they are by now.
    range.jump(&world, 10_001).await;
    assert_eq!(range.apply(&there).await, outcome(0, 1_000, 0, 0));
}

async fn larger_snapshots_take_the_place_of_compressed_ones(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&usages(1_500, 5)).await;
    compress(&world).await;
    assert_eq!(range.apply(&usages(1_000, 4)).await, outcome(0, 1_000, 1_000, 0));
    assert_eq!(world.texts(CHUNKS).await, ["token_metrics 1"]);
    let last = TokenUsage { r#final: true, ..usage("msg_1400", 9, true) };
    let larger = [usages(1_000, 6), vec![Event::TokenUsage(last), Event::TokenUsage(usage("new", 1, false))]];
    assert_eq!(range.apply(&larger.concat()).await, outcome(1, 1_001, 0, 0));
    let rows = "SELECT concat_ws(' ', output_tokens, final, count(*), min(position), max(position))
        FROM token_metrics GROUP BY output_tokens, final ORDER BY output_tokens";
    assert_eq!(
        world.texts(rows).await,
        ["1 f 1 3502 3502", "5 f 499 1001 1500", "6 f 1000 2501 3500", "9 t 1 3501 3501"]
    );
}

/// The server stops a transaction that decompresses more than 100,000 rows, unless it is told otherwise.
#[tokio::test]
async fn more_rows_than_the_server_decompresses_at_once_are_applied_again() {
    const MANY: u64 = 110_000;
    let Some(world) = World::of(TestEdition::Licensed).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 1_000_001).await;
    // 55,000 seconds are less than a day.
    let events = [samples("a", MANY / 2), samples("b", MANY / 2)].concat();
    assert_eq!(range.apply(&events).await, outcome(MANY, 0, 0, 0));
    compress(&world).await;
    let refused = world.client.batch_execute("UPDATE agent_metrics SET role = 'other'").await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("limit exceeded"), "{refused:?}");
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 1"]);

    range.jump(&world, 1).await;
    assert_eq!(range.apply(&events).await, outcome(0, MANY, 0, 0));
    let rows = "SELECT concat_ws(' ', count(*), min(position), max(position)) FROM agent_metrics";
    assert_eq!(world.text(rows).await, format!("{MANY} 1 {MANY}"));
    let setting = "SELECT current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction')";
    assert_eq!(world.text(setting).await, "100000", "the setting ends with our transaction");
}

async fn what_a_check_refuses_there_is_in_quarantine_until_it_is_taken(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let rule = "ALTER TABLE agent_metrics ADD CONSTRAINT rule CHECK (mem_used_bytes % 100 <> 50)";
    world.execute(rule).await;
    assert_eq!(range.apply(&samples("a", 200)).await, outcome(198, 0, 0, 2));
    compress(&world).await;
    // Straight, and then the way round.
    assert_eq!(range.apply(&samples("b", 200)).await, outcome(198, 0, 0, 2));
    let mixed = [samples("a", 10), samples("c", 200)].concat();
    assert_eq!(range.apply(&mixed).await, outcome(198, 10, 0, 2));
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 9"]);
    let positions = [51, 151, 251, 351, 461, 561];
    let held: Vec<String> = positions.map(|position| format!("{position} agent_sample 23514")).into();
    assert_eq!(world.quarantined().await, held);

    world.execute("ALTER TABLE agent_metrics DROP CONSTRAINT rule").await;
    let mut quarantine = world.target.quarantine(&world.log).await.unwrap();
    let retried = quarantine.retry(&QuarantineFilter::default(), RetryMode::Run).await.unwrap();
    assert_eq!(retried, RetryOutcome { tried: 6, inserted: 6, ..RetryOutcome::default() });
    assert_eq!(world.count("agent_metrics").await, 600);
}

/// What is projected behind an aggregate's back is seen in it after a refresh.
async fn a_continuous_aggregate_is_not_in_the_way(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 1_000)).await;
    world
        .execute(
            "CREATE MATERIALIZED VIEW minutes WITH (timescaledb.continuous) AS
             SELECT time_bucket('1 minute', time) AS minute, agent_name, count(*) AS samples
             FROM agent_metrics GROUP BY 1, 2 WITH NO DATA",
        )
        .await;
    let refresh = "CALL refresh_continuous_aggregate('minutes', NULL, NULL)";
    world.execute(refresh).await;
    compress(&world).await;
    let seen = "SELECT sum(samples)::text FROM minutes";
    assert_eq!(world.text(seen).await, "1000");

    let late = [samples("b", 500), samples("a", 10), vec![sample("a", 86_400, 0)]].concat();
    assert_eq!(range.apply(&late).await, outcome(501, 10, 0, 0));
    world.execute(refresh).await;
    assert_eq!(world.text(seen).await, "1501");
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&samples("a", 1_000)).await, outcome(0, 1_000, 0, 0));
    world.execute(refresh).await;
    assert_eq!(world.text(seen).await, "1501");
}

async fn reads_are_the_same_before_and_after(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&[samples("a", 2_000), samples("b", 700)].concat()).await;
    let times = TimeRange::new(seconds(0), seconds(3_600)).unwrap();
    let buckets = Buckets::new(times, Interval::DEFAULT).unwrap();
    let request = AgentSeries { buckets, filter: AgentFilter::default() };
    let reader = TimescaleReader::new(world.database.url(), ReadOptions::default());
    let read = async || {
        let series = reader.agent_series(&request).await.unwrap();
        (series, reader.agent_summary("a", times).await.unwrap())
    };
    let before = read().await;
    assert_eq!(before.0.len(), 12);
    compress(&world).await;
    assert_eq!(read().await, before);
    reader.close().await;
}

/// Nobody has to know what suits the keys: one segment of everything, and the newest first.
async fn any_order_of_the_owners_will_do(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let events = [samples("a", 1_500), samples("b", 1_500)].concat();
    range.jump(&world, 10_001).await;
    range.apply(&events).await;
    world
        .execute(
            "ALTER TABLE agent_metrics SET (timescaledb.compress, timescaledb.compress_segmentby = '',
                 timescaledb.compress_orderby = 'time DESC');
             SELECT compress_chunk(chunk) FROM show_chunks('agent_metrics') AS chunk",
        )
        .await;
    assert_eq!(range.apply(&[samples("c", 100), samples("a", 100)].concat()).await, outcome(100, 100, 0, 0));
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&events[1_000..2_000]).await, outcome(0, 1_000, 0, 0));
    let rows = "SELECT concat_ws(' ', count(*), min(position), count(*) FILTER (WHERE position <= 1000))
        FROM agent_metrics";
    assert_eq!(world.text(rows).await, "3100 1 1000");
}

/// The owner may decompress, or drop what was compressed, at any time.
async fn chunks_that_come_and_go_do_not_matter(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 100)).await;
    compress(&world).await;
    world.execute("SELECT drop_chunks('agent_metrics', 'infinity'::timestamptz)").await;
    assert_eq!(range.apply(&samples("b", 100)).await, outcome(100, 0, 0, 0));
    world.execute("SELECT compress_chunk(chunk) FROM show_chunks('agent_metrics') AS chunk").await;
    range.jump(&world, 1).await;
    let again = [samples("a", 100), samples("b", 100)].concat();
    assert_eq!(range.apply(&again).await, outcome(100, 100, 0, 0));
    world.execute("SELECT decompress_chunk(chunk) FROM show_chunks('agent_metrics') AS chunk").await;
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&again).await, outcome(0, 200, 0, 0));
    assert_eq!(world.texts(CHUNKS).await, ["agent_metrics 0"]);
}

/// A column that the owner has made narrower is a refusal there as well, and a table that is gone a halt.
async fn a_missing_column_halts_there_as_well(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&samples("a", 10)).await;
    compress(&world).await;
    world.execute("ALTER TABLE agent_metrics DROP COLUMN role").await;
    let error = target_error(range.try_apply(&samples("b", 10)).await);
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
}

in_the_licensed_edition!(
    late_events_land_straight_and_the_way_round,
    a_replay_finds_compressed_rows_and_leaves_them_compressed,
    the_smaller_position_takes_the_place_of_a_compressed_row,
    larger_snapshots_take_the_place_of_compressed_ones,
    what_a_check_refuses_there_is_in_quarantine_until_it_is_taken,
    a_continuous_aggregate_is_not_in_the_way,
    reads_are_the_same_before_and_after,
    any_order_of_the_owners_will_do,
    chunks_that_come_and_go_do_not_matter,
    a_missing_column_halts_there_as_well,
);
