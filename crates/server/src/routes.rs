//! Which path leads where, and what is so of every request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::body::Memory;
use crate::intake::Intake;
use crate::problem::Problem;
use crate::rates::Rates;
use crate::reads::Reads;
use crate::settings::Settings;
use crate::tally::Counters;
use crate::unpack::unpack;
use crate::{answers, events, guard, otlp};

/// What every request may use.
pub(crate) struct App<I> {
    /// Where events go, and answers come from.
    pub(crate) backend: I,
    pub(crate) memory: Memory,
    pub(crate) rates: Rates,
    pub(crate) counters: Counters,
}

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

impl<I: Intake> App<I> {
    pub(crate) fn new(backend: I, settings: &Settings) -> Arc<Self> {
        let (memory, rates) = (Memory::new(settings), Rates::new(settings.rate));
        Arc::new(Self { backend, memory, rates, counters: Counters::default() })
    }
}

/// All routes.
pub(crate) fn router<I: Intake + Reads>(app: &Arc<App<I>>) -> Router {
    let reads = answers::PATHS.iter().fold(Router::new(), |router, (path, topic)| {
        router.route(
            path,
            get(|app: State<Arc<App<I>>>, request: Request| answers::topic(app, *topic, request)),
        )
    });
    reads
        .route("/api/agents/stats/summary/{name}", get(answers::summary::<I>))
        .route("/api/stats/summary", get(answers::workspace::<I>))
        .route("/api/status", get(answers::status::<I>))
        .route("/metrics", get(answers::metrics::<I>))
        .route("/readyz", get(answers::ready::<I>))
        .route("/api/events", post(events::post::<I>))
        .route("/v1/logs", post(otlp::logs::<I>))
        .route("/v1/metrics", post(otlp::metrics::<I>))
        .route("/v1/traces", post(otlp::traces::<I>))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path is asked by another method")
        })
        .layer(middleware::from_fn(unpack))
        .layer(middleware::from_fn_with_state(Arc::clone(app), count_and_guard::<I>))
        .with_state(Arc::clone(app))
}

async fn count_and_guard<I: Intake>(
    State(app): State<Arc<App<I>>>,
    request: Request,
    next: Next,
) -> Response {
    app.counters.requests.add(1);
    let (head, body) = request.into_parts();
    let response = match guard::check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(problem) => problem.into_response(),
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        app.counters.rejected.add(1);
    }
    secured(response)
}

/// What no answer of ours is: a page with scripts, part of somebody's page, guessed to be something else, or kept.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

fn secured(mut response: Response) -> Response {
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Runs what takes its time on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::unfinished())
}
