//! Which path leads where, and what is so of every request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use query::Topic;
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::body::Memory;
use crate::collapse::{Collapse, collapse};
use crate::guard::Access;
use crate::intake::Intake;
use crate::problem::Problem;
use crate::rates::Rates;
use crate::reads::Reads;
use crate::settings::Settings;
use crate::tally::Counters;
use crate::unpack::unpack;
use crate::web::{self, Charts};
use crate::{answers, events, guard, live, openapi, otlp};

/// What every request may use.
pub(crate) struct App<I> {
    /// Where events go, and answers come from.
    pub(crate) backend: I,
    pub(crate) memory: Memory,
    pub(crate) rates: Rates,
    pub(crate) counters: Counters,
    /// One for each stream of live events.
    pub(crate) live_places: Arc<Semaphore>,
    /// What draws the charts of the pages.
    pub(crate) charts: Charts,
}

/// The address that a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

impl<I: Intake> App<I> {
    pub(crate) fn new(backend: I, settings: &Settings, charts: Charts) -> Arc<Self> {
        let (memory, rates) = (Memory::new(settings), Rates::new(settings.rate));
        let live_places = Arc::new(Semaphore::new(settings.live_max));
        Arc::new(Self { backend, memory, rates, counters: Counters::default(), live_places, charts })
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Rows of a topic.
    Topic(Topic),
    /// All that one agent did.
    Summary,
    /// The agents by state.
    Workspace,
    /// How all is doing.
    Status,
    /// The log's size and holes.
    Log,
    /// What the database refuses.
    Quarantine,
    /// Events as they come.
    Live,
    /// The same in numbers.
    Metrics,
    /// Whether somebody should look.
    Ready,
    /// Whether somebody listens.
    Health,
    /// What all of these are.
    Document,
    /// Events in.
    Events,
    /// OTLP logs in.
    OtlpLogs,
    /// OTLP metrics in.
    OtlpMetrics,
    /// OTLP traces in.
    OtlpTraces,
}

/// Each path and what it leads to. The Go package had a path for each number; here every row carries all of them.
pub(crate) const ROUTES: &[(&str, Route)] = &[
    ("/api/system/stats/cpu", Route::Topic(Topic::System)),
    ("/api/system/stats/mem", Route::Topic(Topic::System)),
    ("/api/system/stats/net", Route::Topic(Topic::System)),
    ("/api/system/stats/disk", Route::Topic(Topic::System)),
    ("/api/agents/stats/cpu", Route::Topic(Topic::Agents)),
    ("/api/agents/stats/mem", Route::Topic(Topic::Agents)),
    ("/api/agents/stats/net", Route::Topic(Topic::Agents)),
    ("/api/agents/stats/disk", Route::Topic(Topic::Agents)),
    ("/api/agents/stats/tokens", Route::Topic(Topic::Tokens)),
    ("/api/agents/stats/cost", Route::Topic(Topic::Tokens)),
    ("/api/agents/stats/latest", Route::Topic(Topic::Latest)),
    ("/api/agents/stats/states", Route::Topic(Topic::States)),
    ("/api/agents/stats/summary/{name}", Route::Summary),
    ("/api/channels/stats/messages", Route::Topic(Topic::Channels)),
    ("/api/channels/stats/members", Route::Topic(Topic::Channels)),
    ("/api/channels/stats/reactions", Route::Topic(Topic::Channels)),
    ("/api/stats/summary", Route::Workspace),
    ("/api/gaps", Route::Topic(Topic::Gaps)),
    ("/api/status", Route::Status),
    ("/api/log", Route::Log),
    ("/api/quarantine", Route::Quarantine),
    ("/api/live", Route::Live),
    ("/api/events", Route::Events),
    ("/v1/logs", Route::OtlpLogs),
    ("/v1/metrics", Route::OtlpMetrics),
    ("/v1/traces", Route::OtlpTraces),
    ("/metrics", Route::Metrics),
    ("/readyz", Route::Ready),
    ("/healthz", Route::Health),
    ("/openapi.json", Route::Document),
];

impl Route {
    /// The method by which it is asked.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Events | Self::OtlpLogs | Self::OtlpMetrics | Self::OtlpTraces => Method::POST,
            _ => Method::GET,
        }
    }

    /// Whether all who ask at one time get one answer.
    const fn is_shared(self) -> bool {
        matches!(
            self,
            Self::Topic(_)
                | Self::Summary
                | Self::Workspace
                | Self::Status
                | Self::Log
                | Self::Quarantine
                | Self::Metrics
        )
    }

    fn handler<I: Intake + Reads>(self) -> MethodRouter<Arc<App<I>>> {
        match self {
            Self::Topic(topic) => {
                get(move |app: State<Arc<App<I>>>, request: Request| answers::topic(app, topic, request))
            }
            Self::Summary => get(answers::summary::<I>),
            Self::Workspace => get(answers::workspace::<I>),
            Self::Status => get(answers::status::<I>),
            Self::Log => get(answers::log::<I>),
            Self::Quarantine => get(answers::quarantine::<I>),
            Self::Live => get(live::live::<I>),
            Self::Metrics => get(answers::metrics::<I>),
            Self::Ready => get(answers::ready::<I>),
            Self::Health => get(async || "ok\n"),
            Self::Document => get(async || axum::Json(openapi::document())),
            Self::Events => post(events::post::<I>),
            Self::OtlpLogs => post(otlp::logs::<I>),
            Self::OtlpMetrics => post(otlp::metrics::<I>),
            Self::OtlpTraces => post(otlp::traces::<I>),
        }
    }
}

/// All routes.
pub(crate) fn router<I: Intake + Reads>(app: &Arc<App<I>>, access: Access) -> Router {
    let collapsing = middleware::from_fn_with_state(Collapse::default(), collapse);
    let routes = ROUTES.iter().fold(Router::new(), |router, (path, route)| {
        let handler = route.handler();
        router.route(path, if route.is_shared() { handler.layer(collapsing.clone()) } else { handler })
    });
    let router = routes
        .route("/", get(web::page))
        .route(web::CHARTS, get(web::charts::<I>))
        .route("/web/{*name}", get(web::file))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path is asked by another method")
        })
        .layer(middleware::from_fn(unpack));
    let router = if access.cors_origins.is_empty() { router } else { router.layer(cors(&access)) };
    router
        .layer(middleware::from_fn_with_state((Arc::clone(app), Arc::new(access)), count_and_guard::<I>))
        .with_state(Arc::clone(app))
}

/// What is told to browsers of pages from elsewhere; nothing, unless some were set.
fn cors(access: &Access) -> CorsLayer {
    let origins = access.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("last-event-id")])
        .expose_headers([answers::SOURCE, answers::COVERS_FROM, answers::COVERS_HOSTS, RETRY_AFTER])
}

async fn count_and_guard<I: Intake>(
    State((app, access)): State<(Arc<App<I>>, Arc<Access>)>,
    request: Request,
    next: Next,
) -> Response {
    app.counters.requests.add(1);
    let (head, body) = request.into_parts();
    let response = match guard::check(&head, &access) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(problem) => problem.into_response(),
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        app.counters.rejected.add(1);
    }
    secured(response)
}

/// What no answer is, but for the pages: a page with scripts, part of somebody's page, guessed to be something else, or kept.
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
