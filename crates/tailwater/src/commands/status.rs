//! `tailwater status`: how recording and projecting are doing.

use std::time::Duration;

use event::span;
use serde_json::Value;

use usage::ledger::Counts;

use crate::access::{self, Missing};
use crate::cli::{Format, StatusArgs, StatusFormat};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::http::IngestObject;
use crate::output::{self, FIELDS, Screen, Sheet};
use crate::service::{JobObject, MetricsAnswer, ProjectionObject, RangeObject, StatusAnswer};

/// How many ranges a person is shown; there are more while lanes work on a long backlog.
const RANGES_SHOWN: usize = 4;

/// Prints the status.
///
/// # Errors
/// Exit code 1 when something is unhealthy: which, in one line behind the answer.
pub(crate) async fn status(config: &Config, args: &StatusArgs) -> Result<(), Failure> {
    let task = if args.format == StatusFormat::Prometheus { Task::Metrics } else { Task::Status };
    let answer = access::ask(config, task, Vec::new(), Missing::Refuse, access::print).await?;
    let ailment = match args.format {
        StatusFormat::Prometheus => {
            let metrics: MetricsAnswer = access::understood(answer)?;
            output::lines(&metrics.text)?;
            metrics.ailment
        }
        StatusFormat::Json => {
            output::json(&answer)?;
            access::understood::<StatusAnswer>(answer)?.ailment()
        }
        StatusFormat::Csv => {
            Sheet::of_fields(flat(&answer)).print(Format::Csv)?;
            access::understood::<StatusAnswer>(answer)?.ailment()
        }
        StatusFormat::Table => {
            let status: StatusAnswer = access::understood(answer)?;
            for_people(&status).show(&Screen::of_stdout(), &FIELDS)?;
            status.ailment()
        }
    };
    ailment.map_or(Ok(()), |ailment| Err(Failure::unhealthy(ailment)))
}

/// Every number and text of the answer by its path; samplers by their name.
fn flat(answer: &Value) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let objects = answer.as_object().into_iter().flatten();
    for (name, object) in objects {
        let values = object.as_object().into_iter().flatten();
        fields.extend(values.map(|(field, value)| (format!("{name}.{field}"), cell(value))));
    }
    let samplers = answer.get("samplers").and_then(Value::as_array).into_iter().flatten();
    fields.extend(samplers.map(sampler));
    fields
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn for_people(status: &StatusAnswer) -> Sheet {
    let (log, recording) = (&status.log, &status.recording);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut fields = vec![
        ("log", format!("{} of {}", log.id, log.host)),
        ("log.positions", format!("{} to {}", count(log.first_position), count(log.next_position - 1))),
        ("log.durable", format!("to {}", count(log.durable_position))),
        ("log.bytes", output::bytes(log.bytes)),
        ("recording", recording.state.clone()),
        ("recording.refused", output::counted(recording.refused_events, "event")),
        ("recording.holes", output::counted(recording.hole_events, "position")),
        ("recording.error", text(&recording.error)),
    ];
    fields.extend(projection(&status.projection));
    fields.push(("usage", usage(&status.usage)));
    fields.extend(status.prices.warning.clone().map(|warning| ("prices", warning)));
    fields.push(("quarantine", output::counted(status.quarantine.events, "event")));
    fields.push(("gaps", output::counted(status.gaps.events, "event")));
    fields.retain(|(name, value)| !value.is_empty() || !(name.ends_with("error") || *name == "usage"));
    let mut fields: Vec<(String, String)> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.extend(status.jobs.iter().map(job));
    fields.extend(status.samplers.iter().map(sampler));
    fields.extend(ingest(&status.ingest));
    Sheet::of_fields(fields)
}

/// What became of token usage, where there is something to tell.
fn usage(it: &Counts) -> String {
    let fates = [
        (it.waiting, "waiting for a transcript"),
        (it.matched, "told by telemetry and a transcript"),
        (it.superseded, "told better by a transcript"),
        (it.unmatched, "told by telemetry alone"),
        (it.known, "known already"),
        (it.late, "late"),
    ];
    let told = fates.iter().filter(|(events, _)| *events > 0);
    told.map(|(events, what)| format!("{} {what}", count(*events))).collect::<Vec<_>>().join(", ")
}

fn job(it: &JobObject) -> (String, String) {
    let what = format!("{} {}", it.job, it.selection);
    let error = it.error.as_ref().map(|error| format!("; waiting: {error}")).unwrap_or_default();
    let (sent, left) =
        (output::counted(it.sent_events, "event"), output::counted(it.left_positions, "position"));
    ("job".to_owned(), format!("{} into {}: {sent} sent, {left} left{error}", what.trim_end(), it.database))
}

fn count(number: u64) -> String {
    output::count(number)
}

/// A projection in a few lines; nothing but its state where there is nothing to tell.
fn projection(it: &ProjectionObject) -> Vec<(&'static str, String)> {
    let mut fields = vec![("projection", it.state.clone())];
    if let Some(since) = &it.outage_since {
        fields.push(("projection.outage", format!("since {since}")));
    }
    if let Some(lag) = it.lag_events {
        fields.push(("projection.progress", progress(&it.ranges)));
        fields.push(("projection.lag", lag_in_words(it, lag)));
        fields.push(("projection.rate", format!("{} events/s", count(it.events_per_second))));
        fields.push(("projection.done", done(it)));
    }
    if let Some(kept) = it.retention_seconds {
        fields.push(("projection.retention", span::display(Duration::from_secs_f64(kept))));
    }
    if it.retries > 0 {
        fields.push(("projection.retries", count(it.retries)));
    }
    fields.push(("projection.error", it.error.clone().unwrap_or_default()));
    fields
}

fn lag_in_words(it: &ProjectionObject, lag: u64) -> String {
    let mut text = output::counted(lag, "event");
    if let Some(seconds) = it.lag_seconds.filter(|_| lag > 0) {
        text.push_str(&format!(", the oldest of {seconds:.1} s ago"));
    }
    if let Some(backlog) = it.backlog_events.filter(|backlog| *backlog > 0) {
        let live = it.live_lag_seconds.unwrap_or_default();
        text.push_str(&format!("; {} of them backlog, live {live:.1} s behind", count(backlog)));
    }
    text
}

fn done(it: &ProjectionObject) -> String {
    let counts = &it.counts;
    let mut text = format!("{} new, {} present", count(counts.inserted), count(counts.present));
    for (number, what) in [
        (counts.conflicting, "conflicting"),
        (counts.quarantined, "quarantined"),
        (counts.expired, "expired"),
        (counts.unavailable, "gone from the log"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", count(number)));
        }
    }
    text
}

/// The ranges in one line: what is done, and where the lanes are in what is not.
fn progress(ranges: &[RangeObject]) -> String {
    let mut parts: Vec<String> = ranges.iter().take(RANGES_SHOWN).map(range).collect();
    if let Some(more) = ranges.len().checked_sub(RANGES_SHOWN).filter(|more| *more > 0) {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}

fn range(range: &RangeObject) -> String {
    let (lo, next) = (count(range.lo), count(range.next));
    match range.hi.map(|hi| (hi, count(hi - 1))) {
        Some((hi, last)) if range.next >= hi => format!("{lo}..{last} done"),
        Some((_, last)) => format!("{lo}..{last} at {next}"),
        None => format!("{lo}.. at {next}"),
    }
}

/// What comes by HTTP in a line or two; nothing where nothing listens.
fn ingest(it: &IngestObject) -> Vec<(String, String)> {
    let Some(address) = &it.address else { return Vec::new() };
    let (tally, mut fields) = (&it.tally, Vec::new());
    let error = it.error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
    let (requests, events) =
        (output::counted(tally.requests, "request"), output::counted(tally.events, "event"));
    let done = format!("{requests} ({} rejected), {events}", count(tally.rejected));
    fields.push(("ingest".to_owned(), format!("{} on http://{address}{error}; {done}", it.state)));
    if tally.otlp_log_records + tally.otlp_metrics_ignored + tally.otlp_traces_ignored > 0 {
        let taken = format!(
            "{} of {} log records tell usage",
            count(tally.otlp_usage_events),
            count(tally.otlp_log_records)
        );
        let not_kept =
            format!("{} metric points acknowledged and not kept", count(tally.otlp_metrics_ignored));
        let malformed = match tally.otlp_malformed_records {
            0 => String::new(),
            number => format!(", {} cannot be understood", count(number)),
        };
        fields.push(("ingest.otlp".to_owned(), format!("{taken}{malformed}; {not_kept}")));
    }
    fields
}

/// A sampler in a line: its state, when it ran last, how long that took, what it brought, and its error.
fn sampler(sampler: &Value) -> (String, String) {
    let text = |field: &str| sampler.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut state = text("state").to_owned();
    if !text("last_run").is_empty() {
        state.push_str(&format!("; last run {}{}", text("last_run"), last_pass(sampler)));
    }
    if let Some(missed) = sampler.get("missed_ticks").and_then(Value::as_u64).filter(|missed| *missed > 0) {
        state.push_str(&format!("; {} missed", output::counted(missed, "tick")));
    }
    if !text("error").is_empty() {
        state.push_str(&format!("; error {}", text("error")));
    }
    if let Some(progress) = sampler.get("progress").and_then(Value::as_object) {
        let number = |field: &str| progress.get(field).and_then(Value::as_u64).unwrap_or_default();
        let (files, left) =
            (output::counted(number("files_left"), "file"), output::bytes(number("bytes_left")));
        state = format!("{state}; {files} and {left} still to be read");
    }
    (format!("sampler.{}", text("name")), state)
}

/// ` in 2.3 ms, 12 events`, as far as it is known.
fn last_pass(sampler: &Value) -> String {
    let seconds = sampler.get("last_duration_seconds").and_then(Value::as_f64);
    let took = seconds.map(|seconds| format!(" in {:.1} ms", seconds * 1e3)).unwrap_or_default();
    let events = sampler.get("events").and_then(Value::as_u64);
    let events = events.map(|events| format!(", {}", output::counted(events, "event"))).unwrap_or_default();
    took + &events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_is_a_line() {
        let line = |it: Value| sampler(&it).1;
        let host = serde_json::json!({
            "name": "host", "state": "ok", "last_run": "T", "error": null, "last_duration_seconds": 0.00234,
            "running_seconds": null, "missed_ticks": 0, "events": 1, "events_total": 9,
        });
        assert_eq!(line(host.clone()), "ok; last run T in 2.3 ms, 1 event");
        let mut hangs = host;
        hangs["missed_ticks"] = 1_200.into();
        hangs["error"] = "it hangs".into();
        assert_eq!(line(hangs), "ok; last run T in 2.3 ms, 1 event; 1,200 ticks missed; error it hangs");
    }

    #[test]
    fn progress_is_one_short_line() {
        let check = |ranges: &[(u64, u64, u64)], text: &str| {
            let object =
                |&(lo, next, hi): &(u64, u64, u64)| RangeObject { lo, next, hi: (hi > 0).then_some(hi) };
            let ranges: Vec<RangeObject> = ranges.iter().map(object).collect();
            assert_eq!(progress(&ranges), text);
        };
        check(&[], "");
        check(&[(1, 7, 0)], "1.. at 7");
        check(
            &[(1, 5_000, 5_000), (5_000, 6_000, 9_000), (9_000, 9_001, 0)],
            "1..4,999 done, 5,000..8,999 at 6,000, 9,000.. at 9,001",
        );
        let many: Vec<(u64, u64, u64)> = (1..7).map(|lo| (lo, lo, lo + 1)).collect();
        check(&many, "1..1 at 1, 2..2 at 2, 3..3 at 3, 4..4 at 4, 2 more");
    }

    #[test]
    fn csv_has_every_field_and_each_sampler() {
        let answer = serde_json::json!({
            "log": { "id": "x", "bytes": 5 }, "jobs": [], "projection": { "error": null, "ranges": [{ "lo": 1 }] },
            "samplers": [{ "name": "host", "state": "failing", "last_run": null, "error": "no /proc" }],
        });
        let fields: Vec<String> =
            flat(&answer).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            fields,
            [
                "log.id=x",
                "log.bytes=5",
                "projection.error=",
                "projection.ranges=[{\"lo\":1}]",
                "sampler.host=failing; error no /proc",
            ]
        );
    }
}
