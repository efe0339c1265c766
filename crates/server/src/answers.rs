//! `GET` of what was recorded: a path is a topic, a query its parameters, and the answer is JSON or CSV.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use event::Time;
use query::{Answer, Question, ReadError, ReadErrorKind, RequestError, Topic};
use serde::Serialize;

use crate::intake::Intake;
use crate::media;
use crate::problem::Problem;
use crate::reads::{Answered, Reads};
use crate::routes::{App, blocking};

pub(crate) const SOURCE: HeaderName = HeaderName::from_static("tailwater-source");
pub(crate) const COVERS_FROM: HeaderName = HeaderName::from_static("tailwater-covers-from");
pub(crate) const COVERS_HOSTS: HeaderName = HeaderName::from_static("tailwater-covers-hosts");

/// Shorter answers are not packed: they fit into a packet as they are.
const PACKED_BYTES_MIN: usize = 1_024;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

/// Answers a topic.
pub(crate) async fn topic<B: Intake + Reads>(
    State(app): State<Arc<App<B>>>,
    topic: Topic,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    answer(&*app, topic, parameters(head.uri.query()), &head.headers).await
}

/// Answers `/api/agents/stats/summary/{name}`.
pub(crate) async fn summary<B: Intake + Reads>(
    State(app): State<Arc<App<B>>>,
    Path(agent): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let mut parameters = parameters(head.uri.query());
    parameters.push(("agent".to_owned(), agent));
    answer(&*app, Topic::Summary, parameters, &head.headers).await
}

/// Answers `/api/stats/summary`.
pub(crate) async fn workspace<B: Intake + Reads>(
    State(app): State<Arc<App<B>>>,
) -> Result<Response, Problem> {
    Ok(json(&app.backend.workspace().await?))
}

/// Answers `/api/status`.
pub(crate) async fn status<B: Intake + Reads>(State(app): State<Arc<App<B>>>) -> Result<Response, Problem> {
    Ok(json(&app.backend.status().await?))
}

/// Answers `/api/log`.
pub(crate) async fn log<B: Intake + Reads>(State(app): State<Arc<App<B>>>) -> Result<Response, Problem> {
    Ok(json(&app.backend.log().await?))
}

/// Answers `/api/quarantine`.
pub(crate) async fn quarantine<B: Intake + Reads>(
    State(app): State<Arc<App<B>>>,
) -> Result<Response, Problem> {
    Ok(json(&app.backend.quarantine().await?))
}

/// Answers `/metrics`.
pub(crate) async fn metrics<B: Intake + Reads>(State(app): State<Arc<App<B>>>) -> Result<Response, Problem> {
    let text = app.backend.metrics().await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Answers `/readyz`: 200 while all is well, 503 and why when somebody should look.
pub(crate) async fn ready<B: Intake + Reads>(State(app): State<Arc<App<B>>>) -> Result<Response, Problem> {
    match app.backend.ailment().await? {
        None => Ok("ready\n".into_response()),
        Some(ailment) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, ailment)),
    }
}

async fn answer<B: Intake + Reads>(
    app: &App<B>,
    topic: Topic,
    parameters: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let form = form(headers, topic)?;
    let question = Question::parse(topic, &parameters, Time::from(SystemTime::now()))?;
    let Answered { answer, source, covers_from, covers_hosts } = app.backend.ask(&question).await?;
    if let (Answer::Summary(None), Question::Summary { agent_name, .. }) = (&answer, &question) {
        let detail = format!("no sample and no call of an agent {agent_name:?} in this range");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let may_pack = media::takes_gzip(headers);
    let body = blocking(move || {
        let plain = match form {
            Form::Json => serde_json::to_vec(&answer).unwrap_or_default(),
            Form::Csv => answer.to_csv().into_bytes(),
        };
        let packed =
            (may_pack && plain.len() >= PACKED_BYTES_MIN).then(|| media::gzip(&plain).ok()).flatten();
        packed.map_or((plain, false), |packed| (packed, true))
    });
    let media_type = match form {
        Form::Json => "application/json",
        Form::Csv => "text/csv; charset=utf-8; header=present",
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(SOURCE, HeaderValue::from_static(source.as_str()));
    let told = |text: &str| HeaderValue::from_str(text).ok();
    if let Some(from) = covers_from.and_then(|from| told(&from.to_string())) {
        headers.insert(COVERS_FROM, from);
    }
    // NOTE: a host whose name no header can hold is not told; the answer has it all the same.
    if let Some(hosts) = told(&covers_hosts.join(", ")).filter(|hosts| !hosts.is_empty()) {
        headers.insert(COVERS_HOSTS, hosts);
    }
    let (body, is_packed) = body.await?;
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok((headers, body).into_response())
}

/// The parameters of a query string, decoded, in their order.
pub(crate) fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// JSON, unless CSV is asked for and JSON is not.
fn form(headers: &HeaderMap, topic: Topic) -> Result<Form, Problem> {
    let accepted: Vec<String> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .filter(|range| !range.is_empty())
        .collect();
    let takes = |ranges: &[&str]| accepted.iter().any(|range| ranges.contains(&range.as_str()));
    let csv = ["text/csv", "text/*"];
    if accepted.is_empty() || takes(&["application/json", "application/*", "*/*"]) && !takes(&["text/csv"]) {
        return Ok(Form::Json);
    }
    if takes(&csv) && topic != Topic::Summary {
        return Ok(Form::Csv);
    }
    if takes(&["application/json", "application/*", "*/*"]) {
        return Ok(Form::Json);
    }
    let detail = match topic {
        Topic::Summary => "the answer is application/json, which the Accept header does not take",
        _ => "the answer is application/json or text/csv, and the Accept header takes neither",
    };
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, detail))
}

fn json(value: &impl Serialize) -> Response {
    // NOTE: numbers and text into memory cannot fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let field = Some(error.parameter.to_string());
        Self { field, ..Self::bad_request(format!("parameter {error}")) }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let detail = error.to_string();
        match error.kind() {
            ReadErrorKind::Invalid => Self::bad_request(detail),
            ReadErrorKind::Unavailable => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, detail, std::time::Duration::from_secs(1))
            }
            ReadErrorKind::Fatal => Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_unless_csv_alone_is_wanted() {
        let check = |accept: &str, topic: Topic, expected: Option<Form>| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            }
            assert_eq!(form(&headers, topic).ok(), expected, "{accept}");
        };
        for accept in ["", "*/*", "application/json", "text/html, application/*;q=0.9", "text/plain, */*"] {
            check(accept, Topic::Agents, Some(Form::Json));
        }
        for accept in ["text/csv", "Text/CSV; header=present, */*;q=0.1", "text/*"] {
            check(accept, Topic::Agents, Some(Form::Csv));
        }
        check("text/html", Topic::Agents, None);
        check("text/csv", Topic::Summary, None);
        check("text/csv, */*", Topic::Summary, Some(Form::Json));
    }

    #[test]
    fn parameters_are_decoded() {
        let own = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(
            parameters(Some("agent=a%2Cb&from=-1h&to=2026-01-02T00%3A00%3A00Z")),
            [own("agent", "a,b"), own("from", "-1h"), own("to", "2026-01-02T00:00:00Z")]
        );
        assert_eq!(parameters(None), []);
    }
}
