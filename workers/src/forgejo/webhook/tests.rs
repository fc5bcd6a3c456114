//! The door for webhooks, as Forgejo and others who know its address find it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use stead_runtime::ports::Clock;
use stead_runtime::worker::Inbox;
use stead_schemas::owner::Owner;
use stead_schemas::site::Deployment;
use stead_schemas::time::Timestamp;

use super::{BODY_BYTES_MAX, Config, Deployments, Webhooks};
use crate::testing::Stage;

/// What a push is to lead to.
const CHECK: &str = "platform template.check";

/// Commands that were left: owner, kind and verb, and fields.
#[derive(Default)]
struct Letters(Mutex<Vec<(String, Value)>>);

#[async_trait::async_trait]
impl Inbox for Letters {
    async fn leave(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: Map<String, Value>,
    ) -> Result<(), String> {
        let what = format!("{owner} {kind}.{verb}");
        self.0.lock().unwrap().push((what, Value::Object(fields)));
        Ok(())
    }
}

/// A clock that goes on when it is told to, in minutes.
#[derive(Default)]
struct Minutes(AtomicI64);

impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst) * 60_000)
    }
}

struct Scene {
    stage: Stage,
    left: Arc<Letters>,
    clock: Arc<Minutes>,
    deployments: Deployments,
    door: Webhooks,
}

fn deployment(template: &str, branch: &str) -> Deployment {
    Deployment {
        template: template.to_owned(),
        repository: "platform/templates".to_owned(),
        branch: branch.to_owned(),
        path: template.to_owned(),
        variables: [].into(),
        poll: None,
    }
}

impl Scene {
    async fn open() -> Self {
        let (stage, left) = (Stage::open().await, Arc::new(Letters::default()));
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            secret: "vault:secret/data/stead/webhook".to_owned(),
        };
        let deployments =
            Deployments::from(vec![deployment("one", "main"), deployment("two", "next")]);
        let inbox: Arc<dyn Inbox> = left.clone();
        let secrets = stage.workers.secrets().clone();
        let clock = Arc::new(Minutes::default());
        let door = Webhooks::open(&config, secrets, deployments.clone(), inbox, clock.clone());
        Self { stage, left, clock, deployments, door: door.await.unwrap() }
    }

    fn sign(&self, body: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.stage.lab.webhook_key().as_bytes()).unwrap();
        mac.update(body.as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sends a body with these headers; the status that comes back.
    async fn send(&self, body: &str, headers: &[(&str, &str)]) -> u16 {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let mut request = client.post(self.door.url()).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// The same, signed as Forgejo signs.
    async fn push(&self, body: &str, delivery: &str) -> u16 {
        let signature = self.sign(body);
        let headers = [
            ("x-forgejo-event", "push"),
            ("x-forgejo-delivery", delivery),
            ("x-forgejo-signature", signature.as_str()),
        ];
        self.send(body, &headers).await
    }

    fn left(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.left.0.lock().unwrap())
    }
}

fn body(repository: &str, branch: &str) -> String {
    json!({ "ref": branch, "repository": { "full_name": repository }, "after": "0123" }).to_string()
}

#[tokio::test]
async fn a_push_has_the_templates_of_that_branch_looked_at() {
    let scene = Scene::open().await;
    assert_eq!(scene.push(&body("platform/templates", "refs/heads/main"), "a-1").await, 202);
    let left = scene.left();
    assert_eq!((left.len(), &*left[0].0, &left[0].1["name"]), (1, CHECK, &json!("one")));
    for (repository, branch) in [
        ("platform/templates", "refs/heads/other"),
        ("platform/templates", "refs/tags/main"),
        ("platform/templates", "main"),
        ("mallory/templates", "refs/heads/main"),
    ] {
        assert_eq!(
            scene.push(&body(repository, branch), "a-2").await,
            204,
            "{repository} {branch}"
        );
    }
    assert_eq!(scene.left(), []);
    // What the lab's Forgejo sends is understood.
    assert!(scene.stage.lab.hook("platform/templates", &scene.door.url(), true));
    scene.stage.lab.commit("platform/templates", "next", &[("two/main.tf", "x")]).unwrap();
    let sent = || scene.stage.lab.effects().into_iter().find(|effect| effect.kind == "hook-sent");
    while sent().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.left().len(), 1, "{:?}", sent());
    // What is made of a repository may be said anew while the door is open.
    scene.deployments.replace(vec![deployment("three", "main")]);
    assert_eq!(scene.push(&body("platform/templates", "refs/heads/main"), "a-3").await, 202);
    let left = scene.left();
    assert_eq!((left.len(), &left[0].1["name"]), (1, &json!("three")));
    scene.door.shutdown().await;
}

/// The number of a delivery is not signed: whoever has seen a webhook can give it another one.
#[tokio::test]
async fn a_webhook_that_is_repeated_under_any_number_has_forgejo_asked_once_a_minute() {
    let scene = Scene::open().await;
    let push = body("platform/templates", "refs/heads/main");
    let mut ids = BTreeSet::new();
    for delivery in ["a-1", "a-1", "b-2", ""] {
        assert_eq!(scene.push(&push, delivery).await, 202);
        ids.extend(scene.left().into_iter().map(|(_, fields)| fields["id"].to_string()));
    }
    assert_eq!(ids.len(), 1, "the inbox takes each id in once: {ids:?}");
    let later = push.replace("0123", "4567");
    assert_eq!(scene.push(&later, "a-1").await, 202);
    ids.extend(scene.left().into_iter().map(|(_, fields)| fields["id"].to_string()));
    assert_eq!(ids.len(), 2, "another push is another one: {ids:?}");
    scene.clock.0.fetch_add(1, Ordering::SeqCst);
    assert_eq!(scene.push(&push, "a-1").await, 202);
    ids.extend(scene.left().into_iter().map(|(_, fields)| fields["id"].to_string()));
    assert_eq!(ids.len(), 3, "whoever wants it looked at again may: {ids:?}");
}

#[tokio::test]
async fn what_is_not_signed_with_our_key_is_not_let_in() {
    let scene = Scene::open().await;
    let push = body("platform/templates", "refs/heads/main");
    let good = scene.sign(&push);
    let (event, delivery) = (("x-forgejo-event", "push"), ("x-forgejo-delivery", "a-1"));
    let other = format!("{}{}", if good.starts_with('0') { '1' } else { '0' }, &good[1..]);
    for bad in ["", "sha256=", &good[..62], &format!("{good}00"), &other, &good.replace('a', "g")] {
        if bad == good {
            continue;
        }
        let signed = [event, delivery, ("x-forgejo-signature", bad)];
        assert_eq!(scene.send(&push, &signed).await, 401, "`{bad}`");
        let hub = format!("sha256={bad}");
        let signed = [event, delivery, ("x-hub-signature-256", hub.as_str())];
        assert_eq!(scene.send(&push, &signed).await, 401, "`{hub}`");
    }
    assert_eq!(scene.send(&push, &[event, delivery]).await, 401, "not signed at all");
    let altered = push.replace("0123", "3210");
    let signed = [event, delivery, ("x-forgejo-signature", good.as_str())];
    assert_eq!(scene.send(&altered, &signed).await, 401, "of another body");
    // Where an empty one stands first, a good one behind it does not count.
    let hub = format!("sha256={good}");
    let both = [event, delivery, ("x-forgejo-signature", ""), ("x-hub-signature-256", &hub)];
    assert_eq!(scene.send(&push, &both).await, 401);
    assert_eq!(scene.left(), []);
    let signed = [event, delivery, ("x-hub-signature-256", hub.as_str())];
    assert_eq!(scene.send(&push, &signed).await, 202, "as GitHub signs");
    let gitea = [("x-gitea-event", "push"), ("x-gitea-delivery", "a-2")];
    let signed = [gitea[0], gitea[1], ("x-gitea-signature", good.as_str())];
    assert_eq!(scene.send(&push, &signed).await, 202, "as its ancestor signs");
    // A lab that has no key to sign with sends all the same.
    scene.left();
    assert!(scene.stage.lab.hook("platform/templates", &scene.door.url(), false));
    scene.stage.lab.commit("platform/templates", "main", &[("one/main.tf", "x")]).unwrap();
    let sent = || scene.stage.lab.effects().into_iter().find(|effect| effect.kind == "hook-sent");
    while sent().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!((sent().unwrap().marker.as_str(), scene.left().len()), ("401", 0));
}

#[tokio::test]
async fn what_is_signed_and_makes_no_sense_is_said_so() {
    let scene = Scene::open().await;
    let push = body("platform/templates", "refs/heads/main");
    assert_eq!(scene.push("{}", "a-1").await, 400);
    assert_eq!(scene.push("no JSON", "a-1").await, 400);
    let large = format!("{push}{}", " ".repeat(BODY_BYTES_MAX));
    assert_eq!(scene.push(&large, "a-1").await, 413);
    let signature = scene.sign(&push);
    let issue = [("x-forgejo-event", "issues"), ("x-forgejo-signature", signature.as_str())];
    assert_eq!(scene.send(&push, &issue).await, 204, "something else has happened");
    assert_eq!(scene.left(), []);
}

#[tokio::test]
async fn without_a_key_nothing_is_let_in() {
    let scene = Scene::open().await;
    scene.stage.lab.break_("vault", "sealed").unwrap();
    let push = body("platform/templates", "refs/heads/main");
    assert_eq!(scene.push(&push, "a-1").await, 503);
    assert_eq!(scene.left(), []);
    scene.stage.lab.mend();
    assert_eq!(scene.push(&push, "a-1").await, 202);
}
