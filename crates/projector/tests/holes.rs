//! Positions that have no events any more: the cursor goes over them, counts them once, and says so once.
#![cfg(test)]

use std::time::Duration;

use event::{HoleCause, Position};
use projector::{Divergence, Halt, Source, State, Totals, Until};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use sim::events::{sample, samples};
use sim::faults::{Call, Fault};
use sim::log::{Kept, Syncs};
use sim::{Running, World, assert_adds_up, killed_after, lost_in_commit};

const HOLE: &str =
    "the log has a hole: these events are gone, and did not reach the database; going on behind it";
const DOUBT: &str = "the last applied event cannot be compared with the log: going on without";
const AWAY: &str = "the database is away; recording goes on, projecting resumes by itself";

/// A log of so many events, the first of which are applied.
async fn applied_up_to(last: u64, events: u64) -> World {
    let world = World::with(samples(0, last));
    world.project().await.unwrap();
    world.log.append(samples(last, events - last));
    world.log.sync();
    world
}

fn next(world: &World) -> Position {
    world.target.range(world.log.identity().log_id).unwrap().cursor.next
}

/// The spans that the database passed without events.
fn holes_passed(world: &World) -> Vec<(u64, u64)> {
    let commits = world.target.commits();
    commits.iter().filter(|commit| commit.is_hole).map(|commit| (commit.from.0, commit.to.0)).collect()
}

fn counts(sent: u64, unavailable: u64) -> Totals {
    Totals { read: sent + unavailable, sent, inserted: sent, unavailable, ..Totals::default() }
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_middle_is_passed_counted_and_told_once() {
    for cause in HoleCause::ALL {
        let world = World::with(samples(0, 60));
        world.log.make_hole(Position(24), Position(38), cause, Kept::Nothing);
        assert_eq!(world.project().await.unwrap(), counts(45, 15));
        world.assert_all_applied();
        assert_eq!(holes_passed(&world), [(24, 39)]);
        assert_eq!(world.traces.loud(), [HOLE]);
        let told = world.traces.of(Level::WARN).remove(0);
        assert_eq!((told.number("from"), told.number("to"), told.number("events")), (24, 38, 15));
        assert_eq!(told.fields["cause"], cause.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn batches_end_at_a_hole_and_go_on_behind_it() {
    let world = World::with(samples(0, 40));
    world.log.make_hole(Position(15), Position(15), HoleCause::Damaged, Kept::Nothing);
    world.log.make_hole(Position(21), Position(22), HoleCause::Damaged, Kept::Nothing);
    // Two that touch are two.
    world.log.make_hole(Position(23), Position(30), HoleCause::Dropped, Kept::Nothing);
    let began = Instant::now();
    assert_eq!(world.project().await.unwrap(), counts(29, 11));
    let live_pause = sim::settings().live_pause;
    assert!(began.elapsed() < live_pause, "what comes next was not read ahead: {:?}", began.elapsed());
    let spans: Vec<_> = world.target.commits().iter().map(|commit| (commit.from.0, commit.to.0)).collect();
    assert_eq!(spans, [(1, 11), (11, 15), (15, 16), (16, 21), (21, 23), (23, 31), (31, 41)]);
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [HOLE; 3]);
}

/// The database knows no range yet: what was gone before is nothing that it missed.
#[tokio::test(start_paused = true)]
async fn a_hole_at_the_beginning_does_not_count_for_a_fresh_database() {
    let world = World::with(samples(0, 30));
    world.log.make_hole(Position(1), Position(4), HoleCause::Trimmed, Kept::Checksum);
    world.log.make_hole(Position(5), Position(9), HoleCause::Damaged, Kept::Nothing);
    world.log.make_hole(Position(12), Position(13), HoleCause::Damaged, Kept::Nothing);
    assert_eq!(world.project().await.unwrap(), counts(19, 2));
    assert_eq!(world.target.commits()[0].from, Position(10));
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [HOLE]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_nothing_but_a_hole_is_followed_from_its_end() {
    let world = World::with(samples(0, 30));
    world.log.trim(Position(31), Kept::Nothing);
    let mut running = world.start();
    running.until(|status| status.state == State::Live && status.next == Some(Position(31))).await;
    world.log.append(samples(30, 5));
    assert_eq!(running.until_next(Position(36)).await.totals, counts(5, 0));
    running.stopped().await;
    world.assert_all_applied();
}

/// Durable events that the log came back without, and new ones behind them.
#[tokio::test(start_paused = true)]
async fn a_lost_tail_is_passed_before_what_comes_behind_it() {
    for applied in [10, 20, 23, 24] {
        let world = applied_up_to(applied, 30).await;
        world.log.lose_tail(6);
        world.log.append(samples(100, 5));
        let unavailable = 30 - applied;
        assert_eq!(world.project().await.unwrap(), counts(24 - applied + 5, unavailable.min(6)));
        world.assert_all_applied();
        assert_eq!(world.traces.loud(), [HOLE]);
    }
}

/// The mark kept the checksum of the last of them: the database that had it all is known again.
#[tokio::test(start_paused = true)]
async fn a_lost_tail_that_the_database_has_is_no_hole_to_it() {
    let world = applied_up_to(30, 30).await;
    world.log.lose_tail(6);
    world.log.append(samples(100, 5));
    assert_eq!(world.project().await.unwrap(), counts(5, 0));
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty());
}

/// It waits at the head for events that never come: the positions turn out to be a hole.
#[tokio::test(start_paused = true)]
async fn a_tail_that_is_lost_while_it_waits_at_the_head_is_passed() {
    let world = World::with(samples(0, 20));
    world.log.set_syncs(Syncs::Held);
    let mut running = world.start();
    running.until(|status| status.state == State::Live && status.next == Some(Position(21))).await;
    world.log.append(samples(20, 5));
    sleep(Duration::from_secs(60)).await;
    world.log.sync();
    world.log.make_hole(Position(21), Position(25), HoleCause::LostTail, Kept::Checksum);
    let status = running.until_next(Position(26)).await;
    assert_eq!((status.state, status.totals), (State::Live, counts(20, 5)));
    world.log.set_syncs(Syncs::OnDemand);
    world.log.append([sample(25)]);
    running.until_next(Position(27)).await;
    assert_eq!(running.stopped().await.1, counts(21, 5));
    world.assert_all_applied();
}

/// The events of a running projector become a hole: behind it, around it, in front of it; at any moment.
#[tokio::test(start_paused = true)]
async fn a_hole_made_while_it_works_is_met_wherever_it_is() {
    for (lo, hi) in [(1, 8), (1, 25), (1, 60), (15, 25), (31, 32), (35, 60), (60, 60)] {
        for millis in 0..40 {
            let world = World::with(samples(0, 60));
            let running = Running::start(world.projector(), Until::Applied(Position(60)));
            sleep(Duration::from_millis(millis)).await;
            world.log.make_hole(Position(lo), Position(hi), HoleCause::Trimmed, Kept::Nothing);
            let totals = running.ended().await.unwrap();
            assert_adds_up(&totals);
            world.assert_all_applied();
            assert_eq!((totals.sent, totals.unavailable), world.passed(), "{lo} to {hi}, {millis} ms");
            assert_eq!(totals.read, 60 - world.target.commits().first().map_or(60, |first| first.from.0 - 1));
            assert_eq!(world.traces.loud().len(), holes_passed(&world).len());
        }
    }
}

/// Counted from where the range was: what lies before it in the hole had been applied.
#[tokio::test(start_paused = true)]
async fn a_hole_around_the_cursor_counts_only_what_was_missed() {
    let world = applied_up_to(20, 40).await;
    world.log.make_hole(Position(11), Position(30), HoleCause::Dropped, Kept::Checksum);
    assert_eq!(world.project().await.unwrap(), counts(10, 10));
    world.assert_all_applied();
    assert_eq!(world.target.rows().len(), 30);
    assert_eq!(world.traces.loud(), [HOLE]);
    let told = world.traces.of(Level::WARN);
    let numbers = ["from", "events", "not_compared"].map(|name| told[0].number(name));
    assert_eq!(numbers, [21, 10, 20]);
}

/// A database restored from a backup that is older than the log: it resumes where the log still is.
#[tokio::test(start_paused = true)]
async fn a_restored_database_resumes_behind_what_was_trimmed_meanwhile() {
    for first in [32, 45, 61] {
        let world = applied_up_to(30, 60).await;
        let backup = world.target.data();
        world.project().await.unwrap();
        world.log.trim(Position(first), Kept::Checksum);
        world.target.replace(backup);
        assert_eq!(world.project().await.unwrap(), counts(61 - first, first - 31));
        world.assert_all_applied();
        assert_eq!(world.traces.loud(), [HOLE]);
        assert_eq!(world.traces.of(Level::WARN)[0].number("not_compared"), 30);
        world.log.append(samples(60, 3));
        assert_eq!(world.project().await.unwrap(), counts(3, 0));
        world.assert_all_applied();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_the_end_when_it_reaches_beyond_what_was_asked_for() {
    let world = World::with(samples(0, 40));
    world.log.make_hole(Position(11), Position(30), HoleCause::Damaged, Kept::Nothing);
    let totals = world.projector().run(Until::Applied(Position(20)), &CancellationToken::new()).await;
    assert_eq!(totals.unwrap(), counts(10, 20));
    assert_eq!(next(&world), Position(31));
}

/// The last applied record was the last one of the hole, which kept its checksum.
#[tokio::test(start_paused = true)]
async fn a_digest_at_the_end_of_a_hole_is_compared() {
    let world = applied_up_to(25, 25).await;
    world.log.trim(Position(26), Kept::Checksum);
    world.log.append(samples(25, 5));
    assert_eq!(world.project().await.unwrap(), counts(5, 0));
    world.assert_all_applied();
    assert!(world.traces.loud().is_empty());

    let mut other = applied_up_to(25, 25).await;
    let before = other.target.data();
    let applied = other.log.entries()[24].checksum;
    other.log = other.log.copy();
    other.log.rewind(Position(20));
    other.log.append(samples(100, 5));
    other.log.sync();
    let found = other.log.entries()[24].checksum;
    other.log.trim(Position(26), Kept::Checksum);
    let Err(Halt::Diverged(divergence)) = other.project().await else { panic!("it did not halt") };
    assert_eq!(divergence, Divergence::Different { at: Position(25), applied, found });
    assert_eq!(other.target.data(), before);
}

/// Whatever a hole keeps of its end says nothing of another record in it. One that is gone over tells it itself.
#[tokio::test(start_paused = true)]
async fn a_digest_that_a_hole_has_is_told_once_and_not_at_every_claim() {
    for (hi, kept, doubt, field) in
        [(25, Kept::Nothing, DOUBT, "position"), (28, Kept::Checksum, HOLE, "not_compared")]
    {
        let world = applied_up_to(25, 28).await;
        world.log.trim(Position(hi + 1), kept);
        for _ in 0..3 {
            world.target.faults().script(Call::Apply, Fault::Lost);
        }
        assert_eq!(world.project().await.unwrap(), counts(28 - hi, hi - 25));
        world.assert_all_applied();
        let mut told = world.traces.of(Level::WARN);
        told.retain(|told| told.message != AWAY);
        let messages: Vec<_> = told.iter().map(|told| told.message.as_str()).collect();
        assert_eq!((messages.as_slice(), told[0].fields[field].as_str()), ([doubt].as_slice(), "25"));
    }
}

/// Every claim finds the same record, in a hole that grows.
#[tokio::test(start_paused = true)]
async fn a_doubt_is_not_told_again_when_its_hole_grows() {
    let world = applied_up_to(25, 25).await;
    world.log.trim(Position(26), Kept::Nothing);
    let mut running = world.start();
    for events in 1..5 {
        running.until(|status| status.state == State::Live).await;
        world.target.go_away();
        world.log.append([sample(24 + events)]);
        world.log.sync();
        world.log.trim(world.log.head().next(), Kept::Nothing);
        running.until(|status| status.state == State::Waiting).await;
        world.target.come_back();
        running.until_next(Position(26 + events)).await;
    }
    assert_eq!(running.stopped().await.1, counts(0, 4));
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [DOUBT, AWAY, HOLE, AWAY, HOLE, AWAY, HOLE, AWAY, HOLE]);
}

/// A record that the log has not, or not durably, is not one that it lost: this is an older copy that grows.
#[tokio::test(start_paused = true)]
async fn a_log_behind_its_database_is_not_excused_by_holes() {
    let mut world = applied_up_to(25, 25).await;
    let before = world.target.data();
    world.log = world.log.copy();
    world.log.rewind(Position(20));
    world.log.make_hole(Position(11), Position(20), HoleCause::LostTail, Kept::Checksum);
    let Err(Halt::Diverged(divergence)) = world.project().await else { panic!("it did not halt") };
    assert_eq!(divergence, Divergence::Behind { next: Position(26), log_next: Position(21) });
    assert_eq!(world.target.data(), before);
}

/// Its COMMIT is lost, with effect or without: the hole is counted once and told once.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_over_a_hole_is_settled_by_the_next_claim() {
    for (effect, times) in [(true, 3), (false, 4)] {
        let world = World::with(samples(0, 30));
        world.log.make_hole(Position(11), Position(20), HoleCause::Dropped, Kept::Checksum);
        world.target.faults().script(Call::Apply, None);
        world.target.faults().script(Call::Apply, lost_in_commit(effect, 20));
        assert_eq!(world.project().await.unwrap(), counts(20, 10));
        assert_eq!(world.target.times(Call::Apply).len(), times);
        world.assert_all_applied();
        assert_eq!(world.traces.loud(), [AWAY, HOLE]);
    }
}

/// Another writer was there: nobody knows whose COMMIT it was. It is not counted, and it is told.
#[tokio::test(start_paused = true)]
async fn an_unknown_commit_over_a_hole_is_told_though_another_writer_was_there() {
    for (effect, by_other) in [(true, counts(10, 0)), (false, counts(10, 10))] {
        let world = World::with(samples(0, 30));
        world.log.make_hole(Position(11), Position(20), HoleCause::Dropped, Kept::Checksum);
        {
            let mut faults = world.target.faults();
            faults.script(Call::Apply, None);
            faults.script(Call::Apply, lost_in_commit(effect, 1));
            faults.script(Call::Connect, None);
            faults.script(Call::Connect, Fault::Slow(Duration::from_secs(60)));
        }
        let running = world.start();
        sleep(Duration::from_secs(30)).await;
        assert_eq!(world.project().await.unwrap(), by_other);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(running.stopped().await.1, counts(10, 0));
        world.assert_all_applied();
        let told = world.traces.loud().iter().filter(|line| *line == HOLE).count();
        assert_eq!(told, if effect { 1 } else { 2 });
    }
}

/// Every fault that heals, in the batch over the hole and in the ones around it.
#[tokio::test(start_paused = true)]
async fn a_hole_is_counted_once_through_every_fault() {
    let faults = [Fault::Lost, lost_in_commit(true, 5), lost_in_commit(false, 5), Fault::Overtaken];
    for call in Call::ALL {
        for fault in faults {
            for good_before in 0..4 {
                let world = World::with(samples(0, 30));
                world.log.make_hole(Position(11), Position(20), HoleCause::Damaged, Kept::Nothing);
                for _ in 0..good_before {
                    world.target.faults().script(call, None);
                }
                world.target.faults().script(call, fault);
                assert_eq!(
                    world.project().await.unwrap(),
                    counts(20, 10),
                    "{call:?} {fault:?} {good_before}"
                );
                world.assert_all_applied();
                assert_eq!(world.traces.loud().iter().filter(|line| *line == HOLE).count(), 1);
            }
        }
    }
}

/// Killed at any await before the COMMIT over the hole or after it: the next one goes on where that was.
#[tokio::test(start_paused = true)]
async fn a_crash_around_a_hole_passes_it_once() {
    let mut seen_before_and_after = [false; 2];
    for polls in 0..60 {
        let world = World::with(samples(0, 30));
        world.log.make_hole(Position(11), Position(20), HoleCause::Trimmed, Kept::Checksum);
        let (projector, stop) = (world.projector(), CancellationToken::new());
        killed_after(polls, projector.run(Until::Applied(Position(30)), &stop)).await;
        world.target.settled().await;
        let (sent, unavailable) = world.passed();
        seen_before_and_after[usize::from(unavailable > 0)] = true;
        let rest = world.project().await.unwrap();
        assert_eq!(rest, counts(20 - sent, 10 - unavailable), "{polls} polls");
        assert_eq!(world.passed(), (20, 10));
        world.assert_all_applied();
    }
    assert_eq!(seen_before_and_after, [true; 2]);
}

#[tokio::test(start_paused = true)]
async fn two_projectors_pass_a_hole_once() {
    let world = World::with(samples(0, 120));
    world.log.make_hole(Position(31), Position(80), HoleCause::Damaged, Kept::Nothing);
    let (one, two) = (world.projector(), world.projector());
    let (stop, until) = (CancellationToken::new(), Until::Applied(Position(120)));
    let (first, second) = tokio::join!(one.run(until, &stop), two.run(until, &stop));
    assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
    let totals = [one.status().borrow().totals, two.status().borrow().totals];
    assert_eq!(totals.iter().map(assert_adds_up).sum::<u64>(), 70);
    assert_eq!(totals.iter().map(|totals| totals.unavailable).sum::<u64>(), 50);
    world.assert_all_applied();
}

/// The digest of what lies before a hole holds over it: a confirmation and a new claim find their range.
#[tokio::test(start_paused = true)]
async fn a_range_that_ends_in_a_hole_is_confirmed_and_claimed_again() {
    let world = World::with(samples(0, 30));
    world.log.make_hole(Position(21), Position(30), HoleCause::LostTail, Kept::Checksum);
    let running = world.start();
    sleep(Duration::from_secs(600)).await;
    assert!(world.target.times(Call::Apply).len() > 50);
    assert_eq!(running.status().state, State::Live);
    assert_eq!(running.stopped().await.1, counts(20, 10));
    world.log.append(samples(30, 5));
    assert_eq!(world.project().await.unwrap(), counts(5, 0));
    world.assert_all_applied();
    assert_eq!(world.traces.loud(), [HOLE]);
}
