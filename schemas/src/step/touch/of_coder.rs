//! What Coder's steps do: to its workspaces, its tokens and the versions of its templates.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching};
use crate::step::coder::{self, versions};

pub(super) fn shown(user: &str, name: &str) -> Resource {
    Resource::new("coder", "workspace", format!("{user}/{name}"))
}

/// A workspace of which the step knows Coder's own id only.
fn shown_as(id: &str) -> Resource {
    Resource::new("coder", "workspace", "").vendor_id(Some(id))
}

impl Touching for coder::StartWorkspace {
    fn touches(&self, answer: Option<&Self::Answer>) -> Vec<Touch> {
        let id = answer.map(|shown| &shown.id);
        let shown = shown(&self.user, &self.name).vendor_id(id);
        // What its developer made in Coder is not ours to account for, and carries no mark.
        let is_joined = self.joined.is_some() && self.joined.as_ref() == id;
        vec![if is_joined { shown.used("") } else { shown.made(&self.marker) }]
    }
}

impl Touching for coder::JoinWorkspace {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![shown(&self.user, &self.name).vendor_id(Some(&self.id)).used("")]
    }
}

impl Touching for coder::AwaitAgent {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![shown_as(&self.id).used("")]
    }
}

impl Touching for coder::LookUpUse {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![shown_as(&self.id).used("")]
    }
}

impl Touching for coder::DeleteWorkspace {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![shown(&self.user, &self.name).removed(&self.marker)]
    }
}

/// A token, by its name, and its secret, by where it lies.
fn token(place: &coder::TokenPlace) -> [Resource; 2] {
    let secret = Resource::new("vault", "secret", &place.credentials);
    [Resource::new("coder", "token", &place.name), secret]
}

impl Touching for coder::CreateToken {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        token(&self.place).map(|one| one.made(&self.place.marker)).into()
    }
}

impl Touching for coder::RevokeToken {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        token(&self.place).map(|one| one.removed(&self.place.marker)).into()
    }
}

fn version(place: &versions::TemplatePlace, name: &str) -> Resource {
    Resource::new("coder", "template-version", format!("{}/{name}", place.template))
}

impl Touching for versions::CreateVersion {
    fn touches(&self, answer: Option<&Self::Answer>) -> Vec<Touch> {
        let made = version(&self.place, &self.name).vendor_id(answer.map(|version| &version.id));
        vec![made.made(&self.marker)]
    }
}

impl Touching for versions::ArchiveVersion {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![version(&self.place, &self.name).removed(&self.marker)]
    }
}
