//! A bucket's life behind a proxy that fails, at every moment. What else S3 does wrong is in `storm.rs`, and
//! beside this.

use stead_schemas::failure::Failure;
use stead_schemas::step::s3::{DeleteBucket, DeleteKey, EmptyBucket};

use super::{BUCKET, bucket, key, place};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

const LEFT_OUT: [&str; 8] = [
    "alias-taken",
    "lost-response",
    "no-quorum",
    "objects-appear",
    "partial-delete",
    "quota-exceeded",
    "slow",
    "unauthorized",
];

const PAIRS: [(&str, &str); 2] =
    [("bucket-created", "bucket-deleted"), ("key-imported", "key-deleted")];

async fn live(stage: &Stage) -> Result<(), Failure> {
    stage.endure(key()).await?;
    stage.endure(bucket()).await?;
    stage.lab.put_objects(BUCKET, &[("a", 1), ("b\n", 1)]);
    stage.endure(EmptyBucket { place: place() }).await?;
    let seen = stage.lab.inventory().buckets;
    assert_eq!(seen.iter().map(|one| one.objects).collect::<Vec<_>>(), [0], "{seen:?}");
    go(stage).await
}

async fn go(stage: &Stage) -> Result<(), Failure> {
    stage.endure(DeleteBucket { place: place() }).await?;
    stage.endure(DeleteKey { place: place() }).await?;
    let left = stage.lab.inventory();
    assert!(left.is_empty(), "it is said to be gone: {left:#?}");
    Ok(())
}

#[tokio::test]
async fn whatever_a_proxy_says_of_a_bucket_and_whenever_it_is_as_wanted_or_gone() {
    let sweep = Sweep { vendor: "s3", left_out: &LEFT_OUT, pairs: &PAIRS };
    sweep.carry_out(live, async |stage: &Stage| go(stage).await.expect("nothing is broken")).await;
}
