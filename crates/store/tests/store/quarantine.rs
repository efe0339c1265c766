//! The quarantine's commands: look, try again, drop.

use event::wire::Decoded;
use event::{Event, LogId, Position};
use projector::{LogIdentity, TargetError};
use store::testing::TestEdition;
use store::{
    DropMode, Extension, Migrate, Quarantine, QuarantineFilter, Quarantined, RetryMode, RetryOutcome,
    StoreOptions, TimescaleTarget,
};

use crate::support::{World, in_every_edition, log, outcome, sample, samples, usage};

async fn open(world: &World, log: &LogIdentity) -> Quarantine {
    world.target.quarantine(log).await.unwrap()
}

fn of_kind(kind: &str) -> QuarantineFilter {
    QuarantineFilter { kind: Some(kind.into()), ..QuarantineFilter::default() }
}

fn of_positions(from: u64, to: u64) -> QuarantineFilter {
    QuarantineFilter { positions: Position(from)..=Position(to), ..QuarantineFilter::default() }
}

fn positions(listed: &[Quarantined]) -> Vec<u64> {
    listed.iter().map(|it| it.position.0).collect()
}

const CHECKS: &str = "ALTER TABLE agent_metrics ADD CONSTRAINT even CHECK (mem_used_bytes % 2 = 0);
    ALTER TABLE token_metrics ADD CONSTRAINT small CHECK (output_tokens < 100)";

/// Positions 2, 4, …, 20 (samples with odd memory) and 22 (a usage) are in quarantine; another log has one.
async fn world_with_quarantine(edition: TestEdition) -> Option<(World, LogIdentity)> {
    let world = World::of(edition).await?;
    let mut range = world.range().await;
    world.execute(CHECKS).await;
    let mut events = samples("a", 20);
    events.push(Event::TokenUsage(usage("x", 5, false)));
    events.push(Event::TokenUsage(usage("x", 500, false)));
    assert_eq!(range.apply(&events).await, outcome(11, 0, 0, 11));
    let other = log("away");
    assert_eq!(world.range_of(&other).await.apply(&[sample("o", 0, 1)]).await, outcome(0, 0, 0, 1));
    Some((world, other))
}

async fn it_is_listed_by_position_kind_and_sqlstate(edition: TestEdition) {
    let Some((world, other)) = world_with_quarantine(edition).await else { return };
    let quarantine = open(&world, &world.log).await;
    assert_eq!(quarantine.count().await.unwrap(), 11);
    let list =
        async |filter: QuarantineFilter, most| positions(&quarantine.list(&filter, most).await.unwrap());
    assert_eq!(list(QuarantineFilter::default(), 3).await, [2, 4, 6]);
    assert_eq!(list(of_positions(7, 12), 100).await, [8, 10, 12]);
    assert_eq!(list(of_kind("token_usage"), 100).await, [22]);
    let state =
        |state: &str| QuarantineFilter { sqlstate: Some(state.into()), ..QuarantineFilter::default() };
    assert_eq!(list(state("23514"), 100).await.len(), 11);
    assert_eq!(list(state("22001"), 100).await, [0; 0]);

    let listed = quarantine.list(&of_positions(2, 2), 1).await.unwrap();
    let first = &listed[0];
    assert_eq!((first.kind.as_str(), first.sqlstate.as_str()), ("agent_sample", "23514"));
    assert_eq!((first.log_id, first.host.as_str()), (world.log.log_id, "home"));
    assert!(first.message.contains("even") && first.at.micros() > 1_600_000_000_000_000, "{first:?}");
    let (shown, event) = quarantine.show(Position(2)).await.unwrap().unwrap();
    assert_eq!((&shown, event), (first, Decoded::Event(sample("a", 1, 1))));
    assert!(quarantine.show(Position(1)).await.unwrap().is_none());

    // Another log has its own, and one that the database has never seen has none.
    assert_eq!(open(&world, &other).await.count().await.unwrap(), 1);
    let strange = LogIdentity { log_id: LogId::random(), ..other };
    let mut none = open(&world, &strange).await;
    assert_eq!(none.count().await.unwrap(), 0);
    assert!(none.list(&QuarantineFilter::default(), 5).await.unwrap().is_empty());
    let retried = none.retry(&QuarantineFilter::default(), RetryMode::Run).await.unwrap();
    assert_eq!(retried, RetryOutcome::default());
    assert_eq!(none.drop(&QuarantineFilter::default(), DropMode::Run).await.unwrap(), 0);
}

async fn a_retry_lands_what_the_database_takes_by_now(edition: TestEdition) {
    let Some((world, other)) = world_with_quarantine(edition).await else { return };
    let mut quarantine = open(&world, &world.log).await;
    let all = QuarantineFilter::default();
    let told = quarantine.retry(&all, RetryMode::Run).await.unwrap();
    assert_eq!(told, RetryOutcome { tried: 11, refused: 11, ..RetryOutcome::default() });

    world.execute("ALTER TABLE agent_metrics DROP CONSTRAINT even").await;
    world.execute("ALTER TABLE agent_metrics ADD CONSTRAINT not_three CHECK (mem_used_bytes <> 3)").await;
    // One of them has lost its place to another event meanwhile.
    let mut same_key = sample("a", 5, 6);
    *same_key.host_mut() = Some("home".into());
    assert_eq!(world.range_of(&other).await.apply(&[same_key]).await, outcome(1, 0, 0, 0));
    let wanted = RetryOutcome { tried: 11, inserted: 8, present: 1, conflicting: 1, refused: 2 };
    let before_dry_run = world.checksums().await;
    let tried = quarantine.retry(&all, RetryMode::DryRun).await.unwrap();
    assert_eq!((tried, tried.landed()), (wanted, 9));
    assert_eq!(quarantine.count().await.unwrap(), 11);
    assert_eq!(world.checksums().await, before_dry_run);
    assert_eq!(quarantine.retry(&all, RetryMode::Run).await.unwrap(), wanted);
    let left = quarantine.list(&all, 100).await.unwrap();
    assert_eq!(positions(&left), [4, 22]);
    assert!(left[0].message.contains("not_three"), "{left:?}");
    // A snapshot that lands takes its place by the rule: the larger one wins.
    world.execute("ALTER TABLE token_metrics DROP CONSTRAINT small").await;
    let usage = quarantine.retry(&of_kind("token_usage"), RetryMode::Run).await.unwrap();
    assert_eq!(usage, RetryOutcome { tried: 1, present: 1, ..RetryOutcome::default() });
    let kept = "SELECT concat_ws(' ', output_tokens, position) FROM token_metrics";
    assert_eq!(world.texts(kept).await, ["500 22"]);
    assert_eq!(quarantine.count().await.unwrap(), 1);
    assert_eq!(open(&world, &other).await.count().await.unwrap(), 1);
}

/// More than a transaction takes: 1,201 events, of which every third is refused again.
async fn a_retry_goes_on_from_transaction_to_transaction(edition: TestEdition) {
    let Some(world) = World::of(edition).await else { return };
    let mut range = world.range().await;
    world.execute("ALTER TABLE agent_metrics ADD CONSTRAINT none CHECK (mem_used_bytes < 0)").await;
    for from in (0..1_201_u64).step_by(100) {
        let batch: Vec<Event> =
            samples("a", 1_201).drain(..).skip(usize::try_from(from).unwrap()).take(100).collect();
        range.apply(&batch).await;
        world.execute("UPDATE tailwater_quarantine SET first_at = '2001-01-01'").await;
    }
    world.execute("ALTER TABLE agent_metrics DROP CONSTRAINT none").await;
    world.execute("ALTER TABLE agent_metrics ADD CHECK (mem_used_bytes % 3 <> 0)").await;
    let mut quarantine = open(&world, &world.log).await;
    let done = quarantine.retry(&QuarantineFilter::default(), RetryMode::Run).await.unwrap();
    assert_eq!(done, RetryOutcome { tried: 1_201, inserted: 800, refused: 401, ..RetryOutcome::default() });
    assert_eq!(quarantine.count().await.unwrap(), 401);
    assert_eq!(world.count("agent_metrics").await, 800);
    // That those are refused still is nothing new: the projection goes on.
    assert_eq!(range.apply(&[sample("b", 0, 3), sample("b", 1, 1)]).await, outcome(1, 0, 0, 1));
}

async fn dropping_deletes_what_the_filter_names(edition: TestEdition) {
    let Some((world, other)) = world_with_quarantine(edition).await else { return };
    let quarantine = open(&world, &world.log).await;
    let some = of_positions(4, 9);
    assert_eq!(quarantine.drop(&some, DropMode::DryRun).await.unwrap(), 3);
    assert_eq!(quarantine.count().await.unwrap(), 11);
    assert_eq!(quarantine.drop(&some, DropMode::Run).await.unwrap(), 3);
    assert_eq!(quarantine.drop(&some, DropMode::Run).await.unwrap(), 0);
    assert_eq!(quarantine.drop(&QuarantineFilter::default(), DropMode::Run).await.unwrap(), 8);
    assert_eq!(open(&world, &other).await.count().await.unwrap(), 1);
}

#[tokio::test]
async fn without_the_schema_it_says_what_to_do() {
    let Some(world) = World::new().await else { return };
    let options = StoreOptions { migrate: Migrate::Never, extension: Extension::Leave };
    let target = TimescaleTarget::new(world.database.url().clone(), options);
    let error: TargetError = target.quarantine(&world.log).await.err().unwrap();
    assert!(error.to_string().contains("tailwater migrate"), "{error}");
}

in_every_edition!(
    it_is_listed_by_position_kind_and_sqlstate,
    a_retry_lands_what_the_database_takes_by_now,
    a_retry_goes_on_from_transaction_to_transaction,
    dropping_deletes_what_the_filter_names,
);
