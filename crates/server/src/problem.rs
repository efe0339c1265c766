//! What went wrong, as an answer: `application/problem+json` (RFC 9457), or what OTLP wants instead.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::intake::IntakeError;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    /// Which event of the request, from 0.
    pub(crate) item: Option<usize>,
    /// Which line of it, from 1, when it has lines.
    pub(crate) line: Option<usize>,
    pub(crate) field: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// The members of the answer.
#[derive(Serialize)]
struct Members<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), item: None, line: None, field: None, retry_after: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let detail = format!(
            "the request has more than {bytes_max} bytes: send it in several parts; nothing of it was recorded"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// Later the same request can be done.
    pub(crate) fn later(status: StatusCode, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(status, detail) }
    }

    /// Work of ours that ended before its time.
    pub(crate) fn unfinished() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the work was not finished; the daemon's traces say why")
    }

    /// The headers that belong to the status.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tailwater\""));
            // NOTE: this one makes browsers ask people.
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"tailwater\", charset=\"UTF-8\""),
            );
        }
        if let Some(wait) = self.retry_after {
            // NOTE: whole seconds, never too few of them.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        headers
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let members = Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            item: self.item,
            line: self.line,
            field: self.field.as_deref(),
        };
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // NOTE: numbers and text into memory cannot fail.
        let body = serde_json::to_vec(&members).unwrap_or_default();
        (self.status, headers, body).into_response()
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::Invalid { index, field, .. } => Self {
                item: Some(index),
                field: field.map(str::to_owned),
                ..Self::bad_request(format!("{detail}; nothing was recorded"))
            },
            IntakeError::Unavailable { retry_after, .. } => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, detail, retry_after)
            }
        }
    }
}
