//! OTLP bodies: what is in them, as far as it concerns a flight recorder.
//!
//! Of logs, the records that tell of token usage; of metrics, how many data points there are. Everything else is
//! counted and left where it was, and no error shows anything of it.

mod answer;
mod routes;

use event::TokenUsage;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde::de::DeserializeOwned;
use usage::otlp::{Attribute, Malformed, Record, Value, usage};

pub(crate) use routes::{logs, metrics, traces};

/// How a body is encoded, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Protocol buffers.
    Protobuf,
    /// The JSON form of them.
    Json,
}

/// What a body of logs told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs {
    /// How many records there are.
    pub records: u64,
    /// Of those that tell of token usage.
    pub usage: Vec<TokenUsage>,
    /// How many would tell of token usage and cannot be understood.
    pub malformed: u64,
    /// What is wrong with the first of them.
    pub first_malformed: Option<Malformed>,
}

/// Reads a body of logs.
///
/// # Errors
/// When it cannot be decoded: where.
pub fn read_logs(body: &[u8], encoding: Encoding) -> Result<Logs, String> {
    let request: ExportLogsServiceRequest = decode(body, encoding)?;
    let mut logs = Logs::default();
    for resource in &request.resource_logs {
        let said: Vec<Attribute<'_>> =
            resource.resource.iter().flat_map(|resource| &resource.attributes).map(attribute).collect();
        for record in resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            logs.take(record, &said);
        }
    }
    Ok(logs)
}

/// Counts the data points of a body of metrics.
///
/// # Errors
/// When it cannot be decoded: where.
pub fn count_points(body: &[u8], encoding: Encoding) -> Result<u64, String> {
    let request: ExportMetricsServiceRequest = decode(body, encoding)?;
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    Ok(scopes.flat_map(|scope| &scope.metrics).map(points).sum())
}

fn points(metric: &Metric) -> u64 {
    let points = match &metric.data {
        None => 0,
        Some(Data::Gauge(it)) => it.data_points.len(),
        Some(Data::Sum(it)) => it.data_points.len(),
        Some(Data::Histogram(it)) => it.data_points.len(),
        Some(Data::ExponentialHistogram(it)) => it.data_points.len(),
        Some(Data::Summary(it)) => it.data_points.len(),
    };
    points as u64
}

fn decode<M: Message + Default + DeserializeOwned>(body: &[u8], encoding: Encoding) -> Result<M, String> {
    match encoding {
        Encoding::Protobuf => {
            M::decode(body).map_err(|error| format!("the body is no OTLP protobuf: {error}"))
        }
        // NOTE: the decoder's own words may show what stands there.
        Encoding::Json => serde_json::from_slice(body).map_err(|error| {
            format!("the body is no OTLP JSON from line {} column {} on", error.line(), error.column())
        }),
    }
}

impl Logs {
    fn take(&mut self, record: &LogRecord, resource: &[Attribute<'_>]) {
        self.records += 1;
        let attributes: Vec<Attribute<'_>> = record.attributes.iter().map(attribute).collect();
        let record = Record {
            event_name: &record.event_name,
            body: record.body.as_ref().map_or("", text),
            time_unix_nano: record.time_unix_nano,
            observed_time_unix_nano: record.observed_time_unix_nano,
            attributes: &attributes,
            resource,
        };
        match usage(&record) {
            Ok(told) => self.usage.extend(told),
            Err(malformed) => {
                self.malformed += 1;
                self.first_malformed.get_or_insert(malformed);
            }
        }
    }
}

fn text(value: &AnyValue) -> &str {
    match &value.value {
        Some(Any::StringValue(text)) => text,
        _ => "",
    }
}

fn attribute(it: &KeyValue) -> Attribute<'_> {
    let value = match it.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => Value::Text(text),
        Some(Any::IntValue(number)) => Value::Whole(*number),
        Some(Any::DoubleValue(number)) => Value::Number(*number),
        _ => Value::Other,
    };
    (&it.key, value)
}

#[cfg(test)]
mod tests;
