//! Buckets through S3 alone, in the lab and in a real Garage whose administration nobody asks.

use serde_json::json;
use stead_schemas::failure::Class;
use stead_schemas::step::s3::{
    DeleteBucket, DeleteIfEmpty, DeleteKey, EmptyBucket, EnsureBucket, EnsureKey, Limits,
    ListBuckets, Place, SetLimits,
};
use stead_schemas::step::sight::{SightBuckets, SightKeys, Sighted};

use super::super::objects::Objects;
use super::super::record;
use crate::testing::{Stage, config, marker};
use crate::{Workers, s3};

const LOGIN: &str = "vault:secret/data/s3/account";
const USER: &str = "vault:secret/data/s3/users/john";
const FOLDER: &str = "vault:secret/data/stead/buckets";
const BUCKET: &str = "john-data";
const ID: &str = "GK0123456789abcdef01234567";
const USER_ID: &str = "GKfedcba98765432100123456f";
const NO_LIMITS: Limits = Limits { quota_gb: 0, objects_max: None };

fn place() -> Place {
    Place {
        login: LOGIN.to_owned(),
        bucket: BUCKET.to_owned(),
        credentials: format!("{FOLDER}/{BUCKET}"),
        marker: marker(),
    }
}

fn key() -> EnsureKey {
    let user = Some(format!("{USER}#1"));
    EnsureKey { place: place(), endpoint: "https://s3.lan".to_owned(), user }
}

fn bucket() -> EnsureBucket {
    EnsureBucket { place: place(), limits: NO_LIMITS }
}

fn sight() -> SightBuckets {
    SightBuckets { login: LOGIN.to_owned(), records: Some(FOLDER.to_owned()), after: None }
}

/// Workers that know S3's address and nothing of an administration.
fn workers(stage: &Stage, address: &str) -> Workers {
    let mut config = config(&stage.lab);
    let (address, region) = (address.parse().unwrap(), "garage".to_owned());
    config.s3 = Some(s3::Config { admin: None, address, region });
    Workers::new(config).unwrap()
}

/// A stage whose S3 has an account for the site and a key of john's; in a policy he is `USER_ID`.
async fn generic() -> (Stage, Workers) {
    let stage = Stage::open().await;
    let [one, two] = ["5c".repeat(32), "7e".repeat(32)];
    stage.lab.plant_account(ID, &one);
    stage.lab.plant_account(USER_ID, &two);
    stage.keep(LOGIN, json!({ "access_key_id": ID, "secret_access_key": one })).await;
    let user = json!({
        "access_key_id": USER_ID, "secret_access_key": two, "principal": USER_ID,
    });
    stage.keep(USER, user).await;
    let workers = workers(&stage, &stage.lab.addresses().s3_url);
    (stage, workers)
}

/// Makes a bucket, writes to it with its record's key, and takes it away again.
pub(crate) async fn live(stage: &Stage, workers: &Workers) {
    stage.ask_of(workers, ListBuckets { login: LOGIN.to_owned() }).await.unwrap();
    for _ in 0..2 {
        let made = stage.ask_of(workers, key()).await.unwrap();
        assert!(made.credentials.ends_with("#1"), "{made:?}");
        stage.ask_of(workers, bucket()).await.unwrap();
        stage.ask_of(workers, SetLimits { place: place(), limits: NO_LIMITS }).await.unwrap();
    }
    let client = workers.s3.clone().unwrap();
    let record = record::find(&client, &place()).await.unwrap().record.unwrap();
    let objects = Objects::new(&client, &record, BUCKET);
    for name in ["plain", "a/../b", "sp ace", "<&\">", "umlaut-é"] {
        objects.put(name, "something").await.unwrap();
    }
    let seen = stage.ask_of(workers, sight()).await.unwrap().things;
    let ours = seen.iter().find(|thing| thing.resource.id == BUCKET).unwrap();
    assert_eq!((&ours.marker, ours.quota_bytes), (&Some(marker()), None));
    let keys = SightKeys { login: LOGIN.to_owned(), after: None };
    assert_eq!(stage.ask_of(workers, keys).await.unwrap(), Sighted::default());

    let left = stage.ask_of(workers, DeleteIfEmpty { place: place() }).await.unwrap();
    assert_eq!((left.gone, left.objects), (false, 5));
    let kept = stage.ask_of(workers, DeleteBucket { place: place() }).await.unwrap_err();
    assert_eq!(kept.class, Class::Conflict, "{kept}");
    for _ in 0..2 {
        stage.ask_of(workers, EmptyBucket { place: place() }).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask_of(workers, DeleteBucket { place: place() }).await.unwrap();
    }
    assert!(stage.ask_of(workers, DeleteIfEmpty { place: place() }).await.unwrap().gone);
    for _ in 0..2 {
        stage.ask_of(workers, DeleteKey { place: place() }).await.unwrap();
    }
    let seen = stage.ask_of(workers, sight()).await.unwrap().things;
    assert!(seen.iter().all(|thing| thing.resource.id != BUCKET), "{seen:?}");
    assert!(stage.secret(USER, "access_key_id").await.starts_with("GK"), "it is its owner's");
}

#[tokio::test]
async fn a_bucket_lives_and_dies_without_an_administration() {
    let (stage, workers) = generic().await;
    live(&stage, &workers).await;
    assert!(stage.lab.inventory().buckets.is_empty());
    assert!(stage.lab.requests().iter().all(|call| !call.path.starts_with("/v2/")));
}

#[tokio::test]
async fn answers_that_are_lost_make_no_second_bucket_and_leave_none() {
    let (stage, workers) = generic().await;
    for (call, lasts) in [("PUT /john-data", 2), ("DELETE /john-data", 1)] {
        let fault = stead_lab::CallFault::LoseResponse;
        stage.lab.break_call_times("s3", call, fault, lasts).unwrap();
    }
    stage.ask_of(&workers, key()).await.unwrap();
    for _ in 0..2 {
        let lost = stage.ask_of(&workers, bucket()).await.unwrap_err();
        assert_eq!(lost.class, Class::Ambiguous, "{lost}");
    }
    stage.ask_of(&workers, bucket()).await.unwrap();
    assert_eq!(["bucket-created", "policy-set"].map(|kind| stage.count(kind)), [1, 1]);
    stage.ask_of(&workers, DeleteIfEmpty { place: place() }).await.unwrap_err();
    assert!(stage.ask_of(&workers, DeleteIfEmpty { place: place() }).await.unwrap().gone);
}

#[tokio::test]
async fn a_bucket_that_was_there_before_is_never_ours() {
    let (stage, workers) = generic().await;
    stage.ask_of(&workers, key()).await.unwrap();
    stage.ask_of(&workers, bucket()).await.unwrap();
    // Its record is lost: nobody knows any more whose it is, and it stays.
    stage.ask_of(&workers, DeleteKey { place: place() }).await.unwrap();
    assert!(stage.ask_of(&workers, DeleteIfEmpty { place: place() }).await.unwrap().gone);
    stage.ask_of(&workers, EmptyBucket { place: place() }).await.unwrap();
    stage.ask_of(&workers, DeleteBucket { place: place() }).await.unwrap();
    assert_eq!(stage.lab.inventory().buckets.len(), 1);
    let taken = stage.ask_of(&workers, key()).await.unwrap_err();
    assert_eq!(taken.class, Class::Conflict, "{taken}");
    let seen = stage.ask_of(&workers, sight()).await.unwrap().things;
    assert_eq!((seen.len(), &seen[0].marker), (1, &None));
}

#[tokio::test]
async fn whoever_is_faster_with_the_name_keeps_it() {
    let (stage, workers) = generic().await;
    stage.ask_of(&workers, key()).await.unwrap();
    stage.lab.break_times("s3", "alias-taken", 1).unwrap();
    let taken = stage.ask_of(&workers, bucket()).await.unwrap_err();
    assert_eq!(taken.class, Class::Conflict, "{taken}");
    assert!(taken.words.contains("which is not ours"), "{taken}");
}

#[tokio::test]
async fn what_s3_cannot_do_is_said_in_words() {
    let (stage, workers) = generic().await;
    let said = |failure: stead_schemas::failure::Failure| (failure.class, failure.words);
    let lone = EnsureKey { user: None, ..key() };
    let (class, words) = said(stage.ask_of(&workers, lone).await.unwrap_err());
    assert!(class == Class::Permanent && words.contains("makes no keys"), "{words}");
    stage.ask_of(&workers, key()).await.unwrap();
    let limits = Limits { quota_gb: 10, objects_max: None };
    let limited = EnsureBucket { place: place(), limits };
    let (class, words) = said(stage.ask_of(&workers, limited).await.unwrap_err());
    assert!(class == Class::Permanent && words.contains("keeps no limits"), "{words}");
    let limited = SetLimits { place: place(), limits };
    assert_eq!(stage.ask_of(&workers, limited).await.unwrap_err().class, Class::Permanent);
    stage.ask_of(&workers, bucket()).await.unwrap();

    assert!(stage.lab.neglect_bucket(BUCKET, 3, true));
    let empty = EmptyBucket { place: place() };
    let (class, words) = said(stage.ask_of(&workers, empty.clone()).await.unwrap_err());
    assert!(class == Class::Permanent && words.contains("keeps versions"), "{words}");
    assert!(stage.lab.neglect_bucket(BUCKET, 3, false));
    let left = stage.ask_of(&workers, DeleteIfEmpty { place: place() }).await.unwrap();
    assert_eq!((left.gone, left.uploads), (false, 3));
    // Somebody lets others in.
    let client = workers.s3.clone().unwrap();
    let account = super::account(&client, LOGIN).await.unwrap();
    let held = Objects::new(&client, &account, BUCKET);
    let open = json!({ "Statement": [{ "Effect": "Allow", "Principal": "*" }] });
    held.set("policy=", open.to_string().into()).await.unwrap();
    let (class, words) = said(stage.ask_of(&workers, empty.clone()).await.unwrap_err());
    assert!(class == Class::Conflict && words.contains("a policy that is not ours"), "{words}");
    stage.ask_of(&workers, bucket()).await.unwrap();
    stage.ask_of(&workers, empty).await.unwrap();
    assert!(stage.ask_of(&workers, DeleteIfEmpty { place: place() }).await.unwrap().gone);
}

/// For a real Garage: both keys are one that its administration made.
pub(crate) async fn live_with(stage: &Stage, address: &str, id: &str, secret: &str) {
    for place in [LOGIN, USER] {
        stage.keep(place, json!({ "access_key_id": id, "secret_access_key": secret })).await;
    }
    live(stage, &workers(stage, address)).await;
}
