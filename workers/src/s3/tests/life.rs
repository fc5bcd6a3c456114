//! The life of a bucket, the same in the lab and in a real Garage.

use reqwest::Method;
use stead_schemas::failure::Class;
use stead_schemas::step::s3::{
    DeleteBucket, DeleteIfEmpty, DeleteKey, EmptyBucket, EnsureBucket, EnsureKey, Limits, Place,
    SetLimits,
};
use stead_schemas::step::sight::{SightBuckets, SightKeys, SightSecrets};

use super::super::objects::Objects;
use super::super::record;
use super::{ENDPOINT, key, place};
use crate::Workers;
use crate::testing::Stage;

/// Names that are a trouble somewhere: in XML, in an address, in a signature.
const NAMES: [&str; 9] =
    ["plain", "a/b", "a/../b", "sp ace", "plus+", "<&\">", "per%cent", "umlaut-é", "q?x=1#y"];

/// Makes a bucket, writes to it, and takes it away again.
pub(super) async fn live(stage: &Stage, workers: &Workers, login: &str) {
    let place = Place { login: login.to_owned(), ..place() };
    let limits = |quota_gb| Limits { quota_gb, objects_max: Some(100) };
    for _ in 0..2 {
        let ask = EnsureKey { place: place.clone(), endpoint: ENDPOINT.to_owned(), user: None };
        let made = stage.ask_of(workers, ask).await.unwrap();
        assert!(made.credentials.ends_with("#1"));
        let ask = EnsureBucket { place: place.clone(), limits: limits(1) };
        stage.ask_of(workers, ask).await.unwrap();
        let ask = SetLimits { place: place.clone(), limits: limits(2) };
        stage.ask_of(workers, ask).await.unwrap();
    }
    let client = workers.s3.clone().unwrap();
    let record = record::find(&client, &place).await.unwrap().record.unwrap();
    let objects = Objects::new(&client, &record, &place.bucket);
    for name in NAMES {
        objects.put(name, "something").await.unwrap();
    }
    let mut listed = objects.first_page().await.unwrap();
    listed.sort_unstable();
    let mut names = NAMES.map(str::to_owned);
    names.sort_unstable();
    assert_eq!(listed, names);

    check_seen(stage, workers, &place, 1).await;
    let left = stage.ask_of(workers, DeleteIfEmpty { place: place.clone() }).await.unwrap();
    assert!(!left.gone);
    let kept = stage.ask_of(workers, DeleteBucket { place: place.clone() }).await.unwrap_err();
    assert_eq!(kept.class, Class::Conflict, "{kept}");
    for _ in 0..2 {
        stage.ask_of(workers, EmptyBucket { place: place.clone() }).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask_of(workers, DeleteBucket { place: place.clone() }).await.unwrap();
    }
    assert!(stage.ask_of(workers, DeleteIfEmpty { place: place.clone() }).await.unwrap().gone);
    for _ in 0..2 {
        stage.ask_of(workers, DeleteKey { place: place.clone() }).await.unwrap();
    }
    check_seen(stage, workers, &place, 0).await;
    let signed = objects.first_page().await.unwrap_err();
    assert_eq!(signed.class, Class::Auth, "the key opens nothing any more: {signed}");
}

/// A scan sees bucket, key and secret, each so many times, and all with our mark.
async fn check_seen(stage: &Stage, workers: &Workers, place: &Place, times: usize) {
    let (login, after) = (place.login.clone(), None);
    let buckets = SightBuckets { login: login.clone(), records: None, after: None };
    let buckets = stage.ask_of(workers, buckets).await.unwrap().things;
    let keys = stage.ask_of(workers, SightKeys { login, after }).await.unwrap().things;
    let folder = place.credentials.rsplit_once('/').unwrap().0.to_owned();
    let secrets = SightSecrets { folder, after: None };
    let secrets = stage.ask_of(workers, secrets).await.unwrap().things;
    for (seen, id) in
        [(&buckets, &place.bucket), (&keys, &place.marker), (&secrets, &place.credentials)]
    {
        let ours = seen.iter().filter(|thing| thing.marker.as_ref() == Some(&place.marker));
        let ids: Vec<&String> = ours.map(|thing| &thing.resource.id).collect();
        assert_eq!(ids, vec![id; times], "{seen:?}");
    }
    let limits = buckets.iter().filter(|thing| thing.resource.id == place.bucket);
    assert!(limits.map(|thing| thing.quota_bytes).all(|limit| limit == Some(2 << 30)));
}

impl Objects<'_> {
    /// Writes an object, as its owner does.
    pub(in crate::s3) async fn put(
        &self,
        key: &str,
        text: &str,
    ) -> Result<(), stead_schemas::failure::Failure> {
        let path = format!("/{}", crate::http::segment(key));
        let effect = crate::http::Effect::Possible;
        let call = self.call(Method::PUT, &path, String::new(), text.into(), effect);
        self.send(call).await.map(drop).map_err(Into::into)
    }
}

#[tokio::test]
async fn a_bucket_lives_and_dies() {
    let stage = Stage::open().await;
    live(&stage, &stage.workers, super::LOGIN).await;
    assert!(stage.lab.inventory().is_empty());
    stage.refused(key_of_nobody(), Class::Permanent).await;
}

fn key_of_nobody() -> EnsureKey {
    let place = Place { login: "vault:secret/data/none".to_owned(), ..place() };
    EnsureKey { place, ..key() }
}
