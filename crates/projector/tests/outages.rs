//! The bad days that heal: the database goes away, connections are lost anywhere, COMMITs stay unknown,
//! other writers come by. Everything arrives, and the counts stay right.
#![cfg(test)]

use std::time::Duration;

use event::Position;
use projector::{ErrorKind, Settings, Source, State, Status, Until};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use sim::events::{sample, samples};
use sim::faults::{Call, Fault};
use sim::{World, assert_counts, lost_in_commit};

const AWAY: &str = "the database is away; recording goes on, projecting resumes by itself";
const BACK: &str = "the database is back";
const STUCK: &str =
    "the database does not answer, or is very slow; recording goes on, projecting resumes by itself";
const OVERTAKEN: &str = "another writer has claimed this range; claiming it back once";

/// Every fault that heals, at every call, in the first and in a later batch.
#[tokio::test(start_paused = true)]
async fn everything_arrives_and_the_counts_are_right_after_every_fault() {
    let faults = [
        Fault::Lost,
        lost_in_commit(true, 0),
        lost_in_commit(true, 30),
        lost_in_commit(false, 0),
        lost_in_commit(false, 30),
        Fault::Refused(ErrorKind::Retry),
        Fault::Slow(Duration::from_secs(3_600)),
    ];
    for call in Call::ALL {
        for fault in faults {
            for good_before in 0..3 {
                // 40 events with 25 keys.
                let world = World::with((0..40).map(|number| sample(number % 25)));
                for _ in 0..good_before {
                    world.target.faults().script(call, None);
                }
                world.target.faults().script(call, fault);
                let totals = world.project().await.unwrap();
                let case = format!("{call:?} {fault:?} after {good_before}");
                assert_eq!((totals.inserted, totals.present), (25, 15), "{case}");
                assert_counts(&totals, 25, 15);
                world.assert_all_applied();
                let loud = world.traces.loud();
                let calls_made = world.target.times(call).len();
                let is_told = calls_made > good_before;
                let line = if matches!(fault, Fault::Slow(_)) { STUCK } else { AWAY };
                assert_eq!(loud, vec![line; usize::from(is_told)], "{case}");
                assert_eq!(world.traces.of(Level::INFO).len(), usize::from(is_told), "{case}");
            }
        }
    }
}

/// The batch is counted once when its COMMIT took effect, and sent again when it did not.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_is_settled_by_the_next_claim() {
    for (effect, batches_sent) in [(true, 1), (false, 2)] {
        let world = World::with(samples(0, 10));
        world.target.faults().script(Call::Apply, lost_in_commit(effect, 20));
        let began = Instant::now();
        assert_counts(&world.project().await.unwrap(), 10, 0);
        assert!(began.elapsed() >= Duration::from_secs(20), "the claim waits for the old backend");
        assert_eq!(world.target.times(Call::Apply).len(), batches_sent);
        assert_eq!(world.target.commits().len(), 1);
        world.assert_all_applied();
    }
}

/// The claim that would settle it fails too, more than once.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_is_settled_though_the_claim_fails_first() {
    for effect in [true, false] {
        let world = World::with(samples(0, 30));
        {
            let mut faults = world.target.faults();
            faults.script(Call::Apply, lost_in_commit(effect, 1));
            faults.script(Call::Claim, None);
            faults.script(Call::Claim, Fault::Lost);
            faults.script(Call::Claim, lost_in_commit(true, 1));
            faults.script(Call::Claim, lost_in_commit(false, 1));
        }
        assert_counts(&world.project().await.unwrap(), 30, 0);
        world.assert_all_applied();
        assert_eq!(world.traces.loud(), [AWAY]);
    }
}

/// Who committed it cannot be told any more: a count that nobody knows is not added.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_stays_uncounted_when_another_writer_was_there() {
    for effect in [true, false] {
        let world = World::with(samples(0, 10));
        world.target.faults().script(Call::Apply, lost_in_commit(effect, 1));
        world.target.faults().script(Call::Connect, None);
        world.target.faults().script(Call::Connect, Fault::Slow(Duration::from_secs(60)));
        let running = world.start();
        sleep(Duration::from_secs(30)).await;
        let other = world.project().await.unwrap();
        assert_counts(&other, if effect { 0 } else { 10 }, 0);
        sleep(Duration::from_secs(60)).await;
        assert_counts(&running.stopped().await.1, 0, 0);
        world.assert_all_applied();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_is_told_twice_and_everything_arrives() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until(|status| status.state == State::Live && status.next == Some(Position(21))).await;

    world.target.go_away();
    world.log.append(samples(20, 500));
    let waiting = running.until(|status| status.state == State::Waiting).await;
    assert_eq!(waiting.error.as_deref(), Some("the connection to the database was lost"));
    assert!(waiting.outage_since.is_some());
    sleep(Duration::from_secs(6 * 3_600)).await;
    let still = running.status();
    assert_eq!((still.state, still.outage_since), (State::Waiting, waiting.outage_since));
    assert_eq!(world.traces.loud(), [AWAY]);
    let warning = world.traces.of(Level::WARN).remove(0);
    assert_eq!(warning.fields["error"], "the connection to the database was lost");
    assert!(world.traces.of(Level::INFO).is_empty());

    world.target.come_back();
    let back = running.until_next(Position(521)).await;
    assert_eq!((back.state, back.error, back.outage_since), (State::Live, None, None));
    assert_counts(&running.stopped().await.1, 520, 0);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [AWAY]);
    let info = world.traces.of(Level::INFO);
    assert_eq!(info.len(), 1);
    assert_eq!(info[0].message, BACK);
    let seconds = info[0].number("seconds");
    assert!((6 * 3_600..6 * 3_600 + 30).contains(&seconds), "{seconds} s");
    assert_eq!(info[0].number("backlog_events"), 500);
    // The pauses are 10 to 20 s each, but for the first few.
    let attempts = info[0].number("attempts");
    assert!((6 * 3_600 / 20..6 * 3_600 / 10 + 10).contains(&attempts), "{attempts} attempts");
}

/// At the first start, too: recording works before the database was ever there.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_from_the_beginning_is_waited_for() {
    let world = World::with(samples(0, 20));
    world.target.go_away();
    let mut running = world.start();
    let waiting = running.until(|status| status.error.is_some()).await;
    assert_eq!((waiting.state, waiting.next), (State::Waiting, None));
    sleep(Duration::from_secs(3_600)).await;
    world.target.come_back();
    running.until_next(Position(21)).await;
    assert_counts(&running.stopped().await.1, 20, 0);
    world.assert_all_applied();
}

/// A command has the projection pause in the middle of an outage, and go on: it is one outage all the same.
#[tokio::test(start_paused = true)]
async fn an_outage_outlives_a_pause_of_the_projection() {
    let world = World::with(samples(0, 20));
    world.target.go_away();
    let projector = world.projector();
    let mut since = Vec::new();
    for _ in 0..2 {
        let stop = CancellationToken::new();
        let pause = async {
            sleep(Duration::from_secs(60)).await;
            since.push(projector.status().borrow().outage_since);
            stop.cancel();
        };
        let (totals, ()) = tokio::join!(projector.run(Until::Stopped, &stop), pause);
        assert_eq!(totals.unwrap().read, 0);
    }
    assert!(since[0].is_some() && since[0] == since[1], "{since:?}");
    world.target.come_back();
    let all = Until::Applied(Position(20));
    assert_counts(&projector.run(all, &CancellationToken::new()).await.unwrap(), 20, 0);
    assert_eq!(projector.status().borrow().outage_since, None);
    assert_eq!(world.traces.loud(), [AWAY]);
    let info = world.traces.of(Level::INFO);
    assert_eq!(info.iter().map(|it| it.message.as_str()).collect::<Vec<_>>(), [BACK]);
    world.assert_all_applied();
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_a_backlog_ends_with_the_claim() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until(|status| status.state == State::Live && status.next == Some(Position(21))).await;
    world.target.go_away();
    world.log.append([sample(20)]);
    running.until(|status| status.state == State::Waiting).await;
    // Another process projects the rest first, so that the claim finds nothing left to do.
    world.target.come_back();
    world.target.faults().script(Call::Connect, Fault::Slow(Duration::from_secs(60)));
    sleep(Duration::from_secs(20)).await;
    world.project().await.unwrap();
    let back = running.until(|status| status.state == State::Live).await;
    assert_eq!((back.error, back.outage_since, back.next), (None, None, Some(Position(22))));
    assert_eq!(running.stopped().await.1.inserted, 20);
    assert_eq!(world.traces.loud(), [AWAY]);
    assert_eq!(world.traces.of(Level::INFO)[0].number("backlog_events"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_pauses_grow_and_stay_within_their_bounds() {
    let world = World::with(samples(0, 20));
    world.target.go_away();
    let running = world.start();
    sleep(Duration::from_secs(600)).await;
    running.stopped().await;
    assert_pauses(&world.target.times(Call::Connect));
}

/// Each pause is between its base and twice that; the bases double from the least to the most.
#[track_caller]
fn assert_pauses(attempts: &[Instant]) {
    // Statements take a millisecond, and so does the clock's grain.
    let slack = Duration::from_millis(20);
    let Settings { retry_pause_min, retry_pause_max, .. } = sim::settings();
    assert!(attempts.len() > 10, "{attempts:?}");
    let mut base = retry_pause_min;
    for (number, pair) in attempts.windows(2).enumerate() {
        let pause = pair[1] - pair[0];
        assert!(pause >= base && pause <= base * 2 + slack, "pause {number} of {base:?} is {pause:?}");
        base = (base * 2).min(retry_pause_max);
    }
    let last = attempts.last_chunk::<6>().unwrap();
    let has_jitter = last.windows(2).any(|pair| pair[1] - pair[0] > retry_pause_max + slack);
    assert!(has_jitter, "many projectors would come back in step");
}

/// A full disk: connecting and claiming work, and every batch is refused. It is one outage, not one for
/// each attempt.
#[tokio::test(start_paused = true)]
async fn a_database_that_can_be_claimed_and_not_written_is_one_outage() {
    let world = World::with(samples(0, 20));
    for _ in 0..30 {
        world.target.faults().script(Call::Apply, Fault::Refused(ErrorKind::Retry));
    }
    let mut running = world.start();
    let waiting = running.until(|status| status.state == State::Waiting && status.error.is_some()).await;
    let mut told = Vec::new();
    running
        .until(|status| {
            told.push(status.clone());
            status.next == Some(Position(21))
        })
        .await;
    assert_counts(&running.stopped().await.1, 20, 0);
    assert_eq!(world.traces.loud(), [AWAY]);
    let info = world.traces.of(Level::INFO);
    assert_eq!(info.len(), 1);
    assert_eq!((info[0].number("attempts"), info[0].number("backlog_events")), (30, 20));
    assert_pauses(&world.target.times(Call::Connect)[..31]);
    let is_away = |status: &&Status| status.outage_since.is_some();
    let away: Vec<_> = told.iter().take_while(is_away).collect();
    assert!(away.iter().all(|status| status.outage_since == waiting.outage_since));
    assert!(away.iter().all(|status| status.error == waiting.error && status.state == State::Waiting));
}

#[tokio::test(start_paused = true)]
async fn a_later_outage_is_told_anew_and_begins_with_a_short_pause() {
    let world = World::with(samples(0, 20));
    let mut running = world.start();
    running.until_next(Position(21)).await;
    for round in 1..=3 {
        world.target.go_away();
        world.log.append([sample(20 + round)]);
        running.until(|status| status.state == State::Waiting).await;
        sleep(Duration::from_secs(120)).await;
        let before = world.target.times(Call::Connect).len();
        world.target.come_back();
        running.until_next(Position(21 + round)).await;
        assert_eq!(world.target.times(Call::Connect).len(), before + 1);
    }
    assert_eq!(world.traces.loud(), [AWAY; 3]);
    let info = world.traces.of(Level::INFO);
    assert_eq!(info.len(), 3);
    for told in info {
        // 0.1, 0.2 … 6.4 s and then 10: with jitter between 10 and 20 attempts in two minutes.
        assert!((9..=25).contains(&told.number("attempts")), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_within_a_transaction_changes_nothing_by_halves() {
    // A batch of four statements: connect 1 ms, claim 3 ms, then one ms each.
    for millis in 0..30 {
        let world = World::with((0..25).map(|number| sample(number % 15)));
        let mut running = world.start();
        sleep(Duration::from_millis(millis)).await;
        world.target.go_away();
        sleep(Duration::from_secs(1)).await;
        let next = world.target.range(world.log.identity().log_id).map_or(1, |range| range.cursor.next.0);
        let rows = usize::try_from(next - 1).unwrap().min(15);
        assert_eq!(world.target.rows().len(), rows, "rows and progress differ after {millis} ms");
        world.target.come_back();
        running.until_next(Position(26)).await;
        assert_counts(&running.stopped().await.1, 15, 10);
        world.assert_all_applied();
    }
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_range_is_claimed_back_once() {
    let world = World::with(samples(0, 40));
    {
        let mut faults = world.target.faults();
        // Each time a batch comes between them.
        for fault in [Some(Fault::Overtaken), None, Some(Fault::Overtaken), None, Some(Fault::Overtaken)] {
            faults.script(Call::Apply, fault);
        }
    }
    assert_counts(&world.project().await.unwrap(), 40, 0);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [OVERTAKEN; 3]);
}

/// A batch whose COMMIT nobody heard of is a batch between two overtakings all the same.
#[tokio::test(start_paused = true)]
async fn a_batch_that_was_settled_later_counts_as_a_batch() {
    let world = World::with(samples(0, 40));
    for fault in [Fault::Overtaken, lost_in_commit(true, 1), Fault::Overtaken] {
        world.target.faults().script(Call::Apply, fault);
    }
    assert_counts(&world.project().await.unwrap(), 40, 0);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [OVERTAKEN, AWAY, OVERTAKEN]);
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_through_a_storm_of_faults() {
    for seed in 0..100 {
        let world = World::with((0..120).map(|number| sample(number % 70)));
        world.target.faults().seed(seed, 400);
        let totals = world.project().await.unwrap();
        assert_eq!((totals.read, totals.inserted, totals.present), (120, 70, 50), "seed {seed}");
        assert_counts(&totals, 70, 50);
        world.assert_all_applied();
        let (outages, ends) = (world.traces.loud().len(), world.traces.of(Level::INFO).len());
        assert_eq!(outages, ends, "seed {seed}: every outage ends");
    }
}
