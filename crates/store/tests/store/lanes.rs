//! Lanes beside each other: what they do when they are in each other's way.

use event::{AgentSample, Event};
use projector::{ApplyError, ErrorKind};

use crate::support::{World, log, outcome, sample, seconds};

/// A sample of the one agent; the second one of a batch waits for the other lane's.
fn step(at: i64, role: &str) -> Event {
    let Event::AgentSample(it) = sample("a", 0, 0) else { unreachable!() };
    Event::AgentSample(AgentSample { role: role.into(), time: seconds(at), ..it })
}

#[tokio::test]
async fn of_two_lanes_with_crossed_keys_one_is_busy_and_both_commit_in_the_end() {
    let Some(world) = World::new().await else { return };
    let [mut one, mut two] = [world.range().await, world.range_of(&log("home")).await];
    one.apply(&[sample("z", 0, 0)]).await;
    two.apply(&[sample("y", 0, 0)]).await;
    // Each lane goes on to its second row when both have written their first.
    world.execute("CREATE SEQUENCE arrived MINVALUE 0 START 0; SELECT nextval('arrived')").await;
    let barrier = "IF NEW.role = 'second' THEN
            PERFORM nextval('arrived');
            WHILE (SELECT last_value FROM arrived) < 2 LOOP PERFORM pg_sleep(0.01); END LOOP;
        END IF;";
    world.trigger("agent_metrics", barrier).await;
    world.count_statements("agent_metrics").await;
    // NOTE: rows are sent series by series; within one series they keep their order.
    let up = [step(0, ""), step(1, "second")];
    let down = [step(1, ""), step(0, "second")];
    let (first, second) = tokio::join!(one.try_apply(&up), two.try_apply(&down));
    assert_eq!(world.statements("agent_metrics").await, 2);

    let (busy, loser, events) = match (first, second) {
        (Err(error), Ok(_)) => (error, &mut one, &up),
        (Ok(_), Err(error)) => (error, &mut two, &down),
        other => panic!("no deadlock: {other:?}"),
    };
    let ApplyError::Target(busy) = busy else { panic!("{busy}") };
    assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
    assert!(busy.to_string().contains("40P01"), "{busy}");

    // The same lane tries again. It goes the way round at once: no COPY into the table, and nothing to be merged.
    assert_eq!(loser.apply(events).await, outcome(0, 2, 2, 0));
    assert_eq!(world.statements("agent_metrics").await, 0);
    assert_eq!(world.count("agent_metrics").await, 4);
}
