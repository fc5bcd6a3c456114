//! Bad input is refused by name before anything is written, at the service interface and in the
//! durable inbox. Spoken through a client that knows nothing but the NATS protocol.

use serde_json::{Value, json};

use crate::stage::{Stage, Wire, until};

/// So many refusals of an owner's an engine keeps in a minute.
const KEPT_OF_ONE: usize = 20;

/// A request: the subject behind `stead.api.` or `stead.cmd.`, and the body.
struct Bad {
    subject: String,
    body: Vec<u8>,
    code: &'static str,
    field: Option<&'static str>,
}

fn bad(
    subject: &str,
    body: impl Into<Vec<u8>>,
    code: &'static str,
    field: Option<&'static str>,
) -> Bad {
    Bad { subject: subject.to_owned(), body: body.into(), code, field }
}

fn create(fields: Value, code: &'static str, field: &'static str) -> Bad {
    let mut body = json!({ "name": "new" });
    body.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    bad("john.workspace.create", body.to_string(), code, Some(field))
}

/// What is not even a readable command.
fn unreadable() -> Vec<Bad> {
    let create = "john.workspace.create";
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let large = json!({ "name": "new", "template": "x".repeat(100 * 1024) }).to_string();
    let name = json!({ "name": "new" }).to_string();
    vec![
        bad(create, "{", "command.malformed", None),
        bad(create, "", "command.malformed", None),
        bad(create, "[]", "command.malformed", None),
        bad(create, "\"dev\"", "command.malformed", None),
        bad(create, "{\"name\":\"new\"} x", "command.malformed", None),
        bad(create, b"\xff\xfe{}".as_slice(), "command.malformed", None),
        bad(create, deep, "command.malformed", None),
        bad(create, large, "command.too-large", None),
        bad("john.workspace.explode", name.as_str(), "verb.unknown", None),
        bad("john.dragon.create", name.as_str(), "kind.unknown", None),
        bad("john.home.attach", name.as_str(), "verb.unknown", None),
        bad("john.vmids.reserve", name.as_str(), "kind.unknown", None),
        bad("jo%6An.workspace.create", name.as_str(), "command.owner", None),
        bad("%00.workspace.create", name.as_str(), "command.owner", None),
        bad("%ZZ.workspace.create", name.as_str(), "command.owner", None),
        bad("john.workspace", name.as_str(), "command.subject", None),
        bad("john.workspace.create.now", name, "command.subject", None),
    ]
}

/// What can be read and is wrong.
fn wrong_fields() -> Vec<Bad> {
    let long_id = "i".repeat(129);
    let mut all = vec![
        bad("john.workspace.create", "{}", "parameter.missing", Some("name")),
        create(json!({ "name": null }), "parameter.missing", "name"),
        create(json!({ "name": 7 }), "parameter.wrong-type", "name"),
        create(json!({ "name": "" }), "command.name-invalid", "name"),
        create(json!({ "name": "x".repeat(301) }), "command.name-invalid", "name"),
        create(json!({ "name": "a\nb" }), "command.name-invalid", "name"),
        create(json!({ "id": 7 }), "command.id-invalid", "id"),
        create(json!({ "id": "" }), "command.id-invalid", "id"),
        create(json!({ "id": long_id }), "command.id-invalid", "id"),
        create(json!({ "colour": "red" }), "command.unknown-field", "colour"),
        create(json!({ "cpu_cores": 1 }), "parameter.out-of-range", "cpu_cores"),
        create(json!({ "cpu_cores": 17 }), "parameter.out-of-range", "cpu_cores"),
        create(json!({ "cpu_cores": -4 }), "parameter.out-of-range", "cpu_cores"),
        create(json!({ "cpu_cores": 4.5 }), "parameter.out-of-range", "cpu_cores"),
        create(json!({ "cpu_cores": 1e30 }), "parameter.out-of-range", "cpu_cores"),
        create(json!({ "cpu_cores": "four" }), "parameter.wrong-type", "cpu_cores"),
        create(json!({ "memory_gb": 65 }), "parameter.out-of-range", "memory_gb"),
        create(json!({ "memory_gb": [] }), "parameter.wrong-type", "memory_gb"),
        create(json!({ "storage_quota_gb": 501 }), "parameter.out-of-range", "storage_quota_gb"),
        create(json!({ "storage_backend": "floppy" }), "parameter.out-of-range", "storage_backend"),
        create(json!({ "storage_backend": true }), "parameter.wrong-type", "storage_backend"),
        create(json!({ "template": "windows" }), "template.unknown", "template"),
        create(json!({ "name": "there" }), "workspace.exists", "name"),
    ];
    let (long, names) = ("x".repeat(300), ["a.b", "a b", "a*", ">", "Dev", "-a", "a-", "🦀"]);
    for name in names.into_iter().chain([long.as_str()]) {
        all.push(create(json!({ "name": name }), "workspace.name-invalid", "name"));
    }
    all
}

/// What is well said to something that is not there, or says nothing.
fn out_of_place() -> Vec<Bad> {
    let run = "workspace-k3j5x7q2m4n6p8r9-1";
    let cancel = |body: Value, code, field| bad("john.run.cancel", body.to_string(), code, field);
    let mut all = vec![
        bad("john.workspace.resize", r#"{"name":"there"}"#, "resize.nothing", None),
        bad("jane.workspace.stop", r#"{"name":"there"}"#, "workspace.unknown", Some("name")),
        cancel(json!({ "run": run, "why": "x" }), "run.unknown", Some("run")),
        cancel(json!({ "run": "dev", "why": "x" }), "run.id-invalid", Some("run")),
        cancel(json!({ "run": run, "why": " " }), "run.why-invalid", Some("why")),
        cancel(json!({ "run": run }), "parameter.missing", Some("why")),
    ];
    for verb in ["start", "stop", "restart", "resize", "delete"] {
        let (subject, body) = (format!("john.workspace.{verb}"), r#"{"name":"nowhere"}"#);
        all.push(bad(&subject, body, "workspace.unknown", Some("name")));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_by_name_and_nothing_is_written() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "name": "there" })).await;
    let before = stage.streams().await.transitions().await;
    let all: Vec<Bad> =
        unreadable().into_iter().chain(wrong_fields()).chain(out_of_place()).collect();
    let mut wire = Wire::connect(stage.nats.port()).await;
    for bad in &all {
        let answer = wire.request(&format!("stead.api.{}", bad.subject), &bad.body).await;
        let reply: Value = serde_json::from_slice(&answer.body).expect("JSON");
        check(bad, &reply["refused"]);
        assert!(answer.headers.contains("Nats-Service-Error-Code: 400"), "{}", answer.headers);
    }
    check_inbox(&stage, &mut wire, &all).await;
    assert_eq!(
        stage.streams().await.transitions().await,
        before,
        "refusals write nothing to the log"
    );
    stage.finish().await;
}

/// The refusals are told to whoever watches, and kept, as those were that were answered.
async fn check_inbox(stage: &Stage, wire: &mut Wire, all: &[Bad]) {
    wire.subscribe("stead.evt.*.*.*.refused").await;
    wire.flush().await;
    for bad in all {
        wire.publish(&format!("stead.cmd.{}", bad.subject), &bad.body).await;
        let told = wire.next().await;
        let notice: Value = serde_json::from_slice(&told.body).expect("JSON");
        check(bad, &notice);
        let owner = bad.subject.split('.').next().unwrap_or_default();
        let is_unreadable = matches!(bad.code, "command.owner" | "command.subject");
        let owner = if is_unreadable { "_" } else { owner };
        assert!(told.subject.starts_with(&format!("stead.evt.{owner}.")), "{}", told.subject);
    }
    let kept = stage.streams().await.messages("STEAD_REFUSALS").await;
    let kept = kept.iter().map(|message| message.json());
    // Of whom nobody knows anything, how he asked is known.
    let (inbox, api): (Vec<Value>, Vec<Value>) =
        kept.partition(|notice| notice["by"]["inbox"].is_object());
    assert_eq!(inbox.len(), all.len(), "each refusal is kept once");
    all.iter().zip(&inbox).for_each(|(bad, notice)| check(bad, notice));
    // On the service interface no more of one owner in a minute.
    assert!((KEPT_OF_ONE..=all.len()).contains(&api.len()), "{}", api.len());
    for (bad, notice) in all.iter().zip(&api).take(KEPT_OF_ONE) {
        check(bad, notice);
        assert!(!notice["by"].is_null(), "{notice}");
    }
    until("the inbox is empty", || async {
        (stage.streams().await.count("STEAD_INBOX").await == 0).then_some(())
    })
    .await;
}

fn check(bad: &Bad, refusal: &Value) {
    let shown: String = String::from_utf8_lossy(&bad.body).chars().take(120).collect();
    let said = format!("{} {shown}: {refusal}", bad.subject);
    assert_eq!(refusal["code"], bad.code, "{said}");
    assert_eq!(refusal["field"].as_str(), bad.field, "{said}");
    assert!(refusal["words"].as_str().is_some_and(|words| words.len() > 10), "{said}");
}
