//! What the steps of iSCSI do: to volumes, and to what shows them. Who may log in at a target and
//! what joins it to its extent are part of it: they come and go with it.

use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching, dataset};
use crate::step::truenas::iscsi;

/// What shows a volume, in the order in which it is made.
fn shown(marker: &str) -> [Resource; 2] {
    ["extent", "target"].map(|kind| Resource::new("truenas", kind, marker))
}

impl Touching for iscsi::EnsureVolume {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![dataset(&self.dataset).made(&self.marker).holding(self.size_gb)]
    }
}

impl Touching for iscsi::EnsureTarget {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        shown(&self.marker).map(|one| one.made(&self.marker)).into()
    }
}

impl Touching for iscsi::RemoveTarget {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        shown(&self.marker).map(|one| one.removed(&self.marker)).into()
    }
}
