//! The catalogue: what there is to measure, in the order of the documentation.

use projector::State;
use sampler::{SamplerState, SamplerStatus};
use usage::ledger::Counts;

use super::{Metric, Sample, Snapshot, counter, gauge};

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
        "tailwater_ingest_state",
        "state",
        "1 for the state that the HTTP server is in, 0 for the others.",
        |it| states(&["disabled", "listening", "waiting"], &it.status.ingest.state),
    )
    .labelled(&["state"]),
    counter("tailwater_ingest_requests_total", "requests", "HTTP requests of every kind.", |it| {
        one(it.status.ingest.tally.requests)
    }),
    counter(
        "tailwater_ingest_rejected_requests_total",
        "requests",
        "HTTP requests that were answered with an error.",
        |it| one(it.status.ingest.tally.rejected),
    ),
    counter("tailwater_ingest_events_total", "events", "Events that POST /api/events has kept.", |it| {
        one(it.status.ingest.tally.events)
    }),
    counter(
        "tailwater_otlp_log_requests_total",
        "requests",
        "OTLP log requests that were acknowledged.",
        |it| one(it.status.ingest.tally.otlp_logs),
    ),
    counter("tailwater_otlp_log_records_total", "records", "Log records that came by OTLP.", |it| {
        one(it.status.ingest.tally.otlp_log_records)
    }),
    counter(
        "tailwater_otlp_usage_events_total",
        "events",
        "OTLP log records that tell of token usage, handed on to be kept.",
        |it| one(it.status.ingest.tally.otlp_usage_events),
    ),
    counter(
        "tailwater_otlp_malformed_records_total",
        "records",
        "OTLP log records that tell of token usage and could not be understood.",
        |it| one(it.status.ingest.tally.otlp_malformed_records),
    ),
    counter(
        "tailwater_otlp_ignored_points_total",
        "points",
        "OTLP metric data points that were acknowledged and not kept.",
        |it| one(it.status.ingest.tally.otlp_metrics_ignored),
    ),
    counter(
        "tailwater_otlp_ignored_trace_requests_total",
        "requests",
        "OTLP trace requests that were acknowledged and not looked at.",
        |it| one(it.status.ingest.tally.otlp_traces_ignored),
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
