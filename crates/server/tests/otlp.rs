//! OTLP over real HTTP, in both encodings.
#![cfg(test)]

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use event::Event;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use prost::Message;
use serde_json::json;
use server::{IntakeError, Settings, Teller};
use support::{Answer, Running, gzip};

const CLAUDE: &str = include_str!("bodies/claude.json");
const CODEX: &str = include_str!("bodies/codex.json");
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn protobuf(json: &str) -> Vec<u8> {
    serde_json::from_str::<ExportLogsServiceRequest>(json).unwrap().encode_to_vec()
}

fn post(running: &Running, path: &str, media_type: &str, body: &[u8]) -> Answer {
    running.post(path, &[("content-type", media_type)], body)
}

/// The code and the message of a google.rpc.Status.
fn status(answer: &Answer) -> (i64, String) {
    if answer.media_type == JSON {
        let status = answer.json();
        return (status["code"].as_i64().unwrap(), status["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(answer.media_type, PROTOBUF);
    // ExportLogsPartialSuccess is an integer and a text too, with the same numbers.
    type Pair = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
    let status = Pair::decode(answer.body.as_slice()).unwrap();
    (status.rejected_log_records, status.error_message)
}

#[test]
fn usage_is_kept_and_everything_else_is_acknowledged() {
    let running = Running::new();
    assert_eq!(post(&running, "/v1/logs", JSON, CODEX.as_bytes()).json(), json!({}));
    let answer = post(&running, "/v1/logs", PROTOBUF, &protobuf(CODEX));
    assert_eq!((answer.status, answer.media_type.as_str(), answer.body.len()), (200, PROTOBUF, 0));
    let packed = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(running.post("/v1/logs", &packed, &gzip(&protobuf(CODEX))).status, 200);
    let kept = running.fake.kept.lock().unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|it| *it == kept[0]), "what is sent again is the same, its id too");
    assert!(matches!(&kept[0], (Event::TokenUsage(usage), Teller::Telemetry) if usage.tool == "codex"));
    let tally = running.tally();
    assert_eq!((tally.otlp_logs, tally.otlp_log_records, tally.otlp_usage_events), (3, 6, 3));
    assert_eq!((tally.events, tally.rejected), (0, 0));
}

#[test]
fn what_cannot_be_understood_is_told_and_the_rest_is_kept() {
    let running = Running::new();
    let answer = post(&running, "/v1/logs", JSON, CLAUDE.as_bytes());
    let partial = answer.json()["partialSuccess"].clone();
    assert_eq!((answer.status, &partial["rejectedLogRecords"]), (200, &json!("1")));
    assert!(partial["errorMessage"].as_str().unwrap().contains("output_tokens"), "{partial}");
    let answer = post(&running, "/v1/logs", PROTOBUF, &protobuf(CLAUDE));
    let partial = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_log_records, 1);
    assert!(
        !partial.error_message.contains("many"),
        "nothing of what stands there: {}",
        partial.error_message
    );
    assert_eq!((running.kept(), running.tally().otlp_malformed_records), (2, 2));
    let kept = format!("{:?}", running.fake.kept.lock().unwrap());
    assert!(!kept.contains("secret"), "no word of a prompt");
}

#[test]
fn nonsense_is_refused_in_the_requests_own_encoding() {
    let running = Running::new();
    for path in ["/v1/logs", "/v1/metrics"] {
        for (media_type, body) in [(JSON, b"{\"resource".as_slice()), (PROTOBUF, b"\xff\xff\xff")] {
            let answer = post(&running, path, media_type, body);
            assert_eq!((answer.status, answer.media_type.as_str()), (400, media_type));
            let (code, message) = status(&answer);
            assert!(code == 3 && message.contains("no OTLP"), "{code} {message}");
        }
    }
    post(&running, "/v1/logs", "text/plain", b"x").problem(415, "application/x-protobuf");
    running.post("/v1/logs", &[], b"x").problem(415, "no Content-Type");
    let packed = [("content-type", JSON), ("content-encoding", "br")];
    assert_eq!(status(&running.post("/v1/logs", &packed, b"x")).0, 3);
    assert_eq!((running.kept(), running.tally().otlp_logs), (0, 0));
}

#[test]
fn an_exporter_is_told_when_to_come_again() {
    let running = Running::with(Settings { rate: NonZeroU32::new(1), ..Settings::default() });
    let (reason, retry_after) = ("the log is full".to_owned(), Duration::from_secs(10));
    *running.fake.refusal.lock().unwrap() = Some(IntakeError::Unavailable { reason, retry_after });
    let answer = post(&running, "/v1/logs", PROTOBUF, &protobuf(CODEX));
    assert_eq!((answer.status, answer.retry_after), (503, Some(10)));
    assert_eq!(status(&answer), (14, "the log is full".to_owned()));
    *running.fake.refusal.lock().unwrap() = None;
    let statuses: Vec<u16> =
        (0..5).map(|_| post(&running, "/v1/logs", JSON, CODEX.as_bytes()).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429], "two records each, ten at once");
    let answer = post(&running, "/v1/logs", JSON, CODEX.as_bytes());
    assert!(answer.retry_after > Some(0) && status(&answer).0 == 8, "{answer:?}");
}

#[test]
fn metrics_and_traces_are_acknowledged_and_not_kept() {
    let running = Running::new();
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"claude_code.token.usage","sum":{
        "aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1","asDouble":1},{"timeUnixNano":"1","asInt":"2"}]
        }}]}]}]}"#;
    assert_eq!(post(&running, "/v1/metrics", JSON, metrics.as_bytes()).json(), json!({}));
    let nothing = post(&running, "/v1/metrics", PROTOBUF, b"");
    assert_eq!((nothing.status, nothing.body.len()), (200, 0));
    assert_eq!(post(&running, "/v1/traces", JSON, b"{}").json(), json!({}));
    let tally = running.tally();
    assert_eq!((tally.otlp_metrics_ignored, tally.otlp_traces_ignored, running.kept()), (2, 1, 0));
}
