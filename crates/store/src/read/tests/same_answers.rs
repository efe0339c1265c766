//! A model: random samples, asked for at random, get the answers that the fold gives; with and without TimescaleDB.

use event::{State, Text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use query::fold::{AgentLatestFold, AgentSeriesFold, AgentSummaryFold, SystemSeriesFold};
use query::{Row, Value};

use super::*;

pub(super) const NAMES: [&str; 4] = ["a", "B", "aa", "\u{e4}"];
pub(super) const HOSTS: [&str; 3] = ["own", "Z", "h"];
const ROLES: [&str; 3] = ["", "worker", "coordinator"];
const INTERVALS: [&str; 8] = ["1s", "7s", "30s", "1m", "7m", "1h", "1d", "7d"];
const CASES: u32 = 60;

#[derive(Clone, Debug)]
struct Case {
    agents: Vec<AgentSample>,
    systems: Vec<SystemSample>,
    range: (i64, i64),
    interval: &'static str,
    filter: AgentFilter,
}

/// Half of them on whole minutes, so that keys repeat and buckets begin with a sample.
pub(super) fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        (-5_i64..20).prop_map(|minute| at(minute * 60)),
        (-300_000_000_i64..1_200_000_000).prop_map(|micros| at(0).plus_micros(micros)),
    ]
}

fn bytes() -> impl Strategy<Value = Option<u64>> {
    option::weighted(0.8, prop_oneof![0_u64..100, 0_u64..1 << 40])
}

fn percent() -> impl Strategy<Value = Option<f64>> {
    option::weighted(0.8, 0.0..800.0)
}

fn numbers() -> impl Strategy<Value = Resources> {
    (percent(), bytes(), bytes(), percent(), [bytes(), bytes(), bytes(), bytes()]).prop_map(
        |(cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent, counters)| {
            let [net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes] = counters;
            Resources {
                cpu_percent,
                mem_used_bytes,
                mem_limit_bytes,
                mem_percent,
                net_rx_bytes,
                net_tx_bytes,
                disk_read_bytes,
                disk_write_bytes,
            }
        },
    )
}

pub(super) fn host() -> impl Strategy<Value = Option<Text>> {
    option::of(select(&HOSTS[..]).prop_map(Text::from))
}

fn agent() -> impl Strategy<Value = AgentSample> {
    let labels = (select(&ROLES[..]), select(&State::ALL[..]));
    (time(), host(), select(&NAMES[..]), labels, numbers()).prop_map(
        |(time, host, name, (role, state), resources)| AgentSample {
            time,
            host,
            agent_name: name.into(),
            role: role.into(),
            state,
            resources,
            ..Default::default()
        },
    )
}

fn system() -> impl Strategy<Value = SystemSample> {
    (time(), host(), select(&NAMES[..]), numbers()).prop_map(|(time, host, name, resources)| SystemSample {
        time,
        host,
        system_name: name.into(),
        resources,
    })
}

pub(super) fn names(of: &'static [&'static str]) -> impl Strategy<Value = Names> {
    prop_oneof![3 => Just(Names::ANY), 1 => vec(select(of), 0..3).prop_map(Names::only)]
}

fn filter() -> impl Strategy<Value = AgentFilter> {
    let states = names(&["idle", "working", "stuck", "stopped"]);
    (names(&NAMES), names(&HOSTS), names(&ROLES), states).prop_map(|(agent_name, host, role, state)| {
        AgentFilter { agent_name, host, role, state, ..AgentFilter::default() }
    })
}

fn case() -> impl Strategy<Value = Case> {
    let range = (-300_i64..600, 1_i64..1_500).prop_map(|(from, length)| (from, from + length));
    (vec(agent(), 0..80), vec(system(), 0..40), range, select(&INTERVALS[..]), filter()).prop_map(
        |(agents, systems, range, interval, filter)| Case { agents, systems, range, interval, filter },
    )
}

/// Column by column: floats by nine digits, everything else exactly.
pub(super) fn assert_same<R: Row>(what: &str, got: &[R], expected: &[R]) {
    assert_eq!(got.len(), expected.len(), "rows of {what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        for (column, (got, expected)) in R::COLUMNS.iter().zip(got.values().zip(expected.values())) {
            let same = match (got, expected) {
                (Value::Number(got), Value::Number(expected)) => {
                    (got - expected).abs() <= expected.abs() * 1e-9
                }
                _ => got == expected,
            };
            assert!(same, "{what}, row {index}, {column}: {got:?} is not {expected:?}");
        }
    }
}

async fn check(database: &TestDatabase, reader: &TimescaleReader, case: &Case) {
    let cleared = "DELETE FROM agent_metrics; DELETE FROM system_metrics";
    database.client().await.batch_execute(cleared).await.unwrap();
    insert_agents(database, &case.agents).await;
    insert_systems(database, &case.systems).await;
    let range = range(case.range.0, case.range.1);
    let buckets = Buckets::new(range, Interval::parse(Some(case.interval)).unwrap()).unwrap();
    check_series(reader, case, buckets).await;

    let latest = AgentLatest { range, filter: case.filter.clone() };
    let mut fold = AgentLatestFold::new(&latest, "own");
    case.agents.iter().for_each(|sample| fold.push(sample));
    assert_same("latest", &reader.agent_latest(&latest).await.unwrap(), &fold.finish());

    for name in NAMES {
        let mut fold = AgentSummaryFold::new(name, range, "own", &|_, _| None);
        case.agents.iter().for_each(|sample| fold.push(sample));
        let got = reader.agent_summary(name, range).await.unwrap();
        assert_same("summary", got.as_slice(), fold.finish().as_slice());
    }
}

async fn check_series(reader: &TimescaleReader, case: &Case, buckets: Buckets) {
    let agents = AgentSeries { buckets, filter: case.filter.clone() };
    let mut fold = AgentSeriesFold::new(&agents, "own");
    case.agents.iter().for_each(|sample| fold.push(sample));
    assert_same("agents", &reader.agent_series(&agents).await.unwrap(), &fold.finish());

    let filter = SystemFilter { system_name: case.filter.agent_name.clone(), host: case.filter.host.clone() };
    let systems = SystemSeries { buckets, filter };
    let mut fold = SystemSeriesFold::new(&systems, "own");
    case.systems.iter().for_each(|sample| fold.push(sample));
    assert_same("systems", &reader.system_series(&systems).await.unwrap(), &fold.finish());
}

fn check_all(edition: TestEdition, extension: Extension, dialect: Dialect) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(database) = runtime.block_on(migrated_in(edition, extension)) else { return };
    let reader = runtime.block_on(async { reader(database.url()) });
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&case(), |case| {
        runtime.block_on(check(&database, &reader, &case));
        Ok(())
    });
    if let Err(TestError::Fail(reason, case)) = outcome {
        panic!("{edition:?}, {dialect:?}: {reason}\n{case:#?}");
    }
    let known = Arc::clone(reader.known_statements().as_ref().unwrap());
    assert_eq!(known.dialect(), dialect);
    runtime.block_on(async {
        reader.close().await;
        database.drop().await;
    });
}

#[test]
fn timescale_answers_as_the_fold_does() {
    check_all(TestEdition::Apache, Extension::Create, Dialect::Timescale);
}

#[test]
fn plain_tables_answer_as_the_fold_does() {
    check_all(TestEdition::Apache, Extension::Leave, Dialect::Plain);
}

#[test]
fn plain_postgres_answers_as_the_fold_does() {
    check_all(TestEdition::Plain, Extension::Create, Dialect::Plain);
}

#[test]
fn the_timescale_licence_answers_as_the_fold_does() {
    check_all(TestEdition::Licensed, Extension::Create, Dialect::Timescale);
}

/// Times of every age, in buckets of every length: the grid itself.
#[test]
fn buckets_are_those_of_the_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(database) = runtime.block_on(migrated(Extension::Create)) else { return };
    let client = runtime.block_on(database.client());
    let times = event::limits::TIME_MIN.micros()..event::limits::TIME_END.micros();
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let strategy = (times, 1_u64..3_153_600_000);
    let outcome = runner.run(&strategy, |(micros, seconds)| {
        let (time, interval) = (Time::from_micros(micros), Interval::from_seconds(seconds).unwrap());
        let range = TimeRange::new(time, time.plus_micros(1)).unwrap();
        let sql = format!(
            "SELECT to_char(b AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM unnest(ARRAY[
                time_bucket('{seconds} s', '{time}'::timestamptz),
                date_bin('{seconds} s', '{time}'::timestamptz, '2000-01-03 00:00:00+00')]) AS b"
        );
        let expected = Buckets::new(range, interval).unwrap().start_of(time).to_string();
        for row in runtime.block_on(client.query(&sql, &[])).unwrap() {
            let start: &str = row.get(0);
            prop_assert_eq!(start, &expected, "{} by {}", time, interval);
        }
        Ok(())
    });
    drop(client);
    outcome.unwrap();
    runtime.block_on(database.drop());
}
