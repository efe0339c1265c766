//! What a person must look at: the projector halts at once, says why, and changes nothing.
#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use event::Position;
use projector::{Divergence, ErrorKind, Halt, Source, SourceError, State, Until};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use sim::events::{sample, samples};
use sim::faults::{Call, Fault};
use sim::{Running, World, assert_adds_up};

/// Runs until it halts; checks that it does so at once and says so in its status. Gives why, and its text.
async fn halt(world: &World, until: Until) -> (Halt, String) {
    let projector = world.projector();
    let status = projector.status();
    let began = Instant::now();
    let halt = projector.run(until, &CancellationToken::new()).await.expect_err("it did not halt");
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    let told = status.borrow().clone();
    let text = halt.to_string();
    assert_eq!((told.state, told.error.as_deref()), (State::Halted, Some(text.as_str())));
    assert_eq!(told.outage_since, None);
    assert_adds_up(&told.totals);
    assert!(world.traces.of(Level::ERROR).is_empty(), "who handles a halt traces it, and nobody else");
    (halt, text)
}

#[tokio::test(start_paused = true)]
async fn a_log_that_went_another_way_halts() {
    let mut world = World::with(samples(0, 25));
    world.project().await.unwrap();
    let before = world.target.data();
    let applied = world.log.entries()[24].checksum;
    world.log = world.log.copy();
    world.log.rewind(Position(20));
    world.log.append(samples(100, 30));
    world.log.sync();
    let found = world.log.entries()[24].checksum;
    let (halt, text) = halt(&world, Until::Stopped).await;
    let expected = Divergence::Different { at: Position(25), applied, found };
    assert!(matches!(halt, Halt::Diverged(divergence) if divergence == expected));
    assert_eq!(
        text,
        format!(
            "diverged: the database has applied a record with checksum {applied:08x} at position 25, the log \
             has {found:08x} there; this log or the one that the database has is a copy that went its own \
             way: `tailwater log adopt` makes the copy a log of its own, `tailwater replay` fills a fresh database \
             from it"
        )
    );
    assert_eq!(world.target.data(), before, "the claim changed nothing");
}

#[tokio::test(start_paused = true)]
async fn a_log_behind_its_database_halts() {
    let mut world = World::with(samples(0, 25));
    world.project().await.unwrap();
    let before = world.target.data();
    world.log = world.log.copy();
    world.log.rewind(Position(12));
    let (halt, text) = halt(&world, Until::Stopped).await;
    let expected = Divergence::Behind { next: Position(26), log_next: Position(13) };
    assert!(matches!(halt, Halt::Diverged(divergence) if divergence == expected));
    assert!(text.starts_with("log behind database: "), "{text}");
    assert!(text.contains("before position 26, the log's next position is 13;"), "{text}");
    assert_eq!(world.target.data(), before);
}

/// The last record is compared though it is not durable yet: it is made so first.
#[tokio::test(start_paused = true)]
async fn a_rewritten_record_is_seen_before_anything_is_applied() {
    let mut world = World::with(samples(0, 25));
    world.project().await.unwrap();
    let before = world.target.data();
    world.log = world.log.copy();
    world.log.rewind(Position(24));
    world.log.append([sample(100)]);
    let (_, text) = halt(&world, Until::Stopped).await;
    assert!(text.starts_with("diverged: "), "{text}");
    assert_eq!(world.target.data(), before);
}

#[tokio::test(start_paused = true)]
async fn an_equal_copy_goes_on() {
    let mut world = World::with(samples(0, 25));
    world.project().await.unwrap();
    world.log = world.log.copy();
    world.log.append(samples(25, 5));
    assert_eq!(world.project().await.unwrap().inserted, 5);
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_cannot_be_compared_warns_and_goes_on() {
    let world = World::with(samples(0, 25));
    world.project().await.unwrap();
    world.log.damage(Position(25));
    world.log.append(samples(25, 5));
    assert_eq!(world.project().await.unwrap().inserted, 5);
    assert_eq!(
        world.traces.loud(),
        ["the last applied event cannot be compared with the log: going on without"]
    );
    assert_eq!(world.traces.of(Level::WARN)[0].fields["position"], "25");
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_overtaken_twice_running_halts() {
    let world = World::with(samples(0, 40));
    {
        let mut faults = world.target.faults();
        faults.script(Call::Apply, None);
        faults.script(Call::Apply, Fault::Overtaken);
        faults.script(Call::Apply, Fault::Overtaken);
    }
    let (halt, text) = halt(&world, Until::Stopped).await;
    assert!(matches!(halt, Halt::TwoWriters { lo: Position(1) }));
    assert!(text.starts_with("two writers: another process claimed the range that begins at position 1 "));
    assert_eq!(world.target.rows().len(), 10, "what was committed stays, nothing else came");
    let next = world.target.range(world.log.identity().log_id).unwrap().cursor.next;
    assert_eq!(next, Position(11));
}

/// Each confirms its range now and then: they find each other though nothing comes, and one gives up.
#[tokio::test(start_paused = true)]
async fn two_idle_projectors_find_each_other_and_one_halts() {
    let world = World::with(samples(0, 20));
    let first = world.start();
    sleep(Duration::from_secs(3)).await;
    let second = world.start();
    sleep(Duration::from_secs(3_600)).await;
    let mut states = [first.status().state, second.status().state];
    states.sort_by_key(|state| state.as_str());
    assert_eq!(states, [State::Halted, State::Live]);
    let (halted, live) =
        if first.status().state == State::Halted { (first, second) } else { (second, first) };
    assert!(matches!(halted.ended().await, Err(Halt::TwoWriters { .. })));
    live.stopped().await;
    world.assert_all_applied();
}

/// An outage between two thefts does not hide the second one.
#[tokio::test(start_paused = true)]
async fn an_outage_between_two_overtakings_does_not_count_as_a_batch() {
    let world = World::with(samples(0, 40));
    {
        let mut faults = world.target.faults();
        faults.script(Call::Apply, Fault::Overtaken);
        faults.script(Call::Apply, Fault::Lost);
        faults.script(Call::Apply, Fault::Overtaken);
    }
    let error = world.project().await.unwrap_err();
    assert!(matches!(error, Halt::TwoWriters { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_waiting_does_not_heal_halts() {
    for call in Call::ALL {
        for (kind, expected) in [
            (ErrorKind::Data, "the event at position 1: the database refuses: Data"),
            (ErrorKind::Fatal, "the database refuses: Fatal"),
        ] {
            let world = World::with(samples(0, 40));
            world.target.faults().script(call, Fault::Refused(kind));
            let (halt, text) = halt(&world, Until::Stopped).await;
            assert!(matches!(halt, Halt::Target(error) if error.kind() == kind));
            assert_eq!(text, expected);
            assert!(world.target.rows().is_empty());
            // What was wrong is mended, and the process started anew.
            assert_eq!(world.project().await.unwrap().inserted, 40);
            world.assert_all_applied();
        }
    }
}

/// The database comes back from an outage and refuses: it halts, and does not wait any longer.
#[tokio::test(start_paused = true)]
async fn an_outage_can_end_in_a_halt() {
    let world = World::with(samples(0, 10));
    {
        let mut faults = world.target.faults();
        faults.script(Call::Connect, Fault::Lost);
        faults.script(Call::Connect, Fault::Refused(ErrorKind::Fatal));
    }
    let running = Running::start(world.projector(), Until::Stopped);
    assert_eq!(running.ended().await.unwrap_err().to_string(), "the database refuses: Fatal");
}

/// The database keeps it until it can be read, and everything behind it arrives.
#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_version_is_quarantined() {
    for (kind, version) in [(77, 1), (1, 9)] {
        let world = World::with(samples(0, 25));
        world.log.append_unknown(kind, version);
        world.log.append(samples(26, 5));
        let totals = world.project().await.unwrap();
        assert_eq!((totals.inserted, totals.quarantined, totals.sent), (30, 1, 31));
        world.assert_all_applied();
        let quarantine = world.target.data().quarantine.remove(&world.log.identity().log_id).unwrap();
        assert_eq!(quarantine, [Position(26)].into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_halts_and_a_mended_one_goes_on() {
    for position in [1, 5, 11, 25].map(Position) {
        let world = World::with(samples(0, 25));
        world.log.damage(position);
        let (halt, text) = halt(&world, Until::Applied(Position(25))).await;
        let Halt::Source(SourceError::Unreadable { position: named, .. }) = halt else { panic!("{text}") };
        assert_eq!(named, position);
        assert_eq!(
            text,
            format!(
                "position {position} of the log cannot be read: the checksum differs; `tailwater log verify` \
                 tells how much, `tailwater log repair` mends it"
            )
        );
        let next = world.target.range(world.log.identity().log_id).unwrap().cursor.next;
        assert!(next <= position && next.plus(10) > position, "{next}");
        world.log.damage(None);
        world.project().await.unwrap();
        world.assert_all_applied();
    }
}

/// Waiting for the log fails: it is no end that went well, whenever it comes.
#[tokio::test(start_paused = true)]
async fn a_log_that_breaks_while_it_is_waited_for_halts() {
    let at_once = World::with(samples(0, 5));
    at_once.log.append(samples(5, 5));
    at_once.log.break_at(Position(8));
    let (_, text) = halt(&at_once, Until::Applied(Position(10))).await;
    assert!(text.starts_with("position 8 of the log cannot be read: the log is broken"), "{text}");

    let later = World::with(samples(0, 5));
    let mut running = later.start();
    running.until(|status| status.state == State::Live).await;
    sleep(Duration::from_secs(60)).await;
    later.log.break_at(Position(6));
    let error = running.ended().await.unwrap_err();
    assert!(matches!(error, Halt::Source(SourceError::Unreadable { .. })), "{error}");
}

/// Two copies of one log, each growing on its own, beside each other: whoever comes second halts.
#[tokio::test(start_paused = true)]
async fn two_copies_that_grow_apart_do_not_mix() {
    let mut world = World::with(samples(0, 20));
    let mut first = world.start();
    first.until(|status| status.state == State::Live && status.next == Some(Position(21))).await;
    let original = Arc::clone(&world.log);
    world.log = original.copy();
    world.log.append(samples(100, 3));
    let mut second = world.start();
    second.until_next(Position(24)).await;
    original.append(samples(200, 5));
    let error = first.ended().await.unwrap_err();
    assert!(matches!(error, Halt::Diverged(Divergence::Different { at: Position(23), .. })), "{error}");
    second.stopped().await;
    world.assert_all_applied();
}
