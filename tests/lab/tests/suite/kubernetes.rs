//! Kubernetes through its API, and the registry beside it: who owns which field, and its faults.

use serde_json::{Value, json};

use crate::rig::{Answer, DEADLINE, Rig, send, text};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/mcp-servers/deployments/outline";

impl Rig {
    async fn cluster(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let token = text(&self.secret("kubernetes/api").await["token"]);
        let url = format!("{}{path}", self.lab.addresses().kubernetes_url);
        let method = method.parse().expect("a method");
        let request =
            self.http.request(method, url).header("authorization", format!("Bearer {token}"));
        let request = match body {
            Some(_) => request.header("content-type", "application/apply-patch+yaml"),
            None => request,
        };
        send(request, body).await
    }

    async fn apply(&self, query: &str, body: Value) -> Answer {
        let path = format!("{DEPLOYMENT}?{query}");
        self.cluster("PATCH", &path, Some(body)).await.expect("an answer")
    }

    async fn digest(&self, tag: &str) -> Option<String> {
        let url = format!("{}/v2/outline/manifests/{tag}", self.lab.addresses().kubernetes_url);
        let answer = self.http.head(url).send().await.expect("an answer");
        let digest = answer.headers().get("docker-content-digest");
        digest.map(|digest| digest.to_str().expect("a text").to_owned())
    }

    /// A Deployment of the image that the tag means.
    async fn deployment(&self, tag: &str) -> Value {
        let image = format!("registry/outline@{}", self.digest(tag).await.expect("a digest"));
        let labels = json!({ "app": "outline", "test/marker": "mine" });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "outline", "namespace": "mcp-servers", "labels": labels },
            "spec": {
                "replicas": 2, "selector": { "matchLabels": { "app": "outline" } },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "server", "image": image }] },
                },
            },
        })
    }
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["reason"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_field_belongs_to_whoever_has_set_it() {
    let rig = Rig::start().await;
    let mut wanted = rig.deployment("1").await;
    assert_eq!(rig.apply("dryRun=All&fieldManager=one", wanted.clone()).await.status, 201);
    assert_eq!(rig.cluster("GET", DEPLOYMENT, None).await.expect("an answer").status, 404);
    assert_eq!(rig.apply("fieldManager=one", wanted.clone()).await.status, 201);
    let again = rig.apply("fieldManager=two", wanted.clone()).await;
    assert_eq!((again.status, &again.body["metadata"]["generation"]), (200, &json!(1)));
    wanted["spec"]["replicas"] = 3.into();
    let refused = rig.apply("fieldManager=one", wanted.clone()).await;
    assert_eq!(said(&refused), (409, "Conflict"));
    assert_eq!(refused.body["details"]["causes"][0]["field"], ".spec.replicas");
    let forced = rig.apply("fieldManager=one&force=true", wanted.clone()).await;
    assert_eq!(forced.body["metadata"]["generation"], 2);
    wanted["spec"]["selector"]["matchLabels"] = json!({ "test/marker": "mine" });
    assert_eq!(said(&rig.apply("fieldManager=one", wanted.clone()).await), (409, "Conflict"));
    let refused = rig.apply("fieldManager=one&force=true", wanted).await;
    assert_eq!(said(&refused), (422, "Invalid"), "a selector stays as it is");
    let other = json!({ "preconditions": { "uid": "another" } });
    let refused = rig.cluster("DELETE", DEPLOYMENT, Some(other)).await.expect("an answer");
    assert_eq!(said(&refused), (409, "Conflict"));
    rig.cluster("DELETE", DEPLOYMENT, None).await.expect("an answer");
    assert!(rig.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_rollout_ends_and_a_tag_moves() {
    let rig = Rig::start().await;
    rig.apply("fieldManager=one", rig.deployment("latest").await).await;
    rig.until(|there| there.kubernetes.iter().any(|entry| entry.available == 2)).await;
    let (before, pinned) = (rig.digest("latest").await, rig.digest("1").await);
    let pushed = rig.lab.push_image("outline", "latest", false);
    assert_eq!(rig.digest("latest").await, Some(pushed.clone()));
    assert_ne!(Some(pushed.clone()), before);
    assert_eq!((rig.digest("1").await, rig.digest(&pushed).await), (pinned, Some(pushed)));
    assert_eq!(rig.digest("none").await, None);
    let same = rig.apply("fieldManager=one", rig.deployment("1").await).await;
    assert_eq!(same.body["metadata"]["generation"], 2, "1 and latest were two images");
}

#[tokio::test]
async fn every_fault_of_kubernetes_fires() {
    let rig = Rig::start().await;
    let wanted = rig.deployment("1").await;
    let break_once = |fault| rig.lab.break_times("kubernetes", fault, 1).expect("known");
    let look = async || rig.cluster("GET", DEPLOYMENT, None).await.expect("an answer");
    break_once("unauthorized");
    assert_eq!(said(&look().await), (401, "Unauthorized"));
    break_once("rate-limited");
    assert_eq!(said(&look().await), (429, "TooManyRequests"));
    break_once("registry-down");
    assert_eq!(rig.digest("1").await, None);
    break_once("lost-response");
    let path = format!("{DEPLOYMENT}?fieldManager=one");
    assert!(rig.cluster("PATCH", &path, Some(wanted.clone())).await.is_none());
    assert_eq!(look().await.status, 200);
    break_once("field-taken");
    assert_eq!(said(&rig.apply("fieldManager=one", wanted.clone()).await), (409, "Conflict"));
    for (fault, reason) in
        [("image-pull-failed", "ImagePullBackOff"), ("rollout-failed", "CrashLoopBackOff")]
    {
        break_once(fault);
        let mut other = wanted.clone();
        other["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{ "name": "FAULT", "value": fault }]);
        rig.apply("fieldManager=one&force=true", other).await;
        let waits = async |pods: &str| {
            let pods = rig.cluster("GET", pods, None).await.expect("an answer").body;
            pods.to_string().contains(reason)
        };
        let seen = async {
            while !waits("/api/v1/namespaces/mcp-servers/pods?labelSelector=app%3Doutline").await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.expect("the pods say what they wait for");
        let condition = &look().await.body["status"]["conditions"][1];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("ProgressDeadlineExceeded"))
        );
    }
    rig.cluster("DELETE", DEPLOYMENT, None).await.expect("an answer");
    break_once("stranger-appears");
    assert_eq!(said(&rig.apply("fieldManager=one", wanted).await), (409, "Conflict"));
    assert!(rig.lab.inventory().is_empty());
}
