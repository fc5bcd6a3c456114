//! What Kubernetes' steps do to the objects of a server.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching};
use crate::step::kubernetes;

/// What belongs to a server, in the order in which it is made.
fn server(place: &kubernetes::Place) -> [Resource; 3] {
    let of =
        |kind| Resource::new("kubernetes", kind, format!("{}/{}", place.namespace, place.name));
    ["deployment", "service", "configmap"].map(of)
}

impl Touching for kubernetes::Apply {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        server(&self.place).map(|one| one.made(&self.place.marker)).into()
    }
}

impl Touching for kubernetes::AwaitRollout {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        let [deployment, ..] = server(&self.place);
        vec![deployment.used(&self.place.marker)]
    }
}

impl Touching for kubernetes::Remove {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        server(&self.place).map(|one| one.removed(&self.place.marker)).into()
    }
}
