//! Spans as OTLP has them in JSON: `ExportTraceServiceRequest` of opentelemetry-proto 1, with its rules
//! for JSON: ids in hexadecimal, enumerations as numbers, 64 bits as text.

use serde::Serialize;
use serde_json::{Value, json};
use stead_schemas::trace::{About, Part, Role, Span};

/// What the standard calls an error.
const STATUS_ERROR: u8 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
}

/// The body of one request; `process` names whoever made these spans.
pub fn body(spans: &[Span], process: &str) -> Vec<u8> {
    let parts = [Part::Engine, Part::Worker].into_iter().filter_map(|part| {
        let of_part: Vec<Written<'_>> =
            spans.iter().filter(|span| span.by == part).map(written).collect();
        (!of_part.is_empty()).then(|| {
            json!({
                "resource": { "attributes": resource(part, process) },
                "scopeSpans": [{ "scope": { "name": "stead" }, "spans": of_part }],
            })
        })
    });
    json!({ "resourceSpans": parts.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn resource(part: Part, process: &str) -> Vec<Value> {
    let name = match part {
        Part::Engine => "stead-engine",
        Part::Worker => "stead-worker",
    };
    let version = env!("CARGO_PKG_VERSION");
    [("service.name", name), ("service.version", version), ("service.instance.id", process)]
        .map(|(key, value)| attribute(key, &value.into()))
        .to_vec()
}

fn attribute(key: &str, about: &About) -> Value {
    let value = match about {
        About::Text(text) => json!({ "stringValue": text }),
        About::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": key, "value": value })
}

fn written(span: &Span) -> Written<'_> {
    let kind = match span.role {
        Role::Internal => 1,
        Role::Server => 2,
        Role::Client => 3,
    };
    let link = |asked_by: &stead_schemas::trace::TraceParent| json!({ "traceId": asked_by.trace.to_string(), "spanId": asked_by.span.to_string() });
    let status = |words: &String| json!({ "code": STATUS_ERROR, "message": words });
    Written {
        trace_id: span.trace.to_string(),
        span_id: span.id.to_string(),
        parent_span_id: span.parent.map(|id| id.to_string()),
        name: &span.name,
        kind,
        start_time_unix_nano: span.begun_ns.to_string(),
        end_time_unix_nano: span.ended_ns.to_string(),
        attributes: span.about.iter().map(|(key, about)| attribute(key, about)).collect(),
        links: span.asked_by.iter().map(link).collect(),
        status: span.error.as_ref().map(status),
    }
}
