//! What marks do that are put on something that is there.

use alloc::vec;
use alloc::vec::Vec;

use super::of_proxmox::machine;
use super::{Deed, Touch, Touching, dataset};
use crate::step::{proxmox, truenas};

/// What a mark does: what is given back to the run that made it is in that run's own history.
const fn marking(restores: bool, undoes: bool) -> Deed {
    match (restores, undoes) {
        (true, _) => Deed::Uses,
        (false, true) => Deed::Removes,
        (false, false) => Deed::Makes,
    }
}

impl Touching for proxmox::MarkVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        if self.gives {
            let deed = if self.undoes { Deed::Makes } else { Deed::Removes };
            return vec![machine(&self.machine).touched(deed, self.was.as_deref().unwrap_or(""))];
        }
        let deed = marking(self.restores, self.undoes);
        vec![machine(&self.machine).touched(deed, &self.machine.marker)]
    }
}

impl Touching for truenas::MarkDataset {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        let deed = marking(self.restores, self.undoes);
        vec![dataset(&self.dataset).touched(deed, &self.marker)]
    }
}
