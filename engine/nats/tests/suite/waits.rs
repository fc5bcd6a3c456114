//! Callers who wait for the outcome of their command.

use std::collections::HashSet;

use async_nats::{HeaderMap, Message, Request};
use futures_util::future::join_all;
use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::failure::{Class, Failure};
use tokio::task::JoinHandle;

use super::api::Service;
use super::support::{Owned, SOON, john, run_of, soon, summary, until};

/// Callers that may wait at one engine.
const WAITING_MAX: usize = 1024;

/// Asks at the service, with these headers, in the background.
fn ask(
    service: &Service,
    what: &str,
    body: Value,
    headers: &[(&str, &str)],
) -> JoinHandle<Message> {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.append(*name, *value));
    let payload = body.to_string().into();
    let request = Request::new().headers(map).payload(payload).timeout(Some(SOON));
    let (nats, subject) = (service.world.nats.clone(), format!("stead.api.john%2Edoe.{what}"));
    tokio::spawn(async move { nats.send_request(subject, request).await.expect("a reply") })
}

fn create(service: &Service, id: &str, wait: &str) -> JoinHandle<Message> {
    let body = json!({ "name": "dev", "id": id });
    ask(service, "workspace.create", body, &[("Stead-Wait", wait)])
}

async fn said(asked: JoinHandle<Message>) -> (Value, Option<String>) {
    let reply = soon("a reply", asked).await.expect("no panic");
    let body = serde_json::from_slice(&reply.payload).expect("JSON");
    let code = reply.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code"));
    (body, code.map(ToString::to_string))
}

async fn until_waiting(owned: &Owned, count: usize) {
    until("callers wait", || async {
        // Each asks again and again, always for the same place.
        let waiting = owned.waiting.lock().expect("no panic");
        waiting.iter().map(|(_, to)| &to.0).collect::<HashSet<_>>().len() >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_waits_is_told_how_his_command_ended() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let (asked, again) = (create(&service, "one", "20"), create(&service, "one", "20"));
    until_waiting(&owned, 2).await;
    assert!(!asked.is_finished() && !again.is_finished());
    owned.end("one", Outcome::Done(json!({ "vmid": 100 })));
    for asked in [asked, again, create(&service, "one", "1")] {
        let (body, code) = said(asked).await;
        assert_eq!(body["accepted"]["outcome"], json!({ "done": { "vmid": 100 } }), "{body}");
        assert_eq!(body["accepted"]["run"], json!(run_of("dev")));
        assert!(body["accepted"]["waits_for"].is_null() && code.is_none(), "{body}");
    }
    assert_eq!(owned.taken.lock().expect("no panic").len(), 1, "it acts once");
    let failed = create(&service, "two", "20");
    until_waiting(&owned, 3).await;
    owned.end("two", Outcome::Failed(Failure::new(Class::Permanent, "the storage is full")));
    let (body, code) = said(failed).await;
    assert_eq!(body["accepted"]["outcome"]["failed"]["words"], "the storage is full", "{body}");
    assert_eq!(code.as_deref(), Some("422"));
}

/// An owner that is killed says nothing, and the next one does not know who waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_says_nothing_is_asked_again() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let asked = create(&service, "one", "20");
    until_waiting(&owned, 1).await;
    owned.ended.lock().expect("no panic").insert("one".into(), Outcome::Done(json!("late")));
    let (body, _) = said(asked).await;
    assert_eq!(body["accepted"]["outcome"], json!({ "done": "late" }), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whose_time_is_over_is_told_what_his_command_waits_for() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let mut line = summary(&john(), "dev", 1);
    line.waiting = "proxmox.clone-vm (running)".into();
    owned.runs.lock().expect("no panic").push(line);
    let (body, code) = said(create(&service, "one", "1")).await;
    assert_eq!(body["accepted"]["waits_for"], "proxmox.clone-vm (running)", "{body}");
    assert_eq!(body["accepted"]["run"], json!(run_of("dev")));
    assert!(body["accepted"]["outcome"].is_null() && code.is_none(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_cannot_be_read_is_refused_before_anything_is_done() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    for (value, code) in [
        ("soon", "wait.malformed"),
        ("0", "wait.malformed"),
        ("-5", "wait.malformed"),
        ("601", "wait.too-long"),
    ] {
        for what in ["workspace.create", "workspace.list", "run.cancel"] {
            let asked = ask(&service, what, json!({ "name": "dev" }), &[("stead-wait", value)]);
            let (body, status) = said(asked).await;
            assert_eq!(body["refused"]["code"], code, "{what} {value}: {body}");
            assert_eq!(body["refused"]["field"], "Stead-Wait", "{body}");
            assert_eq!(status.as_deref(), Some("400"));
        }
    }
    let twice = [("Stead-Wait", "5"), ("Stead-Wait", "6")];
    let asked = ask(&service, "workspace.create", json!({ "name": "dev" }), &twice);
    assert_eq!(said(asked).await.0["refused"]["code"], "wait.malformed");
    let bad = ask(&service, "workspace.create", json!({ "name": "bad" }), &[("Stead-Wait", "5")]);
    assert_eq!(said(bad).await.0["refused"]["code"], "test.bad", "a refusal is not waited for");
    assert!(owned.taken.lock().expect("no panic").is_empty());
}

/// Nobody can take it in at first; a caller who waits need not ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_put_off_is_given_again_while_its_caller_waits() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let body = json!({ "name": "later", "id": "one" });
    let asked = ask(&service, "workspace.create", body, &[("Stead-Wait", "20")]);
    until_waiting(&owned, 1).await;
    owned.end("one", Outcome::Done(json!("at last")));
    assert_eq!(said(asked).await.0["accepted"]["outcome"]["done"], "at last");
    assert_eq!(owned.taken.lock().expect("no panic").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_callers_wait_than_there_is_room_for() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let waiting: Vec<_> = (0..WAITING_MAX).map(|_| create(&service, "one", "600")).collect();
    until_waiting(&owned, WAITING_MAX).await;
    let (body, code) = said(create(&service, "two", "600")).await;
    assert_eq!(body["refused"]["code"], "wait.too-many", "{body}");
    assert_eq!(code.as_deref(), Some("429"));
    // Whoever does not wait is served as ever.
    let asked = ask(&service, "workspace.start", json!({ "name": "dev", "id": "three" }), &[]);
    assert_eq!(said(asked).await.0["accepted"]["command"], "three");
    owned.end("one", Outcome::Done(json!("all")));
    for (body, _) in join_all(waiting.into_iter().map(said)).await {
        assert_eq!(body["accepted"]["outcome"]["done"], "all", "{body}");
    }
    owned.end("four", Outcome::Done(json!("well")));
    assert_eq!(said(create(&service, "four", "5")).await.0["accepted"]["outcome"]["done"], "well");
    let taken: Vec<String> =
        owned.taken.lock().expect("no panic").iter().map(|one| one.id.clone()).collect();
    assert_eq!(taken, ["one", "three", "four"], "what is refused is not given");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_stopped_answers_those_who_wait() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let asked = create(&service, "one", "600");
    until_waiting(&owned, 1).await;
    service.shutdown.send_replace(true);
    let (body, _) = said(asked).await;
    let words = body["accepted"]["waits_for"].as_str().expect("words");
    assert!(words.contains("is being stopped"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_waited_for_can_be_discovered() {
    let service = Service::open().await;
    let info = service.world.nats.request("$SRV.INFO.stead", "".into()).await.expect("a reply");
    let info: Value = serde_json::from_slice(&info.payload).expect("JSON");
    let endpoints = info["endpoints"].as_array().expect("endpoints");
    let wait = |what: &str| {
        let subject = format!("stead.api.*.{what}");
        let found = endpoints.iter().find(|endpoint| endpoint["subject"] == *subject);
        found.expect("an endpoint")["metadata"]["wait"].as_str().map(str::to_owned)
    };
    assert!(wait("workspace.create").is_some_and(|words| words.contains("Stead-Wait: N")));
    assert_eq!((wait("workspace.list"), wait("run.cancel")), (None, None));
}
