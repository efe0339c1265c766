//! Any history in memory: see [`sim::history`].
#![cfg(test)]

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use sim::arena::MemoryArena;
use sim::database::MemoryTarget;
use sim::history::History;
use sim::steps::{Step, histories};

fn check(steps: Vec<Step>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let mut history = History::new(MemoryArena::new(MemoryTarget::new()));
    runtime.block_on(history.live(steps));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_tables_are_the_logs_whatever_happened(steps in histories(30)) {
        check(steps);
    }
}
