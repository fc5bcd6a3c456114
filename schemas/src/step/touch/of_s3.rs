//! What S3's steps do to buckets and their keys.

use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching};
use crate::step::s3;

fn bucket(place: &s3::Place) -> Resource {
    Resource::new("s3", "bucket", &place.bucket)
}

/// The key that opens a bucket, by its name, and its secret, by where it lies.
fn key(place: &s3::Place) -> [Resource; 2] {
    let secret = Resource::new("vault", "secret", &place.credentials);
    [Resource::new("s3", "key", &place.marker), secret]
}

impl Touching for s3::EnsureKey {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        let [key, record] = key(&self.place).map(|one| one.made(&self.place.marker));
        // A key that its owner had before is not ours.
        if self.user.is_some() { vec![record] } else { vec![key, record] }
    }
}

impl Touching for s3::DeleteKey {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        key(&self.place).map(|one| one.removed(&self.place.marker)).into()
    }
}

impl Touching for s3::EnsureBucket {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![bucket(&self.place).made(&self.place.marker).holding(self.limits.quota_gb)]
    }
}

impl Touching for s3::SetLimits {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![bucket(&self.place).used(&self.place.marker).holding(self.limits.quota_gb)]
    }
}

impl Touching for s3::DeleteIfEmpty {
    fn touches(&self, answer: Option<&Self::Answer>) -> Vec<Touch> {
        let bucket = bucket(&self.place);
        match answer {
            Some(stays) if !stays.gone => vec![bucket.used(&self.place.marker)],
            _ => vec![bucket.removed(&self.place.marker)],
        }
    }
}

impl Touching for s3::DeleteBucket {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![bucket(&self.place).removed(&self.place.marker)]
    }
}
