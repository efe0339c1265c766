//! Any history in memory: see [`sim::history`].
#![cfg(test)]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::time::timeout;

use sim::arena::MemoryArena;
use sim::database::MemoryTarget;
use sim::history::History;
use sim::steps::{Content, Step, histories};

/// Longer than any history takes on the paused clock, which is minutes for a step.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);

fn check(steps: Vec<Step>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let mut history = History::new(MemoryArena::new(MemoryTarget::new()));
    let living = async { timeout(PATIENCE, history.live(steps)).await.expect("the history never ends") };
    runtime.block_on(living);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_tables_are_the_logs_whatever_happened(steps in histories(Content::Any, 30)) {
        check(steps);
    }
}
