//! `/v1/logs`, `/v1/metrics` and `/v1/traces`: what exporters send, acknowledged.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use event::Event;

use super::{Encoding, Logs, answer, count_points, read_logs};
use crate::body::Place;
use crate::intake::{Intake, Teller};
use crate::problem::Problem;
use crate::routes::{App, Client, blocking};

/// Takes logs; those that tell of token usage are kept.
pub(crate) async fn logs<I: Intake>(
    State(app): State<Arc<App<I>>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers)?;
    let taken = take_logs(&app, client, encoding, &head.headers, body).await;
    Ok(taken
        .map_or_else(|problem| answer::refused(&problem, encoding), |logs| answer::taken(&logs, encoding)))
}

async fn take_logs<I: Intake>(
    app: &App<I>,
    Client(client): Client,
    encoding: Encoding,
    headers: &HeaderMap,
    body: Body,
) -> Result<Logs, Problem> {
    let (mut logs, _place) = decoded(app, headers, body, move |bytes| read_logs(bytes, encoding)).await?;
    app.rates.admit(client, usize::try_from(logs.records).unwrap_or(usize::MAX))?;
    let events: Vec<Event> = std::mem::take(&mut logs.usage).into_iter().map(Event::TokenUsage).collect();
    let usage = events.len() as u64;
    if usage > 0 {
        app.backend.append(events, Teller::Telemetry).await?;
    }
    app.counters.otlp_logs.add(1);
    app.counters.otlp_log_records.add(logs.records);
    app.counters.otlp_usage_events.add(usage);
    if let Some(first) = &logs.first_malformed
        && app.counters.otlp_malformed_records.add(logs.malformed) == 0
    {
        tracing::warn!(%first, "a coding tool exports usage that cannot be understood; status counts what more comes");
    }
    Ok(logs)
}

/// Counts metrics: the same usage comes by logs, and both together would count it twice.
pub(crate) async fn metrics<I: Intake>(
    State(app): State<Arc<App<I>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers)?;
    let counted = decoded(&app, &head.headers, body, move |bytes| count_points(bytes, encoding)).await;
    Ok(match counted {
        Ok((points, _)) => {
            app.counters.otlp_metrics_ignored.add(points);
            answer::all_taken(encoding)
        }
        Err(problem) => answer::refused(&problem, encoding),
    })
}

/// Acknowledges traces without a look at them: an exporter that hears an error says so again and again.
pub(crate) async fn traces<I: Intake>(
    State(app): State<Arc<App<I>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers)?;
    if let Err(problem) = app.memory.read(&head.headers, body).await {
        return Ok(answer::refused(&problem, encoding));
    }
    app.counters.otlp_traces_ignored.add(1);
    Ok(answer::all_taken(encoding))
}

/// Reads a body and decodes it on a thread that may take its time.
async fn decoded<I: Intake, T: Send + 'static>(
    app: &App<I>,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8]) -> Result<T, String> + Send + 'static,
) -> Result<(T, Place), Problem> {
    let body = app.memory.read(headers, body).await?;
    let work = move || {
        let (bytes, place) = body.split();
        read(&bytes).map(|told| (told, place)).map_err(Problem::bad_request)
    };
    blocking(work).await?
}
