//! Every metric, once: its name, its type, its unit, its help, and how it is read from a snapshot.
//!
//! Names are as Prometheus wants them: `tailwater_`, base units, the unit last, `_total` behind it for what only
//! grows. What only grows begins at zero with the process. What is not known now is left out, and not 0.

use projector::State;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};
use sampler::{SamplerState, SamplerStatus};

use usage::ledger::Counts;

use crate::failure::{Failure, chain};
use crate::service::StatusAnswer;

/// What the metrics are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    /// How recording and projecting are doing.
    pub status: &'a StatusAnswer,
    /// How each sampler is doing.
    pub samplers: &'a [SamplerStatus],
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, and begins anew with the process.
    Counter,
}

/// Reads a metric: its samples, each with the values of its labels. One that is not known now has none.
type Read = fn(&Snapshot<'_>) -> Vec<Sample>;

/// The values of the labels, and the number.
type Sample = (Vec<String>, f64);

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its whole name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts or measures, as its name ends (before `_total`).
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
    labels: &'static [&'static str],
    read: Read,
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help, labels: &[], read }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help, labels: &[], read }
}

impl Metric {
    const fn labelled(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// One sample without labels.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn one(number: u64) -> Vec<Sample> {
    vec![(Vec::new(), number as f64)]
}

fn maybe(number: Option<u64>) -> Vec<Sample> {
    number.map_or_else(Vec::new, one)
}

fn maybe_float(number: Option<f64>) -> Vec<Sample> {
    number.map(|number| (Vec::new(), number)).into_iter().collect()
}

/// A sample for each of these states: 1 for the one it is, else 0.
fn states(known: &[&str], now: &str) -> Vec<Sample> {
    known.iter().map(|state| (vec![(*state).to_owned()], f64::from(u8::from(*state == now)))).collect()
}

/// A sample for each sampler.
fn each_sampler(it: &Snapshot<'_>, read: impl Fn(&SamplerStatus) -> Option<f64>) -> Vec<Sample> {
    it.samplers.iter().filter_map(|sampler| Some((vec![sampler.name.clone()], read(sampler)?))).collect()
}

fn sampler_states(sampler: &SamplerStatus) -> Vec<Sample> {
    let known = [SamplerState::Idle, SamplerState::Ok, SamplerState::Failing].map(SamplerState::as_str);
    let named = |(state, number): Sample| ([vec![sampler.name.clone()], state].concat(), number);
    states(&known, sampler.state.as_str()).into_iter().map(named).collect()
}

fn seconds(time: event::Time) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a time of this millennium is exact to the microsecond")]
    let micros = time.micros() as f64;
    micros / 1e6
}

fn outage_start(it: &Snapshot<'_>) -> Option<f64> {
    it.status.projection.outage_since.as_ref()?.parse().ok().map(seconds)
}

/// What became of token usage, by fate.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn usage_fates(it: &Snapshot<'_>) -> Vec<Sample> {
    let Counts { known, matched, superseded, unmatched, late, waiting: _ } = it.status.usage;
    let fates = [
        ("known", known),
        ("matched", matched),
        ("superseded", superseded),
        ("unmatched", unmatched),
        ("late", late),
    ];
    fates.map(|(fate, events)| (vec![fate.to_owned()], events as f64)).into()
}

const PROJECTION_STATES: [&str; 5] = [
    "disabled",
    State::Waiting.as_str(),
    State::CatchingUp.as_str(),
    State::Live.as_str(),
    State::Halted.as_str(),
];

/// Every metric, in the order of the documentation.
pub(crate) const CATALOGUE: &[Metric] = &[
    gauge("tailwater_build_info", "info", "Always 1, with the version of the program.", |_| {
        vec![(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)]
    })
    .labelled(&["version"]),
    gauge(
        "tailwater_log_first_position",
        "position",
        "The first position that the log has, or will have.",
        |it| one(it.status.log.first_position),
    ),
    gauge("tailwater_log_next_position", "position", "The position that the next event gets.", |it| {
        one(it.status.log.next_position)
    }),
    gauge(
        "tailwater_log_durable_position",
        "position",
        "The last durable position; 0 when there is none.",
        |it| one(it.status.log.durable_position),
    ),
    gauge("tailwater_log_size_bytes", "bytes", "Bytes of the log on the disk, journals included.", |it| {
        one(it.status.log.bytes)
    }),
    gauge("tailwater_log_hole_positions", "positions", "Positions that have no event any more.", |it| {
        one(it.status.recording.hole_events)
    }),
    gauge("tailwater_log_gap_events", "events", "Events that gap events tell as lost.", |it| {
        one(it.status.gaps.events)
    }),
    gauge(
        "tailwater_recording_state",
        "state",
        "1 for the state that recording is in, 0 for the others.",
        |it| states(&["ok", "full", "failed"], &it.status.recording.state),
    )
    .labelled(&["state"]),
    counter(
        "tailwater_recording_refused_events_total",
        "events",
        "Events that the log did not take, whose callers were told so.",
        |it| one(it.status.recording.refused_events),
    ),
    gauge(
        "tailwater_projection_state",
        "state",
        "1 for the state that projecting is in, 0 for the others.",
        |it| states(&PROJECTION_STATES, &it.status.projection.state),
    )
    .labelled(&["state"]),
    gauge(
        "tailwater_projection_next_position",
        "position",
        "The lowest position that is not applied.",
        |it| maybe(it.status.projection.next_position),
    ),
    gauge(
        "tailwater_projection_live_next_position",
        "position",
        "The next position of the live lane.",
        |it| maybe(it.status.projection.live_next_position),
    ),
    gauge(
        "tailwater_projection_lag_events",
        "events",
        "Events of the log that are not in the database yet.",
        |it| maybe(it.status.projection.lag_events),
    ),
    gauge(
        "tailwater_projection_lag_seconds",
        "seconds",
        "The age of the oldest event that is not in the database yet.",
        |it| maybe_float(it.status.projection.lag_seconds),
    ),
    gauge(
        "tailwater_projection_live_lag_seconds",
        "seconds",
        "How long the oldest event that the live lane has not applied has been waiting.",
        |it| maybe_float(it.status.projection.live_lag_seconds),
    ),
    gauge(
        "tailwater_projection_backlog_events",
        "events",
        "Positions that are left to the backlog lanes.",
        |it| maybe(it.status.projection.backlog_events),
    ),
    gauge(
        "tailwater_projection_ranges",
        "ranges",
        "Ranges of the log in the database; 1 without a backlog.",
        |it| one(it.status.projection.ranges.len() as u64),
    ),
    gauge(
        "tailwater_projection_events_per_second",
        "events_per_second",
        "Events sent to the database, a second, over the last ten.",
        |it| one(it.status.projection.events_per_second),
    ),
    gauge(
        "tailwater_projection_outage_start_timestamp_seconds",
        "timestamp_seconds",
        "Since when the database is away, seconds since the epoch; absent while it is there.",
        |it| maybe_float(outage_start(it)),
    ),
    counter(
        "tailwater_projection_retries_total",
        "retries",
        "Attempts to reach the database, or to apply, that failed.",
        |it| one(it.status.projection.retries),
    ),
    counter("tailwater_projection_read_events_total", "events", "Positions taken from the log.", |it| {
        one(it.status.projection.counts.read)
    }),
    counter("tailwater_projection_sent_events_total", "events", "Events sent to the database.", |it| {
        one(it.status.projection.counts.sent)
    }),
    counter("tailwater_projection_inserted_events_total", "events", "Events that made a new row.", |it| {
        one(it.status.projection.counts.inserted)
    }),
    counter(
        "tailwater_projection_present_events_total",
        "events",
        "Events whose row was there already.",
        |it| one(it.status.projection.counts.present),
    ),
    counter(
        "tailwater_projection_conflicting_events_total",
        "events",
        "Events whose row was there already, with other content.",
        |it| one(it.status.projection.counts.conflicting),
    ),
    counter(
        "tailwater_projection_quarantined_events_total",
        "events",
        "Events that the database refused for their content.",
        |it| one(it.status.projection.counts.quarantined),
    ),
    counter(
        "tailwater_projection_expired_events_total",
        "events",
        "Events older than the database's retention.",
        |it| one(it.status.projection.counts.expired),
    ),
    counter(
        "tailwater_projection_unavailable_events_total",
        "events",
        "Positions that had no event any more.",
        |it| one(it.status.projection.counts.unavailable),
    ),
    gauge(
        "tailwater_quarantine_events",
        "events",
        "Events that the database keeps in its quarantine.",
        |it| one(it.status.quarantine.events),
    ),
    counter(
        "tailwater_usage_events_total",
        "events",
        "Token usage that was not simply kept, by what became of it.",
        usage_fates,
    )
    .labelled(&["fate"]),
    gauge(
        "tailwater_usage_waiting_events",
        "events",
        "Telemetry that waits for the transcript of its session.",
        |it| one(it.status.usage.waiting),
    ),
    gauge(
        "tailwater_sampler_state",
        "state",
        "1 for the state that the sampler is in, 0 for the others.",
        |it| it.samplers.iter().flat_map(sampler_states).collect(),
    )
    .labelled(&["sampler", "state"]),
    gauge(
        "tailwater_sampler_last_run_timestamp_seconds",
        "timestamp_seconds",
        "The time of the sampler's last pass, seconds since the epoch.",
        |it| each_sampler(it, |sampler| sampler.last_run.map(seconds)),
    )
    .labelled(&["sampler"]),
    gauge(
        "tailwater_sampler_last_duration_seconds",
        "seconds",
        "How long the sampler's last pass took.",
        |it| each_sampler(it, |sampler| sampler.last_duration.map(|took| took.as_secs_f64())),
    )
    .labelled(&["sampler"]),
    gauge(
        "tailwater_sampler_running_seconds",
        "seconds",
        "How long the sampler's pass has been running that is under way; absent between passes.",
        |it| each_sampler(it, |sampler| sampler.running.map(|running| running.as_secs_f64())),
    )
    .labelled(&["sampler"]),
    counter(
        "tailwater_sampler_missed_ticks_total",
        "ticks",
        "Ticks that went by without a pass of the sampler, because another one was under way.",
        |it| each_sampler(it, |sampler| counted(sampler.missed_ticks)),
    )
    .labelled(&["sampler"]),
    counter("tailwater_sampler_made_events_total", "events", "Events that the sampler made.", |it| {
        each_sampler(it, |sampler| counted(sampler.events_total))
    })
    .labelled(&["sampler"]),
    counter(
        "tailwater_sampler_refused_events_total",
        "events",
        "Events of the sampler that the log did not take; a gap event tells of them.",
        |it| each_sampler(it, |sampler| counted(sampler.refused_events)),
    )
    .labelled(&["sampler"]),
];

#[expect(
    clippy::cast_precision_loss,
    clippy::unnecessary_wraps,
    reason = "what Prometheus and its readers take"
)]
fn counted(number: u64) -> Option<f64> {
    Some(number as f64)
}

/// Writes all metrics in Prometheus' text format 0.0.4.
///
/// # Errors
/// When the catalogue is wrong, which its tests rule out.
pub(crate) fn render(snapshot: &Snapshot<'_>) -> Result<String, Failure> {
    let registry = Registry::new();
    let rendered = CATALOGUE.iter().try_for_each(|metric| metric.register(&registry, snapshot));
    let text = rendered.and_then(|()| TextEncoder::new().encode_to_string(&registry.gather()));
    text.map_err(|error| Failure::error(format!("cannot write the metrics: {}", chain(&error))))
}

impl Metric {
    /// How its name must end.
    fn ending(&self) -> String {
        match self.kind {
            Kind::Gauge => format!("_{}", self.unit),
            Kind::Counter => format!("_{}_total", self.unit),
        }
    }

    fn register(&self, registry: &Registry, snapshot: &Snapshot<'_>) -> Result<(), prometheus::Error> {
        debug_assert!(self.name.ends_with(&self.ending()), "{} ends with its unit", self.name);
        let options = Opts::new(self.name, self.help);
        let samples = (self.read)(snapshot);
        match self.kind {
            Kind::Gauge => {
                let metric = GaugeVec::new(options, self.labels)?;
                for (labels, number) in samples {
                    metric.get_metric_with_label_values(&labels)?.set(number);
                }
                registry.register(Box::new(metric))
            }
            Kind::Counter => {
                let metric = CounterVec::new(options, self.labels)?;
                for (labels, number) in samples {
                    metric.get_metric_with_label_values(&labels)?.inc_by(number);
                }
                registry.register(Box::new(metric))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const OPERATIONS: &str = include_str!("../../../docs/operations.md");

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
        let answer = json!({
            "log": log, "recording": recording, "projection": projection, "jobs": [], "quarantine": { "events": 5 },
            "gaps": { "events": 6 }, "samplers": [],
            "usage": { "known": 30, "matched": 31, "superseded": 32, "unmatched": 33, "late": 34, "waiting": 35 },
        });
        serde_json::from_value(answer).unwrap()
    }

    fn sampler() -> SamplerStatus {
        let (last_run, error) = (Some(event::Time::from_micros(1_500_000)), Some("gone".to_owned()));
        let state = SamplerState::Failing;
        let mut status =
            SamplerStatus { name: "host".to_owned(), state, last_run, error, ..Default::default() };
        (status.last_duration, status.running) =
            (Some(Duration::from_millis(250)), Some(Duration::from_secs(3)));
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
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
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
        assert_eq!(
            rows.collect::<Vec<_>>(),
            expected,
            "docs/operations.md must have:\n{}",
            expected.join("\n")
        );
    }
}
