//! Every metric is told, as what it is, and documented.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sampler::SamplerState;
use serde_json::json;

use super::*;

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

/// A status in which everything is known.
fn status() -> StatusAnswer {
    let mut projection = json!({
        "state": "catching_up", "next_position": 7, "lag_events": 93, "lag_seconds": 2.5,
        "unavailable_events": 8, "error": null, "halt_retry_seconds": null,
        "outage_since": "2026-01-02T03:04:05.5Z", "live_next_position": 90, "live_lag_seconds": 0.25,
        "backlog_events": 83, "ranges": [{ "lo": 1, "next": 7, "hi": 90 }, { "lo": 90, "next": 90, "hi": null }],
        "events_per_second": 11, "retries": 12,
    });
    let counts =
        ["read", "sent", "inserted", "present", "conflicting", "quarantined", "expired", "unavailable"];
    for (number, name) in (20..).zip(counts) {
        projection[name] = json!(number);
    }
    let log = json!({
        "id": "x", "host": "here", "first_position": 1, "next_position": 100, "durable_position": 99, "bytes": 5000,
    });
    let recording = json!({ "state": "full", "refused_events": 3, "hole_events": 4, "error": "no room" });
    let ingest = json!({
        "state": "listening", "address": "127.0.0.1:4317", "error": null, "requests": 40, "rejected": 41, "events": 42,
        "otlp_logs": 43, "otlp_log_records": 44, "otlp_usage_events": 45, "otlp_malformed_records": 46,
        "otlp_metrics_ignored": 47, "otlp_traces_ignored": 48,
    });
    let answer = json!({
        "log": log, "recording": recording, "projection": projection, "jobs": [], "quarantine": { "events": 5 },
        "gaps": { "events": 6 }, "samplers": [],
        "usage": { "known": 30, "matched": 31, "superseded": 32, "unmatched": 33, "late": 34, "waiting": 35 },
        "ingest": ingest,
    });
    serde_json::from_value(answer).unwrap()
}

fn sampler() -> SamplerStatus {
    let (last_run, error) = (Some(event::Time::from_micros(1_500_000)), Some("gone".to_owned()));
    let state = SamplerState::Failing;
    let mut status = SamplerStatus { name: "host".to_owned(), state, last_run, error, ..Default::default() };
    (status.last_duration, status.running) = (Some(Duration::from_millis(250)), Some(Duration::from_secs(3)));
    (status.missed_ticks, status.events_total, status.refused_events) = (4, 11, 9);
    status
}

fn rendered() -> String {
    render(&Snapshot { status: &status(), samplers: &[sampler()] }).unwrap()
}

#[test]
fn every_metric_is_rendered_with_its_type_and_its_help_and_nothing_else_is() {
    let text = rendered();
    let mut told: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut with_samples = BTreeSet::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            told.entry(name).or_default().1 = help;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            told.entry(name).or_default().0 = kind;
        } else {
            with_samples.insert(line.split(['{', ' ']).next().unwrap());
        }
    }
    let kind = |metric: &Metric| if metric.kind == Kind::Counter { "counter" } else { "gauge" };
    let expected: BTreeMap<&str, (&str, &str)> =
        CATALOGUE.iter().map(|metric| (metric.name, (kind(metric), metric.help))).collect();
    assert_eq!(expected.len(), CATALOGUE.len(), "no name twice");
    assert_eq!(told, expected);
    assert_eq!(with_samples, expected.keys().copied().collect());
}

#[test]
fn every_name_tells_whose_it_is_and_its_unit() {
    for metric in CATALOGUE {
        assert!(metric.name.starts_with("tailwater_"), "{}", metric.name);
        assert!(metric.name.ends_with(&metric.ending()), "{} in {}", metric.name, metric.unit);
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn each_metric_is_the_number_that_it_says() {
    let text = rendered();
    for line in [
        "tailwater_log_size_bytes 5000",
        "tailwater_log_durable_position 99",
        "tailwater_log_hole_positions 4",
        "tailwater_log_gap_events 6",
        r#"tailwater_recording_state{state="full"} 1"#,
        r#"tailwater_recording_state{state="ok"} 0"#,
        "tailwater_recording_refused_events_total 3",
        r#"tailwater_projection_state{state="catching_up"} 1"#,
        r#"tailwater_projection_state{state="halted"} 0"#,
        "tailwater_projection_lag_events 93",
        "tailwater_projection_lag_seconds 2.5",
        "tailwater_projection_live_lag_seconds 0.25",
        "tailwater_projection_ranges 2",
        "tailwater_projection_outage_start_timestamp_seconds 1767323045.5",
        "tailwater_projection_retries_total 12",
        "tailwater_projection_read_events_total 20",
        "tailwater_projection_sent_events_total 21",
        "tailwater_projection_inserted_events_total 22",
        "tailwater_projection_present_events_total 23",
        "tailwater_projection_conflicting_events_total 24",
        "tailwater_projection_quarantined_events_total 25",
        "tailwater_projection_expired_events_total 26",
        "tailwater_projection_unavailable_events_total 27",
        "tailwater_quarantine_events 5",
        r#"tailwater_usage_events_total{fate="known"} 30"#,
        r#"tailwater_usage_events_total{fate="superseded"} 32"#,
        "tailwater_usage_waiting_events 35",
        r#"tailwater_ingest_state{state="listening"} 1"#,
        r#"tailwater_ingest_state{state="waiting"} 0"#,
        "tailwater_ingest_requests_total 40",
        "tailwater_ingest_rejected_requests_total 41",
        "tailwater_ingest_events_total 42",
        "tailwater_otlp_log_requests_total 43",
        "tailwater_otlp_log_records_total 44",
        "tailwater_otlp_usage_events_total 45",
        "tailwater_otlp_malformed_records_total 46",
        "tailwater_otlp_ignored_points_total 47",
        "tailwater_otlp_ignored_trace_requests_total 48",
        r#"tailwater_sampler_state{sampler="host",state="failing"} 1"#,
        r#"tailwater_sampler_state{sampler="host",state="ok"} 0"#,
        r#"tailwater_sampler_last_run_timestamp_seconds{sampler="host"} 1.5"#,
        r#"tailwater_sampler_last_duration_seconds{sampler="host"} 0.25"#,
        r#"tailwater_sampler_running_seconds{sampler="host"} 3"#,
        r#"tailwater_sampler_missed_ticks_total{sampler="host"} 4"#,
        r#"tailwater_sampler_made_events_total{sampler="host"} 11"#,
        r#"tailwater_sampler_refused_events_total{sampler="host"} 9"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut status = status();
    status.projection =
        crate::service::ProjectionObject { state: "waiting".to_owned(), ..Default::default() };
    let text = render(&Snapshot { status: &status, samplers: &[] }).unwrap();
    for absent in ["lag_events", "lag_seconds", "next_position ", "outage", "sampler"] {
        assert!(!text.contains(&format!("tailwater_projection_{absent}")), "{absent} in {text}");
    }
    assert!(text.contains("tailwater_projection_retries_total 0"), "{text}");
    assert!(!text.contains("sampler"), "{text}");
}

#[test]
fn the_documentation_lists_them_all_in_order() {
    let rows = OPERATIONS.lines().filter(|line| line.starts_with("| `tailwater_"));
    let kind = |metric: &Metric| if metric.kind == Kind::Counter { "counter" } else { "gauge" };
    let labels = |metric: &Metric| {
        let labels = metric.labels.join(", ");
        if labels.is_empty() { labels } else { format!("{{{labels}}}") }
    };
    let row = |metric: &Metric| {
        let (name, labels, kind) = (metric.name, labels(metric), kind(metric));
        format!("| `{name}{labels}` | {kind} | {} | {} |", metric.unit, metric.help)
    };
    let expected: Vec<String> = CATALOGUE.iter().map(row).collect();
    assert_eq!(rows.collect::<Vec<_>>(), expected, "docs/operations.md must have:\n{}", expected.join("\n"));
}
