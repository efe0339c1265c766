//! The rules of the crate's documentation, one by one.

mod counts;

use event::{AgentSample, Resources, State, SystemSample, Time};

use super::*;
use crate::{
    AgentFilter, AgentLatest, AgentRow, AgentSeries, Buckets, Interval, Names, SystemFilter, SystemSeries,
    TimeRange, Transfer,
};

const NOON: i64 = 1_767_355_200; // 2026-01-02T12:00:00Z

fn at(seconds: i64) -> Time {
    Time::from_micros((NOON + seconds) * 1_000_000)
}

fn range(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to)).unwrap()
}

fn sample(name: &str, seconds: i64, resources: Resources) -> AgentSample {
    AgentSample { time: at(seconds), agent_name: name.into(), resources, ..AgentSample::default() }
}

fn rx(name: &str, seconds: i64, net_rx_bytes: impl Into<Option<u64>>) -> AgentSample {
    let net_rx_bytes = net_rx_bytes.into();
    sample(name, seconds, Resources { net_rx_bytes, ..Resources::default() })
}

fn series_of(filter: AgentFilter, samples: &[AgentSample]) -> Vec<AgentRow> {
    let interval = Interval::parse(Some("1m")).unwrap();
    let request = AgentSeries { buckets: Buckets::new(range(0, 600), interval).unwrap(), filter };
    let mut fold = AgentSeriesFold::new(&request, "own");
    samples.iter().for_each(|sample| fold.push(sample));
    fold.finish()
}

/// Checks bucket (seconds from noon), last value and rate of one counter.
fn check_counter(samples: &[(i64, Option<u64>)], expected: &[(i64, Option<u64>, Option<f64>)]) {
    let samples: Vec<_> = samples.iter().map(|(seconds, value)| rx("a", *seconds, *value)).collect();
    let rows = series_of(AgentFilter::default(), &samples);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let seconds = row.time.micros() / 1_000_000 - NOON;
            (seconds, row.resources.net_rx_bytes, row.rates.net_rx_per_second)
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn an_increase_belongs_to_the_later_sample() {
    check_counter(
        &[(0, Some(100)), (30, Some(400)), (60, Some(700)), (90, Some(1_300))],
        &[(0, Some(400), Some(10.0)), (60, Some(1_300), Some(15.0))],
    );
}

#[test]
fn a_restart_counts_from_zero() {
    check_counter(
        &[(0, Some(900)), (10, Some(1_000)), (20, Some(50)), (30, Some(150))],
        &[(0, Some(150), Some(250.0 / 30.0))],
    );
}

#[test]
fn a_gap_spreads_its_bytes() {
    check_counter(
        &[(0, Some(0)), (10, Some(100)), (310, Some(3_100))],
        &[(0, Some(100), Some(10.0)), (300, Some(3_100), Some(10.0))],
    );
}

#[test]
fn what_was_not_measured_has_no_increase() {
    check_counter(
        &[(0, Some(100)), (10, None), (20, Some(300)), (30, Some(400)), (70, None)],
        &[(0, Some(400), Some(10.0)), (60, None, None)],
    );
    check_counter(&[(0, Some(100))], &[(0, Some(100), None)]);
}

#[test]
fn only_the_range_has_influence() {
    check_counter(
        &[(-30, Some(1)), (30, Some(500)), (599, Some(500)), (600, Some(900))],
        &[(0, Some(500), None), (540, Some(500), Some(0.0))],
    );
}

#[test]
fn order_of_arrival_does_not_matter_but_the_first_of_a_time_stays() {
    check_counter(&[(30, Some(400)), (0, Some(100)), (30, Some(9))], &[(0, Some(400), Some(10.0))]);
}

#[test]
fn levels_are_averages_of_what_was_measured() {
    let measured = |cpu, mem| Resources {
        cpu_percent: cpu,
        mem_used_bytes: mem,
        mem_limit_bytes: mem.map(|mem| mem * 10),
        ..Resources::default()
    };
    let samples = [
        sample("a", 0, measured(Some(10.0), Some(1))),
        sample("a", 1, measured(None, Some(2))),
        sample("a", 2, measured(Some(40.0), None)),
        sample("a", 60, measured(None, None)),
    ];
    let rows = series_of(AgentFilter::default(), &samples);
    assert_eq!(rows[0].resources, Resources { mem_limit_bytes: None, ..measured(Some(25.0), Some(2)) });
    assert_eq!(rows[1].resources, Resources::default());
}

#[test]
fn series_are_by_name_and_host_and_rows_by_time_name_host() {
    let on = |host: &str, sample: AgentSample| AgentSample { host: Some(host.into()), ..sample };
    let samples = [
        rx("b", 0, 1),
        on("z", rx("a", 0, 5)),
        rx("a", 10, 100),
        on("z", rx("a", 20, 25)),
        rx("B", 70, 1),
        on("own", rx("a", 20, 200)),
    ];
    let rows = series_of(AgentFilter::default(), &samples);
    let keys: Vec<_> = rows
        .iter()
        .map(|row| (row.agent_name.as_str(), row.host.as_str(), row.rates.net_rx_per_second))
        .collect();
    let expected = [("a", "own", Some(10.0)), ("a", "z", Some(1.0)), ("b", "own", None), ("B", "own", None)];
    assert_eq!(keys, expected);
}

#[test]
fn labels_are_the_last_ones_and_choose_rows() {
    let labelled =
        |seconds, state, role: &str| AgentSample { state, role: role.into(), ..rx("a", seconds, None) };
    let samples = [
        labelled(0, State::Working, "worker"),
        labelled(10, State::Error, "a-role"),
        labelled(60, State::Working, "worker"),
    ];
    let rows = series_of(AgentFilter::default(), &samples);
    assert_eq!((rows[0].state.as_str(), rows[0].role.as_str()), ("error", "a-role"));
    let working = AgentFilter { state: Names::only(["working"]), ..AgentFilter::default() };
    let rows = series_of(working, &samples);
    assert_eq!(rows.iter().map(|row| row.time).collect::<Vec<_>>(), [at(60)]);
}

#[test]
fn systems_fold_as_agents_do() {
    let interval = Interval::parse(Some("1m")).unwrap();
    let filter = SystemFilter { host: Names::only(["own"]), ..SystemFilter::default() };
    let request = SystemSeries { buckets: Buckets::new(range(0, 600), interval).unwrap(), filter };
    let mut fold = SystemSeriesFold::new(&request, "own");
    for (seconds, host, bytes) in [(0, None, 10), (10, None, 30), (5, Some("other"), 9)] {
        fold.push(&SystemSample {
            time: at(seconds),
            host: host.map(Into::into),
            system_name: "s".into(),
            resources: Resources { disk_write_bytes: Some(bytes), ..Resources::default() },
        });
    }
    let rows = fold.finish();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].rates.disk_write_per_second, Some(2.0));
    assert_eq!(rows[0].rates.net_rx_per_second, None);
}

#[test]
fn latest_is_the_newest_sample_and_its_labels_choose() {
    let labelled = |name: &str, seconds, state| AgentSample { state, ..rx(name, seconds, 7) };
    let samples = [
        labelled("a", 0, State::Stuck),
        labelled("a", 10, State::Working),
        labelled("b", 5, State::Stuck),
        labelled("b", 4, State::Working),
        labelled("c", 601, State::Stuck),
    ];
    let latest = |state: Names| {
        let request =
            AgentLatest { range: range(0, 600), filter: AgentFilter { state, ..Default::default() } };
        let mut fold = AgentLatestFold::new(&request, "own");
        samples.iter().for_each(|sample| fold.push(sample));
        fold.finish().into_iter().map(|row| (row.agent_name.to_string(), row.time)).collect::<Vec<_>>()
    };
    assert_eq!(latest(Names::ANY), [("b".to_owned(), at(5)), ("a".to_owned(), at(10))]);
    assert_eq!(latest(Names::only(["stuck"])), [("b".to_owned(), at(5))]);
}

#[test]
fn a_summary_counts_the_bytes_of_the_range_on_every_host() {
    let full = |seconds, host: &str, cpu: f64, bytes: u64| AgentSample {
        host: Some(host.into()),
        role: host.into(),
        ..sample(
            "a",
            seconds,
            Resources {
                cpu_percent: Some(cpu),
                mem_used_bytes: Some(bytes),
                disk_read_bytes: Some(bytes),
                ..Resources::default()
            },
        )
    };
    let samples = [
        full(-10, "h", 99.0, 1),
        full(0, "h", 10.0, 1_000),
        full(10, "h", 20.0, 1_500),
        full(20, "h", 30.0, 200),
        full(20, "i", 0.0, 50),
        full(10, "i", 0.0, 20),
        rx("other", 10, 5),
    ];
    let mut fold = AgentSummaryFold::new("a", range(0, 600), "own", &|_, _| None);
    samples.iter().for_each(|sample| fold.push(sample));
    let summary = fold.finish().unwrap();
    assert_eq!(summary.role, "i");
    assert_eq!((summary.cpu.avg_percent, summary.cpu.max_percent), (Some(12.0), Some(30.0)));
    assert_eq!((summary.memory.avg_bytes, summary.memory.max_bytes), (Some(554), Some(1_500)));
    assert_eq!(summary.disk, Transfer { received: Some(500 + 200 + 30), sent: None });
    assert_eq!(summary.network, None);
    assert_eq!(AgentSummaryFold::new("a", range(0, 600), "own", &|_, _| None).finish(), None);
}
