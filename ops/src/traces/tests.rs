//! One check: what a collector answers in, what it means out; and a span to the letter.

use reqwest::StatusCode;
use serde_json::{Value, json};
use stead_schemas::dispatch::StepAddress;
use stead_schemas::trace::{Part, Role, Span, SpanId, TraceId, TraceParent};

use super::{Answer, meant, otlp};

fn check(status: u16, body: &str, answer: Answer) {
    let status = StatusCode::from_u16(status).expect("a status");
    assert_eq!(meant(status, body.as_bytes()), answer, "{status} {body}");
}

#[test]
fn what_a_collector_does_not_want_is_counted_and_what_it_may_want_later_is_kept() {
    check(200, "{}", Answer::Taken { refused: 0 });
    check(200, "", Answer::Taken { refused: 0 });
    check(200, r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, Answer::Taken { refused: 3 });
    check(200, r#"{"partialSuccess":{"rejectedSpans":3}}"#, Answer::Taken { refused: 3 });
    for status in [429, 502, 503, 504] {
        let words = StatusCode::from_u16(status).expect("a status").to_string();
        check(status, "", Answer::Later(words));
    }
    for status in [400, 401, 404, 301, 500] {
        let words = StatusCode::from_u16(status).expect("a status").to_string();
        check(status, "", Answer::Refused(words));
    }
}

#[test]
fn a_span_is_written_as_the_standard_has_it() {
    let run = "workspace-27ytv97dprxd6njw-1".parse().expect("a run");
    let address = StepAddress { run, seq: 3 };
    let asked_by = TraceParent::of_step(&address);
    let span = Span {
        trace: TraceId::of(&address.run),
        id: SpanId::of_attempt(&address, 1),
        parent: Some(asked_by.span),
        asked_by: Some(asked_by),
        by: Part::Worker,
        role: Role::Server,
        name: "proxmox.clone-vm".to_owned(),
        begun_ns: 1_764_464_400_000_000_001,
        ended_ns: 1_764_464_400_000_000_002,
        about: vec![("stead.run", "r".into()), ("stead.step", 3.into())],
        error: Some("no room".to_owned()),
    };
    let written: Value = serde_json::from_slice(&otlp::body(&[span], "p")).expect("JSON");
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let trace = TraceId::of(&address.run).to_string();
    assert_eq!(
        written,
        json!({ "resourceSpans": [{
            "resource": { "attributes": [
                text("service.name", "stead-worker"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", "p"),
            ] },
            "scopeSpans": [{ "scope": { "name": "stead" }, "spans": [{
                "traceId": trace,
                "spanId": SpanId::of_attempt(&address, 1).to_string(),
                "parentSpanId": asked_by.span.to_string(),
                "name": "proxmox.clone-vm",
                "kind": 2,
                "startTimeUnixNano": "1764464400000000001",
                "endTimeUnixNano": "1764464400000000002",
                "attributes": [
                    text("stead.run", "r"),
                    { "key": "stead.step", "value": { "intValue": "3" } },
                ],
                "links": [{ "traceId": trace, "spanId": asked_by.span.to_string() }],
                "status": { "code": 2, "message": "no room" },
            }] }],
        }] })
    );
}
