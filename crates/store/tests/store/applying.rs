//! What lands: values, progress, counts.

use event::{
    AgentSample, AgentState, ChannelSample, Event, Gap, Position, Resources, State, SystemSample, TokenUsage,
};
use projector::{ApplyError, ApplyOutcome};
use store::Extension;
use store::testing::TestEdition;

use crate::support::{TABLES, World, in_every_edition, samples, seconds};

fn full_resources() -> Resources {
    Resources {
        cpu_percent: Some(12.5),
        mem_used_bytes: Some(1),
        mem_limit_bytes: Some(i64::MAX as u64),
        mem_percent: Some(0.25),
        net_rx_bytes: Some(3),
        net_tx_bytes: Some(4),
        disk_read_bytes: Some(5),
        disk_write_bytes: Some(6),
    }
}

fn one_of_every_kind() -> [Event; 7] {
    let time = seconds(1);
    [
        Event::AgentSample(AgentSample {
            time,
            host: Some("höst".into()),
            agent_name: "a".into(),
            role: "r".into(),
            tool: "t".into(),
            runtime: "tmux".into(),
            state: State::Idle,
            resources: full_resources(),
        }),
        Event::SystemSample(SystemSample {
            time,
            host: None,
            system_name: "s".into(),
            resources: full_resources(),
        }),
        Event::ChannelSample(ChannelSample {
            time,
            host: None,
            channel_name: "c".into(),
            message_count: 1,
            member_count: None,
            reaction_count: 3,
        }),
        Event::TokenUsage(TokenUsage {
            time,
            host: None,
            agent_name: "a".into(),
            model: "m".into(),
            tool: "t".into(),
            session_id: "s".into(),
            message_id: "msg_1".into(),
            input_tokens: 1,
            output_tokens: 2,
            cache_read: 3,
            cache_create: 4,
            cache_create_1h: 2,
            reasoning_tokens: 1,
            cost_usd: Some(0.5),
            r#final: true,
        }),
        Event::AgentState(AgentState {
            time,
            host: None,
            agent_name: "a".into(),
            role: "r".into(),
            tool: "t".into(),
            runtime: "docker".into(),
            state: State::Unknown,
            started_at: Some(seconds(0)),
        }),
        Event::Gap(Gap {
            time,
            host: None,
            from: seconds(0),
            to: seconds(1),
            events: 9,
            what: "w".into(),
            reason: "clock_step".into(),
        }),
        Event::AgentSample(AgentSample { time, agent_name: "bare".into(), ..AgentSample::default() }),
    ]
}

const ROWS: [(&str, &[&str]); 6] = [
    (
        "agent_metrics",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","agent_name":"a","role":"r","tool":"t","runtime":"tmux","state":"idle","cpu_percent":12.5,"mem_used_bytes":1,"mem_limit_bytes":9223372036854775807,"mem_percent":0.25,"net_rx_bytes":3,"net_tx_bytes":4,"disk_read_bytes":5,"disk_write_bytes":6,"host":"höst","log_no":1,"position":1}"#,
            r#"{"time":"2026-01-02T03:04:06+00:00","agent_name":"bare","role":"","tool":"","runtime":"","state":"","cpu_percent":null,"mem_used_bytes":null,"mem_limit_bytes":null,"mem_percent":null,"net_rx_bytes":null,"net_tx_bytes":null,"disk_read_bytes":null,"disk_write_bytes":null,"host":"home","log_no":1,"position":7}"#,
        ],
    ),
    (
        "system_metrics",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","system_name":"s","cpu_percent":12.5,"mem_used_bytes":1,"mem_limit_bytes":9223372036854775807,"mem_percent":0.25,"net_rx_bytes":3,"net_tx_bytes":4,"disk_read_bytes":5,"disk_write_bytes":6,"host":"home","log_no":1,"position":2}"#,
        ],
    ),
    (
        "channel_metrics",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","channel_name":"c","message_count":1,"member_count":null,"reaction_count":3,"host":"home","log_no":1,"position":3}"#,
        ],
    ),
    (
        "token_metrics",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","agent_name":"a","model":"m","input_tokens":1,"output_tokens":2,"cache_read":3,"cache_create":4,"cost_usd":0.5,"tool":"t","session_id":"s","message_id":"msg_1","cache_create_1h":2,"reasoning_tokens":1,"final":true,"host":"home","log_no":1,"position":4}"#,
        ],
    ),
    (
        "agent_states",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","agent_name":"a","role":"r","tool":"t","runtime":"docker","state":"","started_at":"2026-01-02T03:04:05+00:00","host":"home","log_no":1,"position":5}"#,
        ],
    ),
    (
        "gaps",
        &[
            r#"{"time":"2026-01-02T03:04:06+00:00","from_time":"2026-01-02T03:04:05+00:00","to_time":"2026-01-02T03:04:06+00:00","events":9,"what":"w","reason":"clock_step","host":"home","log_no":1,"position":6}"#,
        ],
    ),
];

async fn every_kind_lands_with_its_values(edition: TestEdition) {
    if let Some(world) = World::of(edition).await {
        every_kind_lands_with_its_values_in(world).await;
    }
}

async fn every_kind_lands_with_its_values_in(world: World) {
    let mut range = world.range().await;
    assert_eq!(
        range.apply(&one_of_every_kind()).await,
        ApplyOutcome { inserted: 7, present: 0, ..ApplyOutcome::default() }
    );
    world.execute("SET timezone = 'UTC'").await;
    for (table, rows) in ROWS {
        let sql = format!("SELECT row_to_json(t)::text FROM {table} AS t ORDER BY position");
        assert_eq!(world.texts(&sql).await, rows, "{table}");
    }
    let progress = "SELECT concat_ws(' ', lo, next, hi, digest, digest_at, applied_at IS NOT NULL) FROM tailwater_ranges";
    assert_eq!(world.text(progress).await, "1 8 7 7 t");
    world.database.drop().await;
}

#[tokio::test]
async fn every_kind_lands_with_its_values_in_plain_tables() {
    if let Some(world) = World::with(Extension::Leave).await {
        every_kind_lands_with_its_values_in(world).await;
    }
}

async fn a_replay_changes_nothing(edition: TestEdition) {
    if let Some(world) = World::of(edition).await {
        a_replay_changes_nothing_in(world).await;
    }
}

async fn a_replay_changes_nothing_in(world: World) {
    let mut range = world.range().await;
    let events = [&one_of_every_kind()[..], &samples("b", 500)].concat();
    range.apply(&events).await;
    let before = world.checksums().await;
    assert_eq!(before[0].0, 502);
    for _ in 0..3 {
        range.jump(&world, 1).await;
        assert_eq!(
            range.apply(&events).await,
            ApplyOutcome { inserted: 0, present: 507, ..ApplyOutcome::default() }
        );
        assert_eq!(world.checksums().await, before);
    }
    // Behind what was there, new rows go the straight way again.
    assert_eq!(
        range.apply(&samples("c", 5)).await,
        ApplyOutcome { inserted: 5, present: 0, ..ApplyOutcome::default() }
    );
    assert_eq!(
        range.apply(&samples("d", 5)).await,
        ApplyOutcome { inserted: 5, present: 0, ..ApplyOutcome::default() }
    );
    assert_eq!(world.count("agent_metrics").await, 512);
    world.database.drop().await;
}

#[tokio::test]
async fn a_replay_changes_nothing_in_plain_tables() {
    if let Some(world) = World::with(Extension::Leave).await {
        a_replay_changes_nothing_in(world).await;
    }
}

async fn a_batch_without_events_confirms_the_range(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    assert_eq!(range.apply(&[]).await, ApplyOutcome::default());
    for table in TABLES {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

/// At the very beginning there is no digest to keep.
async fn a_hole_moves_the_range_and_keeps_its_digest(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let progress = "SELECT concat_ws(' ', lo, next, digest, digest_at) FROM tailwater_ranges";
    assert_eq!(range.pass_to(Position(4)).await.unwrap(), ApplyOutcome::default());
    assert_eq!(world.text(progress).await, "1 4");
    assert_eq!(
        range.apply(&samples("a", 3)).await,
        ApplyOutcome { inserted: 3, present: 0, ..ApplyOutcome::default() }
    );
    for next in [8, 20] {
        assert_eq!(range.pass_to(Position(next)).await.unwrap(), ApplyOutcome::default());
        assert_eq!(world.text(progress).await, format!("1 {next} 6 6"));
        assert_eq!(world.range().await.cursor, range.cursor);
        range.claim_again().await;
    }
    assert_eq!(
        range.apply(&samples("b", 2)).await,
        ApplyOutcome { inserted: 2, present: 0, ..ApplyOutcome::default() }
    );
    assert_eq!(world.text(progress).await, "1 22 21 21");
    let positions = "SELECT string_agg(position::text, ' ' ORDER BY position) FROM agent_metrics";
    assert_eq!(world.text(positions).await, "4 5 6 20 21");

    // Who was overtaken does not move the range over a hole either.
    let other = world.range().await;
    assert!(matches!(range.pass_to(Position(30)).await, Err(ApplyError::Overtaken { lo: Position(1) })));
    assert_eq!(world.range().await.cursor, other.cursor);
}

#[tokio::test]
async fn rows_of_many_chunks_and_many_days_land_in_one_batch() {
    let Some(world) = World::new().await else { return };
    let mut range = world.range().await;
    let events: Vec<Event> = (0..20_000_i64)
        .map(|index| {
            let role = "x".repeat(usize::try_from(index % 100).unwrap());
            let agent_name = format!("a{}", index % 7).into();
            let time = seconds(index * 60);
            Event::AgentSample(AgentSample { time, agent_name, role: role.into(), ..AgentSample::default() })
        })
        .collect();
    assert_eq!(
        range.apply(&events).await,
        ApplyOutcome { inserted: 20_000, present: 0, ..ApplyOutcome::default() }
    );
    let sums = "SELECT concat_ws(' ', count(*), sum(length(role)), sum(position)) FROM agent_metrics";
    assert_eq!(world.text(sums).await, "20000 990000 200010000");
    let chunks =
        "SELECT count(*)::text FROM timescaledb_information.chunks WHERE hypertable_name = 'agent_metrics'";
    assert_eq!(world.text(chunks).await, "15");
}

in_every_edition!(
    a_replay_changes_nothing,
    every_kind_lands_with_its_values,
    a_batch_without_events_confirms_the_range,
    a_hole_moves_the_range_and_keeps_its_digest,
);
