//! Calls told at random: by transcripts, copies, people and telemetry, through restarts and pauses.

use event::Text;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Something that happens to one of a few calls, or to the world.
#[derive(Clone, Debug)]
enum Step {
    Snapshot { teller: Teller, call: usize, output: u64 },
    Telemetry { call: usize },
    Copy { call: usize, output: u64 },
    Reopen,
    Pass { seconds: i64 },
}

const CALLS_MAX: usize = 4;

/// Steps with snapshots by these tellers and pauses of these lengths.
fn step(tellers: &[Teller], pauses: &[i64]) -> impl Strategy<Value = Step> + use<> {
    let (teller, pause) = (select(tellers.to_vec()), select(pauses.to_vec()));
    prop_oneof![
        5 => (teller, 0..CALLS_MAX, 0..=30_u64).prop_map(|(teller, call, output)| Step::Snapshot { teller, call, output }),
        4 => (0..CALLS_MAX).prop_map(|call| Step::Telemetry { call }),
        1 => (0..CALLS_MAX, 0..=30_u64).prop_map(|(call, output)| Step::Copy { call, output }),
        1 => Just(Step::Reopen),
        2 => pause.prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// Whatever tells of it, however often and in whichever order: one row for a call, with the largest counts. What
/// telemetry tells is the end of a call, so no snapshot has more than it.
fn check_one_row_for_a_call(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut snapshots = [None; CALLS_MAX];
    let mut by_telemetry = [false; CALLS_MAX];
    let mut is_tailed = false;
    for step in steps {
        let distinct = |call: usize, mut usage: TokenUsage| {
            usage.cache_read += call as u64;
            usage
        };
        let message = |call: usize| format!("msg_{call}");
        match step {
            Step::Snapshot { teller, call, output } => {
                is_tailed |= teller == Teller::Transcript;
                snapshots[call] = snapshots[call].max(Some(output));
                world.tell(teller, &distinct(call, told(&message(call), output, 1)));
            }
            // A session is copied when it has been told itself.
            Step::Copy { call, output } if snapshots[call].is_some() => {
                snapshots[call] = snapshots[call].max(Some(output));
                let session_id = Text::new("copy");
                let copy = TokenUsage { session_id, ..told(&message(call), output, 1) };
                world.tell(Teller::Transcript, &distinct(call, copy));
            }
            Step::Copy { .. } => {}
            Step::Telemetry { call } => {
                by_telemetry[call] = true;
                world.tell(Teller::Telemetry, &distinct(call, telemetry(&format!("otlp-{call}"), 30, 2)));
            }
            Step::Reopen => world.reopen(),
            Step::Pass { seconds } => world.pass_time(seconds * SECOND),
        }
    }
    world.pass_time(DAY);
    let mut found = [const { Vec::<(bool, u64)>::new() }; CALLS_MAX];
    for row in world.rows() {
        found[usize::try_from(row.cache_read).unwrap() - 1_000].push((row.r#final, row.output_tokens));
    }
    for call in 0..CALLS_MAX {
        let rows = &found[call];
        match (snapshots[call], by_telemetry[call]) {
            (None, false) => prop_assert!(rows.is_empty()),
            // Telemetry alone: it is kept, unless a transcript of its session should have told of it.
            (None, true) => prop_assert!(rows.is_empty() && is_tailed || *rows == [(true, 30)], "{rows:?}"),
            (Some(output), false) => prop_assert_eq!(rows, &[(false, output)]),
            // What comes when nothing can match it any more is superseded; it never makes a second row.
            (Some(output), true) => {
                prop_assert!(*rows == [(true, 30)] || *rows == [(false, output)], "{rows:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_call_of_a_transcript_is_one_row(
        steps in prop::collection::vec(step(&[Teller::Transcript], &[5, 400, 4_000, 86_400]), 1..40)
    ) {
        check_one_row_for_a_call(steps)?;
    }

    /// All within the hour in which a call can be matched: nothing supersedes what comes later of a session that
    /// has no transcript.
    #[test]
    fn a_call_that_people_tell_as_well_is_one_row(
        steps in prop::collection::vec(step(&[Teller::Transcript, Teller::Anybody], &[5, 301]), 1..11)
    ) {
        check_one_row_for_a_call(steps)?;
    }
}
