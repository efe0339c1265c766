//! Answers that an engine gave: those of cgroup v1 by Docker 20.10, their ids and paths left as harmless as they were,
//! with what its command line showed at the same moment; those of cgroup v2 in the shape that the API documents.

use std::time::Duration;

use sampler::docker::inspection;
use sampler::docker::listing::{self, Phase};
use sampler::docker::stats::{self, Counters, Stats};
use sampler::docker::usage::Meters;

fn answer(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker/recorded");
    std::fs::read(format!("{folder}/{name}.json")).unwrap()
}

fn read(name: &str) -> Stats {
    let (stats, problems) = stats::parse(&answer(name)).unwrap();
    assert_eq!(problems, Vec::<String>::new(), "{name}");
    stats
}

/// The command line showed 792KiB / 64MiB, 3.1MB / 21.8kB, 8.39MB / 13.7MB.
#[test]
fn version_1_with_everything() {
    let expected = Stats {
        read: Some("2026-11-23T01:03:52.879820Z".parse().unwrap()),
        cpu_ns: Some(32_569_255),
        cores: Some(2),
        mem_used_bytes: Some(6_053_888 - 5_242_880),
        mem_limit_bytes: Some(64 << 20),
        net: Some(Counters { input_bytes: 3_096_966, output_bytes: 21_800 }),
        disk: Some(Counters { input_bytes: 8_388_608, output_bytes: 13_656_064 }),
    };
    assert_eq!(read("v1-stats"), expected);
    assert_eq!(expected.mem_used_bytes, Some(792 << 10));
}

/// The command line showed 484KiB / 23.54GiB, 0B / 0B, 0B / 0B.
#[test]
fn version_1_in_the_hosts_network_and_without_a_limit() {
    let stats = read("v1-stats-host-network");
    assert_eq!((stats.mem_used_bytes, stats.mem_limit_bytes), (Some(484 << 10), Some(25_276_502_016)));
    assert_eq!((stats.net, stats.disk), (None, Some(Counters::default())));
    let later = read("v1-stats-host-network-later");
    let mut meters = Meters::default();
    assert_eq!(meters.percent("a", None, &stats, Duration::from_secs(1)), None);
    let percent = meters.percent("a", None, &later, Duration::from_secs(7)).unwrap();
    // 8.298522031 - 3.366950153 seconds of CPU between :53.883862 and :59.437941.
    assert!((percent - 4.931_571_878 / 5.554_079 * 100.0).abs() < 1e-6, "{percent}");
}

#[test]
fn version_1_of_what_never_ran() {
    let stats = read("v1-stats-created");
    assert_eq!(stats, Stats { cpu_ns: Some(0), ..Stats::default() });
}

#[test]
fn version_2() {
    let stats = read("v2-stats");
    let expected = Stats {
        read: Some("2026-01-02T03:04:05.123456Z".parse().unwrap()),
        cpu_ns: Some(7_266_034_000),
        cores: Some(8),
        mem_used_bytes: Some(123_731_968 - 38_846_464),
        mem_limit_bytes: Some(512 << 20),
        net: Some(Counters { input_bytes: 5_338 + 4_641, output_bytes: 648 + 690 }),
        disk: Some(Counters { input_bytes: 25_165_824 + 1_024, output_bytes: 4_096 }),
    };
    assert_eq!(stats, expected);
    let mut meters = Meters::default();
    meters.percent("a", None, &stats, Duration::ZERO);
    let percent = meters.percent("a", None, &read("v2-stats-later"), Duration::from_secs(10));
    assert_eq!(percent, Some(150.0));
}

#[test]
fn the_list_and_a_life() {
    let parsed = listing::parse(&answer("v1-list")).unwrap();
    assert_eq!(parsed.problems, Vec::<String>::new());
    let short: Vec<_> = parsed.items.iter().map(|it| (it.name.as_str(), it.phase)).collect();
    let expected =
        [("bc-1234abcd-db", Phase::Stopped), ("hosty", Phase::Runs), ("mycel-0a1b2c3d-zen", Phase::Runs)];
    assert_eq!(short, expected);
    assert_eq!(parsed.items[0].labels.system, "queue");
    assert_eq!(parsed.items[2].labels.role, "worker");
    let life = inspection::parse(&answer("v1-inspect")).unwrap();
    assert_eq!(life.phase, Phase::Runs);
    assert_eq!(life.started_at, Some("2026-11-23T01:03:48.731246Z".parse().unwrap()));
    assert_eq!(life.directory, None);
}
