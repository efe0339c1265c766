//! `POST /api/events`: events in, as NDJSON or JSON; answered when the log has promised to keep them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::ingest::{self, Form, Invalid, Read, Refusal};
use crate::intake::{Accepted, Intake, Teller};
use crate::media;
use crate::problem::Problem;
use crate::routes::{App, Client, blocking};

/// Takes events.
pub(crate) async fn post<I: Intake>(
    State(app): State<Arc<App<I>>>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let invalid = invalid_of(head.uri.query().unwrap_or_default())?;
    let form = form_of(&head.headers)?;
    let body = app.memory.read(&head.headers, body).await?;
    let (read, _place) = blocking(move || {
        let (bytes, place) = body.split();
        (ingest::read(&bytes, form.unwrap_or_else(|| ingest::guess(&bytes)), invalid), place)
    })
    .await?;
    let Read { events, skipped } = read.map_err(|refusal| refused(&refusal))?;
    app.rates.admit(client, events.len())?;
    let kept = if events.is_empty() {
        Accepted::default()
    } else {
        app.backend.append(events, Teller::Caller).await?
    };
    app.counters.events.add(kept.accepted);
    let answer = Accepted { skipped: (invalid == Invalid::Skip).then_some(skipped), ..kept };
    // NOTE: numbers into memory cannot fail.
    let answer = serde_json::to_vec(&answer).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], answer).into_response())
}

fn refused(refusal: &Refusal) -> Problem {
    Problem {
        item: refusal.item,
        line: refusal.line,
        field: refusal.problem.field.clone(),
        ..Problem::bad_request(format!("{refusal}; nothing of the request was recorded"))
    }
}

/// The form that the headers tell, if they tell one.
fn form_of(headers: &HeaderMap) -> Result<Option<Form>, Problem> {
    match media::media_type(headers).as_deref() {
        None => Ok(None),
        Some("application/json") => Ok(Some(Form::Json)),
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => Ok(Some(Form::Ndjson)),
        other => Err(media::unsupported(
            other,
            "application/json or application/x-ndjson: say which it is, or leave the header out",
        )),
    }
}

fn invalid_of(query: &str) -> Result<Invalid, Problem> {
    let mut invalid = Invalid::Refuse;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        invalid = match pair {
            "skip_invalid=true" => Invalid::Skip,
            "skip_invalid=false" => Invalid::Refuse,
            _ => return Err(strange_parameter(pair)),
        };
    }
    Ok(invalid)
}

fn strange_parameter(pair: &str) -> Problem {
    let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
    let detail = if name == "skip_invalid" {
        "the parameter skip_invalid is neither true nor false".to_owned()
    } else {
        format!("there is no parameter {name:?}; the one that there is, is skip_invalid")
    };
    Problem { field: Some(name.to_owned()), ..Problem::bad_request(detail) }
}
