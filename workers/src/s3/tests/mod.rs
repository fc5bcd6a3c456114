//! S3's worker against the lab, and against a real Garage where there is one.

mod garage;
mod life;
mod sweep;

use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::step::s3::{
    DeleteBucket, DeleteIfEmpty, DeleteKey, EmptyBucket, EnsureBucket, EnsureKey, Key, Limits,
    ListBuckets, Place, SetLimits,
};

use crate::testing::{Stage, marker};

const LOGIN: &str = "vault:secret/data/s3/admin";
const CREDENTIALS: &str = "vault:secret/data/stead/buckets/john-data";
const BUCKET: &str = "john-data";
const ENDPOINT: &str = "https://s3.lan";

fn place() -> Place {
    Place {
        login: LOGIN.to_owned(),
        bucket: BUCKET.to_owned(),
        credentials: CREDENTIALS.to_owned(),
        marker: marker(),
    }
}

fn key() -> EnsureKey {
    EnsureKey { place: place(), endpoint: ENDPOINT.to_owned(), user: None }
}

fn bucket() -> EnsureBucket {
    EnsureBucket { place: place(), limits: limits(10) }
}

fn limits(quota_gb: u32) -> Limits {
    Limits { quota_gb, objects_max: Some(5000) }
}

async fn made() -> Stage {
    let stage = Stage::open().await;
    stage.ask(key()).await.unwrap();
    stage.ask(bucket()).await.unwrap();
    stage
}

/// Calls the administration as somebody else would.
async fn administer(stage: &Stage, call: &str, body: Value) -> Value {
    let token = ("authorization", format!("Bearer {}", stage.secret(LOGIN, "token").await));
    let url = format!("{}/v2/{call}", stage.lab.addresses().s3_url);
    stage.as_stranger(reqwest::Method::POST, &url, token, body).await
}

#[tokio::test]
async fn a_list_is_given_to_whoever_may_have_it() {
    let stage = made().await;
    let list = ListBuckets { login: LOGIN.to_owned() };
    stage.ask(list.clone()).await.unwrap();
    stage.lab.break_("s3", "unauthorized").unwrap();
    stage.refused(list, Class::Auth).await;
    assert_eq!(stage.count("bucket-created"), 1, "a look changes nothing");
}

#[tokio::test]
async fn a_bucket_is_made_and_found_again() {
    let stage = Stage::open().await;
    let Key { credentials } = stage.ask(key()).await.unwrap();
    assert_eq!(credentials, format!("{CREDENTIALS}#1"));
    stage.ask(bucket()).await.unwrap();
    assert_eq!(stage.ask(key()).await.unwrap().credentials, credentials);
    stage.ask(bucket()).await.unwrap();
    let counts = ["key-imported", "bucket-created", "bucket-named", "bucket-limited"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1; 4]);
    let there = stage.lab.inventory();
    assert_eq!(there.buckets[0].name, BUCKET);
    assert_eq!(there.buckets[0].owners, [marker()]);
    assert_eq!(there.buckets[0].quota_bytes, 10 << 30);
    for (field, value) in [("endpoint", ENDPOINT), ("bucket", BUCKET), ("region", "garage")] {
        assert_eq!(stage.secret(&credentials, field).await, value);
    }
    assert_eq!(stage.secret(&credentials, "secret_access_key").await.len(), 64);
}

#[tokio::test]
async fn what_is_gone_is_done() {
    let stage = made().await;
    let before = stage.secret(CREDENTIALS, "access_key_id").await;
    for _ in 0..2 {
        assert!(stage.ask(DeleteIfEmpty { place: place() }).await.unwrap().gone);
        stage.ask(EmptyBucket { place: place() }).await.unwrap();
        stage.ask(DeleteBucket { place: place() }).await.unwrap();
        stage.ask(DeleteKey { place: place() }).await.unwrap();
    }
    assert!(stage.lab.inventory().is_empty());
    let counts = ["bucket-deleted", "key-deleted", "secret-destroyed"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1; 3]);
    // The next life of the bucket begins with a new key.
    assert_eq!(stage.ask(key()).await.unwrap().credentials, format!("{CREDENTIALS}#2"));
    assert_ne!(stage.secret(CREDENTIALS, "access_key_id").await, before);
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let lost = ("s3", "lost-response");
    stage.survives(("vault", "lost-response"), Class::Ambiguous, key()).await;
    stage.survives(lost, Class::Ambiguous, bucket()).await;
    let larger = SetLimits { place: place(), limits: limits(20) };
    stage.survives(lost, Class::Ambiguous, larger).await;
    stage.survives(lost, Class::Ambiguous, DeleteBucket { place: place() }).await;
    stage.survives(lost, Class::Ambiguous, DeleteKey { place: place() }).await;
    let counts = ["key-imported", "bucket-created", "bucket-deleted", "key-deleted"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1; 4]);
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn two_attempts_at_once_make_one_key_and_one_bucket() {
    let stage = Stage::open().await;
    let insist = || async {
        stage.insist(key()).await;
        stage.insist(bucket()).await;
    };
    tokio::join!(insist(), insist(), insist());
    assert_eq!(stage.lab.inventory().bucket_keys, [marker()]);
    assert_eq!(["key-imported", "bucket-created"].map(|kind| stage.count(kind)), [1, 1]);
}

#[tokio::test]
async fn a_key_that_somebody_deleted_is_made_anew_with_another_id() {
    let stage = made().await;
    let before = stage.secret(CREDENTIALS, "access_key_id").await;
    administer(&stage, &format!("DeleteKey?id={before}"), json!({})).await;
    assert_eq!(stage.ask(key()).await.unwrap().credentials, format!("{CREDENTIALS}#2"));
    assert_ne!(stage.secret(CREDENTIALS, "access_key_id").await, before);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_touched() {
    let stage = Stage::open().await;
    let values = std::collections::BTreeMap::from([("access_key_id", "theirs".to_owned())]);
    stage.workers.secrets().write(CREDENTIALS, &values, 0).await.unwrap();
    stage.refused(key(), Class::Conflict).await;
    stage.refused(DeleteKey { place: place() }, Class::Conflict).await;
    assert_eq!(stage.secret(CREDENTIALS, "access_key_id").await, "theirs");
}

#[tokio::test]
async fn a_key_whose_record_is_lost_is_deleted_by_its_name() {
    let stage = made().await;
    stage.workers.secrets().forget(CREDENTIALS).await.unwrap();
    stage.ask(DeleteBucket { place: place() }).await.unwrap();
    stage.ask(DeleteKey { place: place() }).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_stranger_s_bucket_is_not_touched() {
    let stage = Stage::open().await;
    let theirs = Place { bucket: "backups".to_owned(), ..place() };
    stage.ask(key()).await.unwrap();
    let ask = EnsureBucket { place: theirs.clone(), limits: limits(10) };
    stage.refused(ask, Class::Conflict).await;
    stage.ask(EmptyBucket { place: theirs.clone() }).await.unwrap();
    stage.ask(DeleteBucket { place: theirs.clone() }).await.unwrap();
    let ask = SetLimits { place: theirs, limits: limits(10) };
    stage.refused(ask, Class::Conflict).await;
    assert_eq!(["bucket-created", "bucket-deleted"].map(|kind| stage.count(kind)), [0, 0]);
}

#[tokio::test]
async fn a_bucket_whose_name_is_taken_half_way_is_taken_back() {
    let stage = Stage::open().await;
    stage.ask(key()).await.unwrap();
    stage.lab.break_times("s3", "alias-taken", 1).unwrap();
    stage.refused(bucket(), Class::Conflict).await;
    assert_eq!(stage.lab.inventory().buckets.len(), 1, "ours is there, without a name");
    stage.ask(DeleteBucket { place: place() }).await.unwrap();
    stage.ask(DeleteKey { place: place() }).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_bucket_that_holds_something_stays() {
    let stage = made().await;
    assert!(stage.lab.put_objects(BUCKET, &[("a", 1), ("b", 2)]));
    let left = stage.ask(DeleteIfEmpty { place: place() }).await.unwrap();
    assert_eq!((left.gone, left.objects), (false, 2));
    stage.refused(DeleteBucket { place: place() }, Class::Conflict).await;
    assert_eq!(stage.lab.inventory().buckets[0].objects, 2);
}

#[tokio::test]
async fn an_object_that_appears_at_the_last_moment_is_not_lost() {
    let stage = made().await;
    stage.lab.break_times("s3", "objects-appear", 1).unwrap();
    let left = stage.ask(DeleteIfEmpty { place: place() }).await.unwrap();
    assert!(!left.gone);
    assert_eq!(stage.lab.inventory().buckets[0].objects, 1);
}

#[tokio::test]
async fn whatever_an_object_is_called_it_is_deleted() {
    let stage = made().await;
    let names =
        ["..", ".", "a/../b", "a & <b>", "a\nb\r", " c ", "d?e=f#g", "é", "%2e", "h+i", "/"];
    let objects: Vec<_> = names.iter().map(|name| (*name, 1)).collect();
    stage.lab.put_objects(BUCKET, &objects);
    stage.ask(EmptyBucket { place: place() }).await.unwrap();
    assert_eq!(stage.lab.inventory().buckets[0].objects, 0);
    assert!(stage.ask(DeleteIfEmpty { place: place() }).await.unwrap().gone);
}

#[tokio::test]
async fn emptying_goes_on_where_it_was_cut_off() {
    let stage = made().await;
    let names: Vec<String> = (0..2500).map(|number| format!("o{number}")).collect();
    let objects: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    stage.lab.put_objects(BUCKET, &objects);
    let ask = || EmptyBucket { place: place() };
    stage.lab.break_times("s3", "partial-delete", 1).unwrap();
    let failure = stage.refused(ask(), Class::Ambiguous).await;
    assert_eq!(failure.vendor.as_deref(), Some("timeout"));
    assert_eq!(stage.lab.inventory().buckets[0].objects, 2499);
    stage.insist(ask()).await;
    assert_eq!(stage.lab.inventory().buckets[0].objects, 0);
}

#[tokio::test]
async fn a_bucket_that_is_open_to_others_is_not_emptied() {
    let stage = made().await;
    stage.lab.put_objects(BUCKET, &[("a", 1)]);
    let theirs = administer(&stage, "CreateKey", json!({ "name": "jane" })).await;
    let name = json!({ "bucketId": bucket_id(&stage).await, "globalAlias": "shared" });
    administer(&stage, "AddBucketAlias", name).await;
    let share = json!({
        "bucketId": bucket_id(&stage).await, "accessKeyId": theirs["accessKeyId"],
        "permissions": { "read": true },
    });
    administer(&stage, "AllowBucketKey", share.clone()).await;
    let failure = stage.refused(EmptyBucket { place: place() }, Class::Conflict).await;
    assert!(failure.words.contains("jane"), "{failure}");
    assert_eq!(stage.lab.inventory().buckets[0].objects, 1);
    administer(&stage, "DenyBucketKey", share).await;
    stage.ask(EmptyBucket { place: place() }).await.unwrap();
    assert_eq!(stage.lab.inventory().buckets[0].objects, 0);
}

async fn bucket_id(stage: &Stage) -> Value {
    let token = ("authorization", format!("Bearer {}", stage.secret(LOGIN, "token").await));
    let at = &stage.lab.addresses().s3_url;
    let url = format!("{at}/v2/GetBucketInfo?globalAlias={BUCKET}");
    stage.as_stranger(reqwest::Method::GET, &url, token, Value::Null).await["id"].clone()
}

#[tokio::test]
async fn limits_below_what_is_there_are_refused() {
    let stage = made().await;
    stage.lab.put_objects(BUCKET, &[("a", 3 << 30), ("b", 1)]);
    let ask = |limits| SetLimits { place: place(), limits };
    let failure = stage.refused(ask(limits(3)), Class::Permanent).await;
    assert!(failure.words.contains("holds 4 GiB"), "{failure}");
    let few = Limits { quota_gb: 10, objects_max: Some(1) };
    let failure = stage.refused(ask(few), Class::Permanent).await;
    assert!(failure.words.contains("2 objects"), "{failure}");
    stage.ask(ask(limits(4))).await.unwrap();
    assert_eq!(stage.lab.inventory().buckets[0].quota_bytes, 4 << 30);
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = made().await;
    for (fault, class) in [("unauthorized", Class::Auth), ("no-quorum", Class::VendorDown)] {
        stage.lab.break_("s3", fault).unwrap();
        stage.refused(DeleteBucket { place: place() }, class).await;
        stage.lab.mend();
    }
    stage.ask(DeleteBucket { place: place() }).await.unwrap();
}
