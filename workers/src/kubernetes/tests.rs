//! The worker of Kubernetes against the lab.

use std::collections::BTreeMap;

use serde_json::Value;
use stead_schemas::failure::Class;
use stead_schemas::step::kubernetes::{
    Apply, AwaitRollout, ListServers, Place, Remove, ResolveImage, TryApply,
};

use crate::testing::{Stage, marker};

mod jobs;

const LOGIN: &str = "vault:secret/data/kubernetes/api";

fn place() -> Place {
    let [login, namespace, name] = [LOGIN, "mcp-servers", "outline"].map(str::to_owned);
    Place { login, namespace, name, marker: marker() }
}

async fn digest(stage: &Stage, tag: &str) -> String {
    let host = stage.lab.addresses().kubernetes_url.replace("http://", "");
    let image = format!("{host}/outline:{tag}");
    stage.insist(ResolveImage { login: None, image }).await.image
}

async fn server(stage: &Stage) -> Apply {
    Apply {
        place: place(),
        image: digest(stage, "latest").await,
        port: 8080,
        replicas: 2,
        env: BTreeMap::from([("MCP_MODE".to_owned(), "http-streamable".to_owned())]),
        vault_path: "secret/mcp/outline/{username}".to_owned(),
        take_over: false,
    }
}

fn rollout(ask: &Apply, generation: u64) -> AwaitRollout {
    AwaitRollout { place: ask.place.clone(), image: ask.image.clone(), generation }
}

/// A server that runs.
async fn running(stage: &Stage) -> Apply {
    let ask = server(stage).await;
    let applied = stage.ask(ask.clone()).await.unwrap();
    stage.ask(rollout(&ask, applied.generation)).await.unwrap();
    ask
}

/// The latest that was sent to be applied, of this kind.
fn sent(stage: &Stage, kind: &str) -> Value {
    let requests = stage.lab.requests();
    let found =
        requests.iter().rev().find(|call| call.method == "PATCH" && call.body["kind"] == kind);
    found.unwrap().body.clone()
}

#[tokio::test]
async fn a_server_runs_is_found_again_and_is_taken_away() {
    let stage = Stage::open().await;
    stage
        .ask(ListServers { login: LOGIN.to_owned(), namespace: "mcp-servers".to_owned() })
        .await
        .unwrap();
    let ask = server(&stage).await;
    stage.ask(TryApply { ask: ask.clone() }).await.unwrap();
    assert!(stage.lab.inventory().is_empty(), "it is only tried");
    for _ in 0..2 {
        let applied = stage.ask(ask.clone()).await.unwrap();
        assert_eq!(applied.generation, 1, "the same again is no change");
        stage.ask(rollout(&ask, applied.generation)).await.unwrap();
    }
    let there = stage.lab.inventory().kubernetes;
    let kinds: Vec<&str> = there.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["configmap", "deployment", "service"]);
    assert!(there.iter().all(|entry| entry.marker == marker()));
    assert_eq!((there[1].image.as_str(), there[1].available), (ask.image.as_str(), 2));
    let counts = ["deployment-created", "service-created", "configmap-created"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1; 3]);
    for _ in 0..2 {
        stage.ask(Remove { place: place() }).await.unwrap();
    }
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_tag_is_resolved_and_never_applied() {
    let stage = Stage::open().await;
    let before = digest(&stage, "latest").await;
    assert!(before.contains("/outline@sha256:"), "{before}");
    assert_eq!(digest(&stage, "latest").await, before);
    stage.lab.push_image("outline", "latest", true);
    assert_ne!(digest(&stage, "latest").await, before);
    // What is named by its digest is looked for as well.
    let again = ResolveImage { login: None, image: before.clone() };
    assert_eq!(stage.ask(again).await.unwrap().image, before);
    let unknown = |image: String| ResolveImage { login: None, image };
    let host = stage.lab.addresses().kubernetes_url.replace("http://", "");
    let failure = stage.refused(unknown(format!("{host}/outline:none")), Class::Permanent).await;
    assert!(failure.words.contains("has no image"), "{failure}");
    let elsewhere = unknown("registry.example/outline:1".to_owned());
    assert!(stage.refused(elsewhere, Class::Permanent).await.words.contains("not in this site's"));
    let by_tag = Apply { image: format!("{host}/outline:latest"), ..server(&stage).await };
    stage.refused(TryApply { ask: by_tag.clone() }, Class::Permanent).await;
    let failure = stage.refused(by_tag, Class::Permanent).await;
    assert!(failure.words.contains("names no digest"), "{failure}");
    assert!(stage.lab.inventory().is_empty());
    stage.lab.break_("kubernetes", "registry-down").unwrap();
    stage.refused(unknown(before), Class::VendorDown).await;
}

#[tokio::test]
async fn the_route_leads_to_the_server_without_the_proxy_s_prefix() {
    let stage = Stage::open().await;
    running(&stage).await;
    let route = sent(&stage, "ConfigMap");
    let text = route["data"]["outline.yaml"].as_str().unwrap();
    let route: Value = serde_json::from_str(text).unwrap();
    let route = &route["routes"][0];
    assert_eq!(route["upstream"], "http://outline.mcp-servers.svc.cluster.local:8080");
    assert_eq!((&route["prefix"], &route["strip_prefix"]), (&"/mcp/outline".into(), &true.into()));
    assert_eq!(route["auth"]["vault_path"], "secret/mcp/outline/{username}");
}

#[tokio::test]
async fn pods_that_do_not_answer_say_why() {
    let stage = Stage::open().await;
    let before = running(&stage).await;
    stage.lab.push_image("outline", "latest", false);
    let ask = server(&stage).await;
    let applied = stage.ask(ask.clone()).await.unwrap();
    let failure = stage.refused(rollout(&ask, applied.generation), Class::Permanent).await;
    assert!(failure.words.ends_with("a pod is at CrashLoopBackOff"), "{failure}");
    assert_eq!(stage.lab.inventory().kubernetes[1].available, 2, "what ran goes on");
    // Whoever waits for what ran before finds something else there.
    stage.refused(rollout(&before, 1), Class::Conflict).await;
    let back = stage.ask(before.clone()).await.unwrap();
    stage.ask(rollout(&before, back.generation)).await.unwrap();
    stage.lab.break_times("kubernetes", "image-pull-failed", 1).unwrap();
    let applied = stage.ask(ask.clone()).await.unwrap();
    let failure = stage.refused(rollout(&ask, applied.generation), Class::Permanent).await;
    assert!(failure.words.ends_with("ImagePullBackOff"), "{failure}");
    assert!(failure.vendor.unwrap().contains("Back-off pulling image"));
}

#[tokio::test]
async fn a_rollout_is_waited_for() {
    let stage = Stage::open().await;
    stage.lab.break_("kubernetes", "rollout-stuck").unwrap();
    let ask = server(&stage).await;
    let applied = stage.ask(ask.clone()).await.unwrap();
    let looks = || {
        let requests = stage.lab.requests();
        requests.iter().filter(|call| call.path.ends_with("/pods")).count()
    };
    let mended = async {
        while looks() < 2 {
            tokio::task::yield_now().await;
        }
        stage.lab.mend();
    };
    let (rolled_out, ()) = tokio::join!(stage.ask(rollout(&ask, applied.generation)), mended);
    rolled_out.unwrap();
    assert_eq!(stage.lab.inventory().kubernetes[1].available, 2);
    stage.ask(Remove { place: place() }).await.unwrap();
    stage.refused(rollout(&ask, applied.generation), Class::Permanent).await;
}

#[tokio::test]
async fn what_somebody_else_has_set_is_taken_only_if_one_says_so() {
    let stage = Stage::open().await;
    let ask = running(&stage).await;
    assert!(stage.lab.scale("outline", 7));
    for _ in 0..2 {
        let failure = stage.refused(TryApply { ask: ask.clone() }, Class::Conflict).await;
        assert!(failure.words.contains(".spec.replicas (kubectl)"), "{failure}");
        stage.refused(ask.clone(), Class::Conflict).await;
    }
    let taken = Apply { take_over: true, ..ask.clone() };
    stage.ask(TryApply { ask: taken.clone() }).await.unwrap();
    let applied = stage.ask(taken.clone()).await.unwrap();
    stage.ask(rollout(&taken, applied.generation)).await.unwrap();
    assert_eq!(stage.lab.inventory().kubernetes[1].available, 2);
    stage.ask(ask.clone()).await.unwrap();
    // Somebody is faster than we have looked.
    stage.lab.break_times("kubernetes", "field-taken", 1).unwrap();
    stage.refused(ask, Class::Conflict).await;
}

#[tokio::test]
async fn a_stranger_s_object_is_not_touched() {
    for kind in ["deployment", "service", "configmap"] {
        let stage = Stage::open().await;
        stage.lab.strange(kind, "outline");
        let ask = Apply { take_over: true, ..server(&stage).await };
        let failure = stage.refused(ask.clone(), Class::Conflict).await;
        assert!(failure.words.contains("no mark of ours"), "{failure}");
        stage.refused(TryApply { ask }, Class::Conflict).await;
        stage.ask(Remove { place: place() }).await.unwrap();
        let effects = stage.lab.effects();
        assert!(effects.iter().all(|effect| effect.vendor != "kubernetes"), "{effects:?}");
    }
    let stage = Stage::open().await;
    let ask = running(&stage).await;
    let other = Place { marker: "mcp-k3j5x7q2m4n6p8r9-1".to_owned(), ..place() };
    let theirs = Apply { place: other.clone(), ..ask };
    stage.refused(theirs, Class::Conflict).await;
    stage.ask(Remove { place: other }).await.unwrap();
    assert_eq!(stage.lab.inventory().kubernetes.len(), 3);
}

#[tokio::test]
async fn a_stranger_who_is_faster_is_not_merged_with() {
    let stage = Stage::open().await;
    for (take_over, class) in [(false, Class::Conflict), (true, Class::Permanent)] {
        let ask = Apply { take_over, ..server(&stage).await };
        stage.lab.break_times("kubernetes", "stranger-appears", 1).unwrap();
        stage.refused(ask, class).await;
        assert!(stage.lab.inventory().is_empty(), "nothing carries our mark");
        stage.lab.reset();
    }
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let ask = server(&stage).await;
    let lost = ("kubernetes", "lost-response");
    let applied = stage.survives(lost, Class::Ambiguous, ask.clone()).await;
    stage.insist(rollout(&ask, applied.generation)).await;
    assert_eq!((applied.generation, stage.count("deployment-created")), (1, 1));
    stage.survives(lost, Class::Ambiguous, Remove { place: place() }).await;
    let counts = ["deployment-deleted", "service-deleted", "configmap-deleted"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1; 3]);
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    let ask = server(&stage).await;
    for (fault, class) in [("unauthorized", Class::Auth), ("rate-limited", Class::Wait)] {
        stage.survives(("kubernetes", fault), class, ask.clone()).await;
    }
    let mut nowhere = ask;
    nowhere.place.namespace = "none".to_owned();
    let failure = stage.refused(nowhere, Class::Permanent).await;
    assert!(failure.words.contains("no such namespace"), "{failure}");
    stage.check_secrets(&format!("{:?}", stage.lab.requests()));
}
