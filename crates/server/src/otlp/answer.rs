//! Answers of OTLP: in the encoding of the request, errors as `google.rpc.Status`.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use serde_json::json;

use super::{Encoding, Logs};
use crate::media;
use crate::problem::Problem;

impl Encoding {
    /// The encoding that the headers tell.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media::media_type(headers).as_deref() {
            Some("application/x-protobuf") => Ok(Self::Protobuf),
            Some("application/json") => Ok(Self::Json),
            other => {
                Err(media::unsupported(other, "application/x-protobuf or application/json, as OTLP has it"))
            }
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

fn respond(status: StatusCode, headers: HeaderMap, encoding: Encoding, body: Vec<u8>) -> Response {
    (status, headers, [(CONTENT_TYPE, encoding.media_type())], body).into_response()
}

/// Everything was taken: an answer without a word, whatever was sent.
pub(super) fn all_taken(encoding: Encoding) -> Response {
    let body = match encoding {
        Encoding::Protobuf => Vec::new(),
        Encoding::Json => b"{}".to_vec(),
    };
    respond(StatusCode::OK, HeaderMap::new(), encoding, body)
}

/// Logs were taken, but for those that could not be understood.
pub(super) fn taken(logs: &Logs, encoding: Encoding) -> Response {
    let Some(first) = &logs.first_malformed else { return all_taken(encoding) };
    let rejected = i64::try_from(logs.malformed).unwrap_or(i64::MAX);
    let message = format!("{} records cannot be understood; the first: {first}", logs.malformed);
    let body = match encoding {
        Encoding::Protobuf => {
            let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message };
            ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
        }
        // NOTE: 64 bits are text in the JSON form of protocol buffers.
        Encoding::Json => json!({
            "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": message }
        })
        .to_string()
        .into_bytes(),
    };
    respond(StatusCode::OK, HeaderMap::new(), encoding, body)
}

/// A problem, as an exporter expects it.
pub(super) fn refused(problem: &Problem, encoding: Encoding) -> Response {
    let code = rpc_code(problem.status);
    let body = match encoding {
        Encoding::Protobuf => {
            // The message google.rpc.Status: int32 code = 1, string message = 2.
            let mut body = Vec::new();
            prost::encoding::int32::encode(1, &code, &mut body);
            prost::encoding::string::encode(2, &problem.detail, &mut body);
            body
        }
        Encoding::Json => json!({ "code": code, "message": problem.detail }).to_string().into_bytes(),
    };
    respond(problem.status, problem.headers(), encoding, body)
}

/// The number of `google.rpc.Code` that means the same.
fn rpc_code(status: StatusCode) -> i32 {
    const INVALID_ARGUMENT: i32 = 3;
    const DEADLINE_EXCEEDED: i32 = 4;
    const RESOURCE_EXHAUSTED: i32 = 8;
    const INTERNAL: i32 = 13;
    const UNAVAILABLE: i32 = 14;
    match status {
        StatusCode::REQUEST_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => RESOURCE_EXHAUSTED,
        StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        status if status.is_server_error() => INTERNAL,
        _ => INVALID_ARGUMENT,
    }
}
