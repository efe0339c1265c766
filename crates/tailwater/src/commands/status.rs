//! `tailwater status`: how recording and projecting are doing.

use crate::access::{self, Missing};
use crate::cli::{Format, FormatArgs};
use crate::config::Config;
use crate::control::Task;
use crate::failure::Failure;
use crate::output::{self, Sheet};
use crate::service::StatusAnswer;

/// Prints the status.
///
/// # Errors
/// Exit code 1 when something is unhealthy: which, in one line behind the answer.
pub(crate) async fn status(config: &Config, args: &FormatArgs) -> Result<(), Failure> {
    let answer = access::ask(config, Task::Status, Vec::new(), Missing::Refuse, access::print).await?;
    let status: StatusAnswer = access::understood(answer.clone())?;
    if args.format == Format::Json {
        output::json(&answer)?;
    } else {
        sheet(&status, args.format).print(args.format)?;
    }
    status.ailment().map_or(Ok(()), |ailment| Err(Failure::unhealthy(ailment)))
}

fn sheet(status: &StatusAnswer, format: Format) -> Sheet {
    let (log, recording) = (&status.log, &status.recording);
    let projection = &status.projection;
    let text = |value: Option<String>| value.unwrap_or_default();
    let bytes = if format == Format::Table { output::bytes(log.bytes) } else { log.bytes.to_string() };
    let mut fields = vec![
        ("log.id", log.id.clone()),
        ("log.host", log.host.clone()),
        ("log.first_position", log.first_position.to_string()),
        ("log.next_position", log.next_position.to_string()),
        ("log.durable_position", log.durable_position.to_string()),
        ("log.bytes", bytes),
        ("recording.state", recording.state.clone()),
        ("recording.refused_events", recording.refused_events.to_string()),
        ("recording.hole_events", recording.hole_events.to_string()),
        ("recording.error", text(recording.error.clone())),
        ("projection.state", projection.state.clone()),
        ("projection.next_position", text(projection.next_position.map(|next| next.to_string()))),
        ("projection.lag_events", text(projection.lag_events.map(|lag| lag.to_string()))),
        ("projection.lag_seconds", text(projection.lag_seconds.map(|lag| format!("{lag:.3}")))),
        ("projection.unavailable_events", projection.unavailable_events.to_string()),
        ("projection.error", text(projection.error.clone())),
        ("quarantine.events", status.quarantine.events.to_string()),
        ("gaps.events", status.gaps.events.to_string()),
    ];
    let samplers: Vec<(String, String)> = status.samplers.iter().map(sampler).collect();
    fields.extend(samplers.iter().map(|(name, state)| (name.as_str(), state.clone())));
    Sheet::of_fields(fields)
}

/// A sampler in a line: its state, when it ran last, and its error.
fn sampler(sampler: &serde_json::Value) -> (String, String) {
    let text = |field: &str| sampler.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
    let mut state = text("state").to_owned();
    for (label, field) in [("last run", "last_run"), ("error", "error")] {
        if !text(field).is_empty() {
            state = format!("{state}; {label} {}", text(field));
        }
    }
    (format!("sampler.{}", text("name")), state)
}
