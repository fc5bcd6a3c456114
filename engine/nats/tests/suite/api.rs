//! The service interface: every request is answered.

use std::collections::BTreeSet;

use async_nats::Message;
use futures_util::future::join_all;
use serde_json::{Value, json};
use stead_nats::SteadClient;
use stead_nats::door::run_api;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunSummary;
use tokio::sync::watch;

use super::support::{Owned, World, catalogue, fields, john, run_of, soon, summary, until, view};

/// A service that ends with the test.
pub struct Service {
    pub world: World,
    pub shutdown: watch::Sender<bool>,
}

impl Service {
    pub async fn open() -> Self {
        let world = World::new().await;
        let (shutdown, shut) = watch::channel(false);
        let (connection, platform) = (world.server.connect().await, world.platform.clone());
        tokio::spawn(async move {
            run_api(&connection, &platform, catalogue(), "0.1.0", shut)
                .await
                .expect("it ends well");
        });
        let service = Self { world, shutdown };
        let is_there = || async {
            service.world.nats.request("stead.api.john.dragon.x", "".into()).await.is_ok()
        };
        until("the service is there", is_there).await;
        service
    }

    async fn ask(&self, what: &str, body: &str) -> Message {
        let subject = format!("stead.api.john%2Edoe.{what}");
        let asked = self.world.nats.request(subject, body.to_string().into());
        soon("a reply", asked).await.expect("a reply")
    }

    async fn check(&self, what: &str, body: &str, pointer: &str, expected: Value) {
        let reply = self.ask(what, body).await;
        let found: Value = serde_json::from_slice(&reply.payload).expect("JSON");
        assert_eq!(found.pointer(pointer), Some(&expected), "{what} {body}: {found}");
        let code =
            reply.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code"));
        let wanted = found.get("refused").map(|_| "400");
        assert_eq!(code.map(|code| code.as_str()), wanted, "{what} {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let run = json!(run_of("dev"));
    service.check("workspace.create", r#"{"name":"dev"}"#, "/accepted/run", run).await;
    let body = r#"{"name":"dev","id":"mine"}"#;
    service.check("workspace.start", body, "/accepted/command", json!("mine")).await;
    service.check("workspace.start", body, "/accepted/repeated", json!(true)).await;
    let refused = "/refused/code";
    service.check("workspace.create", r#"{"name":"bad"}"#, refused, json!("test.bad")).await;
    service.check("workspace.create", "", refused, json!("command.malformed")).await;
    service.check("workspace.create", "{}", refused, json!("parameter.missing")).await;
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(900_000));
    service.check("workspace.create", &large, refused, json!("command.too-large")).await;
    let taken = owned.taken.lock().expect("no panic").len();
    assert_eq!(taken, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_serves_is_refused() {
    let service = Service::open().await;
    let refused = "/refused/code";
    service.check("workspace.fly", "{}", refused, json!("verb.unknown")).await;
    service.check("dragon.create", "{}", refused, json!("kind.unknown")).await;
    service.check("run.list", "{}", refused, json!("verb.unknown")).await;
    service.check("workspace", "{}", refused, json!("command.subject")).await;
    service.check("workspace.create.now.please", "{}", refused, json!("command.subject")).await;
    let reply = service.world.nats.request("stead.api.jo%6An.workspace.list", "".into()).await;
    let body: Value = serde_json::from_slice(&reply.expect("a reply").payload).expect("JSON");
    assert_eq!(body.pointer(refused), Some(&json!("command.owner")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_listed_and_shown_to_their_owner_only() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let mallory = Owner::new("mallory").expect("a good owner");
    let lines = [
        summary(&john(), "dev", 1),
        summary(&john(), "dev", 2),
        summary(&john(), "test", 3),
        summary(&mallory, "dev", 1),
    ];
    let theirs = lines[3].run.clone();
    owned.runs.lock().expect("no panic").extend(lines);
    service.check("workspace.list", "", "/runs/0/run", json!(run_of("dev"))).await;
    service.check("workspace.list", "{}", "/runs/2/name", json!("test")).await;
    let listed = service.ask("workspace.list", "").await;
    let listed: Value = serde_json::from_slice(&listed.payload).expect("JSON");
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(3));
    let latest = json!(run_of("dev").key().run(2));
    let show = "workspace.show";
    service.check(show, r#"{"name":"dev"}"#, "/run/summary/run", latest).await;
    service.check(show, r#"{"name":"none"}"#, "/refused/code", json!("entity.unknown")).await;
    let ours = json!({ "run": run_of("dev") }).to_string();
    service.check("run.show", &ours, "/run/summary/name", json!("dev")).await;
    let theirs = json!({ "run": theirs, "why": "envy" }).to_string();
    service.check("run.show", &theirs, "/refused/code", json!("run.unknown")).await;
    service.check("run.cancel", &theirs, "/refused/code", json!("run.unknown")).await;
    let ours = json!({ "run": run_of("dev"), "why": "wrong size" }).to_string();
    service.check("run.cancel", &ours, "/accepted/run", json!(run_of("dev"))).await;
    assert_eq!(*owned.ordered.lock().expect("no panic"), [run_of("dev")]);
}

/// More than a message carries, of which an engine of an older build tells all of every owner and
/// kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_comes_in_pages() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let mallory = Owner::new("mallory").expect("a good owner");
    let names: Vec<String> = (0..60).map(|number| format!("w{number}")).collect();
    let waiting = "x".repeat(30_000);
    let line = |owner: &Owner, name: &String| RunSummary {
        waiting: waiting.clone(),
        ..summary(owner, name, 1)
    };
    let lines = names.iter().flat_map(|name| [line(&john(), name), line(&mallory, name)]);
    owned.runs.lock().expect("no panic").extend(lines);
    let (mut seen, mut pages, mut body) = (Vec::new(), 0, String::new());
    loop {
        let reply = service.ask("workspace.list", &body).await;
        let page: Value = serde_json::from_slice(&reply.payload).expect("JSON");
        let runs = page["runs"].as_array().expect("runs").iter();
        seen.extend(runs.map(|run| run["name"].as_str().expect("a name").to_owned()));
        pages += 1;
        if page["more"] != json!(true) {
            assert!(page.get("after").is_none(), "{}", page["after"]);
            break;
        }
        body = json!({ "after": page["after"] }).to_string();
    }
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(names.into_iter().collect::<BTreeSet<_>>()));
    assert!((2..10).contains(&pages), "{pages} pages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_no_message_carries_is_refused_in_words() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    // It just fits into what the owner of the partition says, and not into what the service does.
    let max = service.world.nats.max_payload();
    let shell = json!(view(summary(&john(), "dev", 1))).to_string().len();
    let line = RunSummary { waiting: "x".repeat(max - shell - 4), ..summary(&john(), "dev", 1) };
    owned.runs.lock().expect("no panic").push(line);
    let ours = json!({ "run": run_of("dev") }).to_string();
    service.check("run.show", &ours, "/refused/code", json!("reply.too-large")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_owner_the_client_may_come_again() {
    let service = Service::open().await;
    let reply = service.ask("workspace.create", r#"{"name":"dev"}"#).await;
    let body: Value = serde_json::from_slice(&reply.payload).expect("JSON");
    assert!(body["unavailable"]["words"].is_string(), "{body}");
    let code = reply.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code"));
    assert_eq!(code.map(|code| code.as_str()), Some("503"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_can_be_discovered() {
    let service = Service::open().await;
    let info = service.world.nats.request("$SRV.INFO.stead", "".into()).await.expect("a reply");
    let info: Value = serde_json::from_slice(&info.payload).expect("JSON");
    let endpoints = info["endpoints"].as_array().expect("endpoints");
    let mut subjects: Vec<&str> =
        endpoints.iter().filter_map(|endpoint| endpoint["subject"].as_str()).collect();
    subjects.sort_unstable();
    let wanted = ["run.cancel", "run.show", "workspace.create", "workspace.list", "workspace.show"];
    for what in wanted {
        assert!(subjects.contains(&format!("stead.api.*.{what}").as_str()), "{subjects:?}");
    }
    assert!(endpoints.iter().all(|endpoint| endpoint["metadata"]["schema"].is_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_ask_at_once() {
    let service = Service::open().await;
    let owned = Owned::all(&service.world.connection).await;
    let client = SteadClient::new(&service.world.platform);
    let names: Vec<String> = (0..500).map(|n| format!("w{n}")).collect();
    let asked = join_all(names.iter().map(|name| {
        let body = fields(json!({ "name": name }));
        let client = client.clone();
        async move { client.command(&john(), "workspace", "create", &body).await }
    }))
    .await;
    for reply in asked {
        assert!(matches!(reply, Ok(CommandReply::Accepted(_))), "{reply:?}");
    }
    assert_eq!(owned.taken.lock().expect("no panic").len(), 500);
}
