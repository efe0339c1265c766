//! Two events with one key: who stays, whatever the order.

use event::{AgentState, ChannelSample, Event, Gap, SystemSample};
use projector::ApplyOutcome;
use store::testing::TestEdition;

use crate::support::{World, in_every_edition, log, sample, samples, seconds};

const KEPT: &str = "SELECT concat_ws(' ', agent_name, mem_used_bytes, log_no, position) FROM agent_metrics
    ORDER BY agent_name, time";

async fn the_smaller_position_wins_in_both_orders(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 10).await;
    let outcome = range.apply(&[sample("a", 0, 10), sample("b", 0, 11)]).await;
    assert_eq!(outcome, ApplyOutcome { inserted: 2, present: 0, ..ApplyOutcome::default() });

    range.jump(&world, 5).await;
    let outcome = range.apply(&[sample("a", 0, 5), sample("c", 0, 6)]).await;
    assert_eq!(outcome, ApplyOutcome { inserted: 1, present: 1, ..ApplyOutcome::default() });

    range.jump(&world, 20).await;
    let outcome = range.apply(&[sample("a", 0, 20), sample("b", 0, 21), sample("c", 0, 22)]).await;
    let conflicting = ApplyOutcome { inserted: 0, present: 3, conflicting: 3, ..ApplyOutcome::default() };
    assert_eq!(outcome, conflicting);
    assert_eq!(world.texts(KEPT).await, ["a 5 1 5", "b 11 1 11", "c 6 1 6"]);
}

async fn across_logs_the_one_that_is_there_stays(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 10).await;
    range.apply(&[sample("a", 0, 10)]).await;
    let mut other = world.range_of(&log("home")).await;
    assert_eq!(
        other.apply(&[sample("a", 0, 1)]).await,
        ApplyOutcome { inserted: 0, present: 1, conflicting: 1, ..ApplyOutcome::default() }
    );
    assert_eq!(world.texts(KEPT).await, ["a 10 1 10"]);
}

async fn a_key_twice_within_a_batch_is_one_row(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let events = [sample("a", 0, 1), sample("a", 0, 2), sample("a", 1, 3), sample("a", 0, 4)];
    assert_eq!(
        range.apply(&events).await,
        ApplyOutcome { inserted: 2, present: 2, conflicting: 2, ..ApplyOutcome::default() }
    );
    assert_eq!(world.texts(KEPT).await, ["a 1 1 1", "a 3 1 3"]);
}

/// Two events of every kind that has samples' rule, with one key.
fn twins() -> Vec<Event> {
    let time = seconds(0);
    let mut twins = Vec::new();
    for number in [1, 2] {
        twins.extend([
            sample("a", 0, number),
            Event::SystemSample(SystemSample { time, system_name: "s".into(), ..SystemSample::default() }),
            Event::ChannelSample(ChannelSample {
                time,
                channel_name: "c".into(),
                message_count: number,
                ..ChannelSample::default()
            }),
            Event::AgentState(AgentState { time, agent_name: "a".into(), ..AgentState::default() }),
            Event::Gap(Gap { time, from: time, to: time, events: number, ..Gap::default() }),
        ]);
    }
    twins
}

async fn the_rule_is_the_same_for_every_kind_of_sample(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.jump(&world, 100).await;
    let twins = twins();
    assert_eq!(
        range.apply(&twins).await,
        // The second system sample and the second state say what the first ones said.
        ApplyOutcome { inserted: 5, present: 5, conflicting: 3, ..ApplyOutcome::default() }
    );
    let positions = "SELECT string_agg(position::text, ' ' ORDER BY position) FROM (
        SELECT position FROM agent_metrics UNION ALL SELECT position FROM system_metrics
        UNION ALL SELECT position FROM channel_metrics UNION ALL SELECT position FROM agent_states
        UNION ALL SELECT position FROM gaps) AS every";
    assert_eq!(world.text(positions).await, "100 101 102 103 104");
    range.jump(&world, 1).await;
    assert_eq!(
        range.apply(&twins).await,
        ApplyOutcome { inserted: 0, present: 10, conflicting: 3, ..ApplyOutcome::default() }
    );
    assert_eq!(world.text(positions).await, "1 2 3 4 5");
}

async fn a_conflict_in_one_table_leaves_the_others_straight(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&[sample("a", 0, 1)]).await;
    let system = Event::SystemSample(SystemSample {
        time: seconds(0),
        system_name: "s".into(),
        ..SystemSample::default()
    });
    let outcome = range.apply(&[system, sample("a", 0, 1), sample("a", 1, 1)]).await;
    assert_eq!(outcome, ApplyOutcome { inserted: 2, present: 1, ..ApplyOutcome::default() });
    assert_eq!(world.count("system_metrics").await, 1);
}

async fn replays_in_any_order_give_one_table(edition: TestEdition) {
    let Some(straight) = World::of(edition).await else { return };
    let mut range = straight.range().await;
    let events = [samples("a", 40), samples("b", 40), samples("a", 20)].concat();
    range.apply(&events).await;

    let Some(mixed) = World::of(edition).await else { return };
    let mut range = mixed.range().await;
    for (from, to) in [(60, 100), (20, 70), (0, 30), (90, 100), (0, 100)] {
        range.jump(&mixed, u64::try_from(from + 1).unwrap()).await;
        range.apply(&events[from..to]).await;
    }
    assert_eq!(mixed.checksums().await, straight.checksums().await);
}

in_every_edition!(
    the_smaller_position_wins_in_both_orders,
    across_logs_the_one_that_is_there_stays,
    a_key_twice_within_a_batch_is_one_row,
    the_rule_is_the_same_for_every_kind_of_sample,
    a_conflict_in_one_table_leaves_the_others_straight,
    replays_in_any_order_give_one_table,
);
