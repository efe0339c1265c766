//! Events that the owner's schema refuses: they are kept, all others land.

use event::wire::Decoded;
use event::{AgentState, ChannelSample, Entry, Event, Gap, Position, SystemSample, TokenUsage};
use store::Extension;
use store::testing::TestEdition;

use crate::support::{
    TABLES, World, entries, in_the_shared_editions, outcome, sample, samples, seconds, usage,
};

/// Refuses agent samples with this much memory.
const POISON: u64 = 777;

fn poison(second: i64) -> Event {
    sample("p", second, POISON)
}

fn usages(outputs: &[u64]) -> Vec<Event> {
    let usage =
        |(call, output): (usize, &u64)| Event::TokenUsage(usage(&format!("msg_{call}"), *output, true));
    outputs.iter().enumerate().map(usage).collect()
}

/// Applies events of which only the one at `position` is refused.
async fn is_kept(world: &World, events: &[Event], position: u64, kind: &str, sqlstate: &str) {
    let mut range = world.range().await;
    let before = u64::try_from(world.count("agent_metrics").await).unwrap();
    let landed = events.len() as u64 - 1;
    assert_eq!(range.apply(events).await, outcome(landed, 0, 0, 1));
    assert_eq!(world.quarantined().await, [format!("{position} {kind} {sqlstate}")]);
    let message = world.text("SELECT message FROM tailwater_quarantine").await;
    assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    let (kept, event) = world
        .target
        .quarantine(&world.log)
        .await
        .unwrap()
        .show(Position(position))
        .await
        .unwrap()
        .expect("an event in quarantine");
    assert_eq!((kept.position, kept.message), (Position(position), message));
    let index = usize::try_from(position - 1).unwrap();
    assert_eq!(event, Decoded::Event(events[index].clone()));
    // The range is behind it, and goes on.
    assert_eq!(range.apply(&samples("later", 1)).await, outcome(1, 0, 0, 0));
    let agents = events.iter().filter(|event| matches!(event, Event::AgentSample(_))).count() as u64;
    let now = u64::try_from(world.count("agent_metrics").await).unwrap();
    assert_eq!(now, before + agents + 1 - u64::from(kind == "agent_sample"));
}

async fn a_check_of_the_owners_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes <> 777)").await;
    let mut events = samples("c", 7);
    events.insert(3, Event::TokenUsage(usage("x", 1, true)));
    events.insert(5, poison(0));
    is_kept(&world, &events, 6, "agent_sample", "23514").await;
}

#[tokio::test]
async fn a_check_keeps_one_event_in_plain_tables() {
    let Some(world) = World::with(Extension::Leave).await else { return };
    world.lane().await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes <> 777)").await;
    is_kept(&world, &[sample("c", 0, 0), poison(0), sample("c", 1, 0)], 2, "agent_sample", "23514").await;
}

async fn a_check_keeps_one_event_on_the_way_round(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.execute("ALTER TABLE token_metrics ADD CHECK (output_tokens <> 777)").await;
    is_kept(&world, &usages(&[1, 2, 777, 3]), 3, "token_usage", "23514").await;
}

async fn a_narrower_type_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.execute("ALTER TABLE agent_metrics ALTER agent_name TYPE varchar(5)").await;
    is_kept(&world, &[sample("short", 0, 0), sample("longer", 0, 0)], 2, "agent_sample", "22001").await;
}

async fn a_number_out_of_range_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    let sql = "ADD small smallint GENERATED ALWAYS AS (mem_used_bytes::smallint) STORED";
    world.execute(&format!("ALTER TABLE agent_metrics {sql}")).await;
    is_kept(&world, &[sample("a", 0, 40_000), sample("a", 1, 0)], 1, "agent_sample", "22003").await;
}

async fn a_trigger_that_raises_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.trigger("agent_metrics", "IF NEW.mem_used_bytes = 777 THEN RAISE 'no such number'; END IF;").await;
    is_kept(&world, &[sample("c", 0, 1), poison(0), sample("c", 1, 1)], 2, "agent_sample", "P0001").await;
}

async fn a_trigger_that_raises_at_the_merge_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.trigger("token_metrics", "IF NEW.output_tokens = 777 THEN RAISE E'two\\nlines'; END IF;").await;
    is_kept(&world, &usages(&[1, 2, 3, 777, 4, 5, 6]), 4, "token_usage", "P0001").await;
    assert_eq!(world.text("SELECT message FROM tailwater_quarantine").await, "two lines");
}

async fn a_trigger_that_drops_a_row_without_a_word_keeps_one_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    world.lane().await;
    world.trigger("agent_metrics", "IF NEW.mem_used_bytes = 777 THEN RETURN NULL; END IF;").await;
    is_kept(&world, &[sample("c", 0, 1), poison(0), sample("c", 1, 1)], 2, "agent_sample", "TW002").await;
    let message = world.text("SELECT message FROM tailwater_quarantine").await;
    assert!(message.contains("agent_metrics") && message.contains("trigger"), "{message}");
}

async fn a_trigger_that_drops_an_update_keeps_the_event_that_should_have_won(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let with = |output| vec![Event::TokenUsage(usage("x", output, false))];
    range.apply(&with(5)).await;
    world
        .execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER keep BEFORE UPDATE ON token_metrics FOR EACH ROW EXECUTE FUNCTION keep()",
        )
        .await;
    // The smaller one loses, as it should; the larger one should have replaced the row.
    assert_eq!(range.apply(&with(4)).await, outcome(0, 1, 1, 0));
    assert_eq!(range.apply(&with(6)).await, outcome(0, 0, 0, 1));
    assert_eq!(world.quarantined().await, ["3 token_usage TW002"]);
}

async fn a_unique_index_of_the_owners_keeps_the_later_event(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    world.execute("CREATE UNIQUE INDEX ON agent_metrics (time, mem_used_bytes)").await;
    range.apply(&[sample("a", 0, 1)]).await;
    // The second meets the first batch, the fourth the third of its own.
    let events =
        [sample("a", 1, 1), sample("b", 0, 1), sample("b", 2, 5), sample("c", 2, 5), sample("c", 3, 5)];
    assert_eq!(range.apply(&events).await, outcome(3, 0, 0, 2));
    assert_eq!(world.quarantined().await, ["3 agent_sample 23505", "5 agent_sample 23505"]);
}

/// One event of every kind; where `number` is 777 each of them is poison.
fn every_kind(second: i64, number: u64) -> [Event; 6] {
    let time = seconds(second);
    [
        sample("a", second, number),
        Event::SystemSample(SystemSample {
            time,
            system_name: format!("s{number}").into(),
            ..SystemSample::default()
        }),
        Event::ChannelSample(ChannelSample {
            time,
            channel_name: "c".into(),
            message_count: number,
            ..ChannelSample::default()
        }),
        Event::TokenUsage(TokenUsage { time, ..usage(&format!("msg_{second}"), number, true) }),
        Event::AgentState(AgentState {
            time,
            agent_name: "a".into(),
            role: format!("r{number}").into(),
            ..AgentState::default()
        }),
        Event::Gap(Gap {
            time,
            from: time,
            to: time,
            events: number,
            what: "w".into(),
            reason: "r".into(),
            ..Gap::default()
        }),
    ]
}

async fn poison_in_every_table_at_once(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    for (table, check) in TABLES.into_iter().zip([
        "mem_used_bytes <> 777",
        "system_name <> 's777'",
        "message_count <> 777",
        "output_tokens <> 777",
        "role <> 'r777'",
        "events <> 777",
    ]) {
        world.execute(&format!("ALTER TABLE {table} ADD CHECK ({check})")).await;
    }
    let events: Vec<Event> =
        (0..30).flat_map(|second| every_kind(second, if second % 10 == 4 { POISON } else { 1 })).collect();
    assert_eq!(range.apply(&events).await, outcome(162, 0, 0, 18));
    for table in TABLES {
        assert_eq!(world.count(table).await, 27, "{table}");
    }
    let kinds = "SELECT string_agg(kind || ' ' || number, ', ' ORDER BY kind) FROM
        (SELECT kind, count(*) AS number FROM tailwater_quarantine GROUP BY kind) AS counted";
    assert_eq!(
        world.text(kinds).await,
        "agent_sample 3, agent_state 3, channel_sample 3, gap 3, system_sample 3, token_usage 3"
    );
}

async fn a_duplicate_takes_the_place_of_a_refused_event(edition: TestEdition) {
    for refuse in ["RAISE 'no'", "RETURN NULL"] {
        let Some(world) = World::of(edition).await else { return };
        let mut range = world.range().await;
        world.trigger("agent_metrics", &format!("IF NEW.mem_used_bytes = 777 THEN {refuse}; END IF;")).await;
        range.apply(&[sample("old", 0, 0)]).await;
        // Positions 2 to 8. The first of its key is poison; so is one that would have lost anyway.
        let events = [
            sample("a", 0, 777),
            sample("a", 0, 2),
            sample("a", 0, 3),
            sample("old", 0, 0),
            sample("b", 0, 5),
            sample("b", 0, 777),
            sample("c", 0, 777),
        ];
        let applied = range.apply(&events).await;
        let kept = "SELECT concat_ws(' ', agent_name, position) FROM agent_metrics ORDER BY position";
        assert_eq!(world.texts(kept).await, ["old 1", "a 3", "b 6"], "{refuse}");
        // An event that loses to another one of its key is present, whether the database would take it or not.
        assert_eq!(applied.inserted, 2, "{refuse}: {applied:?}");
        assert_eq!(applied.sent(), 7, "{refuse}: {applied:?}");
        let states: Vec<String> = world.quarantined().await;
        let positions: Vec<&str> = states.iter().filter_map(|state| state.split(' ').next()).collect();
        assert!(positions == ["2", "8"] || positions == ["2", "7", "8"], "{refuse}: {positions:?}");
    }
}

async fn poison_among_the_snapshots_of_a_call(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    world.execute("ALTER TABLE token_metrics ADD CHECK (output_tokens <> 777)").await;
    let outputs = [1, 50, 777, 60, 2];
    let events: Vec<Event> =
        outputs.iter().map(|output| Event::TokenUsage(usage("x", *output, false))).collect();
    assert_eq!(range.apply(&events).await, outcome(1, 3, 3, 1));
    let kept = "SELECT concat_ws(' ', output_tokens, position) FROM token_metrics";
    assert_eq!(world.texts(kept).await, ["60 4"]);
    assert_eq!(world.quarantined().await, ["3 token_usage 23514"]);
}

/// An event of a kind that only a newer version knows.
fn newer(position: u64) -> Entry {
    let payload: Box<[u8]> = vec![0x93, 9, 2, 42].into();
    let event = Decoded::Unknown { kind: 9, version: 2, payload };
    Entry { position: Position(position), checksum: 1, bytes: 4, event }
}

async fn events_of_a_newer_version_wait_in_quarantine_however_many(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let mut batch = entries(Position(1), &samples("a", 3));
    batch.extend((4..=1_500).map(newer));
    batch.extend(entries(Position(1_501), &samples("b", 2)));
    assert_eq!(range.try_apply_entries(batch).await.unwrap(), outcome(5, 0, 0, 1_497));
    assert_eq!(range.apply(&samples("c", 1)).await, outcome(1, 0, 0, 0));

    let quarantine = world.target.quarantine(&world.log).await.unwrap();
    assert_eq!(quarantine.count().await.unwrap(), 1_497);
    let (kept, event) = quarantine.show(Position(900)).await.unwrap().unwrap();
    assert_eq!((kept.kind.as_str(), kept.sqlstate.as_str()), ("unknown(9)", "TW001"));
    assert!(kept.message.contains("newer tailwater") && kept.message.contains("version 2"), "{kept:?}");
    assert_eq!(event, newer(900).event);
}

async fn what_lands_at_a_replay_leaves_the_quarantine_and_what_is_refused_again_stays(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    let refuse = |memory: u64, name: &str| {
        format!("ALTER TABLE agent_metrics ADD CONSTRAINT {name} CHECK (mem_used_bytes <> {memory})")
    };
    world.execute(&refuse(1, "no_one")).await;
    world.execute(&refuse(2, "no_two")).await;
    let events = samples("a", 5);
    assert_eq!(range.apply(&events).await, outcome(3, 0, 0, 2));
    world.execute("UPDATE tailwater_quarantine SET at = '2001-01-01', first_at = '2001-01-01'").await;

    world.execute("ALTER TABLE agent_metrics DROP CONSTRAINT no_one").await;
    world.execute("ALTER TABLE agent_metrics RENAME CONSTRAINT no_two TO never_two").await;
    range.jump(&world, 1).await;
    let again = range.apply(&events).await;
    assert_eq!((again.inserted, again.present, again.quarantined, again.released), (1, 3, 1, 1));
    assert_eq!(world.quarantined().await, ["3 agent_sample 23514"]);
    let newest =
        "SELECT concat_ws(' ', message LIKE '%never_two%', at > '2002-01-01', first_at < '2002-01-01')
        FROM tailwater_quarantine";
    assert_eq!(world.text(newest).await, "t t t");

    // A hole where it lies, and a batch that ends in front of it, leave it alone.
    range.jump(&world, 1).await;
    assert_eq!(range.apply(&events[..2]).await, outcome(0, 2, 0, 0));
    range.pass_to(Position(6)).await.unwrap();
    assert_eq!(world.quarantined().await.len(), 1);
}

async fn one_in_fifty_thousand_costs_four_statements(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&[sample("a", -1, 0)]).await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes <> 777000)").await;
    world.count_statements("agent_metrics").await;
    let mut events = samples("a", 50_000);
    events[30_000] = sample("a", 30_000, 777_000);
    assert_eq!(range.apply(&events).await, outcome(49_999, 0, 0, 1));
    // All of them, those in front of it, it alone, those behind it.
    assert_eq!(world.statements("agent_metrics").await, 4);
    assert_eq!(world.quarantined().await, ["30002 agent_sample 23514"]);
}

async fn one_that_nobody_names_costs_two_statements_for_each_halving(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    range.apply(&usages(&[1])).await;
    world.trigger("token_metrics", "IF NEW.output_tokens = 777000 THEN RAISE 'no'; END IF;").await;
    world.count_statements("token_metrics").await;
    let mut outputs: Vec<u64> = (1..=20_000).collect();
    outputs[12_345] = 777_000;
    let applied = range.apply(&usages(&outputs)).await;
    assert_eq!((applied.inserted, applied.present, applied.quarantined), (19_998, 1, 1));
    // 15 halvings make one of 20,000; each time one half may be refused and the other may not.
    let statements = world.statements("token_metrics").await;
    assert!((16..=31).contains(&statements), "{statements}");
}

in_the_shared_editions!(
    a_check_of_the_owners_keeps_one_event,
    a_check_keeps_one_event_on_the_way_round,
    a_narrower_type_keeps_one_event,
    a_number_out_of_range_keeps_one_event,
    a_trigger_that_raises_keeps_one_event,
    a_trigger_that_raises_at_the_merge_keeps_one_event,
    a_trigger_that_drops_a_row_without_a_word_keeps_one_event,
    a_trigger_that_drops_an_update_keeps_the_event_that_should_have_won,
    a_unique_index_of_the_owners_keeps_the_later_event,
    poison_in_every_table_at_once,
    poison_among_the_snapshots_of_a_call,
    events_of_a_newer_version_wait_in_quarantine_however_many,
    what_lands_at_a_replay_leaves_the_quarantine_and_what_is_refused_again_stays,
    one_in_fifty_thousand_costs_four_statements,
    one_that_nobody_names_costs_two_statements_for_each_halving,
    a_duplicate_takes_the_place_of_a_refused_event,
);
