//! What Forgejo's steps do to the secrets of repositories. A secret can carry no mark.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching};
use crate::step::forgejo;

/// Forgejo takes a repository's name in any case, and shows it as it was given first.
fn secret(place: &forgejo::Repository, name: &str) -> Resource {
    Resource::new("forgejo", "secret", format!("{}/{name}", place.repository.to_ascii_lowercase()))
}

impl Touching for forgejo::SetSecret {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![secret(&self.place, &self.name).made("")]
    }
}

impl Touching for forgejo::DeleteSecret {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![secret(&self.place, &self.name).removed("")]
    }
}
