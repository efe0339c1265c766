//! Bodies as exporters send them, in both encodings.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, ResourceMetrics, ScopeMetrics};

use super::*;

/// As Claude Code exports it: a call, a prompt, and a call that cannot be understood.
const CLAUDE: &str = include_str!("../../tests/bodies/claude.json");
/// As Codex CLI exports it: two steps of an answer, the counts in the second.
const CODEX: &str = include_str!("../../tests/bodies/codex.json");

fn as_protobuf(json: &str) -> Vec<u8> {
    let request: ExportLogsServiceRequest = serde_json::from_str(json).unwrap();
    request.encode_to_vec()
}

#[test]
fn both_encodings_tell_the_same() {
    for (body, tool, agent, records, malformed) in
        [(CLAUDE, "claude", "zen", 3, 1), (CODEX, "codex", "codex_cli_rs", 2, 0)]
    {
        let logs = read_logs(body.as_bytes(), Encoding::Json).unwrap();
        assert_eq!(read_logs(&as_protobuf(body), Encoding::Protobuf).as_ref(), Ok(&logs));
        assert_eq!((logs.records, logs.usage.len(), logs.malformed), (records, 1, malformed));
        assert_eq!((logs.usage[0].tool.as_str(), logs.usage[0].agent_name.as_str()), (tool, agent));
    }
    let claude = &read_logs(CLAUDE.as_bytes(), Encoding::Json).unwrap();
    let usage = &claude.usage[0];
    assert_eq!((usage.input_tokens, usage.output_tokens), (12, 345));
    assert_eq!((usage.cache_read, usage.cache_create, usage.cost_usd), (18_000, 2_048, Some(0.0216)));
    assert_eq!(usage.time.to_string(), "2026-01-02T03:04:05.678000Z");
    assert_eq!(claude.first_malformed.as_ref().unwrap().field, "output_tokens");
    let codex = &read_logs(CODEX.as_bytes(), Encoding::Json).unwrap().usage[0];
    assert_eq!((codex.input_tokens, codex.cache_read), (1_180, 10_240));
    assert_eq!((codex.output_tokens, codex.reasoning_tokens), (512, 128));
}

#[test]
fn nothing_is_a_body_and_nonsense_is_none() {
    assert_eq!(read_logs(b"", Encoding::Protobuf), Ok(Logs::default()));
    assert_eq!(read_logs(b"{}", Encoding::Json), Ok(Logs::default()));
    assert!(read_logs(b"\xff\xff\xff", Encoding::Protobuf).is_err());
    let shown = read_logs(br#"{"resourceLogs":[{"scopeLogs":"sekret"}]}"#, Encoding::Json).unwrap_err();
    assert!(shown.contains("line 1 column") && !shown.contains("sekret"), "{shown}");
}

#[test]
fn data_points_are_counted() {
    let data_points = vec![NumberDataPoint::default(); 3];
    let metric = Metric { data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() };
    let scope =
        ScopeMetrics { metrics: vec![metric.clone(), metric, Metric::default()], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    let request = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    assert_eq!(count_points(&request.encode_to_vec(), Encoding::Protobuf), Ok(6));
    let json = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"claude_code.token.usage","unit":"tokens",
        "sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
        {"attributes":[{"key":"type","value":{"stringValue":"input"}}],"timeUnixNano":"1767323045678000000","asDouble":12}
        ]}}]}]}]}"#;
    assert_eq!(count_points(json.as_bytes(), Encoding::Json), Ok(1));
}
