//! Simulations: fifty seeds, or as many as `just sim` wants, and the proof that a seed means one thing.
#![cfg(test)]

use std::env;
use std::str::FromStr;

use sim::simulation::run;

/// How many seeds are run; each of the tests below takes its part of them.
const SEEDS: &str = "TAILWATER_SIM_SEEDS";
/// The one seed that is run.
const SEED: &str = "TAILWATER_SIM_SEED";
const PARTS: u64 = 5;

fn number<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}, which is no number")))
}

/// Runs this part of the seeds.
fn run_part(part: u64) {
    if let Some(seed) = number(SEED) {
        if part == 0 {
            println!("{:?}", run(seed));
        }
        return;
    }
    let seeds: u64 = number(SEEDS).unwrap_or(50);
    let reports: Vec<_> = (0..seeds).filter(|seed| seed % PARTS == part).map(run).collect();
    let checked: u64 = reports.iter().map(|report| report.seconds_checked).sum();
    let backlog = reports.iter().map(|report| report.backlog_max).max();
    if seeds >= 50 {
        assert!(checked > 1_000, "the live lane was held to its bound for {checked} s only");
        assert!(backlog > Some(1_000), "the backlog beside it was {backlog:?} at the most");
    }
    let slowest = reports.iter().max_by_key(|report| report.drained);
    println!("{} seeds, {checked} s, backlog {backlog:?}; the slowest: {slowest:?}", reports.len());
}

#[test]
fn everything_arrives_once_and_live_stays_live_1() {
    run_part(0);
}

#[test]
fn everything_arrives_once_and_live_stays_live_2() {
    run_part(1);
}

#[test]
fn everything_arrives_once_and_live_stays_live_3() {
    run_part(2);
}

#[test]
fn everything_arrives_once_and_live_stays_live_4() {
    run_part(3);
}

#[test]
fn everything_arrives_once_and_live_stays_live_5() {
    run_part(4);
}

#[test]
fn a_seed_means_one_thing() {
    for seed in 100..104 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(100).tape, run(101).tape);
}
