//! S3 through its administration and through itself: its bad habits and its faults.

use serde_json::{Value, json};

use crate::rig::{Answer, Rig, send, text};

const ID: &str = "GK000000000000000000000001";

impl Rig {
    async fn garage(&self, method: &str, call: &str, body: Option<Value>) -> Option<Answer> {
        let token = text(&self.secret("s3/admin").await["token"]);
        let url = format!("{}/v2/{call}", self.lab.addresses().s3_url);
        let request = match method {
            "GET" => self.http.get(url),
            _ => self.http.post(url),
        };
        send(request.header("authorization", format!("Bearer {token}")), body).await
    }

    async fn ask(&self, call: &str, body: Value) -> Answer {
        self.garage("POST", call, Some(body)).await.expect("an answer")
    }

    async fn look(&self, call: &str) -> Answer {
        self.garage("GET", call, None).await.expect("an answer")
    }

    async fn key(&self) {
        let secret = "canary-of-a-key-0123456789";
        let body = json!({ "accessKeyId": ID, "secretAccessKey": secret, "name": "mine" });
        assert_eq!(self.ask("ImportKey", body).await.status, 200);
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_name_makes_two_keys_and_an_id_is_used_up_for_ever() {
    let rig = Rig::start().await;
    for _ in 0..2 {
        rig.ask("CreateKey", json!({ "name": "twin" })).await;
    }
    assert_eq!(rig.look("GetKeyInfo?search=twin").await.status, 400);
    rig.key().await;
    assert!(rig.lab.secrets().iter().any(|secret| secret == "canary-of-a-key-0123456789"));
    assert!(rig.look(&format!("GetKeyInfo?id={ID}")).await.body["secretAccessKey"].is_null());
    rig.ask(&format!("DeleteKey?id={ID}"), json!({})).await;
    assert_eq!(code(&rig.look(&format!("GetKeyInfo?id={ID}")).await), (404, "NoSuchAccessKey"));
    let again = json!({ "accessKeyId": ID, "secretAccessKey": "0123456789abcdef", "name": "x" });
    assert_eq!(code(&rig.ask("ImportKey", again).await), (409, "KeyAlreadyExists"));
}

#[tokio::test]
async fn a_bucket_has_names_and_is_deleted_only_while_it_is_empty() {
    let rig = Rig::start().await;
    rig.key().await;
    let alias = json!({ "accessKeyId": ID, "alias": "data", "allow": { "owner": true } });
    let made = rig.ask("CreateBucket", json!({ "localAlias": alias })).await;
    let id = text(&made.body["id"]);
    assert_eq!(rig.ask("CreateBucket", json!({ "localAlias": alias })).await.status, 400);
    assert_eq!(code(&rig.look("GetBucketInfo?globalAlias=data").await), (404, "NoSuchBucket"));
    let name = |alias: &str| json!({ "bucketId": id, "globalAlias": alias });
    assert_eq!(rig.ask("AddBucketAlias", name("backups")).await.status, 400);
    assert_eq!(rig.ask("AddBucketAlias", name("No.Good-")).await.status, 400);
    assert_eq!(rig.ask("AddBucketAlias", name("data")).await.status, 200);
    assert_eq!(rig.ask("AddBucketAlias", name("data")).await.status, 200);
    let taken = rig.ask("CreateBucket", json!({ "globalAlias": "data" })).await;
    assert_eq!(code(&taken), (409, "BucketAlreadyExists"));
    rig.lab.put_objects("data", &[("a", 1)]);
    let delete = format!("DeleteBucket?id={id}");
    assert_eq!(code(&rig.ask(&delete, json!({})).await), (409, "BucketNotEmpty"));
}

#[tokio::test]
async fn nobody_lists_a_bucket_without_a_signature() {
    let rig = Rig::start().await;
    let url = format!("{}/backups?list-type=2", rig.lab.addresses().s3_url);
    assert_eq!(send(rig.http.get(&url), None).await.expect("an answer").status, 403);
    let forged = rig.http.get(url).header(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=GKx/20260101/garage/s3/aws4_request, SignedHeaders=host, \
         Signature=00",
    );
    assert_eq!(send(forged, None).await.expect("an answer").status, 403);
}

#[tokio::test]
async fn every_fault_of_s3_fires() {
    let rig = Rig::start().await;
    let break_once = |fault| rig.lab.break_times("s3", fault, 1).expect("known");
    break_once("unauthorized");
    assert_eq!(code(&rig.look("ListKeys").await), (403, "AccessDenied"));
    break_once("no-quorum");
    assert_eq!(code(&rig.look("ListKeys").await), (503, "ServiceUnavailable"));
    break_once("lost-response");
    let lost = rig.garage("POST", "CreateBucket", Some(json!({ "globalAlias": "one" }))).await;
    assert!(lost.is_none());
    let made = rig.look("GetBucketInfo?globalAlias=one").await;
    assert_eq!(made.status, 200);
    break_once("objects-appear");
    let delete = format!("DeleteBucket?id={}", text(&made.body["id"]));
    assert_eq!(code(&rig.ask(&delete, json!({})).await), (409, "BucketNotEmpty"));
    break_once("alias-taken");
    let taken = rig.ask("CreateBucket", json!({ "globalAlias": "two" })).await;
    assert_eq!(code(&taken), (409, "BucketAlreadyExists"));
    break_once("quota-exceeded");
    let url = format!("{}/one/object", rig.lab.addresses().s3_url);
    let full = rig.http.put(url).body("x").send().await.expect("an answer");
    assert_eq!(full.status(), 403);
    assert!(full.text().await.expect("a text").contains("quota is reached"));
}
